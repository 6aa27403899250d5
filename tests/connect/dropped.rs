//! Futures that are dropped at each of their await points while a client connects, opens a tunnel, or follows a
//! redirect.
//!
//! A dropped future closes its connection, and the client can be used again.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};
use hybi::proxy::ProxyUrl;

/// The request that ends the thread of the proxy. The test sends it after the last client.
const END: &[u8] = b"END\r\n\r\n";

fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

/// Sends `bytes` in up to four writes, so that a future that waits for all of them is woken more often.
fn send_slowly(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(bytes.len().div_ceil(4)) {
        stream.write_all(piece)?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Serves one connection: opens the tunnel, and then acts as the server. Redirects the request for `/`, and opens a
/// WebSocket for any other request. Returns whether this was the last connection.
fn serve(stream: &mut TcpStream) -> io::Result<bool> {
    let head = read_head(stream)?;
    if head == END {
        return Ok(true);
    }
    assert!(head.starts_with(b"CONNECT server.example:80 "), "{head:?}");
    send_slowly(stream, b"HTTP/1.1 200 OK\r\n\r\n")?;
    let head = read_head(stream)?;
    if head.starts_with(b"GET / ") {
        send_slowly(stream, b"HTTP/1.1 307 T\r\nLocation: /second\r\nContent-Length: 0\r\n\r\n")?;
    } else {
        match ServerHandshake::new(HeadLimits::new()).poll(&head) {
            Ok(Some(Incoming::Upgrade(request))) => {
                send_slowly(stream, &request.accept().to_vec().unwrap())?;
            }
            other => panic!("{other:?}"),
        }
    }
    Ok(false)
}

/// Starts a proxy. Its thread fails if a client does not close a connection, and otherwise returns the number of
/// connections.
fn proxy() -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut connections = 0;
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            if serve(&mut stream).is_ok_and(|end| end) {
                return connections;
            }
            connections += 1;
            let mut rest = [0; 4096];
            // A reset ends the connection too. A timeout shows that the client has not closed the connection.
            let error = loop {
                match stream.read(&mut rest) {
                    Ok(0) => break None,
                    Ok(_) => {}
                    Err(error) => break Some(error.kind()),
                }
            };
            assert!(
                !matches!(error, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
                "a connection is left open"
            );
        }
    });
    (address, thread)
}

/// Polls a future until it is ready or was polled `most` times, and drops it. The future is polled only after it was
/// woken.
async fn poll_times<T>(most: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut polls) = (pin!(future), 0);
    poll_fn(|cx| {
        polls += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if polls == most => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Drops the future of `connect` after each number of polls. `connect` gets the address of the proxy and the number of
/// polls, and returns whether the WebSocket has opened.
fn drop_after_each_poll(connect: impl Fn(SocketAddr, usize) -> bool) {
    let (address, thread) = proxy();
    let opened = (1..200).find(|most| connect(address, *most));
    let most = opened.expect("the WebSocket never opens");
    assert!(most > 5, "the future has only {most} await points");
    TcpStream::connect(address).unwrap().write_all(END).unwrap();
    assert!(thread.join().unwrap() > most / 2);
}

fn proxy_url(address: SocketAddr) -> ProxyUrl {
    ProxyUrl::parse(&format!("http://user:s3cr3t@{address}")).unwrap()
}

const URL: &str = "ws://server.example/";

#[test]
fn a_dropped_future_of_tokio_closes_its_connection_in_each_stage() {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    drop_after_each_poll(|address, most| {
        let client = on_tokio::Client::new().proxy(proxy_url(address)).max_redirects(1);
        let opened = runtime.block_on(poll_times(most, client.connect(URL)));
        opened.map(Result::unwrap).is_some_and(|ws| ws.target() == "/second")
    });
}

#[test]
fn a_dropped_future_of_smol_closes_its_connection_in_each_stage() {
    drop_after_each_poll(|address, most| {
        let client = futures_io::Client::new().proxy(proxy_url(address)).max_redirects(1);
        let opened = smol::block_on(poll_times(most, client.connect(URL)));
        opened.map(Result::unwrap).is_some_and(|ws| ws.target() == "/second")
    });
}
