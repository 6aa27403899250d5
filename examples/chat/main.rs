//! A chat server with one room. It serves its page and its WebSockets on one port: `chat [ADDR]`.
//!
//! Open the printed address in several browsers.
//!
//! Each connection has a task, which waits for messages of its client and for messages of the room at the same time. A
//! message of the room is encoded once, as a [`Prepared`], and passed to all tasks through a channel of fixed size. No
//! client waits for a slow client. If a client has too many unread bytes or messages, its connection is closed with
//! 1013 (try again later).
//!
//! Upon Ctrl-C the server closes each connection with 1001 (going away), and waits at most ten seconds for the clients
//! to close. A second Ctrl-C ends the server at once.
//!
//! The first message of a client is its name. Each further message is shown to all clients. The server sends JSON, one
//! object per message, to the script in `page.html`.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hybi::adapters::tokio::{AcceptError, Acceptance, Error, HttpCall, PendingRequest, Server, WebSocket};
use hybi::handshake::HttpResponse;
use hybi::{CloseCode, Config, Event, Message, Prepared, SendError};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[path = "../support/cli.rs"]
mod cli;

const USAGE: &str = "\
usage: chat [ADDR]

  ADDR  the address to listen on; 127.0.0.1:9001 by default, and port 0 selects a free port

Open the printed address in a browser.";

const PAGE: &str = include_str!("page.html");
/// The subprotocol of this server. A request for `/chat` that does not offer this subprotocol is rejected.
const SUBPROTOCOL: &str = "chat.hybi.example";

/// Maximum length of a client's message, in bytes.
const MAX_MESSAGE: u64 = 4 << 10;
/// Maximum length of a name, in characters.
const MAX_NAME: usize = 32;
/// Number of earlier messages that a new client receives.
const HISTORY: usize = 50;
/// Maximum number of bytes in the write queue of one connection.
const BACKLOG: usize = 256 << 10;
/// Number of messages that the channel keeps. A task that has not received an older message loses it.
const RING_SIZE: usize = 1024;
/// How long a new client may take to send its name, and how long the server waits for its clients to close.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Two signals within this time count as one Ctrl-C. The command `timeout` sends the signal to the process and to the
/// process group. So the process gets the signal twice.
const SAME_SIGNAL: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> ExitCode {
    cli::end(run().await)
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (address, []) = cli::parse(std::env::args().skip(1), USAGE, [])?;
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    cli::say(format_args!("listening on http://{}", listener.local_addr()?));
    let again = async {
        tokio::signal::ctrl_c().await?;
        tokio::time::sleep(SAME_SIGNAL).await;
        tokio::signal::ctrl_c().await
    };
    tokio::select! {
        // Both futures wait for the first signal. `serve` is polled first: if both complete in the same poll, no
        // message is printed.
        biased;
        () = serve(listener, async { drop(tokio::signal::ctrl_c().await) }) => {}
        _ = again => eprintln!("not all clients have closed"),
    }
    Ok(())
}

/// Serves a room until `end` completes, and then until all clients have closed or [`TIME_LIMIT`] has passed.
pub(crate) async fn serve(listener: TcpListener, end: impl Future<Output = ()>) {
    // The default timers send Pings to a silent client, and end the connection if the client is gone.
    let config = Config::new().max_message(MAX_MESSAGE).max_frame(MAX_MESSAGE).high_water(BACKLOG);
    let server = Server::new().config(config);
    let (room, mut tasks) = (Arc::new(Room::new()), JoinSet::new());
    let (leave, leaving) = watch::channel(false);
    tokio::pin!(end);
    loop {
        tokio::select! {
            // Poll the signal first, so that its future is polled in every turn and waits for the signal.
            biased;
            () = &mut end => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(client(server.clone(), Arc::clone(&room), stream, leaving.clone()));
                }
                // The server continues if a connection breaks off at once.
                Err(error) => eprintln!("accept: {error}"),
            },
        }
    }
    drop(listener);
    leave.send_replace(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(TIME_LIMIT, all).await.is_err() {
        eprintln!("not all clients have closed in time");
    }
}

/// Serves one connection, from the handshake to its end.
async fn client(server: Server, room: Arc<Room>, stream: TcpStream, mut leaving: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let accepted = match server.receive(stream).await {
        Ok(request) => match rejection_status(&request) {
            None => request.accept_with(&Acceptance::new().subprotocol(SUBPROTOCOL)).await,
            Some(status) => {
                let _ = request.reject(&HttpResponse::new(status)).await;
                return;
            }
        },
        Err(AcceptError::NotWebSocket(call)) => {
            let _ = page(call).await;
            return;
        }
        Err(error) => Err(error),
    };
    let mut ws = match accepted {
        Ok(ws) => ws,
        Err(error) => return eprintln!("{error}"),
    };
    let left = tokio::select! {
        left = visit(&mut ws, &room) => left,
        // Dropping the future of `visit` loses no data. It removes the client from the room.
        _ = leaving.wait_for(|leaving| *leaving) => {
            Ok(Some((CloseCode::GOING_AWAY, "the server is shutting down")))
        }
    };
    match left {
        Ok(Some((code, why))) => drop(ws.close(code, why).await),
        Ok(None) | Err(Error::Protocol(_) | Error::Send(SendError::Closed)) => {}
        Err(error) => return eprintln!("{error}"),
    }
    // Receive until the end of the connection. The close timeout of the connection bounds this wait.
    let _ = ws.wait_closed().await;
}

/// Returns the status with which to reject a request, or `None` to accept the request. Accepts requests from the page
/// of this server, and from programs that send no `Origin`.
fn rejection_status(request: &PendingRequest) -> Option<u16> {
    let head = request.head();
    // A server with a fixed host name should list its origins with `Server::origins` instead.
    let own = ["http", "https"].map(|scheme| format!("{scheme}://{}", head.host().unwrap_or_default()));
    if let Err(rejection) = head.check_origin(&[&own[0], &own[1]]) {
        return Some(rejection.status());
    }
    match (head.path(), head.select_subprotocol(&[SUBPROTOCOL])) {
        ("/chat", Some(_)) => None,
        ("/chat", None) => Some(400),
        _ => Some(404),
    }
}

/// Answers a plain HTTP request.
async fn page(call: HttpCall) -> std::io::Result<()> {
    let headers = [
        ("Cache-Control", "no-cache"),
        (
            "Content-Security-Policy",
            "default-src 'none'; connect-src 'self'; img-src data:; \
          script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("X-Content-Type-Options", "nosniff"),
    ];
    let response = match (call.method(), call.target()) {
        ("GET", "/") => {
            HttpResponse::new(200).headers(&headers).body("text/html; charset=utf-8", PAGE.as_bytes())
        }
        ("GET", "/chat") => return call.reject().await,
        ("GET", _) => HttpResponse::new(404),
        _ => HttpResponse::new(405),
    };
    call.respond(&response).await
}

/// The end of a visit: the code and the reason of the Close to send, or `None` if the client has closed.
type VisitEnd = Result<Option<(CloseCode, &'static str)>, Error>;

/// Serves a client in the room until one side closes.
async fn visit(ws: &mut WebSocket, room: &Arc<Room>) -> VisitEnd {
    let Ok(first) = tokio::time::timeout(TIME_LIMIT, ws.recv()).await else {
        return Ok(Some((CloseCode::POLICY_VIOLATION, "no name in time")));
    };
    let wish = match first? {
        Some(Message::Text(wish)) => wish,
        Some(Message::Binary(_)) => return Ok(Some((CloseCode::UNSUPPORTED_DATA, "text only"))),
        None => return Ok(None),
    };
    let Some(name) = name(&wish) else {
        return Ok(Some((CloseCode::POLICY_VIOLATION, "a name has 1 to 32 characters")));
    };
    let (guest, past, mut news) = room.enter(&name);
    for message in past {
        ws.responder().send_prepared(&message).await?;
    }
    loop {
        tokio::select! {
            // Receive first, because a call that receives also writes. Bytes that are still queued after the call are
            // bytes that the client has not taken.
            biased;
            event = ws.next_event() => match event?.map(|(event, _)| event) {
                Some(Event::Text(text)) => guest.say(text),
                Some(Event::Binary(_)) => return Ok(Some((CloseCode::UNSUPPORTED_DATA, "text only"))),
                Some(Event::CloseReceived { .. }) | None => return Ok(None),
                Some(_) => {}
            },
            message = news.recv() => match message {
                Ok(message) if ws.buffered_amount() < BACKLOG => ws.responder().send_prepared(&message).await?,
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    return Ok(Some((CloseCode::TRY_AGAIN_LATER, "reading too slowly")));
                }
                Err(RecvError::Closed) => return Ok(None),
            },
        }
    }
}

/// Returns the name that a client asked for, without control characters and additional spaces. Returns `None` if the
/// name is then empty or too long.
fn name(wish: &str) -> Option<String> {
    let name = wish.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let name = name.collect::<Vec<_>>().join(" ");
    (1..=MAX_NAME).contains(&name.chars().count()).then_some(name)
}

/// The room: the names of its clients, the latest messages, and the channel to all tasks.
struct Room {
    inside: Mutex<Inside>,
}

/// The locked part of [`Room`].
struct Inside {
    names: BTreeSet<String>,
    history: VecDeque<Prepared>,
    news: broadcast::Sender<Prepared>,
}

impl Room {
    fn new() -> Self {
        let (names, history) = (BTreeSet::new(), VecDeque::new());
        Self { inside: Mutex::new(Inside { names, history, news: broadcast::Sender::new(RING_SIZE) }) }
    }

    /// Locks the room. The lock is never held across an `await`. Sending to all tasks puts one handle into the channel
    /// and wakes the tasks, so the lock is held for a short time.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client to the room. Returns the client's [`Guest`], the messages to send first, and the channel with
    /// further messages.
    fn enter(self: &Arc<Self>, wish: &str) -> (Guest, Vec<Prepared>, broadcast::Receiver<Prepared>) {
        let mut inside = self.lock();
        let mut name = wish.to_owned();
        for number in 2.. {
            if inside.names.insert(name.clone()) {
                break;
            }
            name = format!("{wish} {number}");
        }
        inside.tell(&json!({ "joined": name }));
        let welcome = prepared(&json!({ "welcome": name, "here": inside.names }));
        let past = std::iter::once(welcome).chain(inside.history.iter().cloned()).collect();
        let news = inside.news.subscribe();
        (Guest { name, room: Arc::clone(self) }, past, news)
    }
}

impl Inside {
    /// Sends a message to all tasks, and returns it.
    fn tell(&self, news: &Value) -> Prepared {
        let message = prepared(news);
        // An error means that the room is empty.
        let _ = self.news.send(message.clone());
        message
    }
}

/// Encodes a message once, to be sent to all clients.
fn prepared(news: &Value) -> Prepared {
    Prepared::new(news.to_string())
}

/// A client in the room. Dropping the value removes the client.
struct Guest {
    name: String,
    room: Arc<Room>,
}

impl Guest {
    /// Sends a text of this client to all clients.
    fn say(&self, text: &str) {
        let mut inside = self.room.lock();
        let message = inside.tell(&json!({ "from": self.name, "text": text }));
        inside.history.push_back(message);
        if inside.history.len() > HISTORY {
            inside.history.pop_front();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.room.lock();
        inside.names.remove(&self.name);
        inside.tell(&json!({ "left": self.name }));
    }
}
