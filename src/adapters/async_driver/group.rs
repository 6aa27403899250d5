//! Groups of WebSockets that are closed together.
//!
//! [`Group`] is the handle of the application. [`Membership`] is the part that a WebSocket holds. A member asks in
//! [`Membership::must_close`] before it waits, and its waker is registered with the group until then. Closing the group
//! wakes all members, and each closes its own connection in its own task.
//!
//! Not here: the notification itself (`notify_once`).
//!
//! Invariants:
//! - A group closes once. A WebSocket that joins later is closed too.
//! - A member takes no lock as long as the same task waits and the group is open.
//! - The code and the reason are checked before anything changes, so that no member can fail to close.

use std::prelude::v1::*;
use std::task::Context;

use super::notify_once::{Listener, NotifyOnce};
use crate::{CloseCode, CloseReason, Instant, Role, SendError, SendingHalf};

/// A group of WebSockets that are closed together, in whatever tasks they are. Clones refer to the same group.
///
/// Use one for all connections of a server that shuts down, or for all users of one chat. Membership costs a connection
/// no wakeup and no lock while messages come and go. So no `select!` between messages and a shutdown is needed.
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
    closed: NotifyOnce<Notice>,
}

/// The Close that each member sends.
#[derive(Clone, Copy, Debug)]
struct Notice {
    code: Option<CloseCode>,
    reason: CloseReason,
}

impl Group {
    /// Creates a group without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Closes every WebSocket that has [joined](super::WebSocket::join), and each one that joins later.
    ///
    /// A member whose task waits in a call that receives is closed at once. Any other member is closed when such a call
    /// waits the next time. The effect is that of [`close`](super::WebSocket::close): messages are received until the
    /// peer's Close, sends are refused with [`SendError::Closed`], and the calls that receive continue to the end.
    ///
    /// A member that is closing already is not changed. A server closes with 1001 if `code` is 1010, which only clients
    /// may send (RFC 6455 section 7.4.1).
    ///
    /// # Errors
    ///
    /// Nothing has changed after an error.
    ///
    /// * [`SendError::Closed`]: the group was closed before.
    /// * [`SendError::CodeNotAllowed`]: neither role may send `code`, or `reason` has no code.
    /// * [`SendError::ReasonTooLong`]: `reason` is longer than [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN).
    pub fn close(
        &self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), SendError> {
        let reason = reason.as_ref();
        // The checks have the same order as those of `Sender::close`.
        if self.closed.is_told() {
            return Err(SendError::Closed);
        }
        let code = code.into();
        let by = |role| code.map_or(reason.is_empty(), |code| code.is_sendable_by(role));
        if !by(Role::Server) && !by(Role::Client) {
            return Err(SendError::CodeNotAllowed);
        }
        let reason = CloseReason::new(reason).ok_or(SendError::ReasonTooLong)?;
        if self.closed.tell(Notice { code, reason }) { Ok(()) } else { Err(SendError::Closed) }
    }
}

/// The membership of a WebSocket in a group. Empty if it has joined none, or if the group has closed it.
#[derive(Debug, Default)]
pub(super) struct Membership(Option<Listener<Notice>>);

impl Membership {
    pub(super) fn join(&mut self, group: &Group) {
        self.0 = Some(group.closed.listen());
    }

    /// Whether the group has closed. If not, the task is woken when it closes.
    #[inline(always)]
    pub(super) fn must_close(&mut self, cx: &Context<'_>) -> bool {
        self.0.as_mut().is_some_and(|listener| listener.poll(cx).is_ready())
    }

    /// Sends the Close of the group, and leaves the group.
    #[cold]
    pub(super) fn close(&mut self, now: Instant, half: &mut impl SendingHalf) {
        let Some(Notice { code, reason }) = self.0.take().and_then(|listener| listener.told()) else {
            return;
        };
        // `SendError::Closed` is dropped: the connection is closing already. A server must not send 1010, so it sends
        // 1001.
        if half.close(now, code, reason.as_str()) == Err(SendError::CodeNotAllowed) {
            let _ = half.close(now, Some(CloseCode::GOING_AWAY), reason.as_str());
        }
    }
}
