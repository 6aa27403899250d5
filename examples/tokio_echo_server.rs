//! Echoes each message with its type, a task per connection: `tokio_echo_server [ADDR] [--deflate]`.
//!
//! With `--deflate` messages are compressed for clients that offer it (RFC 7692). Upon Ctrl-C the server takes
//! no more connections, tells all clients that it goes away (1001), and gives them ten seconds to close; upon
//! another it does not wait any longer.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hybi::adapters::tokio::{AcceptError, Error, Group, Server, WebSocket};
use hybi::{CloseCode, Config, Event, SendError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[path = "support/cli.rs"]
mod cli;

const USAGE: &str = "\
usage: tokio_echo_server [ADDR] [--deflate]

  ADDR       where to listen; 127.0.0.1:9001 unless told otherwise, with port 0 any that is free
  --deflate  compress messages for clients that offer it";

/// How long clients have to close once the server goes away.
const FAREWELL: Duration = Duration::from_secs(10);
/// What is sent to a process and to its group, as timeout(1) does, comes twice: within this time it is one Ctrl-C.
const TWICE: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> ExitCode {
    cli::end(run(std::env::args().skip(1)).await)
}

/// The server, on whatever runtime this is called.
pub(crate) async fn run(args: impl Iterator<Item = String>) -> Result<(), Box<dyn std::error::Error>> {
    let (address, [compress]) = cli::parse(args, USAGE, ["--deflate"])?;
    let config = Config::new().max_message(64 << 20).max_frame(64 << 20).max_fragments(u32::MAX);
    let mut server = Server::new().config(config);
    if compress {
        server = deflate(server)?;
    }
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    cli::say(format_args!("listening on ws://{}", listener.local_addr()?));

    let (server, group, mut tasks) = (Arc::new(server), Group::new(), JoinSet::new());
    // One future for all turns: what comes while none is waiting is lost.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            // First, so that it waits from the first turn on.
            biased;
            _ = &mut interrupted => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(serve(Arc::clone(&server), group.clone(), stream));
                }
                // A connection that breaks off at once does not end the server, nor that there can be no more
                // of them: some may end.
                Err(error) => {
                    eprintln!("accept: {error}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
        }
    }

    drop(listener);
    group.close(CloseCode::GOING_AWAY, "the server is shutting down")?;
    let all = async { while tasks.join_next().await.is_some() {} };
    let again = async {
        tokio::time::sleep(TWICE).await;
        tokio::signal::ctrl_c().await
    };
    tokio::select! {
        () = all => {}
        () = tokio::time::sleep(FAREWELL) => eprintln!("not all clients have closed in time"),
        _ = again => eprintln!("not all clients have closed"),
    }
    Ok(())
}

/// As clients ask for it: with the windows that they name, taken over from message to message or not.
#[cfg(feature = "deflate")]
fn deflate(server: Server) -> Result<Server, &'static str> {
    Ok(server.deflate(hybi::handshake::DeflateConfig::new()))
}

#[cfg(not(feature = "deflate"))]
fn deflate(_: Server) -> Result<Server, &'static str> {
    Err("--deflate is not in this build: build with --features deflate")
}

async fn serve(server: Arc<Server>, group: Group, stream: TcpStream) {
    // One that is gone already has no address.
    let Ok(peer) = stream.peer_addr() else { return };
    let _ = stream.set_nodelay(true);
    let mut ws = match server.accept(stream).await {
        Ok(ws) => ws,
        Err(AcceptError::NotWebSocket(call)) => {
            let _ = call.refuse().await;
            return;
        }
        Err(error) => return eprintln!("{peer}: {error}"),
    };
    // Half a kilobyte with a browser.
    ws.forget_headers();
    ws.join(&group);
    // What is left after some errors is to see the connection to its end.
    while let Err(error) = echo(&mut ws).await {
        match error {
            // The server goes away: what still comes in is not answered.
            Error::Send(SendError::Closed) => {}
            // The peer has been told.
            Error::Protocol(_) => eprintln!("{peer}: {error}"),
            _ => return eprintln!("{peer}: {error}"),
        }
    }
}

async fn echo(ws: &mut WebSocket) -> Result<(), Error> {
    loop {
        // An event has room for a control frame: not kept across a wait it takes none in the task.
        let (text, data, mut answer) = match ws.next().await? {
            Some((Event::Text(text), answer)) => (Some(text), &[][..], answer),
            Some((Event::Binary(data), answer)) => (None, data, answer),
            Some(_) => continue,
            None => return Ok(()),
        };
        match text {
            Some(text) => answer.send_text(text).await?,
            None => answer.send_binary(data).await?,
        }
    }
}
