//! Checks for many kinds of input that twice the input takes at most 2.2 times as long: `cargo bench --bench scaling`.
//! With `--features deflate` the program also checks compressed input.
//!
//! A *shape* is a kind of input that costs the peer little but has been expensive for some implementation. Each shape
//! runs many times, alternately with n and with 2n units, and the median ratio counts. If a ratio is too large, it is
//! measured again a few times, because a busy machine also causes large ratios. If the ratio stays too large, the
//! program exits with 1. Words after `--` select shapes by a part of their names.
//!
//! `-- --count` counts instructions instead of time, once for each shape. The counts are correct on a busy machine
//! too. This option needs valgrind.
#![allow(unsafe_code, missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant as Clock;
use std::{env, fs};

use hybi::adapters::net::{Server, WrappedStream};
use hybi::frame::{Header, MAX_HEADER_LEN, Opcode};
use hybi::handshake::{
    ClientHandshake, ClientRequest, DeflateConfig, HeadLimits, Incoming, Reply, ServerHandshake,
};
use hybi::utf8::Validator;
use hybi::{Config, Connection, Delivery, Inbox, Instant, MessageKind, Outbox};

/// An allocator that always copies a block that grows. With another allocator it depends on chance whether a block can
/// grow in place, so the results would vary.
struct Moving;

// SAFETY: each request is passed unchanged to the system's allocator.
unsafe impl GlobalAlloc for Moving {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the same contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Moving = Moving;

/// Maximum ratio of the cost of 2n to the cost of n.
const MAX_RATIO: f64 = 2.2;
/// Number of alternating runs of n and 2n in a round.
const TURNS: usize = 21;
/// Maximum number of rounds.
const ROUNDS: usize = 8;

const NOW: Instant = Instant::ZERO;
const ALL: usize = usize::MAX;

/// One run over an input. It asserts that all of the input was consumed.
type Run = Box<dyn FnMut()>;

struct Shape {
    name: &'static str,
    /// Size of the smaller input, counted in `unit`.
    n: usize,
    unit: &'static str,
    make: fn(usize) -> Run,
}

const fn shape(name: &'static str, n: usize, unit: &'static str, make: fn(usize) -> Run) -> Shape {
    Shape { name, n, unit, make }
}

fn shapes() -> Vec<Shape> {
    #[allow(unused_mut, reason = "a feature adds shapes")]
    let mut shapes = vec![
        // A server receives these shapes.
        shape("1-byte reads: messages of 16 B", 2048, "messages", |n| {
            receive(server, messages(n, 16), 1, ALL, n)
        }),
        shape("1-byte reads: one text", 48 << 10, "bytes", |n| {
            receive(server, whole(Opcode::Text, &symbols(n)), 1, ALL, 1)
        }),
        shape("1-byte reads: one text in chunks", 32 << 10, "bytes", |n| {
            receive(chunks, whole(Opcode::Text, &symbols(n)), 1, ALL, 1)
        }),
        shape("1-byte reads: Pings", 512, "Pings", |n| receive(server, pings(n), 1, ALL, 0)),
        shape("1-byte fragments", 32 << 10, "fragments", |n| {
            receive(server, fragments(&symbols(n), 1, 0), ALL, ALL, 1)
        }),
        shape("1-byte fragments, 1-byte reads", 8 << 10, "fragments", |n| {
            receive(server, fragments(&symbols(n), 1, 0), 1, ALL, 1)
        }),
        shape("1-byte fragments, a Ping between", 8 << 10, "fragments", |n| {
            let wire = fragments(&symbols(n), 1, 0);
            let ping = whole(Opcode::Ping, b"");
            let wire = wire.chunks(7).flat_map(|fragment| [&ping[..], fragment].concat()).collect();
            receive(server, wire, ALL, ALL, 1)
        }),
        shape("empty fragments", 32 << 10, "fragments", |n| {
            receive(server, empty_fragments(b"", n, 0), ALL, ALL, 1)
        }),
        shape("empty messages", 64 << 10, "messages", |n| receive(server, messages(n, 0), ALL, ALL, n)),
        shape("Ping flood, Pongs are read", 8 << 10, "Pings", |n| receive(server, pings(n), ALL, ALL, 0)),
        shape("Ping flood, nobody reads", 8 << 10, "Pings", |n| receive(server, pings(n), ALL, 0, 0)),
        shape("Ping flood, a byte is read for each", 8 << 10, "Pings", |n| {
            receive(server, pings(n), pings(1).len(), 1, 0)
        }),
        shape("Ping flood behind a queue", 4 << 10, "Pings and messages", |n| {
            let (wire, one) = (pings(n), pings(1).len());
            Box::new(move || {
                let mut connection = stuck(n);
                take_in(&mut connection, &wire, one, 1, 0);
            })
        }),
        // A server sends these shapes.
        shape("a queue, read a byte at a time", 1 << 10, "messages", |n| {
            Box::new(move || {
                let mut connection = stuck(n);
                while connection.buffered_amount() > 0 {
                    transmit(&mut connection, 1);
                }
            })
        }),
        shape("a queue of shared payloads, 1 KiB at a time", 1 << 10, "messages", |n| {
            let payload = hybi::Message::from(vec![7; 4 << 10]);
            Box::new(move || {
                let mut connection = Connection::server(NOW, unlimited(), Outbox::new());
                for _ in 0..n {
                    connection.send(payload.clone()).unwrap();
                }
                while connection.buffered_amount() > 0 {
                    transmit(&mut connection, 1 << 10);
                }
            })
        }),
        shape("a full queue that moves a byte at a time", 64 << 10, "messages", |n| {
            Box::new(move || {
                // A message is queued as soon as the high-water mark permits it.
                let config = Config::new().high_water(16 << 10);
                let mut connection = Connection::server(NOW, config, Outbox::new());
                for _ in 0..n {
                    while connection.send_binary(&[7; 2]).is_err() {
                        transmit(&mut connection, 1);
                    }
                }
            })
        }),
        shape("a Close finds a queue", 16 << 10, "messages", |n| {
            let mut wire = Vec::new();
            frame(&mut wire, Opcode::Close, true, 0, &1000u16.to_be_bytes());
            Box::new(move || {
                let mut connection = stuck(n);
                take_in(&mut connection, &wire, ALL, ALL, 0);
                assert!(connection.sender().dropped() > n as u64 / 2);
            })
        }),
        shape("fragments of a byte are sent", 16 << 10, "fragments", |n| {
            Box::new(move || {
                let mut connection = Connection::client(NOW, unlimited(), Outbox::new(), [1; 32]);
                for at in 0..n {
                    connection.send_fragment(MessageKind::Binary, &[7], at + 1 == n).unwrap();
                }
                transmit(&mut connection, ALL);
                assert_eq!(connection.buffered_amount(), 0);
            })
        }),
        // The UTF-8 validator receives this shape.
        shape("text validated a byte at a time", 64 << 10, "bytes", |n| {
            let text = symbols(n);
            Box::new(move || {
                let mut validator = Validator::new();
                assert!(text.chunks(1).all(|piece| validator.push(piece).is_ok()));
            })
        }),
        // These shapes are heads of the opening handshake.
        shape("a header line, a byte at a time", 32 << 10, "bytes", |n| {
            request(format!("X-Long: {}\r\n", "v".repeat(n)), 1)
        }),
        shape("a header's name, a byte at a time", 32 << 10, "bytes", |n| {
            request(format!("{}: v\r\n", "N".repeat(n)), 1)
        }),
        shape("a request's target, a byte at a time", 32 << 10, "bytes", |n| {
            let head = REQUEST.replace("/chat", &format!("/{}", "t".repeat(n)));
            Box::new(move || assert!(opens(head.as_bytes(), 1)))
        }),
        shape("header lines, a byte at a time", 60, "lines", |n| request("X-Name: value\r\n".repeat(n), 1)),
        shape("a header line through the adapter", 32 << 10, "bytes", |n| {
            let head = with_headers(&format!("X-Long: {}\r\n", "v".repeat(n)));
            Box::new(move || {
                let server = Server::new().head_limits(HeadLimits::new().max_head(ALL));
                let stream = Trickle { rest: head.clone().into_bytes(), at: 0 };
                let accepted = server.accept_stream(WrappedStream::new(stream, |_| None));
                assert!(accepted.is_ok());
            })
        }),
        shape("a response's header line, a byte at a time", 32 << 10, "bytes", |n| {
            response(format!("{OPENED}X-Long: {}\r\n\r\n", "v".repeat(n)))
        }),
        shape("interim responses, a byte at a time", 1 << 10, "responses", |n| {
            response(format!("{}{OPENED}\r\n", "HTTP/1.1 100 Continue\r\n\r\n".repeat(n)))
        }),
        shape("offers that are declined", 1 << 10, "offers", |n| {
            request(format!("Sec-WebSocket-Extensions: x{}\r\n", ", permessage-deflate; x".repeat(n)), ALL)
        }),
        shape("an offer with parameters", 4 << 10, "parameters", |n| {
            request(format!("Sec-WebSocket-Extensions: x{}\r\n", "; a=\"\\b\"".repeat(n)), ALL)
        }),
        shape("subprotocols", 256, "names", |n| subprotocols("protocol-", n)),
        shape("subprotocols that differ at their ends", 256, "names", |n| subprotocols(&"x".repeat(1024), n)),
        shape("a list of commas", 16 << 10, "commas", |n| {
            request(format!("Connection: {}x\r\n", ",".repeat(n)), ALL)
        }),
    ];
    #[cfg(feature = "deflate")]
    shapes.extend(deflate::shapes());
    shapes
}

// --- connections and their transport ---

fn unlimited() -> Config {
    Config::new().max_fragments(u32::MAX).high_water(ALL)
}

fn server() -> Connection {
    Connection::server(NOW, unlimited(), Outbox::new())
}

fn chunks() -> Connection {
    Connection::server(NOW, unlimited().delivery(Delivery::Chunks), Outbox::new())
}

/// Returns a server with `n` queued messages. One byte of the first message has been written.
fn stuck(n: usize) -> Connection {
    let mut connection = server();
    for _ in 0..n {
        connection.send_binary(&[7; 16]).unwrap();
    }
    transmit(&mut connection, 1);
    connection
}

/// Writes to a transport that accepts at most `most` bytes.
fn transmit(connection: &mut Connection, most: usize) {
    let mut slices = [&[][..]; 4];
    let len = connection.poll_transmit(&mut slices);
    let given: usize = slices[..len].iter().map(|slice| black_box(slice).len()).sum();
    connection.transmitted(NOW, given.min(most));
}

/// Reads at most `most` bytes of `wire` once. Returns the rest of `wire`.
fn read<'w>(connection: &mut Connection, inbox: &mut Inbox, wire: &'w [u8], most: usize) -> &'w [u8] {
    let space = connection.read_space(inbox);
    let (new, rest) = wire.split_at(most.min(space.len()).min(wire.len()));
    space[..new.len()].copy_from_slice(new);
    inbox.handle_read(new.len());
    while let Some(event) = connection.poll_event(NOW, inbox).unwrap() {
        black_box(event);
    }
    rest
}

/// Reads `wire` in pieces of `read` bytes, and writes at most `write` bytes after each piece. Asserts the number of
/// received messages.
fn take_in(connection: &mut Connection, wire: &[u8], read: usize, write: usize, messages: usize) {
    let (mut inbox, mut rest) = (Inbox::empty(), wire);
    while !rest.is_empty() {
        rest = self::read(connection, &mut inbox, rest, read);
        transmit(connection, write);
    }
    let received = connection.received();
    assert_eq!((received.bytes, received.messages), (wire.len() as u64, messages as u64));
}

fn receive(new: fn() -> Connection, wire: Vec<u8>, read: usize, write: usize, messages: usize) -> Run {
    Box::new(move || take_in(&mut new(), &wire, read, write, messages))
}

// --- frames of a client ---

fn frame(wire: &mut Vec<u8>, opcode: Opcode, fin: bool, rsv: u8, payload: &[u8]) {
    let masking_key = Some([0x37, 0xFA, 0x21, 0x3D]);
    let header = Header { fin, rsv, opcode, masking_key, payload_len: payload.len() as u64 };
    let mut head = [0; MAX_HEADER_LEN];
    let len = header.encode(&mut head);
    wire.extend_from_slice(&head[..len]);
    let at = wire.len();
    wire.extend_from_slice(payload);
    header.mask().apply(&mut wire[at..]);
}

/// Returns `len` bytes of text, or a few less, in characters of four bytes.
fn symbols(len: usize) -> Vec<u8> {
    "𝄞".repeat(len / 4).into_bytes()
}

fn whole(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    frame(&mut wire, opcode, true, 0, payload);
    wire
}

fn messages(count: usize, size: usize) -> Vec<u8> {
    whole(Opcode::Binary, &vec![7; size]).repeat(count)
}

fn pings(count: usize) -> Vec<u8> {
    whole(Opcode::Ping, &[7; 125]).repeat(count)
}

/// Returns a text message in fragments of `size` bytes. If `rsv` is RSV1, the message is marked as compressed.
fn fragments(payload: &[u8], size: usize, rsv: u8) -> Vec<u8> {
    let mut wire = Vec::new();
    let last = payload.len().div_ceil(size) - 1;
    for (at, piece) in payload.chunks(size).enumerate() {
        match at {
            0 => frame(&mut wire, Opcode::Text, at == last, rsv, piece),
            _ => frame(&mut wire, Opcode::Continuation, at == last, 0, piece),
        }
    }
    wire
}

/// Returns a text message that begins with `payload` and continues with empty fragments.
fn empty_fragments(payload: &[u8], count: usize, rsv: u8) -> Vec<u8> {
    let mut wire = Vec::new();
    frame(&mut wire, Opcode::Text, false, rsv, payload);
    for at in 1..=count {
        frame(&mut wire, Opcode::Continuation, at == count, 0, b"");
    }
    wire
}

// --- handshakes ---

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// The response that fits the key in [`response`], without the empty line at the end.
const OPENED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn with_headers(lines: &str) -> String {
    REQUEST.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}

/// Returns a run of a server's handshake with these additional header lines, in reads of `read` bytes.
fn request(lines: String, read: usize) -> Run {
    let head = with_headers(&lines);
    Box::new(move || assert!(opens(head.as_bytes(), read)))
}

/// Returns a run of a server's handshake with `n` subprotocols that have a common prefix.
fn subprotocols(begin: &str, n: usize) -> Run {
    let names: Vec<String> = (0..n).map(|at| format!("{begin}{at}")).collect();
    request(format!("Sec-WebSocket-Protocol: {}\r\n", names.join(", ")), ALL)
}

fn opens(head: &[u8], read: usize) -> bool {
    let limits = HeadLimits::new().max_head(ALL).max_headers(ALL);
    let mut handshake = ServerHandshake::new(limits);
    let (mut len, mut opened) = (0, false);
    while len < head.len() {
        len = len.saturating_add(read).min(head.len());
        if let Some(Incoming::Upgrade(request)) = handshake.poll(&head[..len]).unwrap() {
            black_box(request.negotiate_deflate(&DeflateConfig::new()));
            black_box(request.offers_subprotocol("none of them"));
            opened = true;
        }
    }
    opened
}

/// Returns a run of a client's handshake that receives this response a byte at a time.
fn response(head: String) -> Run {
    Box::new(move || {
        let limits = HeadLimits::new().max_head(ALL);
        let request = ClientRequest::new("a", "/");
        let mut handshake = ClientHandshake::new(request, *b"the sample nonce", limits).unwrap();
        let opened = (1..=head.len())
            .filter(|len| matches!(handshake.poll(&head.as_bytes()[..*len]).unwrap(), Some(Reply::Open(_))));
        assert_eq!(opened.count(), 1);
    })
}

/// A stream that returns one byte at each read, and accepts all output.
struct Trickle {
    rest: Vec<u8>,
    at: usize,
}

impl Read for Trickle {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Some((byte, to)) = self.rest.get(self.at).zip(to.first_mut()) else { return Ok(0) };
        *to = *byte;
        self.at += 1;
        Ok(1)
    }
}

impl Write for Trickle {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(black_box(from).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "deflate")]
mod deflate {
    use super::*;
    use hybi::deflate::{Compression, Deflater};
    use hybi::handshake::DeflateParams;

    /// RSV1: the message is compressed (RFC 7692 section 6).
    const RSV1: u8 = 4;
    /// The payload of an empty message.
    const EMPTY: &[u8] = &[0];
    /// A stored block without data.
    const BLOCK: &[u8] = &[0, 0, 0, 0xFF, 0xFF];
    /// A final block without data.
    const FINAL: &[u8] = &[3, 0];

    pub(super) fn shapes() -> Vec<Shape> {
        vec![
            shape("compressed: 1-byte reads", 32 << 10, "bytes", |n| {
                receive(server, fragments(&letters(n), ALL, RSV1), 1, ALL, 1)
            }),
            shape("compressed: 1-byte reads in chunks", 32 << 10, "bytes", |n| {
                receive(chunks, fragments(&letters(n), ALL, RSV1), 1, ALL, 1)
            }),
            shape("compressed: 1-byte fragments", 32 << 10, "bytes", |n| {
                receive(server, fragments(&letters(n), 1, RSV1), ALL, ALL, 1)
            }),
            shape("compressed: empty fragments", 32 << 10, "fragments", |n| {
                receive(server, empty_fragments(&letters(100), n, RSV1), ALL, ALL, 1)
            }),
            shape("compressed: empty messages", 8 << 10, "messages", |n| {
                receive(server, fragments(EMPTY, ALL, RSV1).repeat(n), ALL, ALL, n)
            }),
            shape("compressed: empty messages, no takeover", 8 << 10, "messages", |n| {
                receive(no_takeover, fragments(EMPTY, ALL, RSV1).repeat(n), ALL, ALL, n)
            }),
            shape("compressed: empty blocks", 8 << 10, "blocks", |n| {
                receive(server, fragments(&[&BLOCK.repeat(n), EMPTY].concat(), ALL, RSV1), ALL, ALL, 1)
            }),
            shape("compressed: final blocks", 8 << 10, "blocks", |n| {
                receive(server, fragments(&[&FINAL.repeat(n), EMPTY].concat(), ALL, RSV1), ALL, ALL, 1)
            }),
            shape("compressed: final blocks behind a window", 2 << 10, "blocks", |n| {
                let window = fragments(&letters(32 << 10), ALL, RSV1);
                let blocks = fragments(&[&FINAL.repeat(n), EMPTY].concat(), ALL, RSV1);
                receive(server, [window, blocks].concat(), ALL, ALL, 2)
            }),
            shape("compressed: zeros", 1 << 20, "bytes", |n| {
                receive(server, fragments(&deflated(&vec![0; n]), ALL, RSV1), ALL, ALL, 1)
            }),
            shape("compressed: zeros in chunks", 1 << 20, "bytes", |n| {
                receive(chunks, fragments(&deflated(&vec![0; n]), ALL, RSV1), ALL, ALL, 1)
            }),
            shape("compressed: zeros in 1-byte fragments", 1 << 20, "bytes", |n| {
                receive(server, fragments(&deflated(&vec![0; n]), 1, RSV1), ALL, ALL, 1)
            }),
        ]
    }

    fn server() -> Connection {
        super::server().with_deflate(DeflateParams::default())
    }

    fn chunks() -> Connection {
        super::chunks().with_deflate(DeflateParams::default())
    }

    fn no_takeover() -> Connection {
        let params = DeflateParams { client_no_context_takeover: true, ..DeflateParams::default() };
        super::server().with_deflate(params)
    }

    fn deflated(data: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        Deflater::new(15, true, &Compression::new()).deflate(data, true, &mut payload);
        payload
    }

    /// Returns `len` random letters, compressed. The result is nearly as long as the letters.
    fn letters(len: usize) -> Vec<u8> {
        let mut random = 88_172_645_463_325_252_u64;
        let text = (0..len).map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            b'@' + (random % 63) as u8
        });
        deflated(&text.collect::<Vec<_>>())
    }
}

// --- measuring ---

/// The cost of n and of 2n, in microseconds or thousands of instructions.
type Pair = (f64, f64);

fn ratio(&(once, twice): &Pair) -> f64 {
    twice / once
}

/// Returns the two times that have the median ratio of a round. Rounds are repeated until this ratio is small enough.
/// If no round has such a ratio, the times of the best round are returned.
fn time(shape: &Shape) -> Pair {
    let (mut once, mut twice) = ((shape.make)(shape.n), (shape.make)(2 * shape.n));
    let time = |run: &mut Run| {
        let start = Clock::now();
        run();
        start.elapsed().as_secs_f64() * 1e6
    };
    let mut round = || {
        let mut pairs: Vec<Pair> = (0..TURNS).map(|_| (time(&mut once), time(&mut twice))).collect();
        pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        pairs[TURNS / 2]
    };
    let mut best = round();
    for _ in 1..ROUNDS {
        if ratio(&best) <= MAX_RATIO {
            break;
        }
        let next = round();
        if ratio(&next) < ratio(&best) {
            best = next;
        }
    }
    best
}

/// Runs this program again under valgrind, which records the instructions of each call of [`counted`]. Returns the
/// counts for n and 2n of each shape.
fn count(words: &[&String]) -> io::Result<Vec<Pair>> {
    let folder = env::temp_dir().join(format!("hybi-scaling-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=scaling::counted", "--dump-after=scaling::counted"])
        .arg(format!("--callgrind-out-file={}", out(&folder, 0).display()))
        .arg(env::current_exe()?)
        .arg("--counted")
        .args(words)
        .output()?;
    let counts =
        (1..).map_while(|at| fs::read_to_string(out(&folder, at)).ok()).map(|dump| instructions(&dump));
    let counts: Option<Vec<f64>> = counts.collect();
    fs::remove_dir_all(&folder)?;
    match counts {
        Some(counts) if done.status.success() => {
            Ok(counts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
        }
        _ => Err(io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned())),
    }
}

/// Returns the path of a dump of callgrind. Dumps are numbered from 1.
fn out(folder: &Path, number: usize) -> PathBuf {
    folder.join(if number == 0 { "out".to_owned() } else { format!("out.{number}") })
}

/// Returns the number of instructions of a dump, in thousands.
fn instructions(dump: &str) -> Option<f64> {
    let count = dump.lines().find_map(|line| line.strip_prefix("totals: "))?;
    Some(count.trim().parse::<f64>().ok()? / 1e3)
}

/// The function whose instructions are counted.
#[inline(never)]
fn counted(run: &mut Run) {
    run();
    // Without this use of `run`, the call would become a tail call, and its instructions would not count for this
    // function.
    black_box(run);
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let is_told = |option| args.iter().any(|arg| arg == option);
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let mut shapes = shapes();
    shapes.retain(|shape| words.is_empty() || words.iter().any(|word| shape.name.contains(word.as_str())));
    if is_told("--counted") {
        for shape in &shapes {
            for n in [shape.n, 2 * shape.n] {
                let mut run = (shape.make)(n);
                // The first run does the one-time work of the process, so that it is not counted.
                run();
                counted(&mut run);
            }
        }
        return ExitCode::SUCCESS;
    }
    if !is_told("--bench") {
        // Without `--bench` this program runs as a test: each shape runs once.
        shapes.iter().for_each(|shape| (shape.make)(shape.n)());
        return ExitCode::SUCCESS;
    }
    let (unit, mut counts) = if is_told("--count") {
        match count(&words) {
            Ok(counts) if counts.len() == shapes.len() => ("k instr.", counts.into_iter()),
            Ok(counts) => {
                return failed(&format!("{} of {} shapes were counted", counts.len(), shapes.len()));
            }
            Err(error) => return failed(&format!("valgrind: {error}")),
        }
    } else {
        // After this allocation glibc keeps freed memory, so that page faults are not measured.
        drop(black_box(vec![1_u8; 16 << 20]));
        ("µs", Vec::new().into_iter())
    };
    let [once, twice] = ["n", "2n"].map(|n| format!("{n} [{unit}]"));
    println!("{:44} {:>25} {once:>13} {twice:>13} {:>6}  at most {MAX_RATIO}", "shape", "n", "ratio");
    let mut met = true;
    for shape in &shapes {
        let pair @ (once, twice) = counts.next().unwrap_or_else(|| time(shape));
        let ratio = ratio(&pair);
        met &= ratio <= MAX_RATIO;
        println!(
            "{:44} {:>25} {once:>13.1} {twice:>13.1} {ratio:>6.2}  {}",
            shape.name,
            format!("{} {}", shape.n, shape.unit),
            if ratio <= MAX_RATIO { "met" } else { "NOT MET" },
        );
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
