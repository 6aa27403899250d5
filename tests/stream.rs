//! A `Stream` of owned messages that uses no adapter. Its bytes come from a source that is not always ready.
//!
//! The test shows that an [`Inbox`] and a connection are enough to build such a stream, and that messages of every size
//! keep their content.
#![cfg(feature = "alloc")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use hybi::frame::{Encoder, Opcode};
use hybi::{Config, Connection, Inbox, Instant, Message, Outbox, ProtocolError};

/// A source that returns its bytes in pieces of a fixed size. Before each piece it returns `Pending` once.
struct Source {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
    ready: bool,
}

impl Source {
    fn poll_read(&mut self, context: &mut Context<'_>, to: &mut [u8]) -> Poll<usize> {
        self.ready = !self.ready;
        if self.ready {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = to.len().min(self.piece).min(self.bytes.len() - self.at);
        to[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Poll::Ready(len)
    }
}

struct Messages {
    source: Source,
    connection: Connection,
    inbox: Inbox,
    ended: bool,
}

impl Stream for Messages {
    type Item = Result<Message, ProtocolError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match this.connection.poll(Instant::ZERO, &mut this.inbox) {
                Ok(Some(ready)) => match this.inbox.take_message(ready) {
                    Some(message) => return Poll::Ready(Some(Ok(message))),
                    None => continue,
                },
                Ok(None) if this.ended => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let space = this.connection.read_space(&mut this.inbox);
            match this.source.poll_read(context, space) {
                Poll::Ready(0) => {
                    this.connection.handle_eof();
                    this.ended = true;
                }
                Poll::Ready(len) => this.inbox.handle_read(len),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn collect(messages: Messages) -> Vec<Message> {
    let (mut messages, mut all) = (pin!(messages), Vec::new());
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match messages.as_mut().poll_next(&mut context) {
            Poll::Ready(Some(message)) => all.push(message.unwrap()),
            Poll::Ready(None) => return all,
            Poll::Pending => {}
        }
    }
}

#[test]
fn messages_of_every_size_are_yielded_unchanged() {
    let sizes = [0, 1, 125, 126, 4096, 16 << 10, 70_000, 1 << 20];
    let payload = |size| (b'a'..=b'z').cycle().take(size).collect::<Vec<u8>>();
    let (mut wire, mut encoder) = (Vec::new(), Encoder::server());
    for size in sizes {
        for opcode in [Opcode::Text, Opcode::Binary] {
            let mut frame = vec![0; size + 14];
            let len = encoder.encode_into(opcode, true, &payload(size), &mut frame).unwrap();
            wire.extend_from_slice(&frame[..len]);
        }
    }
    for piece in [7, 1500, 16 << 10, usize::MAX] {
        let connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
        let source = Source { bytes: wire.clone(), at: 0, piece, ready: false };
        let all = collect(Messages { source, connection, inbox: Inbox::empty(), ended: false });
        assert_eq!(all.len(), 2 * sizes.len());
        for (size, pair) in sizes.iter().zip(all.chunks(2)) {
            assert!(matches!(pair, [Message::Text(_), Message::Binary(_)]));
            assert!(pair.iter().all(|message| message.as_bytes() == payload(*size)));
        }
    }
}
