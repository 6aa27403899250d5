//! A server that echoes each message with its type, on tokio: `tokio_echo_server [ADDR] [--deflate]`.
//!
//! Each connection has a task of its own.
//!
//! With `--deflate`, messages are compressed for clients that offer compression (RFC 7692).
//!
//! Upon Ctrl-C the server accepts no more connections. It closes each open connection with 1001 (going away), and waits
//! at most ten seconds for the clients to close. A second Ctrl-C ends the server at once.

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

  ADDR       the address to listen on; 127.0.0.1:9001 by default, and port 0 selects a free port
  --deflate  compress messages for clients that offer compression";

/// How long the server waits for its clients to close.
const CLOSE_TIME: Duration = Duration::from_secs(10);
/// Two signals within this time count as one Ctrl-C. The command `timeout` sends the signal to the process and to the
/// process group. So the process gets the signal twice.
const SAME_SIGNAL: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> ExitCode {
    cli::end(run(std::env::args().skip(1)).await)
}

/// Runs the server until Ctrl-C, on the current runtime.
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
    // Use one future for the whole loop, because a signal that arrives while no future waits is lost.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            // Poll the signal first, so that its future is polled in every turn and waits for the signal.
            biased;
            _ = &mut interrupted => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(serve(Arc::clone(&server), group.clone(), stream));
                }
                // The server continues if a connection breaks off at once. It also continues if the system has no more
                // file descriptors, because other connections may end.
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
        tokio::time::sleep(SAME_SIGNAL).await;
        tokio::signal::ctrl_c().await
    };
    tokio::select! {
        () = all => {}
        () = tokio::time::sleep(CLOSE_TIME) => eprintln!("not all clients have closed in time"),
        _ = again => eprintln!("not all clients have closed"),
    }
    Ok(())
}

/// Accepts each client's offer of permessage-deflate, with its window sizes and its context takeover.
#[cfg(feature = "deflate")]
fn deflate(server: Server) -> Result<Server, &'static str> {
    Ok(server.deflate(hybi::handshake::DeflateConfig::new()))
}

#[cfg(not(feature = "deflate"))]
fn deflate(_: Server) -> Result<Server, &'static str> {
    Err("--deflate is not in this build: build with --features deflate")
}

async fn serve(server: Arc<Server>, group: Group, stream: TcpStream) {
    // A socket whose peer is gone has no peer address.
    let Ok(peer) = stream.peer_addr() else { return };
    let _ = stream.set_nodelay(true);
    let mut ws = match server.accept(stream).await {
        Ok(ws) => ws,
        Err(AcceptError::NotWebSocket(call)) => {
            let _ = call.reject().await;
            return;
        }
        Err(error) => return eprintln!("{peer}: {error}"),
    };
    // Frees the headers of the request: about half a kilobyte for a browser.
    ws.forget_headers();
    ws.join(&group);
    // After an error for which `serve` does not return, `echo` is called again until the connection has ended.
    while let Err(error) = echo(&mut ws).await {
        match error {
            // The group was closed. Messages that still arrive are not answered.
            Error::Send(SendError::Closed) => {}
            // A Close with the error was sent.
            Error::Protocol(_) => eprintln!("{peer}: {error}"),
            _ => return eprintln!("{peer}: {error}"),
        }
    }
}

async fn echo(ws: &mut WebSocket) -> Result<(), Error> {
    loop {
        // Take the payload out of the event. An event that lives across an `await` is stored in the task, and makes
        // each task larger.
        let (text, data, mut answer) = match ws.next_event().await? {
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
