//! Connecting over TCP and Unix sockets with tokio.
//!
//! tokio resolves names on its own threads. `async_driver/dial.rs` has the attempts to connect, and
//! `handshake_driver/route.rs` has the order of the handshakes.

use core::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::prelude::v1::*;

#[cfg(unix)]
use ::tokio::net::UnixStream;
use ::tokio::net::{TcpStream, lookup_host};

#[cfg(doc)]
use super::handshake_driver;
use super::{Client, ConnectError, Timer, WebSocket, async_driver};
use crate::Instant;
#[cfg(unix)]
use crate::adapters::handshake_driver::name_path;

/// The stream of a WebSocket that [`connect`] has opened: a socket `S` for `ws://`, and TLS over the socket for
/// `wss://`.
pub type ClientStream<S = TcpStream> = async_driver::ClientStream<S>;

/// Connects to a `ws://` or `wss://` URL over TCP, with the defaults of [`Client`].
///
/// A `wss://` URL needs the feature `rustls` or `native-tls`. With the features `rustls-ring` and `webpki-roots`, or
/// with `native-tls`, it needs no configuration. For a proxy use [`Client::proxy`](handshake_driver::Client::proxy).
///
/// # Errors
///
/// * [`ConnectError::Url`]: the URL is invalid.
/// * [`ConnectError::NeedsTls`]: the URL is `wss`, and no feature for TLS is on.
/// * `ConnectError::Tls`: the TLS configuration or the certificate of the server is not valid, or the TLS handshake has
///   failed.
/// * [`ConnectError::Connect`]: the host has no address, or no connection to any of its addresses could be made.
/// * [`ConnectError::Deadline`]: the WebSocket was not open in time.
/// * [`ConnectError::Io`]: the stream failed or ended during a handshake, or the system provides no entropy.
/// * [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
/// * [`ConnectError::Http`]: the server answered with a status other than 101.
///
/// # Cancel safety
///
/// If the future is dropped, the connection is closed.
pub async fn connect(url: &str) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
    Client::new().connect(url).await
}

impl Client {
    /// Connects to a `ws://` or `wss://` URL over TCP, and opens a WebSocket. The attempts to connect to the addresses
    /// of the host are staggered, and the first connection is used ([`dial`](crate::dial)).
    ///
    /// If the client has a [proxy](handshake_driver::Client::proxy) for this URL, it connects to the proxy, and opens a
    /// tunnel to the server ([`proxy`](crate::proxy)).
    ///
    /// A `wss://` URL and an `https` proxy need the feature `rustls` or `native-tls`. The methods
    /// `tls` and `native_tls` of [`Client`](handshake_driver::Client) replace the default TLS configuration. The
    /// methods `proxy_tls` and `proxy_native_tls` set the TLS configuration for an `https` proxy.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Url`]: the URL is invalid.
    /// * [`ConnectError::NeedsTls`]: TLS is needed, and no feature for TLS is on.
    /// * [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent. No connection was made.
    /// * [`ConnectError::ProxyVariable`]: the environment variable that names the proxy cannot be used. No connection
    ///   was made.
    /// * [`ConnectError::Connect`]: the host of the server or of the proxy has no address, or no connection to any of
    ///   its addresses could be made.
    /// * [`ConnectError::Deadline`]: the WebSocket was not open in time.
    /// * `ConnectError::ProxyTls`: TLS to the proxy has failed, or the certificate of the proxy is not valid.
    /// * [`ConnectError::Proxy`]: the proxy opened no tunnel, or the client could not ask for one; see
    ///   [`ProxyError`](crate::proxy::ProxyError).
    /// * `ConnectError::Tls`: the TLS configuration or the certificate of the server is not valid, or the TLS handshake
    ///   has failed.
    /// * [`ConnectError::Io`]: the stream failed or ended during a handshake, or the system provides no entropy.
    /// * [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
    /// * [`ConnectError::Http`]: the server answered with a status other than 101.
    /// * [`ConnectError::Redirect`]: the client follows [redirects](handshake_driver::Client::max_redirects), but it
    ///   does not follow the redirect with which the server answered. The error has the reason.
    /// * [`ConnectError::Redirected`]: any of these errors, after a redirect that was followed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connection is closed.
    pub async fn connect(&self, url: &str) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
        // The future is on the heap, so that the task of the connection does not reserve memory for connecting.
        Box::pin(async move {
            let start = self.runtime().now();
            let mut hops = self.hops(url);
            loop {
                match hops.client().connect_once(start, hops.url()).await {
                    Ok(ws) => return Ok(ws),
                    Err(error) => hops.follow(error)?,
                }
            }
        })
        .await
    }

    /// Connects to the URL of an `http::Request`, and opens a WebSocket.
    ///
    /// The body of the request is ignored. A header of the request replaces headers of the client with the same
    /// name. If the request has subprotocols or an origin, they replace those of the client.
    /// [`HttpClientRequest`](crate::handshake::HttpClientRequest) lists the headers that the handshake writes itself.
    ///
    /// ```
    /// use hybi::adapters::tokio::{Client, accept};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let request = http::Request::get(format!("ws://{}/chat", listener.local_addr()?))
    ///     .header("Authorization", "Bearer 7f3a")
    ///     .body(())?;
    /// let server = async { accept(listener.accept().await.unwrap().0).await };
    /// let client = Client::new();
    /// let (ws, server) = tokio::join!(client.connect_request(&request), server);
    /// assert_eq!(server?.headers().get("Authorization"), Some(&b"Bearer 7f3a"[..]));
    /// let response = ws?.handshake().to_http_response().ok_or("no response")?;
    /// assert_eq!(response.status(), http::StatusCode::SWITCHING_PROTOCOLS);
    /// assert_eq!(response.headers()["upgrade"], "websocket");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`ConnectError::HttpRequest`]: the method, the version, the URI or a header of the request cannot be used.
    /// * The errors of [`connect`](Self::connect). [`ConnectError::Request`] is also returned if a header that the
    ///   handshake writes itself has another value in the request.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connection is closed.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub async fn connect_request<B>(
        &self,
        request: &::http::Request<B>,
    ) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
        let request = Box::new(self.with_request(request)?);
        let (client, url) = &*request;
        client.connect(url).await
    }

    /// Connects to `url`. A redirect is an error. The deadline is counted from `start`.
    async fn connect_once(
        &self,
        start: Instant,
        url: &str,
    ) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
        let mut route = self.route(start, url)?;
        let resolve = |host: String, port| lookup_host((host, port));
        let connect = |address: SocketAddr| async move {
            let socket = TcpStream::connect(address).await?;
            // Without `TCP_NODELAY` the system delays small writes to send them together. The delay saves nothing here,
            // because queued frames are already written together. If this call fails, the attempt to connect fails, and
            // its error names the address.
            socket.set_nodelay(true)?;
            Ok(socket)
        };
        let dialing = async_driver::dial(self.runtime().clone(), &mut route, resolve, connect);
        let socket = match dialing.await {
            Ok(socket) => socket,
            Err(error) => return Err(route.name_proxy(error)),
        };
        self.run_route(socket, route).await
    }

    /// Connects to the Unix socket at `path`, and opens a WebSocket. The request and the name for TLS come from `url`.
    /// The host of `url` is not resolved, and proxies are not used.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Connect`]: no connection to the socket could be made.
    /// * [`ConnectError::Url`], [`ConnectError::NeedsTls`], [`ConnectError::Request`], [`ConnectError::Deadline`],
    ///   `ConnectError::Tls`, [`ConnectError::Io`], [`ConnectError::Handshake`], [`ConnectError::Http`]: see
    ///   [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connection is closed.
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub async fn connect_unix(
        &self,
        path: impl AsRef<Path>,
        url: &str,
    ) -> Result<WebSocket<ClientStream<UnixStream>>, ConnectError<ClientStream<UnixStream>>> {
        // The future is on the heap, as in `connect`.
        Box::pin(async move {
            let mut runtime = self.runtime().clone();
            let mut route = self.direct_route(runtime.now(), url)?;
            let path = path.as_ref();
            let connecting = async {
                let connected = UnixStream::connect(path).await;
                connected.map_err(|error| name_path(path, error))
            };
            let socket = async_driver::in_time(&mut runtime, route.progress(), connecting).await?;
            self.run_route(socket, route).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::future::Future;
    use core::pin::{Pin, pin};
    use core::task::{Context, Poll, ready};
    use core::time::Duration;
    use std::rc::Rc;

    use std::io;

    use ::tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
    use ::tokio::time;

    use super::*;
    use crate::adapters::handshake_driver::{Silence, TestPeer};
    use crate::dial::Stage;

    fn on_virtual_time<T>(future: impl Future<Output = T>) -> T {
        let builder =
            ::tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        builder.unwrap().block_on(future)
    }

    #[test]
    fn the_deadline_names_the_stage_that_was_running() {
        on_virtual_time(async {
            for silence in Silence::all() {
                let client = silence.client(Client::new());
                let (near, mut far) = duplex(1 << 16);
                far.write_all(silence.arrives).await.unwrap();
                let start = time::Instant::now();
                let route = client.route::<()>(client.runtime().now(), silence.url).unwrap();
                silence.check(client.run_route(near, route).await);
                assert!(start.elapsed() >= Silence::LIMIT && start.elapsed() < Silence::LIMIT * 2);
            }
        });
    }

    #[test]
    fn s9112_6_3_a_refusal_whose_body_does_not_end_is_reported_after_a_second() {
        on_virtual_time(async {
            let silence = Silence::after_refusal();
            let client = silence.client(Client::new());
            let (near, mut far) = duplex(1 << 16);
            far.write_all(silence.arrives).await.unwrap();
            let start = time::Instant::now();
            let route = client.route::<()>(client.runtime().now(), silence.url).unwrap();
            Silence::check_refusal(client.run_route(near, route).await);
            let limit = Silence::BODY_LIMIT;
            assert!(start.elapsed() >= limit && start.elapsed() < limit * 2, "{:?}", start.elapsed());
        });
    }

    /// A stream with a proxy and a server. Each read returns one byte.
    struct Answering {
        peer: TestPeer,
        /// The time that each read takes.
        each_read: Duration,
        waiting: Option<Pin<Box<time::Sleep>>>,
        calls: Rc<Cell<usize>>,
        /// The index of the call during which the clock jumps over the deadline.
        jump_at: usize,
    }

    impl Answering {
        fn new(each_read: Duration, jump_at: usize) -> Self {
            let (peer, calls) = (TestPeer::default(), Rc::default());
            Self { peer, each_read, waiting: None, calls, jump_at }
        }

        fn begin(&self, cx: &mut Context<'_>) {
            if self.calls.get() == self.jump_at {
                // The first poll of `advance` moves the clock.
                let _ = pin!(time::advance(Duration::from_secs(3600))).poll(cx);
            }
            self.calls.set(self.calls.get() + 1);
        }

        /// Opens a WebSocket. Returns the stage of the deadline, and the number of calls.
        fn open(self) -> (Option<Stage>, usize) {
            let calls = Rc::clone(&self.calls);
            let stage = on_virtual_time(async {
                let client = TestPeer::client(Client::new());
                let route = client.route::<()>(client.runtime().now(), TestPeer::URL).unwrap();
                TestPeer::stage_of(client.run_route(self, route).await)
            });
            (stage, calls.get())
        }
    }

    impl AsyncRead for Answering {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            to: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !self.each_read.is_zero() {
                let each_read = self.each_read;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(time::sleep(each_read)));
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            self.begin(cx);
            to.put_slice(&[self.peer.answers.pop_front().expect("the client reads before it has sent")]);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Answering {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            from: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.begin(cx);
            self.peer.receive(from);
            Poll::Ready(Ok(from.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.begin(cx);
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_clock_that_jumps_over_the_deadline_ends_the_stage_that_is_running() {
        TestPeer::check_jumps(|jump_at| Answering::new(Duration::ZERO, jump_at).open());
    }

    #[test]
    fn bytes_that_arrive_one_by_one_do_not_move_the_deadline() {
        for (millis, expected) in [(1000, Some(Stage::Proxy)), (100, Some(Stage::Handshake)), (10, None)] {
            assert_eq!(Answering::new(Duration::from_millis(millis), usize::MAX).open().0, expected);
        }
    }
}
