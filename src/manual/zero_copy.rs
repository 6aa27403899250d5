//! Which memory contains a payload, and when a payload is copied.
//!
//! # Receiving
//!
//! | message | what the application gets | copies |
//! | --- | --- | --- |
//! | in one frame that is completely in the read buffer | a borrow from the read buffer, unmasked in place | none |
//! | in one frame that arrives in several reads, in an `Inbox` | a borrow from the read buffer of the inbox, into which all parts were read | none |
//! | any other message that arrives in several reads or frames | a borrow from the `VecMessage` | one, which also unmasks; the rest of a large frame is read directly into the `VecMessage` |
//! | delivered in chunks ([`Delivery::Chunks`](crate::Delivery::Chunks)) | a borrow from the read buffer for each chunk | none |
//! | as an owned `Message`, from a `VecMessage` | the memory of the `VecMessage` | no further copy |
//! | as an owned `Message`, from the read buffer | new memory, or the memory of the read buffer if the message fills most of it | one, or none |
//!
//! Events borrow from the input that is passed to the call, and never from the connection. So the connection can be
//! used while an event is held. An echo server, for example, sends a message that is still borrowed.
//!
//! Text is validated while it is unmasked, and the validated range is stored together with the bytes. So no second
//! validation is needed to return the text as `&str`.
//!
//! # Sending
//!
//! | message | copies |
//! | --- | --- |
//! | a borrowed message | one, into the write queue; a client masks while it copies |
//! | a server's message that is written at once ([`transmit_text`](crate::Connection::transmit_text) and similar methods) | none, except for bytes that the transport does not accept |
//! | an owned message of 4 KiB or more from a server | none: the queue holds the `Bytes` |
//! | a `Prepared` message of 4 KiB or more from a server | none |
//!
//! Small frames lie one after the other in one buffer, so a single write can send many.
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
//! assert_eq!(slices[1].as_ptr(), data.as_ptr());               // the payload was not copied
//! # }
//! ```
