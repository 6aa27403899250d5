//! The inflate budget. Without the feature `deflate`, this file also replaces functions of `inflate.rs`.
//!
//! The budget limits how much a connection can inflate before the driver sets a new budget. So one connection cannot
//! keep a thread busy. The budget counts output and DEFLATE blocks
//! (`docs/decisions/0017-the-inflate-budget-counts-blocks.md`). `inflate.rs` decreases the budget.
//!
//! Invariant: the events of a connection do not depend on the budget, except for the boundaries of chunks.

#[cfg(feature = "deflate")]
use super::Coding;
use super::Receiver;

impl Receiver {
    /// Sets how many bytes of compressed messages may be inflated until the next call of this method. `None` removes
    /// the limit, and is the default. 0 counts as 1.
    ///
    /// 16 KiB on the wire can inflate to 16 MiB, which takes milliseconds. So a server with many connections sets a
    /// budget each time before it polls a connection. Once the budget is used up, [`poll`](Self::poll) returns `None`
    /// although a part of the input is not decoded, and [`must_poll_again`](Self::must_poll_again) returns true. Keep
    /// this input, set the next budget, and poll again. The budget does not change events and errors, except for the
    /// boundaries of chunks.
    ///
    /// Each DEFLATE block counts as 2 KiB in addition to its output, because inflating an empty block takes time too.
    ///
    /// Without the feature `deflate` this method does nothing.
    ///
    /// ```
    /// use hybi::{Config, Input, VecMessage, Receiver, Role};
    ///
    /// let mut receiver = Receiver::new(Role::Client, Config::new());
    /// let (mut bytes, mut message) = (*b"\x82\x02hi", VecMessage::new());
    /// let mut input = Input::new(&mut bytes, &mut message);
    /// loop {
    ///     receiver.set_inflate_budget(Some(256 << 10));
    ///     while let Some(index) = receiver.poll(&mut input)? {
    ///         println!("{:?}", input.event(index));
    ///     }
    ///     if !receiver.must_poll_again() {
    ///         break;
    ///     }
    ///     // Poll other connections here.
    /// }
    /// # Ok::<(), hybi::ProtocolError>(())
    /// ```
    pub const fn set_inflate_budget(&mut self, bytes: Option<u32>) {
        #[cfg(feature = "deflate")]
        {
            self.inflate_budget = match bytes {
                Some(0) => 1,
                Some(bytes) => bytes,
                None => u32::MAX,
            };
        }
        #[cfg(not(feature = "deflate"))]
        let _ = bytes;
    }

    /// Returns whether the last poll returned `None` because [the budget](Self::set_inflate_budget) was used up.
    ///
    /// While this is true, set a new budget and poll again. No read is needed before this poll. Do not call
    /// [`handle_eof`](crate::Connection::handle_eof), because the rest of the input would be lost.
    #[must_use]
    #[inline]
    pub const fn must_poll_again(&self) -> bool {
        #[cfg(feature = "deflate")]
        return matches!(self.inflating.coding, Coding::Paused);
        #[cfg(not(feature = "deflate"))]
        false
    }
}

// Without the feature, no message is compressed.
#[cfg(not(feature = "deflate"))]
#[expect(clippy::unused_self, reason = "the signatures are the same as with the feature")]
impl Receiver {
    pub(super) const fn longest_frame(&self, max_frame: u64) -> u64 {
        max_frame
    }

    pub(super) const fn is_compressed(&self) -> bool {
        false
    }

    pub(super) const fn begin_message(&mut self, _rsv: u8) {}
}
