//! What compression costs, and when it is worth its cost.
//!
//! permessage-deflate (RFC 7692) is never active by default. It requires the feature `deflate`, a client that offers
//! it, and a server that accepts it. [`Connection::with_deflate`](crate::Connection::with_deflate) sets the parameters
//! on which client and server agreed. With the adapters, each endpoint needs one line:
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
//! # When to compress
//!
//! Compression is worth its cost if bytes are more expensive than time, for example for repetitive text over a mobile
//! network. Compression is not worth its cost for very short messages, or for data that does not become shorter, such
//! as images, sound and encrypted data. Compression is not worth its cost inside a data centre either, because the
//! network transfers a message faster than the sender can compress it.
//!
//! Do not compress a message that contains both a secret and data that an attacker can choose. The length of the output
//! reveals whether the two have common parts (CRIME and BREACH; RFC 7692 section 8). The secret and the attacker's data
//! may also be in different messages, because a message can refer to earlier messages.
//! [`SendOptions::compress`](crate::SendOptions::compress) turns compression off for single messages. Later messages
//! cannot refer to a message that was sent uncompressed.
//!
//! # Data that does not become shorter
//!
//! If compression does not make a whole message shorter, the message is sent uncompressed, with RSV1 = 0. To decide
//! early, the sender first compresses the first 32 KiB of a message of more than 64 KiB. If this part becomes shorter
//! by less than a sixteenth, and a sample of the rest looks like random bytes, the whole message is sent uncompressed.
//! So sending 16 MiB of images costs one millisecond at level 4 instead of 600. Messages of up to 64 KiB are compressed
//! completely before the sender decides. If the application knows that its data does not become shorter,
//! [`SendOptions::compress`](crate::SendOptions::compress) saves this time.
//!
//! With context takeover, a message may refer to the recent data of earlier messages. This data is called the window. A
//! message that is sent uncompressed is removed from the compressor's window, because the peer's inflater has not seen
//! the message. The last 2 KiB of the earlier data remain in the window. So a message that does not become shorter by
//! itself never enters the window. Even if the same message is sent often, no copy of it can refer to an earlier copy.
//!
//! **Fragments** are compressed even if they do not become shorter. RFC 7692 section 6.1 requires that a message is
//! compressed completely or not at all. When a later fragment does not become shorter, the first fragment has already
//! been sent. The data of a fragment can even become longer. The growth is up to an eighth at level 1, and 5 bytes in 2
//! KiB at other levels. With a lower memory level than the default, the growth is up to a quarter and 64 bytes. A
//! receiver of this crate accepts such frames: see [`Config::max_frame`](crate::Config::max_frame). With the default
//! limits at both endpoints, 16 MiB of any data arrive, in one fragment or in up to 65,536. Another implementation may
//! refuse a frame that is longer than its limit. If the peer is such an implementation, send shorter fragments, or turn
//! off compression in the options of the first fragment.
//!
//! # Bytes
//!
//! The table shows how many bytes are sent for 100 bytes of JSON-like objects, including headers. Each column is for
//! messages of one length. `cargo bench --features deflate --bench deflate` prints these numbers, which are the same on
//! every machine.
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
//! At level 1, compressing and sending a message of 1 KiB takes about 70 times as long as sending it uncompressed. The
//! factor is 220 at level 2, 340 at level 4, 430 at level 6, and 700 at level 9. The group `send-1KiB` of the same
//! bench measures these times. Inflating a message takes a fifth of the time of compressing it at level 4. hybi uses
//! the library zlib-rs to compress and inflate. The groups `inflate` and `deflate` compare hybi with zlib-rs alone. A
//! connection adds less than a tenth to the time of zlib-rs, including UTF-8 validation.
//!
//! # Memory
//!
//! A connection allocates nothing before the first compressed message in a direction. After this message, the
//! connection holds memory that depends on the agreed window bits of the direction. The table gives this memory in KiB:
//!
//! | bits | compressor, memory level 1 | compressor, memory level 5, the default | compressor, memory level 9 | decompressor |
//! | --- | --- | --- | --- | --- |
//! | 9 | 134 | 147 | 357 | 47 + 0.5 |
//! | 10 | 136 | 149 | 359 | 47 + 1 |
//! | 11 | 140 | 153 | 363 | 47 + 2 |
//! | 12 | 148 | 161 | 371 | 47 + 4 |
//! | 13 | 164 | 177 | 387 | 47 + 8 |
//! | 14 | 196 | 209 | 419 | 47 + 16 |
//! | 15 | 260 | 273 | 483 | 47 + 32 |
//!
//! The second number of a decompressor is a copy of the window. The copy is never larger than the data that was
//! inflated. An idle connection keeps this copy. All other memory is freed after
//! [`Compression::release_after`](crate::deflate::Compression::release_after), one minute by default, or by
//! [`Connection::release_compression`](crate::Connection::release_compression). So an idle connection with context
//! takeover holds only the data to which its peer may refer.
//!
//! **Without context takeover** a connection holds nothing between messages. But the output becomes longer, especially
//! for short messages. If the connections share no [`Pool`](crate::deflate::Pool), each message allocates a compressor.
//! With a pool, a few compressors can serve ten thousand connections.
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
//! With a smaller window, a connection needs less memory. The difference is small for a compressor, but large for an
//! idle connection, which holds only the window.
//!
//! # Broadcasts
//!
//! A [`Prepared`](crate::Prepared) message is compressed once for each window size that its connections use, and not
//! once for each connection. The compressed message refers to no earlier message. It is sent to every connection that
//! has agreed on compression. The peer's window then contains the message, but the window of the connection's own
//! compressor does not. So the next message of this compressor begins with an empty window. A connection that sends
//! only broadcasts has no compressor.
//!
//! # Hostile peers
//!
//! [`Config::max_message`](crate::Config::max_message) limits the inflated size of a message, and is enforced while the
//! message is inflated. If a short payload inflates to a huge message, inflating stops at the limit, and the connection
//! fails with 1009. With [`Delivery::Chunks`](crate::Delivery::Chunks) a message of any size needs only a buffer of 16
//! KiB. UTF-8 is validated during inflation. If data is not valid DEFLATE, the connection fails with 1007.
//!
//! A single received byte can cost as much time as inflating about a thousand bytes. For example, two bytes can be a
//! final block, after which the receiver copies a window. If your peers must not be able to cause this cost, agree on
//! smaller windows for their messages (`client_max_window_bits`), or on no compression.
//!
//! Inflating the bytes of one read can therefore take milliseconds. During this time, the thread serves no other
//! connection. [`Connection::set_inflate_budget`](crate::Connection::set_inflate_budget) limits how much is inflated
//! before the driver serves other connections. A DEFLATE block counts as 2 KiB of the budget, because even an empty
//! block takes time. These times were measured for 16 KiB on the wire:
//!
//! - Data that inflates to 16 MiB takes 1.4 ms.
//! - Empty blocks with their own code tables inflate to nothing, and take 2.7 ms.
//! - Empty final blocks take 6.8 ms, because a window of 32 KiB is copied after each block.
//!
//! Messages may contain blocks of any kind, including final blocks (BFINAL). zlib clears its window after a final
//! block. But with context takeover, RFC 7692 allows a sender to refer to data before a final block. This crate
//! inflates such a message with its copy of the window.
