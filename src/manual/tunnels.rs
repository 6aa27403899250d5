//! Tunnelling another protocol through a WebSocket.
//!
//! MQTT, NATS, SSH, VNC and other protocols run over a stream of bytes. `WebSocket::into_byte_stream` of each adapter
//! turns a WebSocket into such a stream. Each write is a binary message. A read returns the data of binary messages,
//! and ignores where a message begins or ends. `examples/tunnel.rs` is a complete tunnel, for both ends.
//!
//! ```
//! # #[cfg(feature = "tokio")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hybi::adapters::tokio::{accept, connect};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("ws://{}/", listener.local_addr()?);
//! // Instead of this pair, a tunnel connects to a service with `TcpStream::connect`.
//! let (mut service, mut to_service) = tokio::io::duplex(1024);
//! let tunnel = tokio::spawn(async move {
//!     let mut bytes = accept(listener.accept().await?.0).await.unwrap().into_byte_stream();
//!     copy_bidirectional(&mut bytes, &mut to_service).await
//! });
//!
//! let mut bytes = connect(&url).await?.into_byte_stream();
//! bytes.write_all(b"PING\r\n").await?;
//! let mut line = [0; 6];
//! service.read_exact(&mut line).await?;
//! service.write_all(b"PONG\r\n").await?;
//! bytes.read_exact(&mut line).await?;
//! assert_eq!(&line, b"PONG\r\n");
//!
//! bytes.shutdown().await?;                              // sends a Close with 1000
//! assert_eq!(service.read(&mut line).await?, 0);        // the service sees the end of its input
//! drop(service);
//! assert_eq!(bytes.read(&mut line).await?, 0);          // the tunnel has answered the Close
//! drop(bytes);
//! assert_eq!(tunnel.await??, (6, 6));
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "tokio"))]
//! # fn main() {}
//! ```
//!
//! # How the data ends
//!
//! | the peer | a read returns | a write returns |
//! | --- | --- | --- |
//! | closes with 1000, or without a code | 0 bytes: the data is complete | `BrokenPipe` |
//! | closes with 1000 or without a code, before the end of a message | `UnexpectedEof` | `BrokenPipe` |
//! | closes with another code, for example 1001 or 1011 | `ConnectionAborted`, with the code and the reason | `BrokenPipe` |
//! | ends the stream without a Close | `UnexpectedEof`; if the stream has failed, one read returns the error of the stream first | `BrokenPipe` |
//! | is silent for too long | `ConnectionAborted` | `BrokenPipe` |
//! | sends text, or breaks the protocol | `InvalidData` | `BrokenPipe` |
//!
//! All data that arrived before the end is returned first. To tell the peer that data is incomplete, close with another
//! code than 1000: call `close` of the WebSocket that `into_inner` returns. If you drop the byte stream without a
//! shutdown, the peer also gets an error.
//!
//! # There is no half-close
//!
//! In TCP each direction ends separately. In a WebSocket the first Close ends both directions. The endpoint that
//! receives a Close answers with its own Close, and sends nothing after it (RFC 6455 section 5.5.1).
//!
//! - After our shutdown, we still read all messages that the peer has queued before it received our Close. If the
//!   application of the peer writes data later, its write returns `BrokenPipe`, and the data does not arrive.
//! - After the peer's Close, data that we have queued is normally written before the answer. If the peer does not read
//!   fast enough, queued data is dropped. A flush then returns `BrokenPipe`.
//! - A service may go on sending after the peer's Close with 1000. In this case, a write of the tunnel returns
//!   `BrokenPipe` although nothing has failed. `copy_bidirectional` returns this error at once, and loses the last data
//!   of the peer if the service has not taken it yet. So copy each direction separately. After `BrokenPipe`, go on with
//!   the other direction. Also read and drop the data that the service still sends. If this data is not read, the
//!   system resets the TCP connection to the service. `examples/tunnel.rs` copies in this way.
//! - A copy in both directions ends only after both directions have ended. If the service neither sends nor closes
//!   after the end of its input, the copy never ends. So limit the time of the second direction, for example with
//!   `tokio::time::timeout` around the rest of the copy. A limit around the whole copy would also end tunnels that are
//!   in use.
//! - The time between the first Close and the end of the connection is limited by
//!   [`Config::close_timeout`](crate::Config::close_timeout).
//!
//! Protocols that end a connection with a message of their own, or end both directions at once, need no half-close.
//! These are MQTT, NATS, SSH, VNC and most database protocols. Other tunnels, for example websockify, have no
//! half-close either.
//!
//! A protocol needs a half-close if it ends the sending direction and then waits for an answer, for example `nc -N`. A
//! tunnel for this protocol must send the end of a direction as data. Both ends of the tunnel use the messages of the
//! WebSocket instead of a byte stream. They agree on a message that means the end, for example an empty one, and close
//! after both directions have ended.
//!
//! # Limits and timers
//!
//! - [`Config::max_frame`](crate::Config::max_frame) and [`Config::max_message`](crate::Config::max_message) apply to
//!   each message of the peer. A byte stream does not collect messages, so both limits can be `u64::MAX` without using
//!   memory.
//! - Backpressure works in both directions. A write waits at [`Config::high_water`](crate::Config::high_water). While
//!   the application does not read, the peer cannot send, and Pings that lie behind unread data are not answered. If an
//!   application may stop reading for a long time, the peer needs a long pong timeout.
//! - Compression does not shorten encrypted data, as in SSH. Do not offer permessage-deflate for such data.
