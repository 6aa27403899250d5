//! hybi's side of a conversation with another implementation.
//!
//! Usage: `interop server|client URL SENDS AWAITS DEFLATE SECONDS`. `interop.py` starts this program and explains the
//! arguments.

use std::error::Error;
use std::net::TcpListener;
use std::str::from_utf8;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, fs, process, thread};

use hybi::adapters::net::{Client, Responder, Server, WebSocket};
use hybi::handshake::{ClientWindow, DeflateConfig, DeflateOffer, Extensions};
use hybi::{CloseCode, Event, Message, MessageKind};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [role, url, sends, awaits, deflate, seconds] = args.as_slice() else {
        return Err("usage: interop server|client URL SENDS AWAITS DEFLATE SECONDS".into());
    };
    let limit = Duration::from_secs(seconds.parse()?);
    let (_held_until_the_end, end) = channel::<()>();
    thread::spawn(move || {
        if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("the conversation did not end within {limit:?}");
            process::exit(3);
        }
    });
    let (sends, awaits) = (Record::all(&fs::read(sends)?)?, Record::all(&fs::read(awaits)?)?);
    let offer = parse_offer(deflate)?;
    match role.as_str() {
        "server" => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            println!("port {}", listener.local_addr()?.port());
            let server = Server::new().deflate(offer.as_ref().map(server_config));
            let ws = server.accept(listener.accept()?.0)?;
            println!("offered {}", extensions(&ws));
            talk(ws, false, &sends, &awaits)
        }
        _ => {
            let ws = Client::new().deflate(offer).connect(url)?;
            println!("agreed {}", extensions(&ws));
            talk(ws, true, &sends, &awaits)
        }
    }
}

/// Parses the argument DEFLATE. It is an offer of permessage-deflate in the syntax of the header, or empty.
fn parse_offer(text: &str) -> Result<Option<DeflateOffer>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let extensions = Extensions::parse(text.as_bytes()).map_err(|_| "DEFLATE is malformed")?;
    let offer = extensions.iter().find_map(|extension| DeflateOffer::from_extension(&extension));
    offer.map(Some).ok_or_else(|| "DEFLATE is not an offer of permessage-deflate".into())
}

/// Returns the configuration of a server that requests the parameters of `offer`.
fn server_config(offer: &DeflateOffer) -> DeflateConfig {
    DeflateConfig::new()
        .server_no_context_takeover(offer.server_no_context_takeover)
        .client_no_context_takeover(offer.client_no_context_takeover)
        .server_max_window_bits(offer.server_max_window_bits.unwrap_or(15))
        .client_max_window_bits(match offer.client_max_window_bits {
            ClientWindow::AtMost(bits) => bits,
            ClientWindow::Supported | ClientWindow::Unsupported => 15,
        })
}

/// Returns the values of `Sec-WebSocket-Extensions` in the peer's handshake.
fn extensions<S>(ws: &WebSocket<S>) -> String {
    let values = ws.headers().get_all("Sec-WebSocket-Extensions");
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>().join(", ")
}

/// A message. It is one record of a file that `interop.py` wrote.
struct Record {
    text: bool,
    pieces: usize,
    data: Vec<u8>,
}

impl Record {
    fn all(mut file: &[u8]) -> Result<Vec<Self>, Failure> {
        let mut all = Vec::new();
        while let Some((&[text, pieces, a, b, c, d], rest)) = file.split_first_chunk() {
            let len = usize::try_from(u32::from_le_bytes([a, b, c, d]))?;
            let (data, rest) = rest.split_at_checked(len).ok_or("a record is cut off")?;
            all.push(Self { text: text == 1, pieces: pieces.into(), data: data.into() });
            file = rest;
        }
        Ok(all)
    }

    const fn kind(&self) -> MessageKind {
        if self.text { MessageKind::Text } else { MessageKind::Binary }
    }

    fn message(&self) -> Result<Message, Failure> {
        let data = self.data.clone();
        Ok(if self.text { String::from_utf8(data)?.into() } else { data.into() })
    }

    fn send<S>(&self, answer: &mut Responder<'_, S>) -> Result<(), Failure> {
        if self.pieces > 1 {
            // A cut may also be inside a code point.
            let mut rest = self.data.as_slice();
            for left in (1..self.pieces).rev() {
                let (piece, after) = rest.split_at(rest.len() / (left + 1));
                answer.send_fragment(self.kind(), piece, false)?;
                rest = after;
            }
            answer.send_fragment(self.kind(), rest, true)?;
        } else if self.text {
            answer.send_text(from_utf8(&self.data)?)?;
        } else {
            answer.send_binary(&self.data)?;
        }
        Ok(())
    }
}

/// Sends one message after each message that arrives, so this program never reads and writes at the same time. The peer
/// reads and writes at the same time.
fn talk<S>(mut ws: WebSocket<S>, client: bool, sends: &[Record], awaits: &[Record]) -> Result<(), Failure> {
    let (mut sends, mut awaits) = (sends.iter(), awaits.iter().enumerate());
    if client {
        // The client sends the first message, because no event has arrived that it could answer. This also tests
        // `send`, which takes an owned message.
        ws.send(sends.next().ok_or("SENDS has no message")?.message()?)?;
    }
    let mut outcome = None;
    while let Some((event, mut answer)) = ws.next_event()? {
        let (text, data) = match event {
            Event::Text(text) => (true, text.as_bytes()),
            Event::Binary(data) => (false, data),
            Event::Closed(how) => {
                outcome = Some(how);
                continue;
            }
            _ => continue,
        };
        let (number, awaited) = awaits.next().ok_or("the peer sent more messages than expected")?;
        if (text, data) != (awaited.text, awaited.data.as_slice()) {
            return Err(format!("message {number} ({} bytes) is not the expected one", data.len()).into());
        }
        match sends.next() {
            Some(own) => own.send(&mut answer)?,
            None if client && awaits.len() == 0 => answer.close(CloseCode::NORMAL, "")?,
            None => {}
        }
    }
    if sends.len() + awaits.len() > 0 {
        return Err(format!("{} messages were not sent, {} did not arrive", sends.len(), awaits.len()).into());
    }
    match outcome {
        Some(how) if how.is_clean() && how.code() == CloseCode::NORMAL => {}
        how => return Err(format!("the connection did not end cleanly with code 1000: {how:?}").into()),
    }
    println!("sent {}", ws.connection().sent().bytes);
    println!("received {}", ws.connection().received().bytes);
    Ok(())
}
