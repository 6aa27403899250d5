//! A WebSocket in two halves, for threads that receive and threads that send.

use core::time::Duration;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::Error;
use super::link::Link;
use super::websocket::{Responder, would_block, write_out};
use crate::close::State;
use crate::{
    CloseCode, Connection, Event, Inbox, Message, Outbox, Outcome, Owed, Ready, Receiver, Sender,
    TransportAction,
};

/// What both halves send through.
#[derive(Debug)]
struct Shared {
    link: Link<TcpStream>,
    sender: Sender<Outbox>,
}

/// The half that receives, of [`WebSocket::split`](super::WebSocket::split). It answers Pings and Closes and
/// runs the timers, so it must be kept in a call of [`next`](Self::next).
#[derive(Debug)]
pub struct Reader {
    link: Link<TcpStream>,
    receiver: Receiver,
    inbox: Inbox,
    shared: Arc<Mutex<Shared>>,
    outcome: Option<Outcome>,
    /// Something came in since the sending half was told.
    received: bool,
}

/// The half that sends, of [`WebSocket::split`](super::WebSocket::split). It can be cloned.
#[derive(Clone, Debug)]
pub struct Writer {
    shared: Arc<Mutex<Shared>>,
}

pub(super) fn split(
    link: Link<TcpStream>,
    connection: Connection,
    inbox: Inbox,
) -> io::Result<(Reader, Writer)> {
    let (receiver, sender) = connection.into_halves();
    let shared = Arc::new(Mutex::new(Shared { link: link.try_clone()?, sender }));
    let writer = Writer { shared: Arc::clone(&shared) };
    Ok((Reader { link, receiver, inbox, shared, outcome: None, received: false }, writer))
}

/// A thread that panicked while it held the lock left nothing half done: the queue is changed in one go.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.link.tick();
    shared
}

impl Reader {
    /// The next event; `None` after [`Event::Closed`]. Blocks until there is one.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`](super::WebSocket::next).
    #[expect(clippy::should_implement_trait, reason = "the event borrows, which an iterator's item cannot")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Error> {
        Ok(self.ready()?.map(|ready| self.inbox.event(ready)))
    }

    /// The next message, as one that owns its data; `None` after the end.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`](super::WebSocket::next).
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        while let Some(ready) = self.ready()? {
            let message = self.inbox.take_message(ready);
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    fn ready(&mut self) -> Result<Option<Ready>, Error> {
        while self.outcome.is_none() {
            match self.receiver.poll(&mut self.inbox) {
                Ok(Some(ready)) => {
                    let owed = ready.owes();
                    if owed.is_some() {
                        self.settle(owed)?;
                    }
                    return Ok(Some(ready));
                }
                Ok(None) => {
                    if let Some(ready) = self.turn()? {
                        return Ok(Some(ready));
                    }
                }
                Err(error) => {
                    // The violation is what the caller must know; that the peer could not be told will show.
                    let _ = self.settle(Some(error.into()));
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    /// Hands over what is owed, and writes it.
    fn settle(&mut self, owed: Option<Owed>) -> Result<(), Error> {
        let mut shared = lock(&self.shared);
        let Shared { link, sender } = &mut *shared;
        if let Some(owed) = owed {
            sender.settle(link.now(), owed);
        }
        write_out(link, sender)
    }

    /// All input has been taken in: waits for more, or for what is due.
    fn turn(&mut self) -> Result<Option<Ready>, Error> {
        let deadline = {
            let mut shared = lock(&self.shared);
            let Shared { link, sender } = &mut *shared;
            if core::mem::take(&mut self.received) {
                sender.handle_received(link.now(), self.receiver.saw_data());
            }
            write_out(link, sender)?;
            if sender.poll_transport() == Some(TransportAction::HalfClose) {
                link.half_close();
                sender.handle_half_closed();
            }
            while let Some(ready) = sender.poll() {
                if let Event::Closed(outcome) = self.inbox.event(ready) {
                    self.outcome = Some(outcome);
                    self.link.shut_down();
                    return Ok(Some(ready));
                }
                // What was blocked has been written by whoever sent it.
            }
            // The other half may close meanwhile, of which a read that blocks hears nothing.
            let closing = sender.config().close_timeout.map(|timeout| link.now() + timeout);
            [sender.poll_timeout(), closing].into_iter().flatten().min()
        };
        self.link.tick();
        let space = self.receiver.read_space(&mut self.inbox);
        let read = self.link.read(space, deadline);
        let mut shared = lock(&self.shared);
        let now = shared.link.now();
        match read {
            Ok(Some(0)) => shared.sender.handle_eof(self.receiver.cut()),
            Ok(Some(n)) => {
                self.inbox.handle_read(n);
                self.received = true;
            }
            Ok(None) => shared.sender.handle_timeout(now),
            Err(error) => {
                let error = Error::Io(error);
                let open = shared.sender.close_state() == State::Open;
                if would_block(&error) {
                    return Err(error);
                }
                shared.sender.handle_eof(self.receiver.cut());
                if open {
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}

impl Writer {
    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send_text(&self, text: &str) -> Result<(), Error> {
        self.with(|responder| responder.send_text(text))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send_binary(&self, data: &[u8]) -> Result<(), Error> {
        self.with(|responder| responder.send_binary(data))
    }

    /// Sends a message that owns its data.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.with(|responder| responder.send(message))
    }

    /// Sends a Ping.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.with(|responder| responder.ping(payload))
    }

    /// Closes the connection. The receiving half goes on to its end.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn close(&self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        self.with(|responder| responder.close(code, reason))
    }

    /// The time from the last Ping that was answered to its Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        lock(&self.shared).sender.round_trip()
    }

    fn with(
        &self,
        send: impl FnOnce(&mut Responder<'_, TcpStream>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut shared = lock(&self.shared);
        let Shared { link, sender } = &mut *shared;
        send(&mut Responder { link, sender })?;
        write_out(link, sender)
    }
}
