//! A server that echoes each message with its type, on smol: `smol_echo_server [ADDR] [--deflate]`.
//!
//! Each connection has a task of its own.
//!
//! With `--deflate`, messages are compressed for clients that offer compression (RFC 7692).
//!
//! Upon Ctrl-C the server accepts no more connections. It closes each open connection with 1001 (going away), and waits
//! at most ten seconds for the clients to close. A second Ctrl-C ends the server at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use hybi::adapters::futures_io::{AcceptError, Error, Group, Server, WebSocket};
use hybi::{CloseCode, Config, Event, SendError};
use smol::channel::{Sender, bounded};
use smol::future::or;
use smol::net::{TcpListener, TcpStream};
use smol::stream::StreamExt;

#[path = "support/cli.rs"]
mod cli;

const USAGE: &str = "\
usage: smol_echo_server [ADDR] [--deflate]

  ADDR       the address to listen on; 127.0.0.1:9001 by default, and port 0 selects a free port
  --deflate  compress messages for clients that offer compression";

/// How long the server waits for its clients to close.
const CLOSE_TIME: Duration = Duration::from_secs(10);
/// Two signals within this time count as one Ctrl-C. The command `timeout` sends the signal to the process and to the
/// process group. So the process gets the signal twice.
const SAME_SIGNAL: Duration = Duration::from_millis(50);

/// The state of the server that all tasks share.
#[derive(Clone)]
struct Shared {
    server: Arc<Server>,
    group: Group,
    /// The channel closes once the last task has dropped its copy of the sender.
    _running: Sender<()>,
}

fn main() -> ExitCode {
    cli::end(smol::block_on(run()))
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (address, [compress]) = cli::parse(std::env::args().skip(1), USAGE, ["--deflate"])?;
    let config = Config::new().max_message(64 << 20).max_frame(64 << 20).max_fragments(u32::MAX);
    let mut server = Server::new().config(config);
    if compress {
        server = deflate(server)?;
    }
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let mut interrupts = Signals::new([Signal::Int])?;
    cli::say(format_args!("listening on ws://{}", listener.local_addr()?));

    let (running, ended) = bounded(1);
    let shared = Shared { server: Arc::new(server), group: Group::new(), _running: running };
    loop {
        let interrupted = async {
            interrupts.next().await;
            None
        };
        let Some(accepted) = or(interrupted, async { Some(listener.accept().await) }).await else { break };
        match accepted {
            Ok((stream, _)) => smol::spawn(serve(shared.clone(), stream)).detach(),
            // The server continues if a connection breaks off at once. It also continues if the system has no more file
            // descriptors, because other connections may end.
            Err(error) => {
                eprintln!("accept: {error}");
                smol::Timer::after(Duration::from_millis(10)).await;
            }
        }
    }

    shared.group.close(CloseCode::GOING_AWAY, "the server is shutting down")?;
    drop((listener, shared));
    let all = async {
        let _ = ended.recv().await;
        None
    };
    let late = async {
        smol::Timer::after(CLOSE_TIME).await;
        Some("not all clients have closed in time")
    };
    let again = async {
        let first = Instant::now();
        while interrupts.next().await.is_some() && first.elapsed() < SAME_SIGNAL {}
        Some("not all clients have closed")
    };
    if let Some(why) = or(all, or(late, again)).await {
        eprintln!("{why}");
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

async fn serve(shared: Shared, stream: TcpStream) {
    let peer = stream.peer_addr().map_or_else(|_| "a peer".into(), |peer| peer.to_string());
    let _ = stream.set_nodelay(true);
    let mut ws = match shared.server.accept(stream).await {
        Ok(ws) => ws,
        Err(AcceptError::NotWebSocket(call)) => {
            let _ = call.reject().await;
            return;
        }
        Err(error) => return eprintln!("{peer}: {error}"),
    };
    ws.join(&shared.group);
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

async fn echo(ws: &mut WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some((event, mut answer)) = ws.next_event().await? {
        match event {
            Event::Text(text) => answer.send_text(text).await?,
            Event::Binary(data) => answer.send_binary(data).await?,
            _ => {}
        }
    }
    Ok(())
}
