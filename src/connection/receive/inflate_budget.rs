//! The inflate budget, and the stand-ins for a build without the feature `deflate`.
//!
//! The budget limits how much one call of poll can inflate, so that one connection cannot keep a thread busy. It
//! counts output and DEFLATE blocks (`docs/decisions/0017-the-inflate-budget-counts-blocks.md`). `inflate.rs` spends
//! it.
//!
//! Invariant: without a budget, or with any budget, a connection produces the same events, except for where chunks
//! are cut.

#[cfg(feature = "deflate")]
use super::Coding;
use super::Receiver;

impl Receiver {
    /// Sets how many bytes of compressed messages may be inflated until the next call. `None` removes the limit, and
    /// is the default. 0 counts as 1.
    ///
    /// 16 KiB on the wire can inflate to 16 MiB, which takes milliseconds. A server with many connections sets a
    /// budget at the beginning of each connection's turn. Once the budget is used up, [`poll`](Self::poll) returns
    /// `None` with a part of the input unread, and [`is_paused`](Self::is_paused) returns true. Keep that input, set
    /// the next budget, and poll again. Events and errors are those of a connection without a budget, except for
    /// where chunks are cut.
    ///
    /// Each DEFLATE block counts as 2 KiB, because an empty block takes time too.
    ///
    /// Without the feature `deflate` this does nothing.
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
    ///     if !receiver.is_paused() {
    ///         break;
    ///     }
    ///     // Others have their turn here.
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
    /// While this is true, set a new budget and poll again: no reading is needed, and
    /// [`handle_eof`](crate::Connection::handle_eof) would lose the rest.
    #[must_use]
    #[inline]
    pub const fn is_paused(&self) -> bool {
        #[cfg(feature = "deflate")]
        return matches!(self.inflating.coding, Coding::Paused);
        #[cfg(not(feature = "deflate"))]
        false
    }
}

// There are no compressed messages without the feature.
#[cfg(not(feature = "deflate"))]
#[expect(clippy::unused_self, reason = "as with the feature")]
impl Receiver {
    pub(super) const fn longest_frame(&self, max_frame: u64) -> u64 {
        max_frame
    }

    pub(super) const fn is_compressed(&self) -> bool {
        false
    }

    pub(super) const fn begin_message(&mut self, _rsv: u8) {}
}
