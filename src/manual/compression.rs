//! The costs of compression, and when it pays.
//!
//! permessage-deflate (RFC 7692) is never active by itself. It takes the feature `deflate`, an end that offers it, an
//! end that accepts it, and [`Connection::with_deflate`](crate::Connection::with_deflate) with the parameters that
//! the two agreed on. In `net` this is one line on either side:
//!
//! ```no_run
//! # #[cfg(feature = "net")] {
//! use hybi::handshake::{DeflateConfig, DeflateOffer};
//! use hybi::adapters::net::{Client, Server};
//!
//! let server = Server::new().deflate(DeflateConfig::new());
//! let client = Client::new().deflate(DeflateOffer::default());
//! # let _ = (server, client);
//! # }
//! ```
//!
//! # When it pays
//!
//! Compression pays where bytes are expensive and time is not: text that repeats itself, over mobile networks or paid
//! traffic. It does not pay for tiny messages, or for data that does not become shorter (pictures, sound, encrypted
//! data). Inside a data centre it does not pay either: a network moves a message in less time than it takes to
//! compress it.
//!
//! Compression must not be used where one message, or one context, holds both a secret and data that an attacker can
//! choose. The length of the result tells whether the two are alike, byte by byte (CRIME and BREACH; RFC 7692 section
//! 8). [`SendOptions::compress`](crate::SendOptions::compress) excludes single messages. They do not enter the window
//! either.
//!
//! # Data that does not compress
//!
//! A whole message that compression does not make shorter goes out uncompressed, at the length of its payload and
//! with RSV1 = 0. To find out, the sender at first only compresses the first 32 KiB of a message of more than 64 KiB.
//! If that gains nothing, and the rest looks alike, the rest is not tried. Sending 16 MiB of pictures so costs one
//! millisecond instead of 600 at level 4. Messages of up to 64 KiB are compressed to the end before they are given
//! up. [`SendOptions::compress`](crate::SendOptions::compress) saves that time where the content is known.
//!
//! With context takeover, a message that went out uncompressed is taken out of the compressor's window again, because
//! the peer's inflater has not seen it. The last 2 KiB of the earlier context stay. A message that is sent often, and
//! does not become shorter by itself, never enters the window. Nothing can refer to it when it comes again.
//!
//! **Fragments** cannot go back. RFC 7692 section 6.1 requires all of a message to be compressed or none of it. The
//! first fragment is gone when the next one turns out not to compress. A fragment becomes longer by up to an eighth
//! at level 1 and by 5 bytes in 2 KiB at others. With less memory than the default, it is up to a quarter and 64
//! bytes. A receiver of this crate allows for this: see [`Config::max_frame`](crate::Config::max_frame). With the
//! default limits at both ends, 16 MiB of any data arrive, in one fragment or in up to 65,536. Another implementation
//! may not allow for it. Send it fragments of less than its limit, or decline compression in the options of the first one.
//!
//! # Bytes
//!
//! Bytes sent for 100 bytes of JSON-like objects, headers included, as `cargo bench --features deflate --bench
//! deflate` prints them. They are the same on every machine.
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
//! Compressing a message of 1 KiB takes about 70 times as long at level 1 as sending it uncompressed. At level 2 it
//! takes 220 times as long, at 4 340 times, at 6 430 times, and at 9 700 times (group `send-1KiB` of the same bench).
//! Inflating takes a fifth of the time of level 4. The groups `inflate` and `deflate` compare with zlib-rs alone, on
//! which all this is built. The connection adds less than a tenth to it, UTF-8 validation included.
//!
//! # Memory
//!
//! A connection allocates nothing before the first compressed message in a direction. From then on it holds, by the
//! window bits agreed on for that direction, in KiB:
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
//! The second number of a decompressor is a copy of the window, no larger than what has come in so far. The copy
//! stays when a connection is idle. Everything else is given back after
//! [`Compression::release_after`](crate::deflate::Compression::release_after), a minute by default, or by
//! [`Connection::release_windows`](crate::Connection::release_windows). An idle connection with context takeover
//! therefore holds what its peer may still refer to, and nothing more.
//!
//! **Without context takeover** nothing is held between messages. Each message then compresses worse, the smaller the
//! worse, and allocates anew unless connections share a [`Pool`](crate::deflate::Pool). A handful of compressors then
//! serves ten thousand connections.
//!
//! ```
//! use hybi::deflate::{Compression, Pool};
//! use hybi::handshake::DeflateConfig;
//! use hybi::{Config, SharedConfig};
//!
//! // For many connections with little traffic each.
//! let negotiated = DeflateConfig::new().server_no_context_takeover(true).client_no_context_takeover(true);
//! let compression = Compression::new().min_size(512);
//! let config: SharedConfig = Config::new().compression(compression).deflate_pool(Pool::new(4)).into();
//! # let _ = (negotiated, config);
//! ```
//!
//! A smaller window is between the two. Most of a compressor's memory does not depend on the window, but the memory
//! that an idle connection holds does.
//!
//! # Broadcasts
//!
//! A [`Prepared`](crate::Prepared) message is compressed once for each size of window that occurs among its
//! receivers, and not once for each of them. It refers to nothing before it. It goes out compressed to every
//! connection that has agreed on compression. It enters the window of the peer but not that of the connection's
//! compressor. The compressor therefore begins with an empty window again for the next message of its own. A
//! connection that only gets broadcasts has no compressor at all.
//!
//! # What a peer can do
//!
//! [`Config::max_message`](crate::Config::max_message) limits the inflated size, and is enforced while a message is
//! inflated. A bomb stops at the limit with 1009, whatever its size on the wire. With
//! [`Delivery::Chunks`](crate::Delivery::Chunks) a message of any size passes through 16 KiB. UTF-8 is validated as
//! it comes out. Data that is not DEFLATE fails the connection with 1007.
//!
//! A byte on the wire can cost the time to inflate about a thousand bytes. Two bytes that are a final block cost the
//! time to copy a window. If that is too much for your peers, agree on smaller windows for what they send
//! (`client_max_window_bits`), or on no compression.
//!
//! One read can therefore take milliseconds, during which no other connection of the thread is served.
//! [`Connection::set_inflate_budget`](crate::Connection::set_inflate_budget) limits how much a turn inflates, and the
//! rest follows in the next turn. A DEFLATE block counts as 2 KiB of the budget, because blocks cost time even if
//! they are empty. 16 KiB that inflate to 16 MiB take 1.4 ms. 16 KiB of empty blocks inflate to nothing and take 2.7
//! ms if each has tables of its own. They take 6.8 ms if they are final and a window of 32 KiB is copied behind each.
//!
//! Blocks may be of any kind, also final ones (BFINAL). The window of zlib is lost behind a final block. But RFC 7692
//! lets a sender refer to earlier data as long as context is taken over. A message that reaches back behind a final
//! block is decoded from the copy of the window.
