//! Sending one message to many connections, and handling peers that read too slowly.
//!
//! # Encode once
//!
//! A [`Prepared`](crate::Prepared) message is encoded once and can be sent on any number of connections. A server
//! copies a small frame into each write queue, and shares the payload of a large frame. With compression, the message
//! is compressed once for each window size, and not once for each connection.
//!
//! # Decide what happens with a slow peer
//!
//! If a peer reads more slowly than messages are sent to it, the write queue of its connection fills. A send is
//! accepted while fewer than [`Config::high_water`](crate::Config::high_water) bytes are queued. Otherwise it is
//! refused as [`Blocked`](crate::SendError::Blocked). So the queue of a slow peer holds at most the high-water mark and
//! one message. [`buffered_amount`](crate::Connection::buffered_amount) returns how many bytes are queued. The
//! application decides what happens with a refused message:
//!
//! | policy | on `Blocked` | suitable for |
//! | --- | --- | --- |
//! | drop | skip the message, and perhaps count it | positions or prices, because the next message replaces the skipped message |
//! | disconnect | close with 1013 (try again later) | chats or logs, because no message may be missing |
//! | wait | send after [`Event::Writable`](crate::Event::Writable) | one producer with one consumer; not for a broadcast, because all peers would wait for the slowest one |
//!
//! ```
//! use hybi::{CloseCode, Config, Connection, Instant, Outbox, Prepared, ReadyState, SendError};
//!
//! /// Sends a message to all members. Disconnects the members that read too slowly.
//! fn tell(room: &mut [Connection], now: Instant, news: &Prepared) {
//!     for member in room {
//!         match member.send_prepared(news) {
//!             // `Closed` means that the connection is closing already.
//!             Ok(()) | Err(SendError::Closed) => {}
//!             Err(SendError::Blocked) => {
//!                 // The Close is queued after the accepted messages. The close timeout limits how long the Close can
//!                 // wait.
//!                 let _ = member.close(now, CloseCode::TRY_AGAIN_LATER, "reading too slowly");
//!             }
//!             Err(error) => unreachable!("{error}"),
//!         }
//!     }
//! }
//!
//! let now = Instant::ZERO;
//! let config = Config::new().high_water(1000);
//! let member = || Connection::server(now, config.clone(), Outbox::new());
//! let mut room = [member(), member()];
//! let news = Prepared::new("x".repeat(300));
//! for _ in 0..10 {
//!     tell(&mut room, now, &news);
//!     // The first member reads all bytes, and the second one reads nothing.
//!     let waiting = room[0].buffered_amount();
//!     room[0].transmitted(now, waiting);
//! }
//! assert_eq!(room[0].sent().messages, 10);
//! assert_eq!(room[0].ready_state(), ReadyState::Open);
//! // Four frames of 304 bytes, and the Close.
//! assert_eq!(room[1].sent().messages, 4);
//! assert_eq!(room[1].ready_state(), ReadyState::Closing);
//! assert!(room[1].buffered_amount() < 1000 + 304 + 131);
//! ```
//!
//! # On tokio
//!
//! Give each connection a task, and distribute `Prepared` messages with `tokio::sync::broadcast`. This channel has a
//! fixed size, so the producer never waits. If the write queue is full, a call that sends must wait, and the task would
//! not notice a slow peer. Therefore check `buffered_amount` before each send. A call that receives writes the queue,
//! so the bytes that are still queued afterwards are those that the peer has not read. The error `Lagged` of the
//! channel means that the task itself was too slow. `examples/chat` is a complete server of this kind. For a message
//! that is not prepared, `try_send` checks and sends in one call.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use hybi::adapters::tokio::{Client, Server, WebSocket};
//! use hybi::{CloseCode, Config, Outcome, Prepared, TimerKind};
//! use tokio::io::{AsyncRead, AsyncWrite};
//! use tokio::sync::broadcast::{self, error::RecvError};
//!
//! /// The maximum number of bytes in the write queue of one member.
//! const BACKLOG: usize = 1000;
//!
//! /// Forwards all messages of the room, until the client leaves or reads too slowly.
//! async fn member<S>(mut ws: WebSocket<S>, mut room: broadcast::Receiver<Prepared>) -> Option<Outcome>
//! where
//!     S: AsyncRead + AsyncWrite + Unpin,
//! {
//!     loop {
//!         tokio::select! {
//!             // Poll this branch first, because a call that receives also writes.
//!             biased;
//!             event = ws.next_event() => match event {
//!                 Ok(Some(_)) => {}
//!                 Ok(None) | Err(_) => break,
//!             },
//!             news = room.recv() => match news {
//!                 // The queue is not full, so this call does not wait.
//!                 Ok(news) if ws.buffered_amount() < BACKLOG => {
//!                     let _ = ws.responder().send_prepared(&news).await;
//!                 }
//!                 Ok(_) | Err(RecvError::Lagged(_)) => {
//!                     let _ = ws.close(CloseCode::TRY_AGAIN_LATER, "reading too slowly").await;
//!                     break;
//!                 }
//!                 Err(RecvError::Closed) => {
//!                     let _ = ws.close(CloseCode::GOING_AWAY, "the room is closed").await;
//!                     break;
//!                 }
//!             },
//!         }
//!     }
//!     ws.wait_closed().await.ok()
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let room = broadcast::Sender::new(16);
//! let server = Server::new().config(Config::new().high_water(BACKLOG));
//! let mut clients = Vec::new();
//! let mut members = Vec::new();
//! for _ in 0..2 {
//!     let (near, far) = tokio::io::duplex(256);
//!     let client = Client::new();
//!     let (ws, client) = tokio::join!(server.accept(near), client.open(far, "ws://localhost/"));
//!     members.push(tokio::spawn(member(ws.unwrap(), room.subscribe())));
//!     clients.push(client.unwrap());
//! }
//! let (slow, mut fast) = (clients.pop().unwrap(), clients.pop().unwrap());
//! // The fast client reads each message. The slow one reads nothing.
//! for n in 0..100 {
//!     room.send(Prepared::new(format!("{n:0300}"))).unwrap();
//!     assert_eq!(fast.recv().await.unwrap(), Some(format!("{n:0300}").into()));
//! }
//! drop(room);
//! assert_eq!(fast.recv().await.unwrap(), None);
//! let (slow_member, fast_member) = (members.pop().unwrap(), members.pop().unwrap());
//! assert!(fast_member.await.unwrap().unwrap().is_clean());
//! // The slow client has not read the Close either, so the close timeout ended the connection.
//! assert_eq!(slow_member.await.unwrap(), Some(Outcome::TimedOut(TimerKind::Close)));
//! # drop(slow);
//! # });
//! # }
//! ```
