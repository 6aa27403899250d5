//! The policy of reconnecting, without I/O: whether and when a client connects again after a failure.
//!
//! A server that restarts loses all its clients at once. If all clients come back at the same moment, they overload the
//! server again. So a client waits for a random delay before it tries again. Any delay from zero to the end of a window
//! is equally likely ("full jitter"). The window grows with each failure (RFC 6455 section 7.2.3).
//!
//! [`ReconnectPolicy`] has the settings. [`ReconnectState`] is the state machine of one client. [`Failure`] is the
//! reason why the client has no connection. This module connects nothing. The caller passes the time and the random
//! bits to each call, waits, and makes the next attempt.
//!
//! ```text
//!            ┌──────────────── connected ◀───────────────┐
//!            ▼                                           │
//!   (connected) ── closed ──▶ RetryAt(instant) ──▶ (connecting)
//!            │                   ▲                       │
//!            │                   └─────── failed ────────┤
//!            └── closed ──▶ GiveUp(reason) ◀── failed ───┘
//! ```
//!
//! Invariants:
//! - A delay is at most [`ReconnectPolicy::window`], plus the time that the server asked for.
//! - The window grows until a connection has lasted for [`ReconnectPolicy::min_uptime`]. So a server that accepts
//!   connections and closes them at once does not cause an endless loop without delays.
//! - Nothing is buffered or sent again. A new connection starts without the messages of the previous one.
//!
//! ```
//! use core::time::Duration;
//! use hybi::reconnect::{Failure, GiveUp, Decision, ReconnectPolicy, ReconnectState};
//! use hybi::{CloseCode, Instant, Outcome};
//!
//! let mut reconnecting = ReconnectState::new(ReconnectPolicy::new().first_delay(Duration::from_secs(4)));
//! let at = |seconds| Instant::from_origin(Duration::from_secs(seconds));
//! let random = u64::MAX / 2;                        // use 64 random bits, so that all clients differ
//!
//! // The attempt failed. `random` is half of its range, so the client waits for half of the window.
//! let Decision::RetryAt(when) = reconnecting.failed(at(0), &Failure::Network, random) else { panic!() };
//! assert_eq!(when, Instant::from_origin(Duration::from_secs(2)));
//!
//! // The connection was opened, lasted for an hour, and was closed by a server that restarts.
//! reconnecting.connected(at(2));
//! let restarted = Outcome::Clean { code: CloseCode::SERVICE_RESTART };
//! assert!(matches!(reconnecting.closed(at(3602), restarted, random), Decision::RetryAt(_)));
//!
//! // The next connection was closed on purpose.
//! reconnecting.connected(at(3604));
//! let ended = Outcome::Clean { code: CloseCode::NORMAL };
//! let reason = GiveUp::NotRetried(Failure::Closed(CloseCode::NORMAL));
//! assert_eq!(reconnecting.closed(at(3700), ended, random), Decision::GiveUp(reason));
//! ```

mod failure;
mod policy;
mod retry_after;
mod state;

pub use failure::Failure;
pub use policy::ReconnectPolicy;
pub use retry_after::parse_retry_after;
pub use state::{Decision, GiveUp, ReconnectState};
