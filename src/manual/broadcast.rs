//! One message for many connections, and consumers that read too slowly.
//!
//! # Encode once
//!
//! A [`Prepared`](crate::Prepared) message is encoded once and can be sent on any number of connections. A server
//! appends a small frame to each queue as it is, and shares the payload of a large one. If compression was agreed on,
//! the message is compressed once for each size of window, and not once for each connection.
//!
//! # Decide what a slow consumer costs
//!
//! A consumer that reads slower than the room talks fills its write queue. A send is accepted while less than
//! [`Config::high_water`](crate::Config::high_water) waits, and is refused as [`Blocked`](crate::SendError::Blocked)
//! from there on. So a slow consumer holds at most the high-water mark and one message.
//! [`buffered_amount`](crate::Connection::buffered_amount) tells how much waits. The application decides what happens
//! to a refused message:
//!
//! | policy | on `Blocked` | fits |
//! | --- | --- | --- |
//! | drop | leave the message out, perhaps count it | positions, prices: the next message replaces this one |
//! | disconnect | close with 1013, try again later | chat, logs: a gap would be wrong |
//! | wait | send after [`Event::Writable`](crate::Event::Writable) | one producer for one consumer; never for a room, which would wait for its slowest member |
//!
//! ```
//! use hybi::{CloseCode, Config, Connection, Instant, Outbox, Prepared, ReadyState, SendError};
//!
//! /// Tells all members. Disconnects those that read too slowly.
//! fn tell(room: &mut [Connection], now: Instant, news: &Prepared) {
//!     for member in room {
//!         match member.send_prepared(news) {
//!             // `Closed`: it is leaving already.
//!             Ok(()) | Err(SendError::Closed) => {}
//!             Err(SendError::Blocked) => {
//!                 // The Close waits behind what was accepted. The close timeout bounds how long.
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
//!     // The first member reads everything, the second one nothing.
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
//! Give each connection a task, and let `tokio::sync::broadcast` hand out `Prepared` messages. Its ring has a fixed
//! size, so the producer never waits. Calls that send wait for room, which would hide a slow consumer. So ask
//! `buffered_amount` first: a call that receives writes what is queued, and what still waits after it is what the
//! peer has not taken. `Lagged` says that the task itself has fallen behind. `examples/chat` is a complete server of
//! this kind.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use hybi::adapters::tokio::{Client, Server, WebSocket};
//! use hybi::{CloseCode, Config, Outcome, Prepared, TimerKind};
//! use tokio::io::{AsyncRead, AsyncWrite};
//! use tokio::sync::broadcast::{self, error::RecvError};
//!
//! /// How many bytes may wait for one member.
//! const BACKLOG: usize = 1000;
//!
//! /// Forwards what the room says, until the client leaves or reads too slowly.
//! async fn member<S>(mut ws: WebSocket<S>, mut room: broadcast::Receiver<Prepared>) -> Option<Outcome>
//! where
//!     S: AsyncRead + AsyncWrite + Unpin,
//! {
//!     loop {
//!         tokio::select! {
//!             // First, because a call that receives also writes.
//!             biased;
//!             event = ws.next_event() => match event {
//!                 Ok(Some(_)) => {}
//!                 Ok(None) | Err(_) => break,
//!             },
//!             news = room.recv() => match news {
//!                 // There is room, so this does not wait.
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
//! // The slow one has not taken the Close either: the close timeout ended the connection.
//! assert_eq!(slow_member.await.unwrap(), Some(Outcome::TimedOut(TimerKind::Close)));
//! # drop(slow);
//! # });
//! # }
//! ```
