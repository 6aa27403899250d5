//! The table in `manual::surface` must list exactly the methods that send, and how each type offers them.
//!
//! For each cell, the test either calls the method or checks that the type has no such method. It then compares the
//! table with the text of the page. So if a method is added, removed, or begins to block, this test fails until the
//! page is updated.
#![cfg(all(feature = "net", feature = "futures-io"))]
#![allow(
    missing_docs,
    unused_mut,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::items_after_statements,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use hybi::adapters::{futures_io, net};
use hybi::{
    CloseCode, Config, Connection, Inbox, Instant, Message, MessageKind, Outbox, Prepared, SendOptions,
};

const NOW: Instant = Instant::ZERO;

const TYPES: [&str; 8] = [
    "`Connection`",
    "`Sender`",
    "net `WebSocket`",
    "net `Responder`",
    "net `Writer`",
    "async `WebSocket`",
    "async `Responder`",
    "async `Writer`",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn connection() -> Connection {
    Connection::server(NOW, Config::new(), Outbox::new())
}

// --- streams ---

/// An asynchronous stream that accepts all bytes and has no input.
struct Sink;

impl ::futures_io::AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl ::futures_io::AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A clock that never advances.
struct Still;

impl futures_io::Timer for Still {
    fn now(&self) -> Instant {
        NOW
    }

    fn poll_at(&mut self, _: &mut Context<'_>, _: Instant) -> Poll<()> {
        Poll::Pending
    }
}

/// Returns a blocking WebSocket over TCP, and the peer's end of the TCP connection.
fn blocking() -> (net::WebSocket<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let ws = net::WebSocket::from_stream(stream, connection(), Inbox::empty());
    (ws, listener.accept().unwrap().0)
}

fn asynchronous() -> futures_io::WebSocket<Sink, Still> {
    futures_io::WebSocket::from_parts(Sink, Still, connection(), Inbox::empty())
}

/// Returns the result of a future that must be ready at its first poll.
fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("the future is pending, but the stream accepts all bytes"),
    }
}

// --- the table ---

/// Calls the method, or checks that it is missing, and returns the text of the cell.
macro_rules! cell {
    ($on:ident, $method:ident($($arg:expr),*), once) => {{
        let _ = $on.$method($($arg),*);
        "at once".to_owned()
    }};
    ($on:ident, $method:ident($($arg:expr),*), now) => {{
        let _ = $on.$method(NOW, $($arg),*);
        "with `now`".to_owned()
    }};
    ($on:ident, $method:ident($($arg:expr),*), blocks) => {{
        let _: Result<(), net::Error> = $on.$method($($arg),*);
        "blocks".to_owned()
    }};
    ($on:ident, $method:ident($($arg:expr),*), waits) => {{
        let _: Result<(), futures_io::Error> = run($on.$method($($arg),*));
        "async".to_owned()
    }};
    // If the type had this method, Rust would call it instead of the trait's method. The types would not match, and the
    // test would not compile.
    ($on:ident, $method:ident($($arg:expr),*), $reason:literal) => {{
        struct NoMethod;
        trait Missing {
            fn $method(&mut self) -> NoMethod {
                NoMethod
            }
        }
        impl<T> Missing for T {}
        let _: NoMethod = $on.$method();
        format!("no ({})", $reason)
    }};
}

/// Adds a row to the table. The input is a method with its arguments, and the kind of each cell. The kind is a word if
/// the type has the method. Otherwise it is the number of the reason why the method is missing.
macro_rules! row {
    ($rows:ident, $method:ident $args:tt: $a:tt $b:tt | $c:tt $d:tt $e:tt | $f:tt $g:tt $h:tt) => {{
        let mut connection = connection();
        let mut sender = self::connection().into_halves().1;
        let (mut ws, _peer) = blocking();
        let (other, _other_peer) = blocking();
        let (_reader, mut writer) = other.split().unwrap();
        let mut async_ws = asynchronous();
        let (_async_reader, mut async_writer) = asynchronous().split();
        let mut cells = vec![
            cell!(connection, $method $args, $a),
            cell!(sender, $method $args, $b),
            cell!(ws, $method $args, $c),
        ];
        let mut responder = ws.responder();
        cells.push(cell!(responder, $method $args, $d));
        cells.push(cell!(writer, $method $args, $e));
        cells.push(cell!(async_ws, $method $args, $f));
        let mut async_responder = async_ws.responder();
        cells.push(cell!(async_responder, $method $args, $g));
        cells.push(cell!(async_writer, $method $args, $h));
        $rows.push((stringify!($method), cells));
    }};
}

fn rows() -> Vec<(&'static str, Vec<String>)> {
    const TEXT: MessageKind = MessageKind::Text;
    let mut rows = Vec::new();
    let options = SendOptions::new();
    let (message, prepared) = (Message::from("x"), Prepared::new("x"));
    let write = |slices: &[&[u8]]| slices.concat().len();
    row!(rows, send_text("x"): once once | blocks blocks blocks | waits waits waits);
    row!(rows, send_binary(b"x"): once once | blocks blocks blocks | waits waits waits);
    row!(rows, send_fragment(TEXT, b"x", true): once once | blocks blocks blocks | waits waits waits);
    row!(rows, send_fragment_with(TEXT, b"x", true, options): once once | blocks blocks blocks | waits waits waits);
    row!(rows, send("x"): once once | blocks blocks blocks | waits waits waits);
    row!(rows, send_with("x", options): once once | blocks blocks blocks | waits waits waits);
    row!(rows, send_prepared(&prepared): once once | blocks blocks blocks | waits waits waits);
    row!(rows, try_send("x"): 1 1 | once once once | once once once);
    row!(rows, feed("x"): 2 2 | blocks 2 blocks | waits 2 waits);
    row!(rows, feed_prepared(&prepared): 2 2 | blocks 2 blocks | waits 2 waits);
    row!(rows, transmit(&message, write): now now | 3 3 3 | 3 3 3);
    row!(rows, transmit_with(&message, options, write): now now | 3 3 3 | 3 3 3);
    row!(rows, transmit_text("x", write): now now | 3 3 3 | 3 3 3);
    row!(rows, transmit_binary(b"x", write): now now | 3 3 3 | 3 3 3);
    row!(rows, ping(b""): now now | blocks blocks blocks | waits waits waits);
    row!(rows, pong(b""): once once | blocks once blocks | waits once waits);
    row!(rows, close(CloseCode::NORMAL, "x"): now now | blocks once blocks | waits once waits);
    row!(rows, close_after(CloseCode::NORMAL, "x", &mut std::iter::empty()): now now | 8 8 8 | 8 8 8);
    row!(rows, flush(): 4 4 | blocks 5 blocks | waits 5 waits);
    row!(rows, can_send(): once once | 6 6 6 | 6 6 6);
    row!(rows, buffered_amount(): once once | once once once | once once once);
    row!(rows, ready_state(): once once | once once once | once once once);
    row!(rows, round_trip(): once once | once 7 once | once 7 once);
    rows
}

/// Returns the lines of the page that begin with `start`, without the `//! ` before them.
fn lines(page: &str, start: &str) -> Vec<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter(|line| line.starts_with(start))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_in_the_manual_matches_the_methods() {
    let page = read("src/manual/surface.rs");
    let mut table = vec![format!("| method | {} |", TYPES.join(" | "))];
    table.push(format!("|{}", " --- |".repeat(TYPES.len() + 1)));
    for (method, cells) in rows() {
        table.push(format!("| `{method}` | {} |", cells.join(" | ")));
    }
    assert_eq!(lines(&page, "|"), table, "update the page to this table:\n{}", table.join("\n"));
}

#[test]
fn each_missing_method_has_its_reason_on_the_page() {
    let page = read("src/manual/surface.rs");
    let cited: BTreeSet<String> = rows()
        .into_iter()
        .flat_map(|(_, cells)| cells)
        .filter_map(|cell| Some(cell.strip_prefix("no (")?.strip_suffix(')')?.to_owned()))
        .collect();
    let reasons: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("//! ")?.split_once(". "))
        .map(|(number, _)| number.to_owned())
        .filter(|number| number.parse::<u8>().is_ok())
        .collect();
    assert_eq!(cited, reasons);
}

/// Each public method in `FILES` must have a row in the table or be listed in `OTHERS`.
#[test]
fn each_method_that_sends_has_a_row() {
    const FILES: [&str; 9] = [
        "src/connection/commands.rs",
        "src/connection/send/commands.rs",
        "src/connection/send/send_message.rs",
        "src/connection/send/write_through.rs",
        "src/adapters/net/responder.rs",
        "src/adapters/net/writer.rs",
        "src/adapters/net/websocket/sending.rs",
        "src/adapters/async_driver/responder.rs",
        "src/adapters/async_driver/websocket/sending.rs",
    ];
    /// Methods without a row: they manage memory, change how messages are delivered, or return the responder.
    const OTHERS: [&str; 10] = [
        "handle_payload",
        "holds_memory",
        "payload_space",
        "read_space",
        "release_compression",
        "release_idle",
        "responder",
        "reuse_queue_memory",
        "set_delivery",
        "take_queue_memory",
    ];
    let rows: BTreeSet<_> = rows().into_iter().map(|(method, _)| method.to_owned()).collect();
    for file in FILES.iter().chain(&["src/adapters/async_driver/writer.rs"]) {
        for line in read(file).lines() {
            let Some(rest) = line.trim_start().strip_prefix("pub ") else { continue };
            let rest = rest.trim_start_matches("const ").trim_start_matches("async ");
            let Some(rest) = rest.strip_prefix("fn ") else { continue };
            let name: String =
                rest.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
            assert!(rows.contains(&name) || OTHERS.contains(&&*name), "{name} of {file} has no row");
        }
    }
}
