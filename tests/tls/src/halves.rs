//! The halves of a blocking WebSocket over TLS, in two threads.

use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{ClientStream, Reader, TlsStream, WebSocket, Writer};
use hybi::{CloseCode, Outcome};

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };
/// The number of messages in each direction.
const MESSAGES: u32 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
/// How long a test may take.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Sends numbered messages. Messages of a batch are written together, which makes the writes large.
fn send(mut writer: Writer, batch: u32) {
    for n in 0..MESSAGES {
        let message = n.to_le_bytes().to_vec();
        if n % batch == batch - 1 { writer.send(message).unwrap() } else { writer.feed(message).unwrap() }
    }
    writer.flush().unwrap();
}

/// Receives numbered messages. Pauses now and then, so that the direction becomes congested.
fn receive(reader: &mut Reader, pauses: u32) {
    let (_never, wait) = channel::<()>();
    for n in 0..MESSAGES {
        if pauses > 0 && n % (MESSAGES / pauses) == 0 {
            wait.recv_timeout(Duration::from_millis(300)).unwrap_err();
        }
        assert_eq!(reader.recv().unwrap().unwrap().as_bytes(), n.to_le_bytes());
    }
}

/// Runs `test` in a thread. Fails if `test` does not end in time.
pub fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    let running = thread::spawn(move || {
        test();
        done.send(()).unwrap();
    });
    if wait.recv_timeout(TIME_LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("the test has not ended in time");
    }
    running.join().unwrap();
}

/// Sends messages in both directions at once, with two threads on each side.
pub fn exchange(
    (client, server): (WebSocket<ClientStream>, WebSocket<TlsStream<TcpStream>>),
    batch: u32,
    pauses: u32,
) {
    let (mut client_reader, client_writer) = client.split().unwrap();
    let (mut server_reader, server_writer) = server.split().unwrap();
    let mut closing = client_writer.clone();
    thread::scope(|scope| {
        let sending = [client_writer, server_writer].map(|writer| scope.spawn(move || send(writer, batch)));
        let serving = scope.spawn(move || {
            receive(&mut server_reader, pauses);
            server_reader.wait_closed().unwrap()
        });
        receive(&mut client_reader, pauses);
        sending.into_iter().for_each(|sending| sending.join().unwrap());
        closing.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(client_reader.wait_closed().unwrap(), CLEAN);
        assert_eq!(serving.join().unwrap(), CLEAN);
    });
}

#[cfg(feature = "rustls")]
#[test]
fn messages_arrive_in_both_directions_at_once() {
    in_time(|| exchange(crate::echo::connection(), 1, 0));
}

#[cfg(feature = "rustls")]
#[test]
fn messages_arrive_in_both_directions_at_once_although_both_are_congested() {
    in_time(|| exchange(crate::echo::connection(), 1000, 4));
}
