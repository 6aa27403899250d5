//! One read buffer for many connections.
//!
//! A connection keeps no input. Once [`poll_event`](crate::Connection::poll_event) has returned `None`, every byte of
//! the input has been taken in, and the same buffer can serve the next connection. Only a message that spans reads
//! lies in the `VecMessage` of its own connection. A thread with a thousand connections needs one read buffer.
//!
//! # A connection that is `Blocked`
//!
//! Backpressure makes an exception. A server that answers must not accept input faster than the peer reads the
//! answers. If a send is refused as [`Blocked`](crate::SendError::Blocked), the rest of the input must wait, but the
//! shared buffer is needed for other connections. Three rules solve this:
//!
//! 1. Ask [`can_send`](crate::Connection::can_send) before each poll. While it says `Blocked`, do not poll. Every answer
//!    then finds room, and none has to be kept aside.
//! 2. Copy the unread rest of the input, [`remaining`](crate::Input::remaining) bytes, to memory of this connection.
//!    The rest is never longer than one read.
//! 3. Do not read from this connection until the rest has been polled. TCP then slows the peer down. When
//!    they arrive, report the unread bytes with [`handle_unread`](crate::Connection::handle_unread), so that no timer counts
//!    the peer as silent.
//!
//! `can_send` does not ask for [`Event::Writable`](crate::Event::Writable). Ask it again after each write.
//!
//! [`is_paused`](crate::Connection::is_paused) is handled in the same way: keep the rest, and poll it in the next
//! turn. The example leaves out timers and the transport, which [`run_loop`](super::run_loop) has.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{Config, Connection, Event, Input, Instant, Outbox, SendError, VecMessage};
//!
//! struct Client {
//!     connection: Connection,
//!     /// A message that spans reads.
//!     message: VecMessage,
//!     /// Input that waits until the peer has read our answers.
//!     rest: Vec<u8>,
//! }
//!
//! impl Client {
//!     fn new(config: Config) -> Self {
//!         let connection = Connection::server(Instant::ZERO, config, Outbox::new());
//!         Self { connection, message: VecMessage::new(), rest: Vec::new() }
//!     }
//!
//!     /// Whether the socket may be read.
//!     fn wants_input(&self) -> bool {
//!         self.rest.is_empty()
//!     }
//!
//!     /// Takes bytes that have just been read into the shared buffer. The buffer is free for others afterwards.
//!     fn receive(&mut self, now: Instant, bytes: &mut [u8]) {
//!         self.handle(now, bytes);
//!         if !self.rest.is_empty() {
//!             self.connection.handle_unread(now);
//!         }
//!     }
//!
//!     fn handle(&mut self, now: Instant, bytes: &mut [u8]) {
//!         let len = bytes.len();
//!         let mut input = Input::new(bytes, &mut self.message);
//!         while self.connection.can_send() != Err(SendError::Blocked) {
//!             match self.connection.poll_event(now, &mut input) {
//!                 // There is room. `Closed` alone can refuse it, and then there is nobody to answer.
//!                 Ok(Some(Event::Text(text))) => drop(self.connection.send_text(text)),
//!                 Ok(Some(_)) => {}
//!                 Ok(None) => break,
//!                 Err(violation) => eprintln!("{violation}"),
//!             }
//!         }
//!         let unread = input.remaining();
//!         self.rest.extend_from_slice(&bytes[len - unread..]);
//!     }
//!
//!     /// Writes, and goes on with input that had to wait. `room` is what the socket takes.
//!     fn write(&mut self, now: Instant, room: usize) -> Vec<u8> {
//!         let mut slices = [&[][..]; 8];
//!         let len = self.connection.poll_transmit(&mut slices);
//!         let mut written = slices[..len].concat();
//!         written.truncate(room);
//!         self.connection.transmitted(now, written.len());
//!         let mut rest = std::mem::take(&mut self.rest);
//!         self.handle(now, &mut rest);
//!         written
//!     }
//! }
//!
//! let now = Instant::ZERO;
//! let mut buffer = [0; 1024];
//! let mut clients = [Client::new(Config::new().high_water(16)), Client::new(Config::new().high_water(16))];
//!
//! // Four masked messages of ten bytes arrive for each client in one read. The mask is zero here.
//! let wire = [&b"\x81\x8a\0\0\0\0ten bytes!"[..]; 4].concat();
//! for client in &mut clients {
//!     buffer[..wire.len()].copy_from_slice(&wire);
//!     client.receive(now, &mut buffer[..wire.len()]);
//!     // Two answers of twelve bytes reach the high-water mark. The other two messages wait.
//!     assert_eq!(client.connection.buffered_amount(), 24);
//!     assert_eq!(client.rest.len(), 32);
//!     assert!(!client.wants_input());
//! }
//!
//! // The first peer reads, and is served on. The second one does not, and waits.
//! let mut answers = clients[0].write(now, 1000);
//! answers.extend(clients[0].write(now, 1000));
//! assert_eq!(answers, [&b"\x81\x0aten bytes!"[..]; 4].concat());
//! assert!(clients[0].wants_input() && !clients[1].wants_input());
//! assert_eq!(clients[1].write(now, 0), b"");
//! assert_eq!(clients[1].rest.len(), 32);
//! # }
//! ```
