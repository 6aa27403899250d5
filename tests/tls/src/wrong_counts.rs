//! TLS over a stream that reports more bytes than it was given.
//!
//! With such a wrong count, the session would get ciphertext that never arrived, or lose ciphertext that was not
//! written. The adapters find the wrong count before the session sees it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{Client, Server, Stream};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::tls::ServerConfig;

use crate::identity::{Tls, both_on_localhost};

/// A stream that reports one byte more than the buffer of a call has. The stream reports this in one direction, after a
/// number of correct calls in this direction.
struct WrongCounts<S> {
    socket: S,
    reads: bool,
    correct_calls: usize,
}

impl<S> WrongCounts<S> {
    /// Returns the reported number of bytes for a call that has moved `n` of `most` bytes.
    fn count(&mut self, reads: bool, n: usize, most: usize) -> usize {
        if reads != self.reads {
            return n;
        }
        match self.correct_calls.checked_sub(1) {
            Some(left) => {
                self.correct_calls = left;
                n
            }
            None => most + 1,
        }
    }
}

impl Read for WrongCounts<TcpStream> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.socket.read(to)?;
        Ok(self.count(true, n, to.len()))
    }
}

impl Write for WrongCounts<TcpStream> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let n = self.socket.write(from)?;
        Ok(self.count(false, n, from.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for WrongCounts<TcpStream> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.socket.set_read_timeout(timeout).map(|()| true)
    }
}

type Socket = smol::Async<TcpStream>;

impl smol::io::AsyncRead for WrongCounts<Socket> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_read(cx, to);
        polled.map_ok(|n| self.count(true, n, to.len()))
    }
}

impl smol::io::AsyncWrite for WrongCounts<Socket> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, from);
        polled.map_ok(|n| self.count(false, n, from.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

/// tokio counts the bytes of a read itself, so this stream reports only wrong numbers of written bytes.
impl ::tokio::io::AsyncRead for WrongCounts<::tokio::net::TcpStream> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ::tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, to)
    }
}

impl ::tokio::io::AsyncWrite for WrongCounts<::tokio::net::TcpStream> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, from);
        polled.map_ok(|n| self.count(false, n, from.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

const URL: &str = "wss://localhost/";

/// Opens a WebSocket over `stream`, and sends messages of `$len` bytes until an error. Returns the text of the error.
macro_rules! error_of {
    ($client:expr, $stream:expr, $len:expr $(, $wait:ident)?) => {{
        match $client.open_tls($stream, URL)$(.$wait)? {
            Err(error) => format!("{error:?}"),
            Ok(mut ws) => loop {
                if let Err(error) = ws.send("x".repeat($len))$(.$wait)? {
                    break format!("{error:?}");
                }
                if let Err(error) = ws.recv()$(.$wait)? {
                    break format!("{error:?}");
                }
            },
        }
    }};
}

/// Calls `client` with a connection to a server that echoes. The server may fail when the client fails.
fn with_server<T>(server: &Arc<ServerConfig>, client: impl FnOnce(TcpStream) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let accepted = Server::new().accept_tls(Arc::clone(server), listener.accept().unwrap().0);
            let Ok(mut ws) = accepted else { return };
            while let Ok(Some(message)) = ws.recv() {
                if ws.send(message).is_err() {
                    return;
                }
            }
        });
        client(TcpStream::connect(address).unwrap())
    })
}

#[test]
fn a_stream_that_reports_too_many_bytes_is_an_error() {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (tls, server) in both_on_localhost() {
        let tls: &Tls = &tls;
        // Long messages fill the memory of a read. In this case the session of an asynchronous stream reads into its
        // own memory. If a long message is written directly, only the next write reports the wrong count.
        for (reads, correct_calls, len) in [(true, 5), (true, 100_000), (false, 5)]
            .into_iter()
            .flat_map(|(reads, len)| (0..8).map(move |n| (reads, n, len)))
        {
            let blocking = with_server(&server, |socket| {
                let stream = WrongCounts { socket, reads, correct_calls };
                error_of!(tls.configure(Client::new()), stream, len)
            });
            let smol = with_server(&server, |socket| {
                smol::block_on(async {
                    let stream = WrongCounts { socket: Socket::new(socket).unwrap(), reads, correct_calls };
                    error_of!(tls.configure(futures_io::Client::new()), stream, len, await)
                })
            });
            let mut errors = vec![blocking, smol];
            if !reads {
                errors.push(with_server(&server, |socket| {
                    socket.set_nonblocking(true).unwrap();
                    runtime.block_on(async {
                        let socket = ::tokio::net::TcpStream::from_std(socket).unwrap();
                        let stream = WrongCounts { socket, reads, correct_calls };
                        error_of!(tls.configure(on_tokio::Client::new()), stream, len, await)
                    })
                }));
            }
            for (adapter, error) in errors.into_iter().enumerate() {
                assert!(
                    error.contains("has a bug"),
                    "{tls:?}, reads {reads}, {correct_calls}, {len}, {adapter}: {error}"
                );
            }
        }
    }
}
