//! A server that echoes each message with its type, with a thread per connection: `echo_server [ADDR] [--deflate]`.
//!
//! With `--deflate`, messages are compressed for clients that offer compression (RFC 7692).

use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

use hybi::adapters::net::{AcceptError, Error, Server};
use hybi::{Config, Event};

#[path = "support/cli.rs"]
mod cli;

const USAGE: &str = "\
usage: echo_server [ADDR] [--deflate]

  ADDR       the address to listen on; 127.0.0.1:9001 by default, and port 0 selects a free port
  --deflate  compress messages for clients that offer compression";

fn main() -> ExitCode {
    cli::end(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (address, [compress]) = cli::parse(std::env::args().skip(1), USAGE, ["--deflate"])?;
    let config = Config::new().max_message(64 << 20).max_frame(64 << 20).max_fragments(u32::MAX);
    let mut server = Server::new().config(config);
    if compress {
        server = deflate(server)?;
    }
    let listener =
        TcpListener::bind(&address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    cli::say(format_args!("listening on ws://{}", listener.local_addr()?));
    for stream in listener.incoming() {
        // The server continues if a connection breaks off at once or a thread cannot be started.
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                eprintln!("accept: {error}");
                continue;
            }
        };
        let server = server.clone();
        if let Err(error) = thread::Builder::new().spawn(move || serve(&server, stream)) {
            eprintln!("thread: {error}");
        }
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

fn serve(server: &Server, stream: TcpStream) {
    let peer = stream.peer_addr().map_or_else(|_| "a peer".into(), |peer| peer.to_string());
    let mut ws = match server.accept(stream) {
        Ok(ws) => ws,
        Err(AcceptError::NotWebSocket(call)) => {
            let _ = call.reject();
            return;
        }
        Err(error) => return eprintln!("{peer}: {error}"),
    };
    loop {
        match echo(&mut ws) {
            Ok(()) => return,
            // A Close with the error was sent. Continue until the end of the connection.
            Err(error @ Error::Protocol(_)) => eprintln!("{peer}: {error}"),
            Err(error) => return eprintln!("{peer}: {error}"),
        }
    }
}

fn echo(ws: &mut hybi::adapters::net::WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some((event, mut answer)) = ws.next_event()? {
        match event {
            Event::Text(text) => answer.send_text(text)?,
            Event::Binary(data) => answer.send_binary(data)?,
            _ => {}
        }
    }
    Ok(())
}
