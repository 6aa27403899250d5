//! Echoes each message with its type, a task per connection, on smol: `smol_echo_server [ADDR] [--deflate]`.
//!
//! With `--deflate` messages are compressed for clients that offer it (RFC 7692).

use std::sync::Arc;

use hybi::futures_io::{AcceptError, Error, Server, WebSocket};
use hybi::{Config, Event};
use smol::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::new().max_message(64 << 20).max_frame(64 << 20).max_fragments(u32::MAX);
    let (mut server, mut address) = (Server::new().config(config), "127.0.0.1:9001".to_owned());
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--deflate" => server = deflate(server)?,
            _ => address = arg,
        }
    }
    let server = Arc::new(server);
    smol::block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on ws://{}", listener.local_addr()?);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => smol::spawn(serve(Arc::clone(&server), stream)).detach(),
                // A connection that breaks off at once does not end the server.
                Err(error) => eprintln!("accept: {error}"),
            }
        }
    })
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

async fn serve(server: Arc<Server>, stream: TcpStream) {
    let peer = stream.peer_addr().map_or_else(|_| "a peer".into(), |peer| peer.to_string());
    let _ = stream.set_nodelay(true);
    let mut ws = match server.accept(stream).await {
        Ok(ws) => ws,
        Err(AcceptError::NotWebSocket(call)) => {
            let _ = call.refuse().await;
            return;
        }
        Err(error) => return eprintln!("{peer}: {error}"),
    };
    loop {
        match echo(&mut ws).await {
            Ok(()) => return,
            // The peer has been told; what is left is to see the connection to its end.
            Err(error @ Error::Protocol(_)) => eprintln!("{peer}: {error}"),
            Err(error) => return eprintln!("{peer}: {error}"),
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
