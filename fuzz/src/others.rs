//! Runs other implementations over memory, and returns the events that they read and the bytes that they write.
//!
//! The versions of tungstenite and fastwebsockets are fixed in `fuzz/Cargo.toml`. `differential.rs` handles known
//! differences to hybi.

use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError};
use hybi::frame::Role;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::{WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use crate::support::drive::Seen;

/// Maximum length of a frame, for hybi and the other implementations.
pub const MAX_FRAME: usize = 1 << 17;

/// The result of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Messages, Pings, Pongs and a Close.
    pub events: Vec<Seen>,
    /// The end of the input.
    pub end: End,
}

/// The state of an implementation at the end of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// The implementation waits for more input.
    Waits,
    /// The implementation has received a Close.
    Closed,
    /// The implementation has failed with the error of this name.
    Failed(String),
}

/// A stream that reads from an input and stores its output.
#[derive(Debug)]
pub struct Memory<'a> {
    /// The unread input.
    pub input: &'a [u8],
    /// The written bytes.
    pub output: Vec<u8>,
}

impl<'a> Memory<'a> {
    /// Returns a stream with this input.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, output: Vec::new() }
    }
}

impl Read for Memory<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.input.read(to)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = to.remaining().min(self.input.len());
        let (now, later) = self.input.split_at(len);
        to.put_slice(now);
        self.input = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.output.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that is ready at its first poll.
fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a stream over memory must always be ready"),
    }
}

fn tungstenite_over(stream: Memory<'_>, role: Role) -> WebSocket<Memory<'_>> {
    let role = match role {
        Role::Server => tungstenite::protocol::Role::Server,
        Role::Client => tungstenite::protocol::Role::Client,
    };
    let config = WebSocketConfig::default().max_frame_size(Some(MAX_FRAME)).max_message_size(None);
    WebSocket::from_raw_socket(stream, role, Some(config.read_buffer_size(4096)))
}

/// Returns the events that tungstenite reads from an input as an endpoint in `role`.
#[must_use]
pub fn tungstenite_reads(role: Role, input: &[u8]) -> Reading {
    let mut socket = tungstenite_over(Memory::new(input), role);
    let mut events = Vec::new();
    loop {
        let seen = match socket.read() {
            Ok(Message::Text(text)) => Seen::Text(text.to_string()),
            Ok(Message::Binary(data)) => Seen::Binary(data.to_vec()),
            Ok(Message::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(Message::Pong(payload)) => Seen::Pong(payload.to_vec()),
            Ok(Message::Close(close)) => {
                let (code, reason) = close.map(|close| (close.code.into(), close.reason.to_string())).unzip();
                events.push(Seen::Close(code, reason.unwrap_or_default()));
                return Reading { events, end: End::Closed };
            }
            Ok(Message::Frame(_)) => panic!("tungstenite returned a raw frame instead of a message"),
            Err(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                return Reading { events, end: End::Waits };
            }
            Err(error) => return Reading { events, end: End::Failed(format!("{error:?}")) },
        };
        events.push(seen);
    }
}

/// Returns the bytes that tungstenite writes for these messages as an endpoint in `role`.
#[must_use]
pub fn tungstenite_writes(role: Role, messages: &[Seen]) -> Vec<u8> {
    let mut socket = tungstenite_over(Memory::new(&[]), role);
    for message in messages {
        let message = match message.clone() {
            Seen::Text(text) => Message::text(text),
            Seen::Binary(data) => Message::binary(data),
            Seen::Ping(payload) => Message::Ping(payload.into()),
            Seen::Pong(payload) => Message::Pong(payload.into()),
            Seen::Close(..) => Message::Close(None),
        };
        socket.send(message).expect("tungstenite did not send the message");
    }
    std::mem::take(&mut socket.get_mut().output)
}

/// Returns tungstenite's answer to a request, or an error if tungstenite refuses the request.
pub fn tungstenite_accepts(request: &[u8]) -> Result<Vec<u8>, String> {
    match tungstenite::accept(Memory::new(request)) {
        Ok(mut socket) => Ok(std::mem::take(&mut socket.get_mut().output)),
        Err(error) => Err(error.to_string()),
    }
}

fn fastwebsockets_over(stream: Memory<'_>, role: Role) -> fastwebsockets::WebSocket<Memory<'_>> {
    let role = match role {
        Role::Server => fastwebsockets::Role::Server,
        Role::Client => fastwebsockets::Role::Client,
    };
    let mut socket = fastwebsockets::WebSocket::after_handshake(stream, role);
    socket.set_auto_pong(false);
    socket.set_max_message_size(MAX_FRAME + 1);
    socket
}

/// Returns the events that fastwebsockets reads from an input as an endpoint in `role`.
#[must_use]
pub fn fastwebsockets_reads(role: Role, input: &[u8]) -> Reading {
    let mut socket = FragmentCollector::new(fastwebsockets_over(Memory::new(input), role));
    let mut events = Vec::new();
    loop {
        let frame = match run(socket.read_frame()) {
            Ok(frame) => frame,
            Err(WebSocketError::UnexpectedEOF) => return Reading { events, end: End::Waits },
            Err(error) => return Reading { events, end: End::Failed(format!("{error:?}")) },
        };
        let payload = frame.payload.to_vec();
        events.push(match frame.opcode {
            OpCode::Text => Seen::Text(String::from_utf8_lossy(&payload).into_owned()),
            OpCode::Binary => Seen::Binary(payload),
            OpCode::Ping => Seen::Ping(payload),
            OpCode::Pong => Seen::Pong(payload),
            OpCode::Close => {
                let (code, reason) = match payload.split_first_chunk() {
                    Some((code, reason)) => (Some(u16::from_be_bytes(*code)), reason),
                    None => (None, &[][..]),
                };
                events.push(Seen::Close(code, String::from_utf8_lossy(reason).into_owned()));
                return Reading { events, end: End::Closed };
            }
            OpCode::Continuation => panic!("fastwebsockets must assemble fragments"),
        });
    }
}

/// Returns the bytes that fastwebsockets writes for these messages as an endpoint in `role`.
#[must_use]
pub fn fastwebsockets_writes(role: Role, messages: &[Seen]) -> Vec<u8> {
    let mut socket = fastwebsockets_over(Memory::new(&[]), role);
    for message in messages {
        let payload = |data: &[u8]| Payload::Owned(data.to_vec());
        let frame = match message {
            Seen::Text(text) => Frame::text(payload(text.as_bytes())),
            Seen::Binary(data) => Frame::binary(payload(data)),
            Seen::Ping(data) => Frame::new(true, OpCode::Ping, None, payload(data)),
            Seen::Pong(data) => Frame::pong(payload(data)),
            Seen::Close(..) => Frame::close_raw(payload(&[])),
        };
        run(socket.write_frame(frame)).expect("fastwebsockets did not write the frame");
    }
    socket.into_inner().output
}
