//! Runs the cases of an Autobahn fuzzing server, on tokio: `tokio_autobahn_client URL AGENT [--deflate]`.

use std::error::Error;

use hybi::adapters::tokio::{Client, ClientStream, Error as WsError, WebSocket};
use hybi::{Config, Event, Message};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(agent)) = (args.next(), args.next()) else {
        return Err("usage: tokio_autobahn_client URL AGENT [--deflate]".into());
    };
    let url = url.trim_end_matches('/');
    let config = Config::new().max_message(64 << 20).max_frame(64 << 20).max_fragments(u32::MAX);
    let mut client = Client::new().config(config);
    if args.any(|arg| arg == "--deflate") {
        client = deflate(client)?;
    }

    let count = match client.connect(&format!("{url}/getCaseCount")).await?.recv().await? {
        Some(Message::Text(count)) => count.parse::<u32>()?,
        other => return Err(format!("expected the number of cases, but received {other:?}").into()),
    };
    println!("{count} cases");
    for case in 1..=count {
        let mut ws = client.connect(&format!("{url}/runCase?case={case}&agent={agent}")).await?;
        // In some cases the server breaks the protocol. The server judges our reaction, so the error is only printed.
        while let Err(error) = echo(&mut ws).await {
            println!("case {case}: {error}");
        }
    }
    client.connect(&format!("{url}/updateReports?agent={agent}")).await?.wait_closed().await?;
    Ok(())
}

/// Offers permessage-deflate. The default offer lets the server limit the client's window.
#[cfg(feature = "deflate")]
fn deflate(client: Client) -> Result<Client, &'static str> {
    Ok(client.deflate(hybi::handshake::DeflateOffer::default()))
}

#[cfg(not(feature = "deflate"))]
fn deflate(_: Client) -> Result<Client, &'static str> {
    Err("--deflate is not in this build: build with --features deflate")
}

async fn echo(ws: &mut WebSocket<ClientStream>) -> Result<(), WsError> {
    while let Some((event, mut answer)) = ws.next_event().await? {
        match event {
            Event::Text(text) => answer.send_text(text).await?,
            Event::Binary(data) => answer.send_binary(data).await?,
            _ => {}
        }
    }
    Ok(())
}
