//! The places where payloads lie, and the copies that are made.
//!
//! # Receiving
//!
//! | what arrives | what the application gets | copies |
//! | --- | --- | --- |
//! | a message in one frame that lies in the read buffer | a borrow from the buffer, unmasked in place | none |
//! | a message in one frame that spans reads, in an `Inbox` | a borrow from its buffer, behind which the rest was read | none |
//! | another message that spans reads or frames | a borrow from the `VecMessage` | one, unmasking on the way; the rest of a large frame is read directly to its place |
//! | a message in chunks ([`Delivery::Chunks`](crate::Delivery::Chunks)) | a borrow from the buffer for each piece | none |
//! | an owned `Message` of a gathered one | the gathering buffer itself | none more |
//! | an owned `Message` of one in the read buffer | a buffer of its own, or that of the inbox if it fills it | one, or none |
//!
//! Events borrow from the memory that was lent to the call, and never from the connection. The connection can
//! therefore be used while an event is looked at: an echo sends what it still borrows.
//!
//! Text is validated in the pass that unmasks it, and the proof is kept beside the bytes. Handing it out as `&str`
//! costs nothing more.
//!
//! # Sending
//!
//! | what is sent | copies |
//! | --- | --- |
//! | a borrowed message | one, into the queue; a client masks on the way |
//! | a server's message that is written at once ([`transmit_text`](crate::Connection::transmit_text) and its siblings) | none of what the transport takes |
//! | an owned message of 4 KiB or more from a server | none: the queue holds the `Bytes` |
//! | a `Prepared` message of 4 KiB or more from a server | none |
//!
//! Small frames lie one behind the other in one buffer, so a single vectored write takes many.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use bytes::Bytes;
//! use hybi::{Config, Connection, Instant, Outbox};
//!
//! let data = Bytes::from(vec![7; 1 << 20]);
//! let mut server = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
//! server.send(data.clone()).unwrap();
//! let mut slices = [&[][..]; 4];
//! assert_eq!(server.poll_transmit(&mut slices), 2);            // a header of ten bytes, and the payload
//! assert_eq!(slices[1].as_ptr(), data.as_ptr());               // which is where it was
//! # }
//! ```
