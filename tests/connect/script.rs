//! A proxy on loopback that follows a script. After it has opened the tunnel, it acts as the server.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hybi::Event;
use hybi::adapters::net::Server;

use crate::adapters::{ADAPTERS, Adapter, ConnectError, Settings, To};

/// A step of the script.
#[derive(Clone)]
pub enum Act {
    /// Reads a head, and compares the head with this text.
    Head(String),
    /// Reads bytes, and compares them with these bytes.
    Bytes(Vec<u8>),
    /// Reads and ignores bytes up to the end of a head.
    AnyHead,
    /// Sends bytes with one write.
    Send(Vec<u8>),
    /// Sends bytes, each with a write of its own.
    Slowly(Vec<u8>),
    /// Closes the sending direction, and waits until the client closes.
    Close,
    /// Waits until the client closes.
    Silence,
    /// Acts as the server at the end of the tunnel: accepts a WebSocket, and sends each message back.
    Echo,
}

pub fn send(bytes: impl AsRef<[u8]>) -> Act {
    Act::Send(bytes.as_ref().to_vec())
}

/// The head of a request for a tunnel, with the headers in `more`.
pub fn connect_head(target: &str, more: &str) -> Act {
    Act::Head(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{more}\r\n"))
}

/// Reads until the end of a head.
fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

/// Reads until the client closes. A reset also ends the connection.
fn drain(stream: &mut TcpStream) {
    let mut rest = [0; 4096];
    while stream.read(&mut rest).is_ok_and(|n| n > 0) {}
}

/// Follows the script. If the client closes the connection early, returns the error. An early close is not a failure of
/// the test by itself: the test checks the result of the client.
fn perform(script: &[Act], mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    for act in script {
        match act {
            Act::Head(expected) => assert_eq!(read_head(&mut stream)?, *expected),
            Act::AnyHead => drop(read_head(&mut stream)?),
            Act::Bytes(expected) => {
                let mut bytes = vec![0; expected.len()];
                stream.read_exact(&mut bytes)?;
                assert_eq!(bytes, *expected);
            }
            Act::Send(bytes) => stream.write_all(bytes)?,
            Act::Slowly(bytes) => bytes.iter().try_for_each(|byte| stream.write_all(&[*byte]))?,
            Act::Close => break,
            Act::Silence => {
                drain(&mut stream);
                return Ok(());
            }
            Act::Echo => return echo(stream),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    drain(&mut stream);
    Ok(())
}

/// Accepts a WebSocket, checks its headers, and sends each message back.
fn echo(stream: TcpStream) -> io::Result<()> {
    let mut ws = Server::new().accept(stream).map_err(|error| io::Error::other(error.to_string()))?;
    // RFC 9110 11.7.2: this header is for the proxy only.
    assert!(ws.headers().get("proxy-authorization").is_none());
    while let Ok(Some((event, mut answer))) = ws.next_event() {
        if let Event::Text(text) = event {
            answer.send_text(text).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Runs each adapter against a proxy that follows `script`. `setup` gets the port of the proxy, and returns the
/// settings and the URL. Returns the results.
pub fn run(
    script: Vec<Act>,
    setup: impl Fn(u16) -> (Settings, String),
) -> [(Adapter, Result<Option<String>, ConnectError>); 3] {
    let script = Arc::new(script);
    ADAPTERS.map(|adapter| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (settings, url) = setup(address.port());
        let script = Arc::clone(&script);
        let proxy = thread::spawn(move || perform(&script, listener.accept().unwrap().0));
        let result = adapter.connect(&settings, To::Url(&url));
        // A client that reached its deadline early has made no connection. In this case the following connection ends
        // the wait of the thread.
        drop(TcpStream::connect(address));
        let _: io::Result<()> = proxy.join().unwrap();
        (adapter, result)
    })
}

/// Runs each adapter with a proxy at 127.0.0.1, and a server that only the proxy knows. `scheme` is the scheme of the
/// proxy's URL. A space, the user info and an `@` may follow the scheme, for example `http user:password@`.
pub fn run_with(scheme: &str, script: Vec<Act>) -> [(Adapter, Result<Option<String>, ConnectError>); 3] {
    run(script, |port| {
        let (scheme, user_info) = scheme.split_once(' ').unwrap_or((scheme, ""));
        (
            Settings::proxy(&format!("{scheme}://{user_info}127.0.0.1:{port}")),
            "ws://server.example:81/chat".into(),
        )
    })
}
