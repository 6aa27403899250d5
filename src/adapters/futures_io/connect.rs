//! Connecting over TCP and Unix sockets with the crate async-io: feature `async-io`.
//!
//! async-io connects to an address, but does not resolve names. A short-lived thread resolves the name, because the
//! function of the system blocks.

use std::boxed::Box;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(unix)]
use std::path::Path;
use std::string::String;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread;
use std::vec::Vec;

use ::async_io::Async;

#[cfg(doc)]
use super::handshake_driver;
use super::{AsyncIo, Client, ConnectError, Timer, WebSocket, async_driver};
use crate::Instant;
#[cfg(unix)]
use crate::adapters::handshake_driver::name_path;
use crate::adapters::lock::lock;
use crate::adapters::sync::Mutex;

/// The stream of a WebSocket that [`connect`] has opened: a socket `S` for `ws://`, and TLS over the socket for
/// `wss://`.
pub type ClientStream<S = Async<TcpStream>> = async_driver::ClientStream<S>;

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

impl Client<AsyncIo> {
    /// Connects to a `ws://` or `wss://` URL over TCP, and opens a WebSocket. The attempts to connect to the addresses
    /// of the host are staggered, and the first connection is used ([`dial`](crate::dial)). A short-lived thread
    /// resolves the name of the host.
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
        let connect = |address: SocketAddr| async move {
            let socket = Async::<TcpStream>::connect(address).await?;
            // Without `TCP_NODELAY` the system delays small writes to send them together. The delay saves nothing here,
            // because queued frames are already written together. If this call fails, the attempt to connect fails, and
            // its error names the address.
            socket.get_ref().set_nodelay(true)?;
            Ok(socket)
        };
        let socket = match async_driver::dial(self.runtime().clone(), &mut route, resolve, connect).await {
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
    ) -> Result<WebSocket<ClientStream<Async<UnixStream>>>, ConnectError<ClientStream<Async<UnixStream>>>>
    {
        // The future is on the heap, as in `connect`.
        Box::pin(async move {
            let mut runtime = self.runtime().clone();
            let mut route = self.direct_route(runtime.now(), url)?;
            let path = path.as_ref();
            let connecting = async {
                let connected = Async::<UnixStream>::connect(path).await;
                connected.map_err(|error| name_path(path, error))
            };
            let socket = async_driver::in_time(&mut runtime, route.progress(), connecting).await?;
            self.run_route(socket, route).await
        })
        .await
    }
}

/// Returns the addresses of a host.
async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<core::net::IpAddr>() {
        return Ok(Vec::from([SocketAddr::new(address, port)]));
    }
    let answer = Arc::new(Mutex::new(Answer::default()));
    let answer_of_thread = Arc::clone(&answer);
    thread::Builder::new().name("hybi-resolve".into()).spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        let waker = {
            let mut answer = lock(&answer_of_thread);
            answer.addresses = Some(addresses);
            answer.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    })?;
    std::future::poll_fn(|cx| {
        let mut answer = lock(&answer);
        match answer.addresses.take() {
            Some(addresses) => Poll::Ready(addresses),
            None => {
                answer.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}

/// The result of the thread that resolves a name, and the task that waits for it.
#[derive(Default)]
struct Answer {
    addresses: Option<io::Result<Vec<SocketAddr>>>,
    waker: Option<Waker>,
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::future::Future;
    use core::pin::{Pin, pin};
    use core::task::Context;
    use std::rc::Rc;

    use ::futures_io::{AsyncRead, AsyncWrite};

    use super::*;
    use crate::Instant;
    use crate::adapters::handshake_driver::Silence;

    /// A clock that the test moves. The timer stores when it would fire.
    #[derive(Clone)]
    struct Clock(Rc<Cell<(Instant, Instant)>>);

    impl Timer for Clock {
        fn now(&self) -> Instant {
            self.0.get().0
        }

        fn poll_at(&mut self, _: &mut Context<'_>, at: Instant) -> Poll<()> {
            let now = self.now();
            self.0.set((now, at));
            if at <= now { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    /// A stream that delivers one byte for each read. After the last byte, reads are pending.
    struct Silent(&'static [u8]);

    impl AsyncRead for Silent {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
            let Some((byte, rest)) = self.0.split_first() else { return Poll::Pending };
            self.get_mut().0 = rest;
            to[0] = *byte;
            Poll::Ready(Ok(1))
        }
    }

    impl AsyncWrite for Silent {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(from.len().min(7)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn the_deadline_names_the_stage_that_was_running() {
        for silence in Silence::all() {
            let clock = Clock(Rc::new(Cell::new((Instant::ZERO, Instant::ZERO))));
            let client = silence.client(Client::with_timer(clock.clone()));
            let route = client.route::<()>(Instant::ZERO, silence.url).unwrap();
            let mut opening = pin!(client.run_route(Silent(silence.arrives), route));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(opening.as_mut().poll(&mut cx).is_pending());
            let deadline = Instant::ZERO + Silence::LIMIT;
            assert_eq!(clock.0.get().1, deadline);
            clock.0.set((deadline, deadline));
            let Poll::Ready(result) = opening.as_mut().poll(&mut cx) else { panic!("the client waits") };
            silence.check(result);
        }
    }

    #[test]
    fn s9112_6_3_a_refusal_whose_body_does_not_end_is_reported_after_a_second() {
        let silence = Silence::after_refusal();
        let clock = Clock(Rc::new(Cell::new((Instant::ZERO, Instant::ZERO))));
        let client = silence.client(Client::with_timer(clock.clone()));
        let route = client.route::<()>(Instant::ZERO, silence.url).unwrap();
        let mut opening = pin!(client.run_route(Silent(silence.arrives), route));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(opening.as_mut().poll(&mut cx).is_pending());
        let limit = Instant::ZERO + Silence::BODY_LIMIT;
        assert_eq!(clock.0.get().1, limit);
        clock.0.set((limit, limit));
        let Poll::Ready(result) = opening.as_mut().poll(&mut cx) else { panic!("the client waits") };
        Silence::check_refusal(result);
    }
}
