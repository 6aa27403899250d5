//! Getters of the sending half: states, lengths, counters and settings.
//!
//! A getter reads the fields of [`Sender`] and changes nothing. `poll_timeout` (`mod.rs`) and `poll_transmit`
//! (`transmit.rs`) are not here, because they tell a driver what to do next.
//!
//! [`Connection`](crate::Connection) also has the getters that an application needs. A driver calls the other getters
//! through [`Connection::sender`](crate::Connection::sender).

use core::time::Duration;

use super::{Sender, Transport, WriteQueue};
use crate::connection::close_state::{CloseState, ReadyState};
use crate::connection::config::Config;
use crate::connection::event::Counters;
use crate::error::SendError;
use crate::frame::Role;
use crate::time::{Instant, Term};

impl<O: WriteQueue> Sender<O> {
    /// Returns how many bytes are queued and not written, including headers and control frames.
    #[inline]
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        match self.out.in_one_piece() {
            Some(all) => all.len(),
            None => self.out.len() + self.out.control().rest().len(),
        }
    }

    /// Checks whether closing has begun, and whether the write queue has reached the high-water mark.
    ///
    /// A send can still fail with `MessageOpen` or `TooLarge`, or with `Blocked` if a
    /// [`SliceOutbox`](crate::SliceOutbox) has too little space for the message.
    ///
    /// A send that fails with `Blocked` causes an [`Event::Writable`](crate::Event::Writable) later. This check causes
    /// no event.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`] if the high-water mark is reached, [`SendError::Closed`] once closing has begun.
    pub fn can_send(&self) -> Result<(), SendError> {
        if self.closing.state() != CloseState::Open {
            Err(SendError::Closed)
        } else if self.out.len() >= self.config.high_water {
            Err(SendError::Blocked)
        } else {
            Ok(())
        }
    }

    /// Returns the shortest duration of the configured timers; `None` if no timer is configured.
    ///
    /// [`Config::end_timeout`] is not included, because its timer starts only after a received Close was applied.
    ///
    /// A timer that starts now expires after this duration at the earliest. While a task waits for a deadline, another
    /// task that has the sending half can start a timer. The first task misses no deadline if it calls
    /// [`poll_timeout`](Self::poll_timeout) again after this duration at the latest.
    #[must_use]
    pub fn shortest_timeout(&self) -> Option<Duration> {
        let &Config { ping_interval, pong_timeout, close_timeout, idle_timeout, .. } = self.config();
        // Sending also starts the timer that releases the compression window.
        #[cfg(feature = "deflate")]
        let release = Term::new(self.deflating.agreed.and(self.config.compression.release_after));
        #[cfg(not(feature = "deflate"))]
        let release = Term::NEVER;
        ping_interval.min(pong_timeout).min(close_timeout).min(idle_timeout).min(release).duration()
    }

    /// Returns whether messages were received whose time is not recorded yet: see
    /// [`record_received`](Self::record_received).
    #[inline]
    #[must_use]
    pub const fn has_unrecorded_messages(&self) -> bool {
        self.timers.has_unrecorded_messages()
    }

    /// Returns the latest time that the timers have stored. It is not later than the latest time that was passed to
    /// this connection.
    ///
    /// A driver that takes over a connection starts its clock at this time. If the clock started earlier, deadlines
    /// would be too late.
    #[must_use]
    pub fn latest_instant(&self) -> Instant {
        self.timers.latest(&self.config)
    }

    /// Returns the state of the closing handshake.
    #[must_use]
    pub const fn close_state(&self) -> CloseState {
        self.closing.state()
    }

    /// Returns the state that the browser's WebSocket calls `readyState`.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        match self.closing.state() {
            CloseState::Open => ReadyState::Open,
            CloseState::Sent | CloseState::Both | CloseState::Failed => ReadyState::Closing,
            CloseState::Ended => ReadyState::Closed,
        }
    }

    /// Returns the time from the last answered Ping to its Pong; `None` before the first Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.timers.round_trip()
    }

    /// Returns the counts of messages, frames and bytes that were sent. Messages and frames count when they are
    /// accepted, bytes when they are written.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns how many bytes of accepted messages were dropped, including headers.
    ///
    /// Queued messages are dropped when the connection ends. They are also dropped when the peer closes or the
    /// connection fails, if the transport did not accept all bytes of the last write. In this case, frames that are
    /// partly written are kept.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns whether a write to the transport has failed, as [`handle_write_failed`](Self::handle_write_failed)
    /// recorded.
    #[must_use]
    pub const fn has_write_failed(&self) -> bool {
        matches!(self.transport, Transport::Failed)
    }

    /// Returns when data was last sent or received.
    #[cfg(feature = "deflate")]
    pub(super) const fn last_data(&self) -> Instant {
        self.timers.data()
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns [`Config::pong_timeout`], or `None` if there is no limit.
    #[must_use]
    pub fn pong_timeout(&self) -> Option<Duration> {
        self.config.pong_timeout.duration()
    }

    /// Returns the role of this endpoint.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.encoder.role()
    }
}
