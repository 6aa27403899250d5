//! The policy of connecting to a host with several addresses, without I/O (RFC 8305, "Happy Eyeballs").
//!
//! A host often has addresses of both IP versions, and some addresses may not answer. A client that tries one address
//! after the other waits for a timeout at each address that does not answer. [`Dialing`] starts the attempts staggered
//! instead: the next attempt starts 250 ms after the previous one, or at once if an attempt fails. The first connection
//! wins.
//!
//! [`interleave`] orders the addresses, so that the second attempt uses the other IP version. [`Progress`] is the
//! deadline over all stages of opening a WebSocket. Its error names the stage that did not finish in time.
//!
//! This module resolves no names and opens no sockets. The caller passes the time to each call, makes the attempts, and
//! cancels the attempts that lost. The addresses arrive as one list, as the resolver of the system returns them. So
//! section 3 of the RFC (separate answers for both IP versions) and section 7 (DNS64) are not part of this module.
//!
//! ```
//! use core::net::SocketAddr;
//! use core::time::Duration;
//! use hybi::Instant;
//! use hybi::dial::{Action, Dialing};
//!
//! let mut addresses: [SocketAddr; 3] =
//!     ["[2001:db8::1]:80", "[2001:db8::2]:80", "192.0.2.1:80"].map(|text| text.parse().unwrap());
//! let mut dialing = Dialing::new(&mut addresses);
//! let at = |millis| Instant::from_origin(Duration::from_millis(millis));
//!
//! // The first attempt starts at once. The second one uses the other IP version, and starts 250 ms later.
//! assert_eq!(dialing.poll(at(0)), Action::Start(0));
//! assert_eq!(dialing.poll(at(0)), Action::Wait(Some(at(250))));
//! assert_eq!(dialing.poll(at(250)), Action::Start(1));
//! assert!(addresses[1].is_ipv4());
//!
//! // The first attempt fails, so the third one starts at once.
//! dialing.failed(0);
//! assert_eq!(dialing.poll(at(300)), Action::Start(2));
//!
//! // The second attempt succeeds, so the third one is cancelled.
//! assert!(dialing.succeeded(1));
//! assert_eq!(dialing.poll(at(320)), Action::Connected(1));
//! assert!(dialing.running().eq([2]));
//! ```

mod dialing;
mod interleave;
mod progress;

pub use dialing::{Action, DialError, Dialing};
pub use interleave::interleave;
pub use progress::{DeadlineExceeded, Progress, Stage};
