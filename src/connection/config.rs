//! Configuration of a connection: limits, delivery, timers and compression.
//!
//! [`Config`] holds the settings. [`SharedConfig`] shares one `Config` among many connections. This file enforces no
//! setting: `receive/mod.rs::check_limits` checks the limits, `send/commands.rs::accept` checks the high-water mark,
//! and `timers.rs` computes the deadlines.
//!
//! Invariants:
//! - Every default is safe against a hostile peer. `tests/documented.rs` compares each default with the docs.
//! - `high_water` is never 0, so that an empty queue always accepts a message.

use core::fmt;
use core::time::Duration;

use crate::time::Term;

/// How messages are delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Delivery {
    /// Delivers a message as a whole, once all of it has arrived: [`Event::Text`](crate::Event::Text) and
    /// [`Event::Binary`](crate::Event::Binary). If the message must be gathered and does not fit into a message buffer
    /// of fixed size, it is delivered in chunks.
    #[default]
    Whole,
    /// Delivers the pieces of a message as they arrive: [`Event::Chunk`](crate::Event::Chunk). The pieces are not
    /// collected, so a message of any length needs no message buffer.
    Chunks,
    /// Delivers the pieces of binary messages like [`Chunks`](Self::Chunks). A text message fails the connection with
    /// 1003, as soon as its header arrives ([`ProtocolError::TextNotAccepted`](crate::ProtocolError::TextNotAccepted)).
    ///
    /// This delivery is for programs that use a connection as a stream of bytes, for example to tunnel another
    /// protocol.
    Bytes,
}

/// Limits, timers and other settings of a connection.
///
/// Each setting has a safe default. The setters are `const`, so a configuration can be a `static`.
///
/// ```
/// use core::time::Duration;
/// use hybi::Config;
///
/// static CONFIG: Config = Config::new().max_message(1 << 20).idle_timeout(Some(Duration::from_secs(300)));
/// assert_eq!(CONFIG.limits().max_message, 1 << 20);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    pub(crate) limits: Limits,
    pub(crate) delivery: Delivery,
    pub(crate) auto_pong: bool,
    pub(crate) high_water: usize,
    pub(crate) ping_interval: Term,
    pub(crate) pong_timeout: Term,
    pub(crate) close_timeout: Term,
    pub(crate) end_timeout: Term,
    pub(crate) idle_timeout: Term,
    #[cfg(feature = "deflate")]
    pub(crate) compression: crate::deflate::Compression,
    #[cfg(feature = "deflate")]
    pub(crate) pool: Option<crate::deflate::Pool>,
}

/// Limits on the frames and messages that a peer may send (RFC 6455 section 10.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// See [`Config::max_frame`].
    pub max_frame: u64,
    /// See [`Config::max_message`].
    pub max_message: u64,
    /// See [`Config::max_fragments`].
    pub max_fragments: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// Creates a configuration with the defaults. Each setter names its default.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            limits: Limits { max_frame: 16 << 20, max_message: 16 << 20, max_fragments: 1 << 16 },
            delivery: Delivery::Whole,
            auto_pong: true,
            high_water: 64 << 10,
            ping_interval: Term::new(Some(Duration::from_secs(30))),
            pong_timeout: Term::new(Some(Duration::from_secs(30))),
            close_timeout: Term::new(Some(Duration::from_secs(10))),
            end_timeout: Term::new(Some(Duration::from_secs(2))),
            idle_timeout: Term::NEVER,
            #[cfg(feature = "deflate")]
            compression: crate::deflate::Compression::new(),
            #[cfg(feature = "deflate")]
            pool: None,
        }
    }

    /// Sets the largest payload of one data frame, in bytes on the wire; 16 MiB by default. If the header of a frame
    /// announces a longer payload, the connection fails with 1009, and the payload is not received.
    ///
    /// A frame of a compressed message may be longer by a quarter and 64 bytes. Compression makes some data longer. A
    /// message that is within all limits could otherwise have a compressed frame above the limit.
    #[must_use]
    pub const fn max_frame(mut self, bytes: u64) -> Self {
        self.limits.max_frame = bytes;
        self
    }

    /// Sets the largest message, in bytes over all its fragments; 16 MiB by default. A longer message fails the
    /// connection with 1009, as soon as a header announces a fragment that exceeds the limit.
    ///
    /// For a compressed message the limit applies to the inflated size, and at most this many bytes are inflated. The
    /// limit also applies to messages that are delivered in chunks. Set `u64::MAX` to receive a message that never
    /// ends.
    #[must_use]
    pub const fn max_message(mut self, bytes: u64) -> Self {
        self.limits.max_message = bytes;
        self
    }

    /// Sets the maximum number of fragments of a message; 65,536 by default. A further fragment fails the connection
    /// with 1008.
    #[must_use]
    pub const fn max_fragments(mut self, fragments: u32) -> Self {
        self.limits.max_fragments = fragments;
        self
    }

    /// Sets how messages are delivered; as a whole by default.
    #[must_use]
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Sets whether a Ping is answered automatically (RFC 6455 section 5.5.2); on by default. If this is off, the
    /// application answers with [`Connection::pong`](crate::Connection::pong).
    #[must_use]
    pub const fn auto_pong(mut self, on: bool) -> Self {
        self.auto_pong = on;
        self
    }

    /// Sets how many bytes may be in the write queue before a send fails with
    /// [`SendError::Blocked`](crate::SendError::Blocked); 64 KiB by default.
    ///
    /// A message of any length is accepted if fewer bytes than this are in the queue. So one message may exceed the
    /// mark. 0 counts as 1, so that a message is accepted only into an empty queue.
    #[must_use]
    pub const fn high_water(mut self, bytes: usize) -> Self {
        self.high_water = if bytes == 0 { 1 } else { bytes };
        self
    }

    /// Sets the keepalive interval. After this time without a byte from the peer a Ping is sent; 30 seconds by default.
    /// With `None` no keepalive Ping is sent.
    #[must_use]
    pub const fn ping_interval(mut self, interval: Option<Duration>) -> Self {
        self.ping_interval = Term::new(interval);
        self
    }

    /// Sets how long a peer may be silent after a Ping before the connection treats it as dead; 30 seconds by default.
    /// With `None` there is no limit.
    ///
    /// The connection of a dead peer ends with [`TimedOut(Pong)`](crate::Outcome::TimedOut), after one attempt to write
    /// a Close with 1011.
    ///
    /// Every byte from the peer restarts the timeout, because in the middle of a large frame the peer cannot send a
    /// Pong. If a transport that was full accepts bytes again, the peer has read some bytes. So a write to a transport
    /// that was full extends the timeout too. All writes together extend it by at most three times its length, because
    /// reading does not show that the peer answers.
    ///
    /// The timeout begins when the Ping is written. A Ping is written between two frames (RFC 6455 section 5.4). While
    /// the peer slowly reads a long frame, the Ping waits. If you must detect a dead peer during a long message, send
    /// the message in fragments.
    #[must_use]
    pub const fn pong_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.pong_timeout = Term::new(timeout);
        self
    }

    /// Sets how long closing may take, from the first Close in either direction to the end of the stream; 10 seconds by
    /// default. With `None` there is no limit.
    #[must_use]
    pub const fn close_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.close_timeout = Term::new(timeout);
        self
    }

    /// Sets how long a client waits for the end of the stream after both Closes (RFC 6455 section 7.1.1); 2 seconds by
    /// default. [`close_timeout`](Self::close_timeout) limits this wait too. With `None`, only `close_timeout` limits
    /// this wait.
    ///
    /// The server should end the stream once it has sent and received a Close. Some servers wait for the client to end
    /// the stream. So the outcome is still clean when this time has passed.
    #[must_use]
    pub const fn end_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.end_timeout = Term::new(timeout);
        self
    }

    /// Sets the idle timeout: after this time without data in either direction, the connection is closed with 1001. The
    /// default is `None`: the connection is never closed for being idle. Pings and Pongs do not count.
    #[must_use]
    pub const fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = Term::new(timeout);
        self
    }

    /// Sets how messages are compressed if the handshake agreed on compression.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn compression(mut self, compression: crate::deflate::Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the pool of compressors and inflaters that connections share for directions without context takeover; no
    /// pool by default.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate_pool(mut self, pool: impl Into<Option<crate::deflate::Pool>>) -> Self {
        self.pool = pool.into();
        self
    }

    /// Returns the limits.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }
}

/// A configuration that many connections share. It takes eight bytes in each connection.
///
/// With the feature `alloc` this is a counted reference. Convert a [`Config`] once with `into()`, and clone the result
/// for each connection. Without `alloc` it is a `&'static Config`. The default configuration needs no reference.
#[derive(Clone, Default)]
pub struct SharedConfig(Option<Reference>);

#[cfg(feature = "alloc")]
type Reference = alloc::sync::Arc<Config>;
#[cfg(not(feature = "alloc"))]
type Reference = &'static Config;

static DEFAULT: Config = Config::new();

impl From<&'static Config> for SharedConfig {
    fn from(config: &'static Config) -> Self {
        if *config == DEFAULT {
            return Self(None);
        }
        #[cfg(feature = "alloc")]
        let config = alloc::sync::Arc::new(config.clone());
        Self(Some(config))
    }
}

#[cfg(feature = "alloc")]
impl From<Config> for SharedConfig {
    fn from(config: Config) -> Self {
        if config == DEFAULT { Self(None) } else { Self(Some(alloc::sync::Arc::new(config))) }
    }
}

#[cfg(feature = "alloc")]
impl From<alloc::sync::Arc<Config>> for SharedConfig {
    fn from(config: alloc::sync::Arc<Config>) -> Self {
        Self(Some(config))
    }
}

impl core::ops::Deref for SharedConfig {
    type Target = Config;

    #[inline]
    fn deref(&self) -> &Config {
        match &self.0 {
            Some(config) => config,
            None => &DEFAULT,
        }
    }
}

impl fmt::Debug for SharedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
