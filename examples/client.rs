//! An interactive client: `client [OPTIONS] URL`. Sends each line of the input, and shows the messages that arrive.

use std::error::Error;
use std::io::{self, BufRead, ErrorKind, Read, Write, stdin, stdout};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hybi::adapters::net::{
    Client, ClientStream, ConnectError, Error as WsError, Reader, ReceivedResponse, WebSocket, Writer,
};
use hybi::proxy::Proxy;
use hybi::{CloseCode, Event};

const USAGE: &str = "\
usage: client [OPTIONS] URL

  --subprotocol NAME   offer a subprotocol; may be given several times
  --header NAME:VALUE  send a header with the request; may be given several times
  --origin ORIGIN      send an Origin, as a browser does
  --deflate            offer to compress messages
  --proxy URL          connect through this proxy, for example socks5h://user:password@host:port

Without --proxy, the variables of the environment name the proxy: https_proxy, all_proxy, no_proxy and others.

Each line is sent as a text message, except
  /ping [TEXT]            send a Ping; the round-trip time is shown with its Pong
  /close [CODE [REASON]]  close, with code 1000 by default
  /quit                   close with code 1000; the end of the input has the same effect

The exit status is 0 if the connection was closed by both sides, and 1 otherwise.";

/// Maximum number of bytes of a refusal's body that are shown.
const MAX_SHOWN: usize = 16 << 10;
/// How long to wait for the body of a refusal.
const BODY_TIME: Duration = Duration::from_secs(2);

/// True if this side started the closing handshake.
static CLOSING: Mutex<bool> = Mutex::new(false);

fn main() -> ExitCode {
    match run() {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => eprintln!("{error}"),
    }
    ExitCode::FAILURE
}

/// Runs the client. Returns `true` if the connection was closed by both sides, after `--help`, and if the reader of the
/// output has gone. Returns `false` if the connection ended in another way.
fn run() -> Result<bool, Box<dyn Error>> {
    let (mut client, mut url) = (Client::new().proxy(Proxy::from_env()), None);
    let mut subprotocols = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--subprotocol" => subprotocols.push(value()?),
            "--origin" => client = client.origin(value()?),
            "--header" => {
                let header = value()?;
                let (name, value) = header.split_once(':').ok_or("a header must have the form NAME:VALUE")?;
                client = client.header(name.trim(), value.trim());
            }
            "--deflate" => client = deflate(client)?,
            "--proxy" => client = client.proxy(Proxy::url(&value()?)?),
            "-h" | "--help" => {
                let _ = writeln!(stdout(), "{USAGE}");
                return Ok(true);
            }
            _ if arg.starts_with('-') => return Err(format!("unknown option {arg}\n{USAGE}").into()),
            _ if url.is_some() => return Err(format!("unexpected second URL {arg}\n{USAGE}").into()),
            _ => url = Some(arg),
        }
    }
    let url = url.ok_or(USAGE)?;
    let ws = match client.subprotocols(subprotocols).connect(&url) {
        Ok(ws) => ws,
        Err(ConnectError::Http(response)) => return Err(shown(response).into()),
        Err(error) => return Err(error.into()),
    };
    match talk(ws, stdout()) {
        // The reader of our output has closed the pipe, so there is nothing left to do.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        ended => Ok(ended?),
    }
}

/// Returns the head and the body of an HTTP response with a status other than 101. The body usually tells why the
/// server refused the WebSocket.
pub fn shown(mut response: ReceivedResponse<ClientStream>) -> String {
    let headers = response.headers();
    let length = headers.get_str("content-length").and_then(|length| length.parse().ok());
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding.ends_with(b"chunked"));
    let (mut got, deadline) = (response.body().to_vec(), Instant::now() + BODY_TIME);
    let mut piece = [0; 2048];
    let body = loop {
        let (body, whole) = if chunked { unchunked(&got) } else { (got.clone(), false) };
        if whole || length.is_some_and(|length| length <= got.len()) || got.len() > MAX_SHOWN {
            break body;
        }
        // After an error, and after the end of the stream, the part that has arrived is shown.
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = response.stream.socket().set_read_timeout(Some(left));
        match timeout.and_then(|()| response.stream.read(&mut piece)) {
            Ok(n) if n > 0 => got.extend(piece.iter().take(n)),
            _ => break body,
        }
    };
    let whole = length.unwrap_or(usize::MAX);
    let most = body.get(..whole.min(MAX_SHOWN)).unwrap_or(&body);
    let more = if body.len() > MAX_SHOWN && whole > MAX_SHOWN { "\n..." } else { "" };
    format!("{}{}{more}", readable(response.head()), readable(most))
}

/// Returns the content of a chunked body (RFC 9112 section 7.1) that has arrived, and whether it is complete.
fn unchunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = bytes.split_at(end + 1);
        let size = String::from_utf8_lossy(line);
        let size = size.split(';').next().unwrap_or_default().trim();
        // The last chunk is empty. After an invalid size the rest cannot be parsed.
        let Ok(size @ 1..) = usize::from_str_radix(size, 16) else { return (content, true) };
        content.extend(rest.iter().take(size));
        bytes = rest.get(size.saturating_add(2)..).unwrap_or_default();
    }
    (content, false)
}

/// Returns the text without control characters, which could change the state of a terminal.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    text.replace(|shown: char| shown.is_control() && !matches!(shown, '\n' | '\t'), "\u{fffd}")
}

/// Runs the connection until its end, or until `out` fails. Returns whether it was closed by both sides.
fn talk(ws: WebSocket<ClientStream>, mut out: impl Write) -> io::Result<bool> {
    writeln!(
        out,
        "open{}",
        ws.subprotocol().map_or_else(String::new, |name| format!(", subprotocol {name}"))
    )?;
    if let Some(agreed) = ws.headers().get("sec-websocket-extensions") {
        writeln!(out, "agreed on {}", agreed.escape_ascii())?;
    }

    let (reader, writer) = ws.split()?;
    let mut lines = writer.clone();
    // This thread may still wait for a line when the connection has ended. It ends with the process.
    thread::spawn(move || send_lines(&mut lines));
    receive(reader, &writer, out)
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

/// Shows the events of the connection. Returns whether it was closed by both sides.
fn receive(mut reader: Reader, writer: &Writer, mut out: impl Write) -> io::Result<bool> {
    let mut clean = false;
    loop {
        match reader.next_event() {
            Ok(Some(Event::Text(text))) => writeln!(out, "< {text}")?,
            Ok(Some(Event::Binary(data))) => {
                writeln!(out, "< {} bytes: {}", data.len(), data.escape_ascii())?;
            }
            Ok(Some(Event::Pong(payload))) => {
                let time = writer.round_trip().map_or_else(String::new, milliseconds);
                writeln!(out, "pong \"{}\"{time}", payload.escape_ascii())?;
            }
            Ok(Some(Event::CloseReceived { code, reason })) => {
                let closing = *CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
                let (code, closes) = (
                    code.unwrap_or(CloseCode::NO_STATUS),
                    if closing { "has closed too," } else { "closes" },
                );
                writeln!(out, "the server {closes} with code {code} ({}) {}", code.meaning(), reason)?;
            }
            Ok(Some(Event::Closed(outcome))) => {
                clean = outcome.is_clean();
                writeln!(out, "{outcome}")?;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(clean),
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// Sends the lines of the input, and closes the connection at the end of the input.
fn send_lines(writer: &mut Writer) {
    let mut lines = stdin().lock().lines();
    while let Some(Ok(line)) = lines.next() {
        match command(writer, &line) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => eprintln!("{error}"),
        }
    }
    let _ = close(writer, CloseCode::NORMAL, "");
}

/// Closes the connection, and records that this side closed first.
fn close(writer: &mut Writer, code: CloseCode, reason: &str) -> Result<(), WsError> {
    // Keep the lock during the call. The server's Close may arrive before the call returns, and `receive` must not read
    // the flag before it is set.
    let mut closing = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
    let closed = writer.close(code, reason);
    *closing |= closed.is_ok();
    closed
}

/// Executes one line of the input. Returns whether to read more lines.
fn command(writer: &mut Writer, line: &str) -> Result<bool, Box<dyn Error>> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "/ping" => writer.ping(rest.as_bytes())?,
        "/close" | "/quit" => {
            let rest = rest.trim_start();
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let code = match code {
                "" => CloseCode::NORMAL,
                _ => CloseCode::new(code.parse().map_err(|_| format!("{code} is not a close code"))?),
            };
            close(writer, code, reason)?;
            return Ok(false);
        }
        _ => writer.send_text(line)?,
    }
    Ok(true)
}

/// Formats a round-trip time.
fn milliseconds(time: Duration) -> String {
    format!(", round trip {:.3} ms", time.as_secs_f64() * 1e3)
}
