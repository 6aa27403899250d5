//! Echoes each message with its type, a task per connection, on smol: `smol_echo_server [ADDR] [--deflate]`.
//!
//! With `--deflate` messages are compressed for clients that offer it (RFC 7692). Upon Ctrl-C the server takes
//! no more connections, tells all clients that it goes away (1001), and gives them ten seconds to close; upon
//! another it does not wait any longer.

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

  ADDR       where to listen; 127.0.0.1:9001 unless told otherwise, with port 0 any that is free
  --deflate  compress messages for clients that offer it";

/// How long clients have to close once the server goes away.
const FAREWELL: Duration = Duration::from_secs(10);
/// What is sent to a process and to its group, as timeout(1) does, comes twice: within this time it is one Ctrl-C.
const TWICE: Duration = Duration::from_millis(50);

/// What each task holds of the server.
#[derive(Clone)]
struct Shared {
    server: Arc<Server>,
    group: Group,
    /// Closed once no task has it any more.
    _here: Sender<()>,
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

    let (here, gone) = bounded(1);
    let shared = Shared { server: Arc::new(server), group: Group::new(), _here: here };
    loop {
        let interrupted = async {
            interrupts.next().await;
            None
        };
        let Some(accepted) = or(interrupted, async { Some(listener.accept().await) }).await else { break };
        match accepted {
            Ok((stream, _)) => smol::spawn(serve(shared.clone(), stream)).detach(),
            // A connection that breaks off at once does not end the server, nor that there can be no more of
            // them: some may end.
            Err(error) => {
                eprintln!("accept: {error}");
                smol::Timer::after(Duration::from_millis(10)).await;
            }
        }
    }

    shared.group.close(CloseCode::GOING_AWAY, "the server is shutting down")?;
    drop((listener, shared));
    let all = async {
        let _ = gone.recv().await;
        None
    };
    let late = async {
        smol::Timer::after(FAREWELL).await;
        Some("not all clients have closed in time")
    };
    let again = async {
        let first = Instant::now();
        while interrupts.next().await.is_some() && first.elapsed() < TWICE {}
        Some("not all clients have closed")
    };
    if let Some(why) = or(all, or(late, again)).await {
        eprintln!("{why}");
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

async fn serve(shared: Shared, stream: TcpStream) {
    let peer = stream.peer_addr().map_or_else(|_| "a peer".into(), |peer| peer.to_string());
    let _ = stream.set_nodelay(true);
    let mut ws = match shared.server.accept(stream).await {
        Ok(ws) => ws,
        Err(AcceptError::NotWebSocket(call)) => {
            let _ = call.refuse().await;
            return;
        }
        Err(error) => return eprintln!("{peer}: {error}"),
    };
    ws.join(&shared.group);
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

async fn echo(ws: &mut WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some((event, mut answer)) = ws.next().await? {
        match event {
            Event::Text(text) => answer.send_text(text).await?,
            Event::Binary(data) => answer.send_binary(data).await?,
            _ => {}
        }
    }
    Ok(())
}
