use ::hybi::deflate::Compression;
use ::hybi::handshake::{DeflateParams, HeadLimits, Incoming, ServerHandshake};
use ::hybi::{Config, Connection, Event, Inbox, Instant, Message, Outbox};

use crate::*;

/// Receives events that borrow from the read buffer. If each message is flushed, it is written without a copy in the
/// write queue.
pub struct Hybi;
/// Receives and sends messages that own their data.
pub struct Owned;

/// The time that is passed to hybi. In the codec cells no contender reads a clock, and timers are off.
const NOW: Instant = Instant::ZERO;
/// A server does not copy `Bytes` of at least this many bytes.
const LARGE: usize = 4096;

fn connection(role: Role, config: Config) -> Connection {
    match role {
        Role::Server => Connection::server(NOW, config, Outbox::new()),
        Role::Client => Connection::client(NOW, config, Outbox::new(), [7; 32]),
    }
}

/// Creates a connection with the compression settings of the other contenders: level 6 and zlib's default memory
/// level. hybi's own defaults are lower.
fn deflating(role: Role) -> Connection {
    let compression = Compression::new().level(6).memory_level(8);
    connection(role, Config::new().compression(compression)).with_deflate(DeflateParams::default())
}

#[inline]
fn recv(mut connection: Connection, mut io: Io, n: u64, sink: &mut Sink) -> bool {
    let mut inbox = Inbox::empty();
    while sink.msgs < n {
        let len = io.fill(connection.read_space(&mut inbox));
        inbox.handle_read(len);
        while let Some(event) = connection.poll_event(NOW, &mut inbox).unwrap() {
            match event {
                Event::Text(text) => sink.message(Kind::Text, text.as_bytes()),
                Event::Binary(data) => sink.message(Kind::Binary, data),
                _ => unreachable!(),
            }
            if sink.msgs == n {
                break;
            }
        }
    }
    true
}

#[inline]
fn recv_owned(mut connection: Connection, mut io: Io, n: u64, sink: &mut Sink) -> bool {
    let mut inbox = Inbox::empty();
    while sink.msgs < n {
        let len = io.fill(connection.read_space(&mut inbox));
        inbox.handle_read(len);
        while let Some(ready) = connection.poll(NOW, &mut inbox).unwrap() {
            let message = inbox.take_message(ready).unwrap();
            let kind = if matches!(message, Message::Text(_)) { Kind::Text } else { Kind::Binary };
            sink.message(kind, message.as_bytes());
            if sink.msgs == n {
                break;
            }
        }
    }
    true
}

/// Writes the whole queue, up to four slices with each write. A write of several slices is vectored. `Io` takes all
/// bytes.
#[inline(always)]
fn flush(connection: &mut Connection, io: &mut Io) {
    loop {
        let mut slices = [&[][..]; 4];
        let len = connection.poll_transmit(&mut slices);
        let written = match &slices[..len] {
            [] => return,
            [all] => {
                io.put(all);
                all.len()
            }
            all => io.put_vectored(all.iter().copied()),
        };
        connection.transmitted(NOW, written);
        if len < 4 {
            return;
        }
    }
}

/// Returns `data`, which is known to be UTF-8, as text.
#[inline]
fn text(data: &[u8]) -> &str {
    unsafe { std::str::from_utf8_unchecked(data) }
}

#[inline]
fn send(
    mut connection: Connection,
    payloads: &[Bytes],
    n: u64,
    batch: u64,
    mut io: Io,
    queue: impl Fn(&mut Connection, &Bytes),
) -> Option<Io> {
    for i in 0..n {
        queue(&mut connection, &payloads[i as usize % payloads.len()]);
        if (i + 1) % batch == 0 || i + 1 == n {
            flush(&mut connection, &mut io);
        }
    }
    Some(io)
}

/// Sends each message with its own write.
#[inline]
fn send_each(
    mut connection: Connection,
    kind: Kind,
    payloads: &[Bytes],
    n: u64,
    shared: bool,
    mut io: Io,
) -> Option<Io> {
    let messages: Vec<Message> = payloads.iter().map(|data| data.clone().into()).collect();
    for (data, message) in payloads.iter().zip(&messages).cycle().take(n as usize) {
        let write = |slices: &[&[u8]]| match slices {
            [all] => {
                io.put(all);
                all.len()
            }
            slices => io.put_vectored(slices.iter().copied()),
        };
        match kind {
            Kind::Binary if shared => connection.transmit(NOW, message, write).unwrap(),
            Kind::Binary => connection.transmit_binary(NOW, data, write).unwrap(),
            Kind::Text => connection.transmit_text(NOW, text(data), write).unwrap(),
        }
    }
    Some(io)
}

impl Contender for Hybi {
    fn name(&self) -> &'static str {
        "hybi"
    }
    fn info(&self) -> Info {
        Info { utf8: "own", recv: "in place (gathered if one read does not hold it)", ..Info::default() }
    }
    fn recv(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        recv(connection(role, Config::new()), io, n, sink)
    }
    fn send(&self, role: Role, kind: Kind, payloads: &[Bytes], n: u64, batch: u64, io: Io) -> Option<Io> {
        let shared = role == Role::Server && payloads[0].len() >= LARGE;
        let connection = connection(role, Config::new());
        if batch == 1 {
            return send_each(connection, kind, payloads, n, shared, io);
        }
        match kind {
            Kind::Text => send(connection, payloads, n, batch, io, |connection, data| {
                connection.send_text(text(data)).unwrap();
            }),
            Kind::Binary if shared => send(connection, payloads, n, batch, io, |connection, data| {
                connection.send(data.clone()).unwrap();
            }),
            Kind::Binary => send(connection, payloads, n, batch, io, |connection, data| {
                connection.send_binary(data).unwrap();
            }),
        }
    }
    fn handshake(&self, mut io: Io) -> Option<Io> {
        let mut received = [0; 2048];
        let len = io.fill(&mut received);
        let mut handshake = ServerHandshake::new(HeadLimits::new());
        let Ok(Some(Incoming::Upgrade(request))) = handshake.poll(&received[..len]) else { return None };
        let mut response = [0; 512];
        let len = request.accept().write(&mut response).ok()?;
        io.put(&response[..len]);
        Some(io)
    }
    fn recv_deflate(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        recv(deflating(role), io, n, sink)
    }
    fn send_deflate(&self, role: Role, kind: Kind, payloads: &[Bytes], n: u64, io: Io) -> Option<Io> {
        assert!(kind == Kind::Text);
        send(deflating(role), payloads, n, 1, io, |connection, data| {
            connection.send_text(text(data)).unwrap();
        })
    }
}

impl Contender for Owned {
    fn name(&self) -> &'static str {
        "hybi-owned"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "own",
            recv: "Bytes, copied or taken over with their buffer",
            owned: true,
            ..Info::default()
        }
    }
    fn recv(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        recv_owned(connection(role, Config::new()), io, n, sink)
    }
    /// Sends binary messages only. A `Text` that owns its data must be validated, and the other contenders do not
    /// validate when they send.
    fn send(&self, role: Role, kind: Kind, payloads: &[Bytes], n: u64, batch: u64, io: Io) -> Option<Io> {
        if kind == Kind::Text {
            return None;
        }
        send(connection(role, Config::new()), payloads, n, batch, io, |connection, data| {
            connection.send(data.clone()).unwrap();
        })
    }
    fn handshake(&self, mut io: Io) -> Option<Io> {
        let mut received = vec![0; 2048];
        let len = io.fill(&mut received);
        let mut handshake = ServerHandshake::new(HeadLimits::new());
        let Ok(Some(Incoming::Upgrade(request))) = handshake.poll(&received[..len]) else { return None };
        io.put(&request.accept().to_vec().ok()?);
        Some(io)
    }
    fn recv_deflate(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        recv_owned(deflating(role), io, n, sink)
    }
}
