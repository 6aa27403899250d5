//! What compression costs, and when it pays.
//!
//! permessage-deflate (RFC 7692) is never on by itself: it takes the feature `deflate`, an end that offers
//! it, one that accepts, and [`Machine::with_deflate`](crate::Machine::with_deflate) with what the two agreed
//! on. In `net` that is one line on either side:
//!
//! ```no_run
//! # #[cfg(feature = "net")] {
//! use hybi::handshake::{DeflateConfig, DeflateOffer};
//! use hybi::net::{Client, Server};
//!
//! let server = Server::new().deflate(DeflateConfig::new());
//! let client = Client::new().deflate(DeflateOffer::default());
//! # let _ = (server, client);
//! # }
//! ```
//!
//! # When
//!
//! It pays where bytes are dear and time is not: text that repeats itself, over mobile networks or paid
//! traffic. It does not pay for what is compressed already (pictures, sound, encrypted data), for tiny
//! messages, and inside a data centre, where a network moves a message in less time than it takes to compress
//! it.
//!
//! It must not be used where one message, or one context, holds both a secret and what an attacker can
//! choose: the length of the result tells whether the two are alike, byte by byte (CRIME and BREACH; RFC 7692
//! section 8). [`Sender::uncompressed`](crate::Sender::uncompressed) keeps single messages out of it. What
//! goes out so does not enter the window either.
//!
//! # What does not compress
//!
//! A whole message that compression does not make shorter goes out uncompressed, at the length of its payload and with
//! RSV1 = 0. Of a message of more than 64 KiB the first 32 KiB are compressed. If that is in vain, and the rest looks
//! alike, the rest is not tried. So 16 MiB of pictures cost one millisecond instead of 600 at level 4. Messages of up to 64
//! KiB are compressed to the end before they are given up:
//! [`Sender::uncompressed`](crate::Sender::uncompressed) saves that time where it is known what is in them.
//!
//! With context takeover, a message that went out uncompressed is taken out of the compressor's window again: the peer's
//! inflater has not seen it. Of what was compressed before, the last 2 KiB stay. A message that is sent often, and is not
//! shorter by itself, does not enter the window, so that there is nothing to refer to when it comes again.
//!
//! **Fragments** cannot go back: RFC 7692 section 6.1 wants all of a message compressed or none of it, and the first
//! fragment is gone when the next one turns out not to compress. A fragment becomes longer by up to an eighth at level 1
//! and by 5 bytes in 2 KiB at others. With less memory than the default, it is up to a quarter and 64 bytes. A receiver of
//! this crate allows for it: see [`Config::max_frame`](crate::Config::max_frame). With the default limits at both ends, 16
//! MiB of any data arrive, in one fragment or in up to 65,536. Another implementation may not allow for it. Send to it
//! fragments of less than its limit, or call `uncompressed` before the first one.
//!
//! # Bytes
//!
//! Bytes sent for 100 bytes of JSON-like objects, headers included, as `cargo bench --features deflate
//! --bench deflate` prints them. They are the same on every machine.
//!
//! | setting | 180 B | 1 KiB | 64 KiB |
//! | --- | --- | --- | --- |
//! | level 1 | 32.9 | 31.0 | 30.4 |
//! | level 2 | 31.6 | 25.0 | 22.2 |
//! | level 4, the default | 28.2 | 22.5 | 19.7 |
//! | level 6 | 27.6 | 22.0 | 19.2 |
//! | level 9 | 26.4 | 22.0 | 19.2 |
//! | window of 12 bits | 31.3 | 22.5 | 19.8 |
//! | window of 9 bits | 39.5 | 26.3 | 22.5 |
//! | memory level 1 | 28.2 | 22.9 | 22.0 |
//! | no context takeover | 66.2 | 30.8 | 19.9 |
//! | 1 KiB of random bytes after each message | 32.0 | 22.5 | 19.8 |
//!
//! # Time
//!
//! Compressing a message of 1 KiB takes about 70 times as long as sending it as it is at level 1, 220 times
//! at 2, 340 times at 4, 430 times at 6 and 700 times at 9: the group `send-1KiB` of the same bench. To
//! inflate takes a fifth of the time of level 4. The groups `inflate` and `deflate` compare with zlib-rs
//! alone, of which all this is made: what the connection adds to it, UTF-8 validation included, is less than
//! a tenth.
//!
//! # Memory
//!
//! Nothing before the first compressed message in a direction. From there on, by the bits of the window
//! agreed on for that direction, in KiB:
//!
//! | bits | compressor, memory level 1 | 5, the default | 9 | decompressor |
//! | --- | --- | --- | --- | --- |
//! | 9 | 134 | 147 | 357 | 47 + 0.5 |
//! | 10 | 136 | 149 | 359 | 47 + 1 |
//! | 11 | 140 | 153 | 363 | 47 + 2 |
//! | 12 | 148 | 161 | 371 | 47 + 4 |
//! | 13 | 164 | 177 | 387 | 47 + 8 |
//! | 14 | 196 | 209 | 419 | 47 + 16 |
//! | 15 | 260 | 273 | 483 | 47 + 32 |
//!
//! The second number of a decompressor is a copy of the window, no larger than what has come in so far. It is
//! what stays when a connection is idle: after
//! [`Compression::release_after`](crate::deflate::Compression::release_after), a minute by default, or upon
//! [`Machine::release_windows`](crate::Machine::release_windows), everything else is given back. So an idle
//! connection with context takeover holds what its peer may still refer to, and nothing more.
//!
//! **Without context takeover** nothing is held between messages. Each message then compresses worse, the
//! smaller the worse, and allocates anew unless connections share a [`Pool`](crate::deflate::Pool): a handful
//! of compressors then serves ten thousand connections.
//!
//! ```
//! use hybi::deflate::{Compression, Pool};
//! use hybi::handshake::DeflateConfig;
//! use hybi::{Config, SharedConfig};
//!
//! // For many connections with little traffic each.
//! let negotiated = DeflateConfig {
//!     server_no_context_takeover: true,
//!     client_no_context_takeover: true,
//!     ..DeflateConfig::new()
//! };
//! let compression = Compression { min_size: 512, ..Compression::new() };
//! let config: SharedConfig = Config::new().compression(compression).deflate_pool(Pool::new(4)).into();
//! # let _ = (negotiated, config);
//! ```
//!
//! A smaller window is between the two: most of a compressor's memory does not depend on it, but what an idle
//! connection holds does.
//!
//! # Broadcasts
//!
//! A [`Prepared`](crate::Prepared) message is compressed once for each size of window that occurs among its
//! receivers, not once for each of them, with nothing before it to refer to. To every connection that has
//! agreed on compression it goes out compressed. It enters the window of the peer but not that of the
//! connection's compressor, which therefore begins with an empty window again for the next message of its
//! own: for connections that only get broadcasts there is no compressor at all.
//!
//! # What a peer can do
//!
//! [`Config::max_message`](crate::Config::max_message) is a limit on what comes out, enforced while it comes
//! out: a bomb stops at the limit, whatever its size on the wire, and with 1009. With
//! [`Delivery::Chunks`](crate::Delivery::Chunks) a message of any size passes through 16 KiB. UTF-8 is
//! validated as it comes out, and DEFLATE data that is none fails the connection with 1007.
//!
//! A byte on the wire can cost the time to inflate about a thousand bytes; two bytes that are a final block,
//! the time to copy a window. Where peers are not trusted that far, agree on smaller windows for what they
//! send (`client_max_window_bits`), or on no compression.
//!
//! One read can so take milliseconds, during which no other connection of the thread is served.
//! [`Machine::set_inflate_budget`](crate::Machine::set_inflate_budget) limits how much a turn inflates, and the rest
//! follows in the next turn. A DEFLATE block counts as 2 KiB of the budget, because 16 KiB of empty blocks, which
//! inflate to nothing, take longer than 16 KiB that inflate to 16 MiB: 6.8 ms where they are final and a window of
//! 32 KiB is copied behind each, 2.7 ms where each has tables of its own, against 1.4 ms.
//!
//! Blocks may be of any kind, final ones (BFINAL) too. zlib forgets its window behind a final block; RFC 7692
//! lets a sender refer to what came before as long as context is taken over, whatever the blocks. So a
//! message that reaches back behind a final block is decoded, from the copy of the window. To fail such a
//! connection would have saved the copy while a connection is busy; but it is also what lets everything else
//! go while one is idle.
