//! A chat room with its page, both on one port: `chat [ADDR]`, then open what it prints in a few browsers.
//!
//! A task per connection holds the WebSocket, and waits for what the client says and for what the room has to
//! tell at the same time. What the room tells is encoded once for all, and handed out by a ring of fixed size:
//! nobody waits for a slow reader, who is told to try again later (1013) as soon as too much waits for it.
//! Upon Ctrl-C all are told that the server goes away (1001), and have ten seconds to close; upon another the
//! server does not wait any longer.
//!
//! The first message of a client is its name, each further one is what it says. What it gets is JSON, one
//! object a message, for the script in `page.html`.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hybi::adapters::tokio::{AcceptError, Acceptance, Error, HttpCall, Refusal, Server, WebSocket};
use hybi::handshake::{Reject, Request};
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

  ADDR  where to listen; 127.0.0.1:9001 unless told otherwise, with port 0 any that is free

Open what it prints in a browser.";

const PAGE: &str = include_str!("page.html");
/// What is spoken here, so that a client of something else is not taken for one of ours.
const SUBPROTOCOL: &str = "chat.hybi.example";

/// The longest message, in bytes.
const MAX_MESSAGE: u64 = 4 << 10;
/// The longest name, in characters.
const MAX_NAME: usize = 32;
/// How many messages a newcomer gets to see.
const HISTORY: usize = 50;
/// How many bytes may wait for one reader, and how many messages that its task has not seen yet.
const BACKLOG: usize = 256 << 10;
const UNSEEN: usize = 1024;
/// How long a newcomer may take to tell its name, and clients to close once the server goes away.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is sent to a process and to its group, as timeout(1) does, comes twice: within this time it is one Ctrl-C.
const TWICE: Duration = Duration::from_millis(50);

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
        tokio::time::sleep(TWICE).await;
        tokio::signal::ctrl_c().await
    };
    tokio::select! {
        // First, so that both wait for the first one.
        biased;
        () = serve(listener, async { drop(tokio::signal::ctrl_c().await) }) => {}
        _ = again => eprintln!("not all clients have closed"),
    }
    Ok(())
}

/// Serves a room until `end`, and then until all have left or time is up.
pub(crate) async fn serve(listener: TcpListener, end: impl Future<Output = ()>) {
    // Where little is said, one that is gone shows by pings that are not answered: a default.
    let config = Config::new().max_message(MAX_MESSAGE).max_frame(MAX_MESSAGE).high_water(BACKLOG);
    let server = Server::new().config(config);
    let (room, mut tasks) = (Arc::new(Room::new()), JoinSet::new());
    let (leave, leaving) = watch::channel(false);
    tokio::pin!(end);
    loop {
        tokio::select! {
            // First, so that it is waited for from the first turn on.
            biased;
            () = &mut end => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(client(server.clone(), Arc::clone(&room), stream, leaving.clone()));
                }
                // A connection that breaks off at once does not end the server.
                Err(error) => eprintln!("accept: {error}"),
            },
        }
    }
    drop(listener);
    leave.send_replace(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        eprintln!("not all clients have closed in time");
    }
}

/// One connection, from its first byte to its last.
async fn client(server: Server, room: Arc<Room>, stream: TcpStream, mut leaving: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let mut ws = match server.accept_with(stream, decide).await {
        Ok(ws) => ws,
        Err(AcceptError::NotWebSocket(call)) => {
            let _ = page(call).await;
            return;
        }
        Err(error) => return eprintln!("{error}"),
    };
    let left = tokio::select! {
        left = visit(&mut ws, &room) => left,
        // Of the future that is dropped here nothing is lost but the place in the room.
        _ = leaving.wait_for(|leaving| *leaving) => {
            Ok(Some((CloseCode::GOING_AWAY, "the server is shutting down")))
        }
    };
    match left {
        Ok(Some((code, why))) => drop(ws.close(code, why).await),
        Ok(None) | Err(Error::Protocol(_) | Error::Send(SendError::Closed)) => {}
        Err(error) => return eprintln!("{error}"),
    }
    // What is left is to see the connection to its end, for which it has its own deadline.
    let _ = ws.wait_closed().await;
}

/// Whether to open a WebSocket: for the page that is served here, and for programs, which send no origin.
fn decide(request: &Request<'_>) -> Result<Acceptance, Refusal> {
    // Whoever serves under a name that is known should list its origins with `Server::origins` instead.
    let own = ["http", "https"].map(|scheme| format!("{scheme}://{}", request.host()));
    request.check_origin(&[&own[0], &own[1]])?;
    match (request.path(), request.select_subprotocol(&[SUBPROTOCOL])) {
        ("/chat", Some(name)) => Ok(Acceptance { subprotocol: Some(name.into()), ..Acceptance::default() }),
        ("/chat", None) => Err(Refusal::new(400)),
        _ => Err(Refusal::new(404)),
    }
}

/// Answers plain HTTP.
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
    let answer = match (call.method(), call.target()) {
        ("GET", "/") => Reject::new(200).headers(&headers).body("text/html; charset=utf-8", PAGE.as_bytes()),
        ("GET", "/chat") => return call.refuse().await,
        ("GET", _) => Reject::new(404),
        _ => Reject::new(405),
    };
    call.answer(&answer).await
}

/// How to end a visit: the code of the Close, and its reason. `None` where the client has closed.
type Left = Result<Option<(CloseCode, &'static str)>, Error>;

/// A client's time in the room.
async fn visit(ws: &mut WebSocket, room: &Arc<Room>) -> Left {
    let Ok(first) = tokio::time::timeout(PATIENCE, ws.recv()).await else {
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
            // First of all, as a call that receives also writes: what still waits after it is what the
            // client has not taken.
            biased;
            event = ws.next() => match event?.map(|(event, _)| event) {
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

/// What someone may be called: of what was asked for, what can be seen.
fn name(wish: &str) -> Option<String> {
    let name = wish.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let name = name.collect::<Vec<_>>().join(" ");
    (1..=MAX_NAME).contains(&name.chars().count()).then_some(name)
}

/// Who is here, what was said, and how to reach all.
struct Room {
    inside: Mutex<Inside>,
}

struct Inside {
    names: BTreeSet<String>,
    history: VecDeque<Prepared>,
    news: broadcast::Sender<Prepared>,
}

impl Room {
    fn new() -> Self {
        let (names, history) = (BTreeSet::new(), VecDeque::new());
        Self { inside: Mutex::new(Inside { names, history, news: broadcast::Sender::new(UNSEEN) }) }
    }

    /// Never locked across a wait: to tell all takes as long as to put a handle into the ring and to wake them.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets someone in; gives what it must know first, and what is told from there on.
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
    fn tell(&self, news: &Value) -> Prepared {
        let message = prepared(news);
        // It fails where nobody is there.
        let _ = self.news.send(message.clone());
        message
    }
}

/// Encoded once, to be sent to all.
fn prepared(news: &Value) -> Prepared {
    Prepared::new(news.to_string())
}

/// Someone in the room, who leaves it when this is dropped.
struct Guest {
    name: String,
    room: Arc<Room>,
}

impl Guest {
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
