//! WebSockets that are closed together.

use std::prelude::v1::*;
use std::task::Context;

use super::notify_once::{Listener, NotifyOnce};
use crate::close::CloseReason;
use crate::{CloseCode, Instant, Outbox, Role, SendError, Sender};

/// WebSockets that are closed together, wherever their tasks are: all those of a server that goes away, or those of
/// a room. Clones are the same group.
///
/// To be in one costs a connection no wake-up and no lock while messages come and go, so there is no need to
/// `select!` between them and a shutdown.
///
/// ```
/// # #[cfg(not(feature = "tokio"))]
/// # fn main() {}
/// # #[cfg(feature = "tokio")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hybi::CloseCode;
/// use hybi::adapters::tokio::{self as ws, Group};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (here, there) = tokio::io::duplex(1024);
/// let group = Group::new();
/// let server = tokio::spawn({
///     let group = group.clone();
///     async move {
///         let mut ws = ws::accept(there).await.unwrap();
///         ws.join(&group);
///         while let Some(message) = ws.recv().await.unwrap() {    // goes on to the end of the connection
///             let _ = ws.send(message).await;                     // refused once it closes
///         }
///     }
/// });
///
/// let mut client = ws::Client::new().open(here, "ws://localhost/").await?;
/// client.send("before").await?;
/// assert_eq!(client.recv().await?, Some("before".into()));
/// group.close(CloseCode::GOING_AWAY, "the server is shutting down")?;
/// assert_eq!(client.wait_closed().await?.code(), CloseCode::GOING_AWAY);
/// server.await?;
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Group {
    signal: NotifyOnce<Notice>,
}

/// What members are told.
#[derive(Clone, Copy, Debug)]
struct Notice {
    code: Option<CloseCode>,
    reason: CloseReason,
}

impl Group {
    /// A group with nobody in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Closes every WebSocket that has [joined](super::WebSocket::join), and each that joins from here on: where the
    /// task waits in a call that receives, at once; otherwise when such a call waits next. It is as if
    /// [`close`](super::WebSocket::close) had been called there: what still comes in before the peer's Close is handed
    /// out, whatever is sent is refused with [`SendError::Closed`], and the calls that receive go on to the end.
    ///
    /// A member that is closing already goes on with that. A server closes with 1001 where the code is 1010, which
    /// only clients send.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] where the group was closed before, [`CodeNotAllowed`](SendError::CodeNotAllowed) or
    /// [`ReasonTooLong`](SendError::ReasonTooLong); nothing has changed.
    pub fn close(&self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), SendError> {
        // The same order of reasons as `Sender::close`.
        if self.signal.is_told() {
            return Err(SendError::Closed);
        }
        let code = code.into();
        let by = |role| code.map_or(reason.is_empty(), |code| code.is_sendable_by(role));
        if !by(Role::Server) && !by(Role::Client) {
            return Err(SendError::CodeNotAllowed);
        }
        let reason = CloseReason::new(reason).ok_or(SendError::ReasonTooLong)?;
        if self.signal.tell(Notice { code, reason }) { Ok(()) } else { Err(SendError::Closed) }
    }
}

/// The group that a WebSocket is in, if it is in one that has not told it to close.
#[derive(Debug, Default)]
pub(super) struct Membership(Option<Listener<Notice>>);

impl Membership {
    pub(super) fn join(&mut self, group: &Group) {
        self.0 = Some(group.signal.listen());
    }

    /// Whether it is to close now; until then the task is woken when it comes to that.
    #[inline(always)]
    pub(super) fn is_told(&mut self, cx: &Context<'_>) -> bool {
        self.0.as_mut().is_some_and(|listener| listener.poll(cx).is_ready())
    }

    /// Closes as it was told to, and leaves the group.
    #[cold]
    pub(super) fn close(&mut self, now: Instant, sender: &mut Sender<Outbox>) {
        let Some(Notice { code, reason }) = self.0.take().and_then(|listener| listener.told()) else {
            return;
        };
        // One that is closing already goes on with that.
        if sender.close(now, code, reason.as_str()) == Err(SendError::CodeNotAllowed) {
            let _ = sender.close(now, CloseCode::GOING_AWAY, reason.as_str());
        }
    }
}
