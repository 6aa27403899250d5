//! Groups of WebSockets that are closed together.
//!
//! [`Group`] is the handle of the application. [`Membership`] is the field of a WebSocket that refers to its group.
//! Before a member waits, it calls [`Membership::must_close`], which registers the waker of its task with the group.
//! Closing the group wakes all members. Each member then closes its own connection in its own task.
//!
//! `notify_once` contains the notification that wakes the members.
//!
//! Invariants:
//! - A group closes only once. If a WebSocket joins a closed group, it is closed too.
//! - While the group is open, a member takes a lock only to join, to leave, and to wait in another task than before.
//! - The code and the reason are checked before the group closes. So closing a member cannot fail because of them.

use std::prelude::v1::*;
use std::task::Context;

use super::notify_once::{Listener, NotifyOnce};
use crate::{CloseCode, CloseReason, Role, SendError};

/// A group of WebSockets that are closed together. The members can be in different tasks. Clones refer to the same
/// group.
///
/// For example, use one group for all connections of a server, and close the group when the server shuts down. With a
/// group, a loop over messages needs no `select!` to notice the shutdown. While the group is open, membership causes no
/// wakeups. A member then takes a lock only to join, to leave, and to wait in another task than before.
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
///         while let Some(message) = ws.recv().await.unwrap() {    // continues to the end of the connection
///             let _ = ws.send(message).await;                     // refused when the group closes
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

    /// Closes every WebSocket that has [joined](super::WebSocket::join), and every WebSocket that joins later.
    ///
    /// A member whose task waits in a call that receives is closed at once. Any other member is closed when it next
    /// waits in a call that receives. The effect is that of [`close`](super::WebSocket::close): messages are received
    /// until the peer's Close, and sends are refused with [`SendError::Closed`]. Calls that receive continue to the end
    /// of the connection.
    ///
    /// A member that is already closing is not changed. Only a client may send the code 1010 (RFC 6455 section 7.4.1).
    /// If `code` is 1010, servers send 1001 instead.
    ///
    /// # Errors
    ///
    /// If the call returns an error, no member is closed by this call.
    ///
    /// * [`SendError::Closed`]: the group was already closed.
    /// * [`SendError::CodeNotAllowed`]: neither role may send `code`, or there is a reason but no code.
    /// * [`SendError::ReasonTooLong`]: `reason` is longer than [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN).
    pub fn close(
        &self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), SendError> {
        let reason = reason.as_ref();
        // The checks have the same order as those of `Sender::close`, so both return the same error.
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

/// The membership of a WebSocket in a group. `None` if the WebSocket is in no group, or after the group has closed it.
#[derive(Debug, Default)]
pub(super) struct Membership(Option<Listener<Notice>>);

impl Membership {
    pub(super) fn join(&mut self, group: &Group) {
        self.0 = Some(group.closed.listen());
    }

    /// Returns whether the group has closed. If not, registers the task, which is woken when the group closes.
    #[inline(always)]
    pub(super) fn must_close(&mut self, cx: &Context<'_>) -> bool {
        self.0.as_mut().is_some_and(|listener| listener.poll(cx).is_ready())
    }

    /// Sends the Close of the group with `close`, and leaves the group.
    #[cold]
    pub(super) fn close(&mut self, mut close: impl FnMut(Option<CloseCode>, &str) -> Result<(), SendError>) {
        let Some(Notice { code, reason }) = self.0.take().and_then(|listener| listener.told()) else {
            return;
        };
        // `SendError::Closed` is ignored, because the connection is then already closing. A server must not send 1010,
        // so the server sends 1001 instead.
        if close(code, reason.as_str()) == Err(SendError::CodeNotAllowed) {
            let _ = close(Some(CloseCode::GOING_AWAY), reason.as_str());
        }
    }
}
