//! Connections that are cut, or fall silent, at each byte of the opening.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hybi::adapters::handshake_driver::AcceptError;
use hybi::adapters::net::{Client, ConnectError, HttpCall, Server, TlsStream, WebSocket};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::dial::Stage;
use hybi::tls::TlsError;
use rustls::ServerConfig;

use crate::identity::{Authority, Tls, both_on_localhost};

/// Copies bytes from one socket to the other, and stops after `most` bytes or at the end of the stream. Closes the
/// direction afterwards, unless it has copied `most` bytes and `falls_silent` is true. Returns the number of bytes.
fn copy(mut from: TcpStream, mut to: TcpStream, most: usize, falls_silent: bool) -> usize {
    let (mut copied, mut buffer) = (0, [0; 4096]);
    while copied < most {
        let space = buffer.len().min(most - copied);
        match from.read(&mut buffer[..space]) {
            Ok(n @ 1..) if to.write_all(&buffer[..n]).is_ok() => copied += n,
            _ => break,
        }
    }
    if copied < most || !falls_silent {
        let _ = to.shutdown(Shutdown::Write);
    }
    // Read the rest, so that the peer is not reset.
    while from.read(&mut buffer).is_ok_and(|n| n > 0) {}
    copied
}

/// A server behind a connection that is cut.
struct Cut {
    /// The number of bytes that the client and the server can send.
    most: [usize; 2],
    falls_silent: bool,
}

impl Cut {
    /// Calls `connect` with the URL of a server with rustls. Returns the result of `connect`, the error of the server,
    /// and the numbers of bytes that the client and the server have sent.
    fn run<T>(
        &self,
        config: Arc<ServerConfig>,
        connect: impl FnOnce(&str) -> T,
    ) -> (T, Option<AcceptError<()>>, [usize; 2]) {
        self.run_with(|server, stream| server.accept_tls(config, stream), connect)
    }

    /// Does the same as [`run`](Self::run), but calls `accept` with the server and its connection.
    fn run_with<T>(
        &self,
        accept: impl FnOnce(Server, TcpStream) -> Accepted + Send,
        connect: impl FnOnce(&str) -> T,
    ) -> (T, Option<AcceptError<()>>, [usize; 2]) {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [front, back] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let [front_listener, back_listener] = listeners;
        let timeout = Duration::from_millis(if self.falls_silent { 150 } else { 10_000 });
        let [up, down] = self.most;
        let falls_silent = self.falls_silent;
        thread::scope(|scope| {
            let serving = scope.spawn(move || {
                let server = Server::new().handshake_timeout(Some(timeout));
                let accepted = accept(server, back_listener.accept().unwrap().0);
                accepted.map(|mut ws| _ = ws.recv()).err().map(AcceptError::without_stream)
            });
            let forwarding = scope.spawn(move || {
                let near = front_listener.accept().unwrap().0;
                let far = TcpStream::connect(back).unwrap();
                let (from, to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::scope(|scope| {
                    let up = scope.spawn(move || copy(from, to, up, falls_silent));
                    let down = copy(far, near, down, falls_silent);
                    [up.join().unwrap(), down]
                })
            });
            let connected = connect(&format!("wss://localhost:{}/", front.port()));
            // If the client has reached its deadline before it connected, the thread still waits for a connection. This
            // connection ends the wait.
            drop(TcpStream::connect(front));
            (connected, serving.join().unwrap(), forwarding.join().unwrap())
        })
    }
}

/// The result of a server.
type Accepted = Result<WebSocket<TlsStream<TcpStream>>, AcceptError<HttpCall<TlsStream<TcpStream>>>>;

fn blocking(tls: &Tls, timeout: Duration) -> impl FnOnce(&str) -> Option<ConnectError<()>> {
    move |url| {
        let client = tls.configure(Client::new()).open_timeout(Some(timeout));
        client.connect(url).err().map(ConnectError::without_stream)
    }
}

const LONG: Duration = Duration::from_secs(10);
const NO_CUT: Cut = Cut { most: [usize::MAX; 2], falls_silent: false };

#[test]
fn a_cut_at_any_byte_that_the_server_sends_is_a_typed_error_of_the_client() {
    for (client, server) in both_on_localhost() {
        let (error, _, [_, sent]) = NO_CUT.run(Arc::clone(&server), blocking(&client, LONG));
        assert!(error.is_none(), "{error:?}");
        // `sent` also counts the session tickets, the response, and the end of the connection.
        for most in (0..sent - 100).step_by(if cfg!(debug_assertions) { 3 } else { 1 }) {
            let cut = Cut { most: [usize::MAX, most], falls_silent: false };
            let (error, _, _) = cut.run(Arc::clone(&server), blocking(&client, LONG));
            match error {
                Some(ConnectError::Tls(TlsError::Truncated)) => {}
                // The response was complete, and the bytes after it were cut.
                None if most > sent - 300 => {}
                other => panic!("{most} of {sent} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn a_cut_at_any_byte_that_the_client_sends_is_a_typed_error_of_the_server() {
    for (client, server) in both_on_localhost() {
        let (error, _, [sent, _]) = NO_CUT.run(Arc::clone(&server), blocking(&client, LONG));
        assert!(error.is_none(), "{error:?}");
        for most in (0..sent - 100).step_by(if cfg!(debug_assertions) { 3 } else { 1 }) {
            let cut = Cut { most: [most, usize::MAX], falls_silent: false };
            let (_, error, _) = cut.run(Arc::clone(&server), blocking(&client, LONG));
            match error {
                Some(AcceptError::Tls(TlsError::Truncated)) => {}
                None if most > sent - 300 => {}
                other => panic!("{most} of {sent} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn a_cut_is_a_typed_error_on_tokio_and_smol() {
    for (client, server) in both_on_localhost() {
        for most in (0..700).step_by(if cfg!(debug_assertions) { 50 } else { 7 }) {
            let cut = Cut { most: [usize::MAX, most], falls_silent: false };
            let (error, _, _) = cut.run(Arc::clone(&server), |url| {
                let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let client = client.configure(on_tokio::Client::new());
                runtime.block_on(client.connect(url)).map(drop).unwrap_err().without_stream()
            });
            assert!(matches!(error, ConnectError::Tls(TlsError::Truncated)), "{most}: {error:?}");
            let (error, _, _) = cut.run(Arc::clone(&server), |url| {
                let client = client.configure(futures_io::Client::new());
                smol::block_on(client.connect(url)).map(drop).unwrap_err().without_stream()
            });
            assert!(matches!(error, ConnectError::Tls(TlsError::Truncated)), "{most}: {error:?}");
        }
    }
}

#[test]
fn a_peer_that_falls_silent_causes_a_typed_error_in_time() {
    for (client, server) in both_on_localhost() {
        for most in [0, 1, 5, 100, 300, 600] {
            let cut = Cut { most: [usize::MAX, most], falls_silent: true };
            ends_in(Stage::Tls, |limit| {
                let (of_blocking, _, _) = cut.run(Arc::clone(&server), blocking(&client, limit));
                let (of_tokio, _, _) = cut.run(Arc::clone(&server), |url| {
                    let runtime =
                        ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    let client = client.configure(on_tokio::Client::new()).open_timeout(Some(limit));
                    runtime.block_on(client.connect(url)).map(drop).unwrap_err().without_stream()
                });
                vec![of_blocking, Some(of_tokio)]
            });
            let cut = Cut { most: [most.min(200), usize::MAX], falls_silent: true };
            let (_, error, _) = cut.run(Arc::clone(&server), blocking(&client, LONG));
            assert!(matches!(error, Some(AcceptError::Tls(TlsError::Timeout))), "{most}: {error:?}");
        }
    }
}

#[test]
fn a_cut_at_any_byte_is_a_typed_error_of_a_server_with_native_tls() {
    let authority = Authority::new();
    let (identity, [_, client]) = (authority.issue("localhost"), authority.both());
    let acceptor = &identity.acceptor();
    let accept = |server: Server, stream| server.accept_native_tls(acceptor, stream);
    let (error, _, [sent, _]) = NO_CUT.run_with(accept, blocking(&client, LONG));
    assert!(error.is_none(), "{error:?}");
    for most in (0..sent - 100).step_by(if cfg!(debug_assertions) { 3 } else { 1 }) {
        let cut = Cut { most: [most, usize::MAX], falls_silent: false };
        let (_, error, _) = cut.run_with(accept, blocking(&client, LONG));
        match error {
            Some(AcceptError::Tls(TlsError::Truncated)) => {}
            None if most > sent - 300 => {}
            other => panic!("{most} of {sent} bytes: {other:?}"),
        }
    }
}

/// Checks that each of the connections of `attempt` ends at the deadline in the stage `expected`. If a busy machine has
/// not reached this stage, the attempt is repeated with more time.
#[track_caller]
pub fn ends_in(expected: Stage, attempt: impl Fn(Duration) -> Vec<Option<ConnectError<()>>>) {
    let mut stages = Vec::new();
    for limit in [100, 1000, 10_000].map(Duration::from_millis) {
        let stage = |error| match error {
            Some(ConnectError::Deadline(error)) => {
                assert_eq!(error.limit(), limit);
                error.stage()
            }
            other => panic!("{other:?}"),
        };
        stages = attempt(limit).into_iter().map(stage).collect();
        if stages.iter().all(|stage| *stage == expected) {
            return;
        }
    }
    panic!("{stages:?} instead of {expected:?}");
}
