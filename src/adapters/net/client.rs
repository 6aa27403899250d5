//! The client's side of the opening handshake over blocking streams.
//!
//! [`Client`] has the settings, and is shared by all adapters (`handshake_driver/client.rs`). This file connects
//! sockets, runs the handshakes on a [`DeadlineStream`], and creates the [`WebSocket`]. `handshake_driver/route.rs` has
//! the order of the handshakes: proxy, TLS, WebSocket. The application can also create a TLS stream with another
//! library, and pass it to [`Client::open`] or [`Client::open_stream`].
//!
//! Invariant: if the server answers with a status other than 101, the error contains the stream
//! ([`ConnectError::response`]). After every other error the stream is dropped.

use std::io::{Read, Write};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(unix)]
use std::path::Path;
use std::vec::Vec;

use super::Blocking;
use super::client_stream::ClientStream;
use super::clock::Clock;
use super::deadline_stream::DeadlineStream;
use super::dial;
use super::handshake;
use super::stream::Stream;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::tls_stream::TlsStream;
use super::websocket::WebSocket;
use super::wrapped_stream::{SocketOf, WrappedStream};
use crate::Instant;
use crate::adapters::handshake_driver::{self, ConnectError, Route};
use crate::dial::{Progress, Stage};
use crate::handshake::WsUrl;

/// A client for blocking streams: the settings of its requests and connections.
///
/// # Blocking and timeouts
///
/// [`Client::connect`], [`Client::open`] and [`Client::open_stream`] block until the handshakes are done, but at most
/// for the [`open_timeout`](handshake_driver::Client::open_timeout), which is ten seconds by default. If the stream
/// supports no timeouts, nothing interrupts a read that blocks.
///
/// # Threads
///
/// [`Client::connect`] starts helper threads, because name resolution and connecting block. One thread resolves the
/// name, and other threads make the attempts to connect, at most 8 at a time. For a host that is an IP address, no
/// thread is started. When one attempt has succeeded, the threads of the other attempts end by themselves, within the
/// timeout, and close their connections.
///
/// ```no_run
/// use hybi::adapters::net::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new().subprotocols(["chat.v2"]).header("Authorization", "Bearer 7f3a");
/// let ws = client.connect("ws://127.0.0.1:9001/chat")?;
/// assert_eq!(ws.subprotocol(), Some("chat.v2"));
/// # Ok(())
/// # }
/// ```
pub type Client = handshake_driver::Client<Blocking>;

impl Client {
    /// Returns a client with the defaults: no subprotocols, no origin, no proxy, and ten seconds to open a WebSocket.
    /// All other settings are the defaults of [`Config`](crate::Config) and
    /// [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::with_runtime(Blocking)
    }

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
    /// Blocks until the handshakes are done.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::NeedsTls`]: TLS is needed, and no feature for TLS is on.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent. No connection was made.
    /// - [`ConnectError::ProxyVariable`]: the environment variable that names the proxy cannot be used. No connection
    ///   was made.
    /// - [`ConnectError::Connect`]: the host of the server or of the proxy has no address, or no connection to any of
    ///   its addresses could be made.
    /// - [`ConnectError::Deadline`]: the WebSocket was not open in time.
    /// - `ConnectError::ProxyTls`: TLS to the proxy has failed, or the certificate of the proxy is not valid.
    /// - [`ConnectError::Proxy`]: the proxy opened no tunnel, or the client could not ask for one; see
    ///   [`ProxyError`](crate::proxy::ProxyError).
    /// - `ConnectError::Tls`: the TLS configuration or the certificate of the server is not valid, or the TLS handshake
    ///   has failed.
    /// - [`ConnectError::Io`]: the stream failed or ended during a handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    /// - [`ConnectError::Redirect`]: the client follows [redirects](handshake_driver::Client::max_redirects), but it
    ///   does not follow the redirect with which the server answered. The error has the reason.
    /// - [`ConnectError::Redirected`]: any of these errors, after a redirect that was followed.
    pub fn connect(&self, url: &str) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
        let clock = Clock::start_at(Instant::ZERO, None);
        let mut hops = self.hops(url);
        loop {
            match hops.client().connect_once(clock, hops.url()) {
                Ok(ws) => return Ok(ws),
                Err(error) => hops.follow(error)?,
            }
        }
    }

    /// Connects to the URL of an `http::Request`, and opens a WebSocket. Blocks until the handshakes are done.
    ///
    /// The body of the request is ignored. A header of the request replaces headers of the client with the same
    /// name. If the request has subprotocols or an origin, they replace those of the client.
    /// [`HttpClientRequest`](crate::handshake::HttpClientRequest) lists the headers that the handshake writes itself.
    ///
    /// ```
    /// use hybi::adapters::net::{Client, Server};
    /// use std::net::TcpListener;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let request = http::Request::get(format!("ws://{}/chat", listener.local_addr()?))
    ///     .header("Authorization", "Bearer 7f3a")
    ///     .body(())?;
    /// let server = std::thread::spawn(move || {
    ///     let ws = Server::new().header("X-Region", "eu").accept(listener.accept().unwrap().0).unwrap();
    ///     assert_eq!(ws.headers().get("Authorization"), Some(&b"Bearer 7f3a"[..]));
    /// });
    /// let ws = Client::new().connect_request(&request).map_err(|error| error.without_stream())?;
    /// let response = ws.handshake().to_http_response().ok_or("no response")?;
    /// assert_eq!(response.status(), http::StatusCode::SWITCHING_PROTOCOLS);
    /// assert_eq!(response.headers()["x-region"], "eu");
    /// # server.join().unwrap();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ConnectError::HttpRequest`]: the method, the version, the URI or a header of the request cannot be used.
    /// - The errors of [`connect`](Self::connect). [`ConnectError::Request`] is also returned if a header that the
    ///   handshake writes itself has another value in the request.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn connect_request<B>(
        &self,
        request: &::http::Request<B>,
    ) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
        let (client, url) = self.with_request(request)?;
        client.connect(&url)
    }

    /// Connects to `url`. A redirect is an error. The deadline is counted from the start of `clock`.
    fn connect_once(
        &self,
        clock: Clock,
        url: &str,
    ) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
        let mut route = self.route(Instant::ZERO, url)?;
        let socket = match dial::connect(&mut route, clock) {
            Ok(socket) => socket,
            Err(error) => return Err(route.name_proxy(error)),
        };
        self.run_route(socket, clock.now(|| None), route)
    }

    /// Connects to the Unix socket at `path`, and opens a WebSocket. The request and the name for TLS come from `url`.
    /// The host of `url` is not resolved, and proxies are not used.
    ///
    /// Blocks until the handshakes are done.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Connect`]: no connection to the socket could be made.
    /// - [`ConnectError::Url`], [`ConnectError::NeedsTls`], [`ConnectError::Request`], [`ConnectError::Deadline`],
    ///   `ConnectError::Tls`, [`ConnectError::Io`], [`ConnectError::Handshake`], [`ConnectError::Http`]: see
    ///   [`connect`](Self::connect).
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn connect_unix(
        &self,
        path: impl AsRef<Path>,
        url: &str,
    ) -> Result<WebSocket<ClientStream<UnixStream>>, ConnectError<ClientStream<UnixStream>>> {
        let clock = Clock::start_at(Instant::ZERO, None);
        let mut route = self.direct_route(Instant::ZERO, url)?;
        let socket = dial::connect_unix(path.as_ref(), route.progress(), clock)?;
        self.run_route(socket, clock.now(|| None), route)
    }

    /// Runs the handshakes of a route over a connected socket in blocking mode.
    fn run_route<S: Stream>(
        &self,
        socket: S,
        now: Instant,
        mut route: Route<'_>,
    ) -> Result<WebSocket<ClientStream<S>>, ConnectError<ClientStream<S>>> {
        let url = route.url();
        let mut link = DeadlineStream::blocking(ClientStream::from(socket).into(), now);
        while let Some(mut layer) = route.next_layer()? {
            link.read_clock();
            handshake::run(&mut link, &mut layer);
            if let Some(secured) = route.finish_layer(layer)? {
                let now = link.now();
                link = DeadlineStream::blocking(link.into_stream().secure(secured).into(), now);
            }
        }
        let (progress, arrived) = route.end();
        self.run(link, progress, &url, arrived).map_err(|error| route.name_proxy(error))
    }

    /// Runs the TLS handshake. Returns the TLS stream and the time.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn secure<S: Stream, T>(
        &self,
        mut link: DeadlineStream<S>,
        progress: &Progress,
        url: &WsUrl<'_>,
    ) -> Result<(TlsStream<S>, Instant), ConnectError<T>> {
        let mut securing = self.securing(progress, url)?;
        link.read_clock();
        handshake::run(&mut link, &mut securing);
        let session = securing.finish().map_err(|why| why.into_error(progress))?;
        let now = link.now();
        Ok((TlsStream::new(link.into_stream(), session), now))
    }

    /// Opens a WebSocket over a connected stream that has no TLS yet. Runs the TLS handshake for the host of `url`
    /// or for [`server_name`](Self::server_name), and then the WebSocket handshake. Blocks until both are done.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::Tls`]: the TLS configuration or the certificate of the server is not valid, or the TLS
    ///   handshake has failed.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// - [`ConnectError::Deadline`]: the WebSocket was not open in time.
    /// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
    pub fn open_tls<S: Stream>(
        &self,
        stream: S,
        url: &str,
    ) -> Result<WebSocket<TlsStream<S>>, ConnectError<TlsStream<S>>> {
        let url = WsUrl::parse(url)?;
        let link = DeadlineStream::new(stream.into(), Instant::ZERO);
        let mut progress = self.progress(link.now(), Stage::Tls);
        let (tls, now) = self.secure(link, &progress, &url)?;
        progress.enter(Stage::Handshake);
        self.run(DeadlineStream::new(tls.into(), now), progress, &url, Vec::new())
    }

    /// Opens a WebSocket over a connected stream. Blocks until the handshake is done. For a `wss://` URL pass a TLS
    /// stream.
    ///
    /// `socket` is a function that returns the TCP socket below the stream. The adapter sets timeouts on this socket,
    /// and the timeouts interrupt calls that block. With `|_| None` nothing interrupts a call that blocks.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// - [`ConnectError::Deadline`]: the WebSocket was not open in time.
    /// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    pub fn open<S: Read + Write>(
        &self,
        stream: S,
        socket: SocketOf<S>,
        url: &str,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        self.open_stream(WrappedStream::new(stream, socket), url)
    }

    /// Opens a WebSocket over any [`Stream`](super::Stream) or [`WrappedStream`] that is connected already. Blocks
    /// until the handshake is done.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// - [`ConnectError::Deadline`]: the WebSocket was not open in time.
    /// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    pub fn open_stream<S>(
        &self,
        stream: impl Into<WrappedStream<S>>,
        url: &str,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        let link = DeadlineStream::new(stream.into(), Instant::ZERO);
        let progress = self.progress(link.now(), Stage::Handshake);
        self.run(link, progress, &WsUrl::parse(url)?, Vec::new())
    }

    /// Runs the WebSocket handshake on a connected stream. `arrived` has the bytes of the server that were read before.
    fn run<S>(
        &self,
        mut link: DeadlineStream<S>,
        progress: Progress,
        url: &WsUrl<'_>,
        arrived: Vec<u8>,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        let (subprotocols, headers) = (self.offered_subprotocols(), self.more_headers());
        let request = self.request_for(url, &subprotocols, &headers);
        link.read_clock();
        let opened = self.connecting(progress, request, arrived).and_then(|mut connecting| {
            handshake::run(&mut link, &mut connecting);
            connecting.finish()
        });
        match opened {
            Ok(opened) => Ok(WebSocket::opened(link, opened)),
            Err(why) => Err(why.into_error(link.into_stream())),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use core::time::Duration;
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::adapters::handshake_driver::{Silence, TestPeer};
    use crate::dial::Stage;

    /// A stream on virtual time. After the bytes in `arrives`, each read waits until its timeout.
    struct Silent {
        arrives: &'static [u8],
        now: Instant,
        timeout: Option<Duration>,
    }

    impl Read for Silent {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if !self.arrives.is_empty() {
                // Each read returns one byte.
                return self.arrives.read(to.get_mut(..1).unwrap());
            }
            self.now = self.now + self.timeout.expect("the client waits without a timeout");
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    impl Write for Silent {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            Ok(from.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Silent {
        fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
            self.timeout = timeout;
            Ok(true)
        }

        fn clock(&self) -> Option<Instant> {
            Some(self.now)
        }
    }

    #[test]
    fn the_deadline_names_the_stage_that_was_running() {
        for silence in Silence::all() {
            let client = silence.client(Client::new());
            let route = client.route::<()>(Instant::ZERO, silence.url).unwrap();
            let stream = Silent { arrives: silence.arrives, now: Instant::ZERO, timeout: None };
            silence.check(client.run_route(stream, Instant::ZERO, route));
        }
    }

    #[test]
    fn s9112_6_3_a_refusal_whose_body_does_not_end_is_reported_after_a_second() {
        let silence = Silence::after_refusal();
        let client = silence.client(Client::new());
        // Nearly all of the time for opening has passed before the refusal.
        let late = Silence::LIMIT - Silence::BODY_LIMIT / 2;
        for (before, expected) in [(Duration::ZERO, Silence::BODY_LIMIT), (late, Silence::LIMIT)] {
            let route = client.route::<()>(Instant::ZERO, silence.url).unwrap();
            let ended = Arc::new(AtomicUsize::new(0));
            let stream = Reporting {
                silent: Silent { arrives: silence.arrives, now: Instant::ZERO + before, timeout: None },
                ended: Arc::clone(&ended),
            };
            Silence::check_refusal(client.run_route(stream, Instant::ZERO + before, route));
            assert_eq!(ended.load(Ordering::Relaxed) as u128, expected.as_millis());
        }
    }

    /// A silent stream that stores the time at which it is dropped, in milliseconds.
    struct Reporting {
        silent: Silent,
        ended: Arc<AtomicUsize>,
    }

    impl Drop for Reporting {
        fn drop(&mut self) {
            let passed = self.silent.now.saturating_duration_since(Instant::ZERO).as_millis();
            self.ended.store(usize::try_from(passed).unwrap(), Ordering::Relaxed);
        }
    }

    impl Read for Reporting {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.silent.read(to)
        }
    }

    impl Write for Reporting {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            self.silent.write(from)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.silent.flush()
        }
    }

    impl Stream for Reporting {
        fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
            self.silent.set_read_timeout(timeout)
        }

        fn clock(&self) -> Option<Instant> {
            self.silent.clock()
        }
    }

    /// A stream that returns these bytes, and then fails.
    struct Failing(&'static [u8]);

    impl Read for Failing {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            match self.0.read(to.get_mut(..1).unwrap()) {
                Ok(0) => Err(io::Error::new(io::ErrorKind::HostUnreachable, "no route")),
                read => read,
            }
        }
    }

    impl Write for Failing {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            Ok(from.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Failing {}

    #[test]
    fn the_error_of_a_stream_names_the_stage_that_was_running() {
        for silence in Silence::all() {
            let client = silence.client(Client::new());
            let route = client.route::<()>(Instant::ZERO, silence.url).unwrap();
            let result = client.run_route(Failing(silence.arrives), Instant::ZERO, route);
            let Err(ConnectError::Io(error)) = result else { panic!("{:?} {}", silence.proxy, silence.url) };
            assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
            let text = std::format!("{error}");
            assert!(text.starts_with(&std::format!("{} failed: ", silence.stage)), "{text}");
            assert!(text.ends_with("no route"), "{text}");
            let is_below_tls = silence.stage == Stage::Tls && silence.proxy.is_some();
            assert_eq!(text.contains("the connection to the proxy"), is_below_tls, "{text}");
        }
    }

    #[test]
    fn time_before_the_first_handshake_counts_towards_the_deadline() {
        for silence in Silence::all() {
            let client = silence.client(Client::new());
            let route = client.route::<()>(Instant::ZERO, silence.url).unwrap();
            let stream = Silent { arrives: &[], now: Instant::ZERO, timeout: None };
            // Connecting has taken the whole limit. So the first handshake must make no call that waits.
            let now = Instant::ZERO + Silence::LIMIT;
            let error = client.run_route(stream, now, route).map(drop).unwrap_err();
            assert!(matches!(error, ConnectError::Deadline(_)), "{error:?}");
        }
    }

    /// A stream on virtual time, with a proxy and a server. Each read returns one byte.
    #[derive(Default)]
    struct Answering {
        peer: TestPeer,
        now: Instant,
        /// The time that each read takes.
        each_read: Duration,
        timeout: Option<Duration>,
        calls: Arc<AtomicUsize>,
        /// The index of the call during which the clock jumps over the deadline.
        jump_at: usize,
    }

    impl Answering {
        fn begin(&mut self) {
            if self.calls.fetch_add(1, Ordering::Relaxed) == self.jump_at {
                self.now = self.now + Duration::from_secs(3600);
            }
        }

        /// Opens a WebSocket. Returns the stage in which the deadline has passed, if it has, and the number of calls.
        fn open(self) -> (Option<Stage>, usize) {
            let (client, calls) = (TestPeer::client(Client::new()), Arc::clone(&self.calls));
            let route = client.route::<()>(Instant::ZERO, TestPeer::URL).unwrap();
            let result = client.run_route(self, Instant::ZERO, route);
            (TestPeer::stage_of(result), calls.load(Ordering::Relaxed))
        }
    }

    impl Read for Answering {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.begin();
            let timeout = self.timeout.expect("the client waits without a timeout");
            self.now = self.now + self.each_read.min(timeout);
            match self.peer.answers.pop_front() {
                Some(_) if timeout < self.each_read => Err(io::ErrorKind::WouldBlock.into()),
                Some(byte) => {
                    *to.first_mut().unwrap() = byte;
                    Ok(1)
                }
                None => panic!("the client reads before it has sent a request"),
            }
        }
    }

    impl Write for Answering {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            self.begin();
            self.peer.receive(from);
            Ok(from.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.begin();
            Ok(())
        }
    }

    impl Stream for Answering {
        fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
            self.timeout = timeout;
            Ok(true)
        }

        fn clock(&self) -> Option<Instant> {
            Some(self.now)
        }
    }

    #[test]
    fn a_clock_that_jumps_over_the_deadline_ends_the_stage_that_is_running() {
        TestPeer::check_jumps(|jump_at| Answering { jump_at, ..Answering::default() }.open());
    }

    #[test]
    fn bytes_that_arrive_one_by_one_do_not_move_the_deadline() {
        for (millis, expected) in [(1000, Some(Stage::Proxy)), (100, Some(Stage::Handshake)), (10, None)] {
            let each_read = Duration::from_millis(millis);
            let stream = Answering { each_read, jump_at: usize::MAX, ..Answering::default() };
            assert_eq!(stream.open().0, expected);
        }
    }
}
