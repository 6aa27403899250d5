//! How to drive a connection from your own event loop.
//!
//! The driver is the code that calls a connection and does the I/O. A driver runs a loop, and one iteration of this
//! loop is called a turn.
//!
//! # One turn
//!
//! 1. **Read** into the slice that `Connection::read_space` returns, and report the length with `Inbox::handle_read`.
//!    Or read into your own buffer, and pass it with [`Input::new`](crate::Input::new). Report the end of the stream,
//!    or a reset, with [`handle_eof`](crate::Connection::handle_eof).
//! 2. **Poll** until `None`. A poll decodes no further than the event that it returns. The connection has already
//!    reacted to the event: a Pong is queued, or a Close is answered. An `Err` means that the peer broke a rule. Each
//!    error is returned once. After an `Err`, continue to poll.
//! 3. **Time**: call [`handle_timeout`](crate::Connection::handle_timeout) in every turn and before every write, and
//!    not only if a wait has timed out. Otherwise a peer could delay the timers forever, by sending or reading a byte
//!    now and then.
//! 4. **Write** the slices of [`poll_transmit`](crate::Connection::poll_transmit). Report the number of written bytes
//!    with [`transmitted`](crate::Connection::transmitted). If the transport accepts nothing, report 0, so that the
//!    connection knows that the transport is congested. Write once after all input of the turn, and not after each
//!    message. One write for many small messages is much faster.
//! 5. **Transport**: take the action that [`poll_transport`](crate::Connection::poll_transport) returns. `Close` and
//!    `Abort` mean that the connection has ended. Then poll for [`Event::Closed`](crate::Event::Closed) instead of
//!    waiting, because an ended connection has no deadline that would end the wait.
//! 6. **Wait** for input and for the deadline of [`poll_timeout`](crate::Connection::poll_timeout). If bytes are still
//!    queued, also wait until the transport can accept bytes. Begin the next turn when one of these happens.
//!
//! [`Event::Closed`](crate::Event::Closed) is the last event. It is returned exactly once.
//!
//! # Rules
//!
//! - **Call nothing between `poll_transmit` and `transmitted`.** Otherwise a Pong could be inserted among the bytes
//!   that were written. While the slices exist, the borrow checker enforces this rule. If a driver's writes complete
//!   later, the driver copies the slices, reports them as transmitted at once, and writes its copy.
//! - **If a send is refused as `Blocked`,** write, and send again. A loop that repeats a send must contain the steps 3
//!   and 4. If the peer does not read, the transport accepts nothing, and only `handle_timeout` can end the connection.
//!   The send is then refused as [`Closed`](crate::SendError::Closed), which ends the loop. A driver that can wait for
//!   several events needs no loop to repeat a send. It continues with the turn, and sends after
//!   [`Event::Writable`](crate::Event::Writable).
//! - **With an inflate budget** ([`set_inflate_budget`](crate::Connection::set_inflate_budget)), `None` may also mean
//!   that the budget is used up. While [`must_poll_again`](crate::Connection::must_poll_again) returns true, keep the
//!   rest of the input, serve other connections, and poll again without reading. Report the end of the stream only
//!   after `must_poll_again` returns false.
//!
//! # A server over a blocking socket
//!
//! The function `serve` serves one connection from the handshake to the end. The adapters are loops of this kind. A
//! test runs the same code against peers that never read, read slowly, or send nothing.
//!
//! ```
//! # #[cfg(feature = "net")]
//! # mod example {
//! use std::io::{ErrorKind, IoSlice, Read, Write};
//! use std::net::{Shutdown, TcpStream};
//! use std::time::{Duration, Instant as Clock};
//!
//! use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};
//! use hybi::{Config, Connection, Event, Inbox, Instant, Outbox, Outcome, SendError, TransportAction};
//!
//! fn serve(mut stream: TcpStream) -> Result<Outcome, Box<dyn std::error::Error>> {
//!     let start = Clock::now();
//!     let now = || Instant::from_origin(start.elapsed());
//!
//!     // The handshake. Each poll gets all bytes that have arrived, and returns a request when the head is complete.
//!     let mut handshake = ServerHandshake::new(HeadLimits::new()).with_timeout(now(), Duration::from_secs(10));
//!     let mut received = Vec::new();
//!     let mut inbox = loop {
//!         match handshake.handle_timeout(now()).and_then(|()| handshake.poll(&received)) {
//!             Ok(None) => {}
//!             Ok(Some(Incoming::Upgrade(request))) => {
//!                 stream.write_all(&request.accept().to_vec()?)?;
//!                 break Inbox::with_bytes(&received[request.head_len()..]);
//!             }
//!             Ok(Some(Incoming::Http(request))) => {
//!                 stream.write_all(&request.rejection().response().to_vec()?)?; // or serve it
//!                 return Err("a plain HTTP request".into());
//!             }
//!             Err(rejection) => {
//!                 stream.write_all(&rejection.response().to_vec()?)?;
//!                 return Err(rejection.into());
//!             }
//!         }
//!         let mut piece = [0; 1024];
//!         stream.set_read_timeout(handshake.poll_timeout().map(|at| left(at, now())))?;
//!         match stream.read(&mut piece) {
//!             Ok(0) => return Err("the stream ended within the handshake".into()),
//!             Ok(n) => received.extend_from_slice(&piece[..n]),
//!             Err(error) if is_timeout(&error) => {}
//!             Err(error) => return Err(error.into()),
//!         }
//!     };
//!
//!     let mut connection = Connection::server(now(), Config::new(), Outbox::new());
//!     loop {
//!         // Handle everything that has arrived.
//!         loop {
//!             match connection.poll_event(now(), &mut inbox) {
//!                 Ok(Some(Event::Text(text))) => {
//!                     // If the queue is full, write some of it first. `text` borrows from `inbox`, so nothing can be
//!                     // read here. If the peer reads nothing, a timer ends the connection in `write`, and the send is
//!                     // refused as `Closed`.
//!                     while connection.send_text(text) == Err(SendError::Blocked) {
//!                         write(&mut stream, &mut connection, now)?;
//!                     }
//!                 }
//!                 Ok(Some(Event::Closed(outcome))) => return Ok(outcome),
//!                 Ok(Some(_)) => {}                            // Pings are answered already
//!                 Ok(None) => break,                           // all input is consumed
//!                 Err(violation) => eprintln!("{violation}"),  // a Close with this error is queued
//!             }
//!         }
//!         // Handle due timers, write the queue, and do what the transport needs.
//!         write(&mut stream, &mut connection, now)?;
//!         match connection.poll_transport() {
//!             Some(TransportAction::HalfClose) => {
//!                 stream.shutdown(Shutdown::Write)?;
//!                 connection.handle_half_closed();
//!             }
//!             Some(_) => continue,                             // the next `poll_event` returns `Closed`
//!             None => {}
//!         }
//!         // Wait for input, or for the next deadline.
//!         stream.set_read_timeout(connection.poll_timeout().map(|at| left(at, now())))?;
//!         match stream.read(connection.read_space(&mut inbox)) {
//!             Ok(0) => connection.handle_eof(),
//!             Ok(n) => inbox.handle_read(n),
//!             Err(error) if is_timeout(&error) => {}
//!             Err(_) => connection.handle_eof(),               // a reset is also an end
//!         }
//!     }
//! }
//!
//! /// Handles due timers and writes the queue. Returns when the queue is empty, or when the peer accepted nothing until
//! /// the next deadline. One write can contain many frames.
//! fn write(
//!     stream: &mut TcpStream,
//!     connection: &mut Connection,
//!     now: impl Fn() -> Instant,
//! ) -> std::io::Result<()> {
//!     loop {
//!         // Handle timers before each write. Otherwise a slow peer could delay them forever.
//!         connection.handle_timeout(now());
//!         stream.set_write_timeout(connection.poll_timeout().map(|at| left(at, now())))?;
//!         let mut slices = [&[][..]; 16];
//!         let len = connection.poll_transmit(&mut slices);
//!         if len == 0 {
//!             return Ok(());
//!         }
//!         let vectors: Vec<_> = slices[..len].iter().map(|slice| IoSlice::new(slice)).collect();
//!         match stream.write_vectored(&vectors) {
//!             Ok(0) => return Err(ErrorKind::WriteZero.into()),
//!             Ok(n) => connection.transmitted(now(), n),
//!             // The peer accepted nothing until a deadline. The caller calls again.
//!             Err(error) if is_timeout(&error) => {
//!                 connection.transmitted(now(), 0);
//!                 return Ok(());
//!             }
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
//!
//! fn left(at: Instant, now: Instant) -> Duration {
//!     at.saturating_duration_since(now).max(Duration::from_millis(1))
//! }
//!
//! fn is_timeout(error: &std::io::Error) -> bool {
//!     matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
//! }
//!
//! pub fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//!     let url = format!("ws://{}", listener.local_addr()?);
//!     let server = std::thread::spawn(move || serve(listener.accept().unwrap().0).unwrap());
//!     let mut ws = hybi::adapters::net::connect(&url)?;
//!     ws.send_text("hello")?;
//!     assert_eq!(ws.recv()?, Some("hello".into()));
//!     ws.close(hybi::CloseCode::GOING_AWAY, "")?;
//!     assert!(ws.wait_closed()?.is_clean());
//!     assert_eq!(server.join().unwrap().code(), hybi::CloseCode::GOING_AWAY);
//!     Ok(())
//! }
//! # }
//! # #[cfg(feature = "net")]
//! # example::main().unwrap();
//! ```
//!
//! # Many connections in one thread
//!
//! See [`shared_buffer`](super::shared_buffer).
//!
//! # Receiving and sending in two tasks
//!
//! [`Connection::into_halves`](crate::Connection::into_halves) returns a [`Receiver`](crate::Receiver) and a
//! [`Sender`](crate::Sender). The receiving half passes values of the type [`PendingReply`](crate::PendingReply) to the
//! sending half, for example through a channel.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{Config, Connection, Inbox, Instant, Outbox, PendingReply};
//!
//! let connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
//! let (mut receiver, mut sender) = connection.into_halves();
//! let (to_sender, replies) = std::sync::mpsc::channel();
//! std::thread::spawn(move || {
//!     let mut inbox = Inbox::with_bytes(b"\x89\x02hi"); // a Ping
//!     while let Some(index) = receiver.poll(&mut inbox).unwrap() {
//!         to_sender.send(PendingReply::Received { data: receiver.last_poll_had_data() }).unwrap();
//!         if let Some(reply) = inbox.reply(index) {
//!             to_sender.send(reply).unwrap();
//!         }
//!     }
//! });
//! for reply in replies {
//!     sender.apply(Instant::ZERO, reply);
//! }
//! assert_eq!(sender.buffered_amount(), 2 + 4 + 2);
//! # }
//! ```
//!
//! Without [`PendingReply::Received`](crate::PendingReply::Received), the timers of the sending half treat the peer as
//! silent. Pass this value to the sending half also after a poll that consumed bytes and returned `None`. In the
//! example, the last poll consumes no bytes, so the value is not needed.
