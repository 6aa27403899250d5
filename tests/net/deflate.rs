//! permessage-deflate (RFC 7692) in the blocking adapter: negotiation and messages over TCP.
//!
//! These tests check that the adapter passes configurations, the options of messages, and deadlines to the
//! core. Compression itself is tested in `tests/scenarios/deflate*.rs`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};

use hybi::adapters::net::{Client, Error, Server, WrappedStream};
use hybi::deflate::{Compression, Deflater};
use hybi::handshake::{ClientWindow, DeflateConfig, DeflateOffer};
use hybi::{CloseCode, Config, Delivery, Event, Message, MessageKind, Prepared, ProtocolError, SendOptions};

use crate::common::*;

/// Options of a message that is sent uncompressed.
const PLAIN: SendOptions = SendOptions::new().compress(false);

fn server() -> Server {
    Server::new().deflate(DeflateConfig::new())
}

fn client() -> Client {
    Client::new().deflate(DeflateOffer::default())
}

/// Returns text that compresses well.
fn text(len: usize) -> String {
    let mut text: String = (0..).map(|n| format!("{n} größer, ")).take(len / 10 + 1).collect();
    while text.len() > len {
        text.pop();
    }
    text
}

/// Returns bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn extensions<S>(ws: &Ws<S>) -> Option<&str> {
    ws.headers().get("sec-websocket-extensions").map(|value| std::str::from_utf8(value).unwrap())
}

/// Returns the compressed payload of a message that does not refer to earlier messages.
fn deflated(data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    Deflater::new(15, true, &Compression::new()).deflate(data, true, &mut payload);
    payload
}

/// Returns a raw client that has negotiated compression.
fn raw_client(address: SocketAddr) -> Raw {
    let mut raw = Raw::connect(address);
    let (head, end) = REQUEST.split_at(REQUEST.len() - 2);
    raw.write(format!("{head}Sec-WebSocket-Extensions: permessage-deflate\r\n{end}").as_bytes());
    let head = raw.head();
    assert!(head.contains("Sec-WebSocket-Extensions: permessage-deflate\r\n"), "{head}");
    raw
}

/// Calls `send`, and returns the number of bytes that the call sends on the wire.
fn cost<S>(ws: &mut Ws<S>, send: impl FnOnce(&mut Ws<S>)) -> u64 {
    let before = ws.connection().sent().bytes;
    send(ws);
    ws.connection().sent().bytes - before
}

// --- negotiation ---

#[test]
fn s7692_5_compression_is_used_only_if_both_sides_support_it() {
    timed(|| {
        let plain = (Server::new(), Client::new());
        let cases = [
            (server(), client(), true),
            (server(), plain.1.clone(), false),
            (plain.0.clone(), client(), false),
            (plain.0, plain.1, false),
            (server().deflate(None), client(), false),
            (server(), client().deflate(None), false),
        ];
        for (server, client, agreed) in cases {
            let (mut server, mut client) = tcp_pair_of(server, &client);
            assert_eq!(extensions(&client), agreed.then_some("permessage-deflate"));
            let text = text(10_000);
            for _ in 0..2 {
                for turn in [true, false] {
                    let (from, to) =
                        if turn { (&mut server, &mut client) } else { (&mut client, &mut server) };
                    let bytes = cost(from, |from| from.send_text(&text).unwrap());
                    assert_eq!(bytes < 5000, agreed, "{bytes}");
                    assert_eq!(to.recv().unwrap(), Some(Message::from(text.clone())));
                }
            }
        }
    });
}

#[test]
fn s7692_7_1_both_sides_use_the_parameters_of_the_response() {
    let server_of = |config| Server::new().deflate(Some(config));
    let config = DeflateConfig::new();
    let offer = DeflateOffer::default();
    let cases = [
        (config.server_max_window_bits(9), offer, "; server_max_window_bits=9"),
        (config.client_max_window_bits(10), offer, "; client_max_window_bits=10"),
        (
            config.client_max_window_bits(10),
            // This client does not offer the parameter, so the server cannot limit the client's window.
            offer.client_max_window_bits(ClientWindow::Unsupported),
            "",
        ),
        (
            config.server_no_context_takeover(true).client_no_context_takeover(true),
            offer,
            "; server_no_context_takeover; client_no_context_takeover",
        ),
        (
            config,
            DeflateOffer::new()
                .server_no_context_takeover(true)
                .client_no_context_takeover(true)
                .server_max_window_bits(Some(8))
                .client_max_window_bits(ClientWindow::AtMost(8)),
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; \
             client_max_window_bits=8",
        ),
    ];
    timed(move || {
        for (config, offer, wanted) in cases {
            let (mut server, mut client) = tcp_pair_of(server_of(config), &Client::new().deflate(offer));
            assert_eq!(extensions(&client), Some(&*format!("permessage-deflate{wanted}")));
            // Both endpoints use the parameters of the header.
            let agreed = client.connection().deflate().unwrap();
            assert_eq!(server.connection().deflate(), Some(agreed));
            let bits = |name: &str| {
                wanted.split_once(name).and_then(|(_, rest)| rest.split(';').next()?.parse().ok())
            };
            assert_eq!(agreed.server_no_context_takeover, wanted.contains("server_no"));
            assert_eq!(agreed.client_no_context_takeover, wanted.contains("client_no"));
            assert_eq!(agreed.server_window_bits(), bits("server_max_window_bits=").unwrap_or(15));
            assert_eq!(agreed.client_window_bits(), bits("client_max_window_bits=").unwrap_or(15));
            // This data compresses a little. Otherwise it would be sent uncompressed, and not enter the window.
            let noise: Vec<u8> = noise(300).iter().map(|byte| byte & 0x3F).collect();
            let text = text(100_000);
            for (server_sends, no_takeover, bits) in [
                (true, "server_no", "server_max_window_bits"),
                (false, "client_no", "client_max_window_bits"),
            ] {
                let (from, to) =
                    if server_sends { (&mut server, &mut client) } else { (&mut client, &mut server) };
                let mut bytes = [0; 2];
                for bytes in &mut bytes {
                    *bytes = cost(from, |from| from.send_binary(&noise).unwrap());
                    assert_eq!(to.recv().unwrap(), Some(Message::from(noise.clone())));
                }
                // The second message refers to the first one if the context is taken over and the window still
                // holds the 300 bytes. A window of 8 or 9 bits is too small. It has 512 bytes or less, and zlib
                // keeps 262 of them free.
                let small = [8, 9].iter().any(|n| wanted.contains(&format!("{bits}={n}")));
                let refers = !wanted.contains(no_takeover) && !small;
                assert_eq!(bytes[1] < bytes[0] / 2, refers, "{wanted}: {bytes:?}");
                from.send_text(&text).unwrap();
                assert_eq!(to.recv().unwrap(), Some(Message::from(text.clone())));
            }
        }
    });
}

// --- messages ---

/// Returns text and binary messages. Some of them compress well, and others do not.
fn messages() -> impl Iterator<Item = Message> {
    let of = |len| [Message::from(text(len)), Message::from(text(len).into_bytes()), noise(len).into()];
    // These sizes are around the limits of frame lengths, around the minimum size for compression, and around the
    // sizes of internal buffers.
    let sizes = [0, 1, 10, 63, 64, 65, 125, 126, 127, 4096, 16_383, 16_384, 16_385, 65_535, 65_536];
    sizes.into_iter().flat_map(of).chain([text(300_000).into()])
}

#[test]
fn s7692_6_compressed_messages_are_echoed() {
    for (config, offer) in [
        (DeflateConfig::new(), DeflateOffer::default()),
        (
            DeflateConfig::new().server_no_context_takeover(true),
            DeflateOffer::default().client_no_context_takeover(true).server_max_window_bits(Some(9)),
        ),
    ] {
        timed(move || {
            let (mut server, mut client) =
                pair_of(Server::new().deflate(config), &Client::new().deflate(offer));
            let server = thread::spawn(move || {
                echo(&mut server);
                server
            });
            for message in messages() {
                match &message {
                    Message::Text(text) => client.send_text(text).unwrap(),
                    Message::Binary(data) => client.send_binary(data).unwrap(),
                }
                match client.next_event().unwrap().unwrap().0 {
                    Event::Text(text) => assert!(message == Message::from(text.to_owned())),
                    Event::Binary(data) => assert!(message == Message::from(data.to_vec())),
                    other => panic!("{other:?}"),
                }
                client.send(message.clone()).unwrap();
                assert!(client.recv().unwrap() == Some(message));
            }
            client.close(CloseCode::NORMAL, "").unwrap();
            assert!(client.wait_closed().unwrap().is_clean());
            let server = server.join().unwrap();
            assert_eq!(server.connection().sent().messages, client.connection().sent().messages);
        });
    }
}

#[test]
fn s7692_6_halves_exchange_compressed_messages() {
    timed(|| {
        let (mut server, client) = pair_of(server(), &client());
        let server = thread::spawn(move || echo(&mut server));
        let (mut reader, mut writer) = client.split().unwrap();
        let sender = thread::spawn(move || {
            for message in messages() {
                match &message {
                    Message::Text(text) => writer.send_text(text).unwrap(),
                    Message::Binary(data) => writer.send_binary(data).unwrap(),
                }
                writer.send(message.clone()).unwrap();
                writer.send_with(message.clone(), PLAIN).unwrap();
                writer.send_prepared(&Prepared::new(message)).unwrap();
            }
            writer
        });
        for message in messages() {
            assert!(reader.recv().unwrap().as_ref() == Some(&message));
            match reader.next_event().unwrap().unwrap() {
                Event::Text(text) => assert!(message == Message::from(text.to_owned())),
                Event::Binary(data) => assert!(message == Message::from(data.to_vec())),
                other => panic!("{other:?}"),
            }
            assert!(reader.recv().unwrap().as_ref() == Some(&message));
            assert!(reader.recv().unwrap().as_ref() == Some(&message));
        }
        sender.join().unwrap().close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(reader.recv().unwrap(), None);
        assert!(reader.outcome().unwrap().is_clean());
        server.join().unwrap();
    });
}

#[test]
fn s7692_6_1_compressed_fragments_arrive_in_chunks() {
    timed(|| {
        let config = patient().delivery(Delivery::Chunks).max_message(u64::MAX).max_frame(u64::MAX);
        let (mut server, mut client) = pair_of(server(), &client().config(config));
        client.send_text("go").unwrap();
        let text = text(300_000);
        {
            let (_, mut answer) = server.next_event().unwrap().unwrap();
            let pieces = text.as_bytes().chunks(70_001);
            let last = pieces.len() - 1;
            for (n, piece) in pieces.enumerate() {
                answer.send_fragment(MessageKind::Text, piece, n == last).unwrap();
                answer.ping(b"between").unwrap();
            }
        }
        server.flush().unwrap();
        assert!(server.connection().sent().bytes < 200_000);
        let mut got = Vec::new();
        loop {
            match client.next_event().unwrap().unwrap().0 {
                Event::Ping(payload) => assert_eq!(*payload, *b"between"),
                Event::Chunk { kind: MessageKind::Text, data, fin, .. } => {
                    got.extend_from_slice(data);
                    if fin {
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(got == text.as_bytes());

        client.send_fragment(MessageKind::Binary, b"without ", false).unwrap();
        client.send_fragment(MessageKind::Binary, b"a question", true).unwrap();
        assert_eq!(server.recv().unwrap(), Some(Message::from(b"without a question".to_vec())));
    });
}

// --- without compression ---

#[test]
fn s7692_6_send_options_apply_to_one_message() {
    timed(|| {
        let (mut server, mut client) = tcp_pair_of(server(), &client());
        let text = text(10_000);
        let whole = |bytes: u64| bytes > text.len() as u64;
        for ws in [&mut server, &mut client] {
            assert!(whole(cost(ws, |ws| ws.send_with(text.as_str(), PLAIN).unwrap())));
            // The options apply to one message only.
            assert!(!whole(cost(ws, |ws| ws.send_text(&text).unwrap())));
            assert!(whole(cost(ws, |ws| ws.send_with(text.clone(), PLAIN).unwrap())));
            assert!(!whole(cost(ws, |ws| ws.send(text.clone()).unwrap())));
            let prepared = Prepared::new(text.clone());
            let plain = Prepared::with_options(text.clone(), PLAIN);
            assert!(whole(cost(ws, |ws| ws.send_prepared(&plain).unwrap())));
            assert!(!whole(cost(ws, |ws| ws.send_prepared(&prepared).unwrap())));
            // The options of the first fragment apply to the whole message.
            assert!(whole(cost(ws, |ws| {
                ws.send_fragment_with(MessageKind::Text, text.as_bytes(), false, PLAIN).unwrap();
                ws.ping(b"").unwrap();
                ws.send_fragment(MessageKind::Text, b"", true).unwrap();
            })));
        }
        for ws in [&mut server, &mut client] {
            for _ in 0..7 {
                assert!(ws.recv().unwrap().unwrap().as_bytes() == text.as_bytes());
            }
        }
    });
}

/// A message that waits for space in the write queue is still sent uncompressed if this was requested.
#[test]
fn s7692_6_a_message_that_had_to_wait_is_sent_uncompressed_as_requested() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let mut ws = server().config(patient().high_water(1)).accept(stream).unwrap();
            let text = text(10_000);
            {
                let (_, mut answer) = ws.next_event().unwrap().unwrap();
                for _ in 0..3 {
                    answer.send_text(&text).unwrap();
                    answer.send_with(text.as_str(), PLAIN).unwrap();
                    answer.send(text.clone()).unwrap();
                    answer.send_with(text.clone(), PLAIN).unwrap();
                    answer.send_prepared(&Prepared::new(text.clone())).unwrap();
                    answer.send_prepared(&Prepared::with_options(text.clone(), PLAIN)).unwrap();
                }
            }
            let (mut reader, mut writer) = ws.split().unwrap();
            for _ in 0..3 {
                writer.send(text.clone()).unwrap();
                writer.send_with(text.clone(), PLAIN).unwrap();
            }
            while reader.next_event().unwrap().is_some() {}
        });
        let mut raw = raw_client(address);
        raw.send(0x82, b"go");
        let text = text(10_000);
        for n in 0..24 {
            let (first, payload) = raw.frame();
            if n % 2 == 0 {
                assert_eq!(first, 0xC1, "{n}");
                assert!(payload.len() < 5000);
            } else {
                assert_eq!(first, 0x81, "{n}");
                assert!(payload == text.as_bytes());
            }
        }
        raw.send(0x88, &close_body(1000, ""));
        assert_eq!(raw.frame(), (0x88, close_body(1000, "")));
        drop(raw);
        thread.join().unwrap();
    });
}

// --- broadcasts ---

#[test]
fn a_broadcast_reaches_connections_with_and_without_compression() {
    timed(|| {
        let offer = DeflateOffer::default();
        let clients = [
            client(),
            Client::new(),
            client().deflate(offer.server_max_window_bits(Some(9))),
            client().deflate(offer.server_no_context_takeover(true)),
            Client::new(),
            client(),
        ];
        let (mut servers, mut clients): (Vec<_>, Vec<_>) =
            clients.iter().map(|client| pair_of(server(), client)).unzip();
        let compressed: Vec<_> = clients.iter().map(|client| extensions(client).is_some()).collect();
        assert_eq!(compressed, [true, false, true, true, false, true]);
        let broadcasts: Vec<_> = [50, 300, 5000, 20_000]
            .into_iter()
            .flat_map(|len| [Message::from(text(len)), Message::from(noise(len))])
            .collect();

        // Before and after each broadcast the server also sends the message with `send`. Such a message may refer to
        // earlier messages.
        for message in &broadcasts {
            let prepared = Prepared::new(message.clone());
            for (ws, compressed) in servers.iter_mut().zip(&compressed) {
                ws.send(message.clone()).unwrap();
                let len = message.as_bytes().len() as u64;
                let bytes = cost(ws, |ws| ws.send_prepared(&prepared).unwrap());
                let gains = *compressed && len >= 64 && message.kind() == MessageKind::Text;
                assert_eq!(bytes < len, gains, "{bytes} of {len}");
                ws.send(message.clone()).unwrap();
            }
            for client in &mut clients {
                for _ in 0..3 {
                    assert!(client.recv().unwrap().as_ref() == Some(message));
                }
            }
        }
        // The same check follows with a responder and with a writer.
        for client in &mut clients {
            client.send_text("go").unwrap();
        }
        let prepared = Prepared::new(text(1000));
        let mut halves = Vec::new();
        for mut ws in servers {
            ws.next_event().unwrap().unwrap().1.send_prepared(&prepared).unwrap();
            let (reader, mut writer) = ws.split().unwrap();
            writer.send_prepared(&prepared).unwrap();
            halves.push((reader, writer));
        }
        for client in &mut clients {
            // A client can send a prepared message too.
            client.send_prepared(&prepared).unwrap();
            for _ in 0..2 {
                assert!(client.recv().unwrap().as_ref() == Some(prepared.message()));
            }
        }
        for (reader, _) in &mut halves {
            assert!(reader.recv().unwrap().as_ref() == Some(prepared.message()));
        }
    });
}

// --- violations ---

/// Sends a frame with this first byte and `payload` to a whole WebSocket, and to the reader of a split WebSocket.
/// Returns the error of each receiver, and the code of the Close that it sends.
fn refused(config: Config, first: u8, payload: &[u8]) -> Vec<(ProtocolError, u16)> {
    let run = |thread: JoinHandle<ProtocolError>, address| {
        let mut raw = raw_client(address);
        raw.send(first, payload);
        let (first, body) = raw.frame();
        assert_eq!(first, 0x88);
        let code = u16::from_be_bytes([body[0], body[1]]);
        raw.send(0x88, &close_body(code, ""));
        assert_eq!(raw.rest(), b"");
        drop(raw);
        (thread.join().unwrap(), code)
    };
    let of = |error| match error {
        Error::Protocol(error) => error,
        other => panic!("{other:?}"),
    };
    let (clone, server) = (config.clone(), server());
    let whole = serve(move |stream| {
        let mut ws = server.config(config).accept(stream).unwrap();
        let error = of(ws.next_event().unwrap_err());
        ws.wait_closed().unwrap();
        error
    });
    let server = self::server().config(clone);
    let half = serve(move |stream| {
        let (mut reader, _writer) = server.accept(stream).unwrap().split().unwrap();
        let error = of(reader.next_event().unwrap_err());
        while reader.next_event().unwrap().is_some() {}
        error
    });
    [whole, half].map(|(address, thread)| run(thread, address)).into()
}

#[test]
fn s7692_7_2_2_invalid_deflate_data_is_refused() {
    timed(|| {
        // The first case is a block of the reserved type. Then come a stored block whose length does not match its
        // complement, and a payload that is cut off.
        let cut = deflated(&noise(1000));
        let cases = [&b"\x07 and more"[..], b"\x00\x05\x00\x05\x00hello", &cut[..500]];
        for payload in cases {
            for failure in refused(patient(), 0xC2, payload) {
                assert_eq!(failure, (ProtocolError::InvalidDeflate, 1007));
            }
        }
        // RFC 6455 8.1: the inflated text must be UTF-8.
        for failure in refused(patient(), 0xC1, &deflated(&noise(1000))) {
            assert_eq!(failure, (ProtocolError::InvalidUtf8, 1007));
        }
    });
}

#[test]
fn s10_4_a_message_that_inflates_beyond_the_limit_is_refused() {
    timed(|| {
        let bomb = deflated(&vec![0; 8 << 20]);
        assert!(bomb.len() < 10_000);
        for failure in refused(patient().max_message(1 << 20), 0xC2, &bomb) {
            assert_eq!(failure, (ProtocolError::MessageTooBig, 1009));
        }
        // A message may be as long as the limit, and not one byte longer.
        let config = || patient().max_message(1000);
        for failure in refused(config(), 0xC2, &deflated(&[0; 1001])) {
            assert_eq!(failure, (ProtocolError::MessageTooBig, 1009));
        }
        let (mut server, mut client) = pair_of(server().config(config()), &client());
        client.send_binary(&[0; 1000]).unwrap();
        assert_eq!(server.recv().unwrap(), Some(vec![0; 1000].into()));
    });
}

// --- release of windows ---

/// A socket that reports each timeout of a read.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    woken: Sender<()>,
}

impl Read for Watched {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let result = self.stream.read(to);
        if let Err(error) = &result {
            assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
            self.woken.send(()).unwrap();
        }
        result
    }
}

impl Write for Watched {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn compression(release_after: u64) -> Compression {
    Compression::new().release_after(Some(ms(release_after)))
}

#[test]
fn compression_windows_are_released_while_a_read_waits() {
    timed(|| {
        for release_after in [0, 60] {
            let (woken, wakes) = channel();
            let (address, thread) = serve(move |stream| {
                // No timer runs except the one that releases the windows.
                let server = server().config(patient().compression(compression(release_after)));
                let stream = Watched { stream, woken };

                let mut ws = server
                    .accept_stream(WrappedStream::new(stream, |watched: &Watched| Some(&watched.stream)))
                    .unwrap();
                let holds = |ws: &hybi::adapters::net::WebSocket<_>| {
                    let connection = ws.connection();
                    (connection.sender().can_release_deflater(), connection.receiver().can_release_inflater())
                };
                assert_eq!(holds(&ws), (false, false));
                let message = ws.recv().unwrap().unwrap();
                ws.send(message).unwrap();
                assert_eq!(holds(&ws), (true, true));
                // This message arrives after the windows were released.
                assert_eq!(ws.recv().unwrap(), Some("plain".into()));
                assert_eq!(holds(&ws), (false, false));
                // The next message can still be inflated.
                let message = ws.recv().unwrap().unwrap();
                ws.send(message).unwrap();
                assert_eq!(holds(&ws), (true, true));
                ws.wait_closed().unwrap()
            });
            let mut client = client().connect(&url(address)).unwrap();
            let text = text(1000);
            client.send_text(&text).unwrap();
            assert_eq!(client.recv().unwrap(), Some(Message::from(text.clone())));
            // The waiting read wakes up to release the windows. It may wake up several times, because the operating
            // system can end a timeout early. After the release it must not wake up again.
            wakes.recv().unwrap();
            let mut count = 1;
            while wakes.recv_timeout(ms(300)).is_ok() {
                count += 1;
            }
            assert!(count <= 8, "{count} times");
            client.send_with("plain", PLAIN).unwrap();
            // The client did not release its window, so the repeated text takes few bytes.
            assert!(cost(&mut client, |client| client.send_text(&text).unwrap()) < 30);
            assert_eq!(client.recv().unwrap(), Some(Message::from(text.clone())));
            client.close(CloseCode::NORMAL, "").unwrap();
            assert!(client.wait_closed().unwrap().is_clean());
            assert!(thread.join().unwrap().is_clean());
        }
    });
}

/// The reader runs the timer that releases the windows. The reader already waits in a read when a message of the writer
/// creates the window.
#[test]
fn a_waiting_reader_releases_the_compression_windows() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            // No timer runs except the one that releases the windows.
            let config = patient().close_timeout(None).compression(compression(60));
            server().config(config).accept(stream).unwrap().split().unwrap()
        });
        let mut raw = raw_client(address);
        let (mut reader, mut writer) = thread.join().unwrap();
        let (reading, begun) = channel();
        let reader = thread::spawn(move || {
            assert_eq!(reader.recv().unwrap(), Some("begin".into()));
            reading.send(()).unwrap();
            while reader.next_event().unwrap().is_some() {}
        });
        raw.send(0x81, b"begin");
        begun.recv().unwrap();

        // This data compresses a little. Otherwise it would be sent uncompressed, and not enter the window.
        let noise: Vec<u8> = noise(1000).iter().map(|byte| byte & 0x7F).collect();
        let (_never, wait) = channel::<()>();
        let mut send_after = |wait_for| {
            assert_eq!(wait.recv_timeout(ms(wait_for)), Err(RecvTimeoutError::Timeout));
            writer.send_binary(&noise).unwrap();
            let (first, payload) = raw.frame();
            assert_eq!(first, 0xC2);
            payload.len()
        };
        assert!(send_after(0) > 850);
        // After a release of the window the whole data must be sent again. A busy machine may need a longer pause.
        let released = (0..20).any(|n| send_after(100 + 20 * n) > 850);
        assert!(released);
        raw.send(0x88, b"");
        raw.frame();
        drop(raw);
        reader.join().unwrap();
    });
}
