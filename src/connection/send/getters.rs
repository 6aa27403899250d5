//! Getters of the sending half: states, lengths, counters and settings.
//!
//! A getter reads what the fields of [`Sender`] say, and changes nothing. The deadline and the bytes to write are not
//! here: a driver must act on them, so they are beside the calls that report the action (`mod.rs`, `transmit.rs`).
//!
//! [`Connection`](crate::Connection) has the getters that an application needs, too. A driver asks for the others
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
    /// Returns the number of bytes that wait to be written, headers included.
    #[inline]
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        match self.out.in_one_piece() {
            Some(all) => all.len(),
            None => self.out.len() + self.out.control().rest().len(),
        }
    }

    /// Checks whether a message would be accepted now.
    ///
    /// Unlike a send that fails, this does not ask for [`Event::Writable`](crate::Event::Writable).
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

    /// Returns the shortest time that any timer runs; `None` if there are no timers.
    ///
    /// No timer that starts now expires before this time has passed. So a task that waits beside a sending half need
    /// not ask [`poll_timeout`](Self::poll_timeout) again for so long.
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

    /// Returns whether messages were received that the timers do not know of yet: see [`catch_up`](Self::catch_up).
    #[inline]
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.timers.is_behind()
    }

    /// Returns the latest instant that is known to have passed on the clock of this connection.
    ///
    /// A driver that takes over a connection starts its clock there, so that no timer waits for a time that has passed.
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

    /// Returns the time from the last answered Ping to its Pong; `None` before the first.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.timers.round_trip()
    }

    /// Returns the counts of what went out: messages and frames when they were accepted, bytes when they were written.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns how many bytes of accepted messages were dropped, headers included. They were not written when the peer
    /// closed, or when the connection failed or ended.
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

    /// Returns when data last went either way.
    #[cfg(feature = "deflate")]
    pub(super) const fn last_data(&self) -> Instant {
        self.timers.data()
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the role of this end of the connection.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.encoder.role()
    }
}
