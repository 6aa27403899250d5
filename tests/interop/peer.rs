//! hybi's end of a talk: `interop server|client URL SENDS AWAITS DEFLATE SECONDS`, as interop.py says.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::str::from_utf8;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, fs, process, thread};

use hybi::adapters::net::{Client, Responder, Server, WebSocket};
use hybi::handshake::{ClientWindow, DeflateConfig, DeflateOffer, Extensions};
use hybi::{CloseCode, Event, Message, MessageKind};

type Failure = Box<dyn Error>;
type Ws = WebSocket<TcpStream>;

fn main() -> Result<(), Failure> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [role, url, sends, awaits, deflate, seconds] = args.as_slice() else {
        return Err("usage: interop server|client URL SENDS AWAITS DEFLATE SECONDS".into());
    };
    let limit = Duration::from_secs(seconds.parse()?);
    let (_until_the_end, end) = channel::<()>();
    thread::spawn(move || {
        if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("not done within {limit:?}");
            process::exit(3);
        }
    });
    let (sends, awaits) = (Record::all(&fs::read(sends)?)?, Record::all(&fs::read(awaits)?)?);
    let offer = asked(deflate)?;
    let ws = match role.as_str() {
        "server" => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            println!("port {}", listener.local_addr()?.port());
            let server = Server::new().deflate(offer.as_ref().map(wanted));
            let ws = server.accept(listener.accept()?.0)?;
            println!("offered {}", extensions(&ws));
            ws
        }
        _ => {
            let ws = Client::new().deflate(offer).connect(url)?;
            println!("agreed {}", extensions(&ws));
            ws
        }
    };
    talk(ws, role == "client", &sends, &awaits)
}

/// What to ask for, in the words of the header.
fn asked(text: &str) -> Result<Option<DeflateOffer>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let extensions = Extensions::parse(text.as_bytes()).map_err(|_| "DEFLATE is malformed")?;
    let offer = extensions.iter().find_map(|extension| DeflateOffer::from_extension(&extension));
    offer.map(Some).ok_or_else(|| "DEFLATE is no offer".into())
}

/// The same, of a server.
fn wanted(offer: &DeflateOffer) -> DeflateConfig {
    DeflateConfig::new().server_no_context_takeover(offer.server_no_context_takeover).client_no_context_takeover(offer.client_no_context_takeover).server_max_window_bits(offer.server_max_window_bits.unwrap_or(15)).client_max_window_bits(match offer.client_max_window_bits {
            ClientWindow::AtMost(bits) => bits,
            ClientWindow::Supported | ClientWindow::Unsupported => 15,
        })
}

/// What the peer's handshake says of extensions.
fn extensions(ws: &Ws) -> String {
    let values = ws.headers().get_all("Sec-WebSocket-Extensions");
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>().join(", ")
}

/// A message: one record of a file that interop.py wrote.
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

    fn send(&self, answer: &mut Responder<'_, TcpStream>) -> Result<(), Failure> {
        if self.pieces > 1 {
            // Wherever the cut falls: within a code point too.
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

/// Sends one of its own messages for each that comes in, so that reading and writing take turns; the peer
/// reads and writes at the same time.
fn talk(mut ws: Ws, client: bool, sends: &[Record], awaits: &[Record]) -> Result<(), Failure> {
    let (mut sends, mut awaits) = (sends.iter(), awaits.iter().enumerate());
    if client {
        // Somebody must begin, and a client may. This one owns its data, and is not answered to anything.
        ws.send(sends.next().ok_or("nothing to send")?.message()?)?;
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
        let (number, awaited) = awaits.next().ok_or("more messages than awaited")?;
        if (text, data) != (awaited.text, awaited.data.as_slice()) {
            return Err(format!("message {number} is not what was sent: {} bytes", data.len()).into());
        }
        match sends.next() {
            Some(own) => own.send(&mut answer)?,
            None if client && awaits.len() == 0 => answer.close(CloseCode::NORMAL, "")?,
            None => {}
        }
    }
    if sends.len() + awaits.len() > 0 {
        return Err(format!("{} messages were not sent, {} did not come", sends.len(), awaits.len()).into());
    }
    match outcome {
        Some(how) if how.is_clean() && how.code() == CloseCode::NORMAL => {}
        how => return Err(format!("not the end that it should be: {how:?}").into()),
    }
    println!("sent {}", ws.connection().sent().bytes);
    println!("received {}", ws.connection().received().bytes);
    Ok(())
}
