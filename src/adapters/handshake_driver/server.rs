//! The builder [`Server`], and the server's side of the opening handshake.
//!
//! ```text
//!   Request ── upgrade, accepted ──▶ Accept ── 101 flushed ────────▶ Done: Opened
//!      │  └─── broke a rule, refused ──▶ Refuse ── answer arrived ─▶ Done: the reason
//!      └────── plain HTTP, stream failed ──────────────────────────▶ Done: the reason
//! ```
//!
//! [`Accepting`] is this machine, and [`Answer`] sends an answer other than 101. The adapter performs their steps, and
//! adds the stream to a [`NotAccepted`] to make the public [`AcceptError`]. The rules for requests and responses are in
//! `crate::handshake`.
//!
//! Invariant: each request gets one answer, unless the stream fails first. The application answers plain HTTP.

use core::fmt;
use core::mem::replace;
use core::time::Duration;
use std::io;
use std::prelude::v1::*;

use super::{Did, Handshake, HandshakeDriver, Opened, Outgoing, Received, Step, borrowed, unexpected_eof};
#[cfg(feature = "deflate")]
use crate::handshake::{DeflateConfig, DeflateParams};
use crate::handshake::{
    HeadLimits, Headers, HttpRequest, Incoming, Reason, Reject, Rejection, Request, ResponseError,
    ServerHandshake,
};
use crate::{Connection, Inbox, Instant, Outbox, SharedConfig};

/// Maximum number of bytes that are read and discarded after an answer. A socket that is closed with unread bytes sends
/// a reset, which destroys an answer in transit.
const MOST_DISCARDED: usize = 64 << 10;
/// How long input is read and discarded, from the end of the answer.
const DISCARD_TIME: Duration = Duration::from_secs(1);
/// How long the peer may take nothing of an answer, by default.
///
/// This is longer than the other timeouts of a handshake. A socket is writable again only when a third of its send
/// buffer is free. In a measurement over loopback, with a peer that read 100 KiB/s, Linux let the buffer grow to 4 MiB.
/// The socket then took nothing for 12 to 15 s at a time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The lowest average rate at which the peer must take an answer, in bytes a second.
const SLOWEST: u64 = 1024;

/// The settings of a server, used for each connection. `R` is the runtime marker of the adapter.
///
/// The methods that accept are on the adapter's page: `net::Server` for example.
#[derive(Clone, Debug)]
pub struct Server<R> {
    runtime: R,
    settings: Settings,
}

/// The settings that do not depend on the adapter.
#[derive(Clone, Debug)]
struct Settings {
    config: SharedConfig,
    limits: HeadLimits,
    timeout: Option<Duration>,
    subprotocols: Vec<String>,
    origins: Option<Vec<String>>,
    headers: Vec<(String, String)>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateConfig>,
}

impl<R: Default> Default for Server<R> {
    fn default() -> Self {
        Self::with_runtime(R::default())
    }
}

impl<R> Server<R> {
    /// Creates a server with the defaults on a runtime of the application: a clock, and the
    /// [`Transport`](crate::adapters::async_driver::Transport) of the application's own stream. Each connection gets a
    /// clone of `runtime`.
    #[must_use]
    pub fn with_runtime(runtime: R) -> Self {
        let settings = Settings {
            config: SharedConfig::default(),
            limits: HeadLimits::new(),
            timeout: Some(Duration::from_secs(10)),
            subprotocols: Vec::new(),
            origins: None,
            headers: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
        };
        Self { runtime, settings }
    }

    /// Returns the runtime marker.
    #[must_use]
    pub const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Sets the limits, timers and behaviour of the connections: a [`Config`](crate::Config), or a shared one.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.settings.config = config.into();
        self
    }

    /// Sets the limits on the head of a request.
    #[must_use]
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets how long a handshake may take, from its start until the 101 response is sent. `None` sets no limit.
    ///
    /// A request that is not complete by then is refused with status 408. A refusal may take longer. The peer must take
    /// some of it within each such time (1 s at least, 30 s at most or with `None`), and 1 KiB a second on the whole.
    /// Otherwise the call returns [`AcceptError::Io`].
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets the supported subprotocols. The first one in the client's list that is supported is selected (RFC 6455
    /// section 4.2.2).
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.settings.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the origins whose pages may connect. Requests from other origins are refused with status 403.
    ///
    /// A request without an `Origin` header is not from a browser, and is accepted (RFC 6455 section 10.2).
    #[must_use]
    pub fn origins<T: Into<String>>(mut self, origins: impl IntoIterator<Item = T>) -> Self {
        self.settings.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Accepts offers of permessage-deflate (RFC 7692), off by default. Messages of such connections are compressed
    /// with the settings of [`Config::compression`](crate::Config::compression).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, config: impl Into<Option<DeflateConfig>>) -> Self {
        self.settings.deflate = config.into();
        self
    }

    /// Adds a header to the 101 response.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// Returns the default decision about a request: accept it, with the first subprotocol in the client's list that is
    /// [supported](Self::subprotocols).
    #[must_use]
    pub fn choose(&self, request: &Request<'_>) -> Acceptance {
        let own = &self.settings.subprotocols;
        let chosen = request.subprotocols().find(|name| own.iter().any(|own| own == name));
        Acceptance { subprotocol: chosen.map(Into::into), headers: Vec::new() }
    }

    /// Starts the handshake for one connection. `decide` accepts or refuses the request.
    pub(in crate::adapters) fn accepting<D>(&self, now: Instant, decide: D) -> Accepting<'_, D>
    where
        D: FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    {
        let settings = &self.settings;
        let mut handshake = ServerHandshake::new(settings.limits);
        if let Some(timeout) = settings.timeout {
            handshake = handshake.with_timeout(now, timeout);
        }
        let deadline = settings.timeout.map(|timeout| now + timeout);
        let stage = Stage::Request { handshake, received: Received::default(), decide };
        Accepting { settings, deadline, stage }
    }
}

/// The server's side of a handshake, as a state machine without I/O.
pub(in crate::adapters) struct Accepting<'s, D> {
    settings: &'s Settings,
    /// When the 101 response must be written.
    deadline: Option<Instant>,
    stage: Stage<D>,
}

/// The states of [`Accepting`].
enum Stage<D> {
    /// Reads the head of the request.
    Request {
        handshake: ServerHandshake,
        received: Received,
        decide: D,
    },
    /// Writes the 101 response.
    Accept {
        out: Outgoing,
        agreed: Agreed,
    },
    /// Writes another answer.
    Refuse {
        answer: Box<Answer>,
        why: NotAccepted,
    },
    Done(Box<Result<Opened, NotAccepted>>),
}

/// The parameters of an accepted connection, kept until the 101 response is written.
struct Agreed {
    /// The bytes that arrived behind the request.
    behind: Vec<u8>,
    handshake: Handshake,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateParams>,
}

/// A plain HTTP request.
#[derive(Debug)]
pub(in crate::adapters) struct PlainRequest {
    pub(in crate::adapters) method: Box<str>,
    pub(in crate::adapters) target: Box<str>,
    headers: Box<[u8]>,
    /// The bytes that were read: the head, and the bytes behind it.
    pub(in crate::adapters) received: Vec<u8>,
    /// How long the stream may take nothing of the answer.
    pub(in crate::adapters) write_timeout: Duration,
}

impl PlainRequest {
    fn new(request: &HttpRequest<'_>, received: &Received) -> Self {
        Self {
            method: request.method().into(),
            target: request.target().into(),
            headers: request.headers().as_bytes().into(),
            received: received.bytes().into(),
            write_timeout: WRITE_TIMEOUT,
        }
    }

    pub(in crate::adapters) const fn headers(&self) -> Headers<'_> {
        Headers::from_lines(&self.headers)
    }

    /// Starts to send `answer`, without its body if the method of the request is HEAD.
    pub(in crate::adapters) fn answer(&self, now: Instant, answer: &Reject<'_>) -> io::Result<Answer> {
        Answer::new(now, self.write_timeout, &answer.in_reply_to(&self.method))
    }

    /// Returns the answer of an endpoint that only serves WebSockets.
    pub(in crate::adapters) const fn refusal() -> Reject<'static> {
        Rejection::new(Reason::NotAnUpgrade).response()
    }
}

/// The reason why a handshake failed: [`AcceptError`] without the stream.
#[derive(Debug)]
pub(in crate::adapters) enum NotAccepted {
    Io(io::Error),
    Rejected(Rejection),
    Refused(Refusal),
    Http(Box<PlainRequest>),
    Response(ResponseError),
}

impl<D> Stage<D> {
    /// Returns the final state of a handshake that has failed.
    fn done(why: NotAccepted) -> Self {
        Self::Done(Box::new(Err(why)))
    }
}

impl Settings {
    /// Starts to send `reject`, after which the handshake ends with `why`.
    fn refuse<D>(&self, now: Instant, reject: &Reject<'_>, why: NotAccepted) -> Stage<D> {
        // A short handshake timeout also shortens this one, but a 408 is sent when that timeout is up and needs time.
        let write_timeout =
            self.timeout.map_or(WRITE_TIMEOUT, |timeout| timeout.clamp(DISCARD_TIME, WRITE_TIMEOUT));
        match Answer::new(now, write_timeout, reject) {
            Ok(answer) => Stage::Refuse { answer: Box::new(answer), why },
            Err(error) => Stage::done(NotAccepted::Io(error)),
        }
    }
}

impl<D: FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>> HandshakeDriver for Accepting<'_, D> {
    fn poll_step(&mut self) -> Step<'_> {
        match &mut self.stage {
            Stage::Request { received, .. } => Step::Read(received.space()),
            Stage::Accept { out, .. } => out.poll_step(),
            Stage::Refuse { answer, .. } => answer.poll_step(),
            Stage::Done(_) => Step::Done,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Request { handshake, .. } => handshake.poll_timeout(),
            Stage::Accept { .. } => self.deadline,
            Stage::Refuse { answer, .. } => answer.poll_timeout(),
            Stage::Done(_) => None,
        }
    }

    fn handle(&mut self, now: Instant, did: io::Result<Did>) {
        let stage = replace(&mut self.stage, Stage::done(NotAccepted::Io(unexpected_eof())));
        self.stage = match (stage, did) {
            (Stage::Refuse { mut answer, why }, did) => {
                answer.handle(now, did);
                match answer.error.take() {
                    Some(error) => Stage::done(NotAccepted::Io(error)),
                    None if answer.is_done() => Stage::done(why),
                    None => Stage::Refuse { answer, why },
                }
            }
            (_, Err(error)) => Stage::done(NotAccepted::Io(error)),
            (Stage::Request { handshake, received, decide }, Ok(did)) => {
                self.request(now, handshake, received, decide, &did)
            }
            (Stage::Accept { mut out, agreed }, Ok(did)) => {
                out.handle(&did);
                if out.is_done() {
                    Stage::Done(Box::new(Ok(agreed.open(now, self.settings.config.clone()))))
                } else if self.deadline.is_some_and(|deadline| deadline <= now) {
                    Stage::done(NotAccepted::Io(io::ErrorKind::TimedOut.into()))
                } else {
                    Stage::Accept { out, agreed }
                }
            }
            (done @ Stage::Done(_), Ok(_)) => done,
        };
    }
}

impl<D: FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>> Accepting<'_, D> {
    /// Returns the result, after [`Step::Done`].
    pub(in crate::adapters) fn finish(self) -> Result<Opened, NotAccepted> {
        match self.stage {
            Stage::Done(result) => *result,
            _ => Err(NotAccepted::Io(unexpected_eof())),
        }
    }

    /// Handles a step of [`Stage::Request`]: a part of the request was read, or time has passed.
    fn request(
        &self,
        now: Instant,
        mut handshake: ServerHandshake,
        mut received: Received,
        decide: D,
        did: &Did,
    ) -> Stage<D> {
        let polled = match did {
            Did::Read(0) => return Stage::done(NotAccepted::Io(unexpected_eof())),
            Did::Read(n) => handshake.poll(received.handle_read(*n)).map(|incoming| incoming.is_some()),
            _ => Ok(false),
        };
        let polled = match polled {
            Ok(false) => handshake.handle_timeout(now).map(|()| false),
            polled => polled,
        };
        match polled {
            Ok(true) => self.judge(now, received, decide),
            Ok(false) => Stage::Request { handshake, received, decide },
            Err(rejection) => {
                self.settings.refuse(now, &rejection.response(), NotAccepted::Rejected(rejection))
            }
        }
    }

    /// Decides about the complete request, and returns the next state.
    fn judge(&self, now: Instant, received: Received, decide: D) -> Stage<D> {
        // Parse the complete head again, with a new parser: the request that it returns borrows from these bytes.
        let request = match ServerHandshake::new(self.settings.limits).poll(received.bytes()) {
            Ok(Some(Incoming::Upgrade(request))) => request,
            Ok(Some(Incoming::Http(request))) => {
                let request = PlainRequest::new(&request, &received);
                return Stage::done(NotAccepted::Http(Box::new(request)));
            }
            Ok(None) => return Stage::done(NotAccepted::Io(unexpected_eof())),
            Err(rejection) => return Stage::done(NotAccepted::Rejected(rejection)),
        };
        let allowed = self.settings.origins.as_ref();
        let allowed = allowed.map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
        if let Some(Err(rejection)) = allowed.map(|allowed| request.check_origin(&allowed)) {
            let why = NotAccepted::Rejected(rejection);
            return self.settings.refuse(now, &rejection.response(), why);
        }
        let acceptance = match decide(&request) {
            Ok(acceptance) => acceptance,
            Err(refusal) => {
                let headers = borrowed(&refusal.headers);
                let reject = Reject::new(refusal.status).headers(&headers);
                let reject = match &refusal.body {
                    Some((content_type, body)) => reject.body(content_type, body),
                    None => reject,
                };
                return self.settings.refuse(now, &reject, NotAccepted::Refused(refusal.clone()));
            }
        };
        let headers: Vec<_> =
            borrowed(&self.settings.headers).into_iter().chain(borrowed(&acceptance.headers)).collect();
        let subprotocol = acceptance.subprotocol.as_deref();
        let response = request.accept().headers(&headers).subprotocol(subprotocol);
        #[cfg(feature = "deflate")]
        let deflate = self.settings.deflate.as_ref().and_then(|config| request.negotiate_deflate(config));
        #[cfg(feature = "deflate")]
        let response = response.deflate(deflate);
        let out = match response.to_vec() {
            Ok(bytes) => Outgoing::new(bytes),
            Err(error) => {
                let why = NotAccepted::Response(error);
                return self.settings.refuse(now, &Reject::new(500), why);
            }
        };
        let agreed = Agreed {
            behind: received.bytes().get(request.head_len()..).unwrap_or_default().to_vec(),
            handshake: Handshake::new(subprotocol, request.headers().as_bytes()),
            #[cfg(feature = "deflate")]
            deflate,
        };
        Stage::Accept { out, agreed }
    }
}

impl Agreed {
    /// Makes the connection.
    fn open(self, now: Instant, config: SharedConfig) -> Opened {
        let connection = Connection::server(now, config, Outbox::new());
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(self.deflate);
        Opened { connection, inbox: Inbox::with_bytes(&self.behind), handshake: self.handshake }
    }
}

/// Sends an answer other than 101, and closes the stream so that the answer arrives (a lingering close).
///
/// ```text
///  write ──▶ flush ──▶ half-close ──▶ discard input ──▶ done
///    └─────────┴─ too slow ─▶ error: TimedOut ────────────▲
/// ```
///
/// Two deadlines bound the writing. `stalled_at` is extended whenever the stream takes some bytes, so a slow reader
/// gets the whole answer, however large it is. `write_until` is fixed, so a peer that takes one byte now and then
/// cannot hold the connection for ever. After the flush the answer is in transit, and a deadline only ends the
/// discarding.
#[derive(Debug)]
pub(in crate::adapters) struct Answer {
    out: Outgoing,
    ending: Ending,
    /// How long the stream may take nothing.
    write_timeout: Duration,
    /// The deadline for the next progress: the last one plus `write_timeout`.
    stalled_at: Instant,
    /// The deadline for the whole answer, at the rate of [`SLOWEST`].
    write_until: Instant,
    /// The deadline for discarding input, once the answer is flushed.
    discard_until: Instant,
    /// Space to read discarded input into.
    scratch: Box<[u8]>,
    /// The reason why the answer was not sent.
    pub(in crate::adapters) error: Option<io::Error>,
}

/// The state of the lingering close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    HalfClose,
    /// Discards input, at most this number of bytes.
    Discard(usize),
    Done,
}

impl Answer {
    pub(in crate::adapters) fn new(
        now: Instant,
        write_timeout: Duration,
        reject: &Reject<'_>,
    ) -> io::Result<Self> {
        let bytes = reject.to_vec().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let at_slowest = u64::try_from(bytes.len()).map_or(u64::MAX, |len| len.div_ceil(SLOWEST));
        // At least 1 ms, so that the stream is asked at least once.
        let write_timeout = write_timeout.max(Duration::from_millis(1));
        Ok(Self {
            out: Outgoing::new(bytes),
            ending: Ending::HalfClose,
            write_timeout,
            stalled_at: now + write_timeout,
            write_until: now + write_timeout + Duration::from_secs(at_slowest),
            discard_until: now,
            scratch: std::vec![0; 2048].into(),
            error: None,
        })
    }

    fn is_done(&self) -> bool {
        self.ending == Ending::Done
    }

    /// Handles a write, a flush or a wait. Ends with an error if a deadline has passed.
    fn handle_write(&mut self, now: Instant, did: &Did) {
        self.out.handle(did);
        match did {
            Did::Wrote(_) => self.stalled_at = now + self.write_timeout,
            Did::Flushed => {
                self.discard_until = now + DISCARD_TIME;
                return;
            }
            _ => {}
        }
        if self.deadline() <= now {
            self.error = Some(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer took too long to read the answer, of which it has not got all",
            ));
            self.ending = Ending::Done;
        }
    }

    fn deadline(&self) -> Instant {
        if self.out.is_done() {
            self.discard_until
        } else if self.out.is_written() {
            // A flush shows no progress. A stream that has buffered the whole answer gets the time for the whole
            // answer.
            self.write_until.max(self.stalled_at)
        } else {
            self.write_until.min(self.stalled_at)
        }
    }
}

impl HandshakeDriver for Answer {
    fn poll_step(&mut self) -> Step<'_> {
        match self.ending {
            Ending::Done => Step::Done,
            _ if !self.out.is_done() => self.out.poll_step(),
            Ending::HalfClose => Step::HalfClose,
            Ending::Discard(_) => Step::Read(&mut self.scratch),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline())
    }

    fn handle(&mut self, now: Instant, did: io::Result<Did>) {
        let late = self.out.is_done() && self.discard_until <= now;
        self.ending = match (self.ending, did) {
            // A read error ends this as well as the end of the stream does: there is nobody left to inform.
            (Ending::Discard(_), Err(_)) => Ending::Done,
            (_, Err(error)) => {
                self.error = Some(error);
                Ending::Done
            }
            (_, Ok(did)) if !self.out.is_done() => return self.handle_write(now, &did),
            (Ending::HalfClose, Ok(Did::HalfClosed(true))) => Ending::Discard(MOST_DISCARDED),
            (Ending::HalfClose, Ok(Did::HalfClosed(false))) | (Ending::Discard(_), Ok(Did::Read(0))) => {
                Ending::Done
            }
            (Ending::Discard(left), Ok(Did::Read(n))) if left > n => Ending::Discard(left - n),
            (Ending::Discard(_), Ok(Did::Read(_))) => Ending::Done,
            (ending, Ok(_)) => ending,
        };
        if late {
            self.ending = Ending::Done;
        }
    }
}

/// The application's decision to accept a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acceptance {
    /// The selected subprotocol, one of those that the client offered.
    pub subprotocol: Option<String>,
    /// The headers to add to the 101 response.
    pub headers: Vec<(String, String)>,
}

/// The application's decision to refuse a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The status of the response, 200 to 599.
    pub status: u16,
    /// The headers of the response.
    pub headers: Vec<(String, String)>,
    /// The content type and the body of the response.
    pub body: Option<(String, Vec<u8>)>,
}

impl Refusal {
    /// Returns a refusal without headers and body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }
}

impl From<Rejection> for Refusal {
    /// Returns a refusal with the status and the text of [`Rejection::response`]. Lets `?` follow a check of the
    /// request.
    fn from(rejection: Rejection) -> Self {
        let body =
            Some(("text/plain; charset=utf-8".into(), std::format!("{}\n", rejection.reason()).into_bytes()));
        Self { body, ..Self::new(rejection.status()) }
    }
}

/// The reason why a connection did not become a WebSocket. `C` is a plain HTTP call, with its stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError<C> {
    /// The stream failed or ended, or it did not take the response in time.
    Io(io::Error),
    /// The request broke a rule, came from an origin that is not allowed, or was not complete in time. It was answered
    /// with the status of the rejection.
    Rejected(Rejection),
    /// The application refused the request, which was answered with the refusal.
    Refused(Refusal),
    /// The request is plain HTTP. It was not answered.
    NotWebSocket(C),
    /// The 101 response cannot be sent, because a header or the subprotocol is invalid. The request was answered with
    /// status 500.
    Response(ResponseError),
}

impl<C> fmt::Display for AcceptError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the stream failed during the handshake: {error}"),
            Self::Rejected(rejection) => fmt::Display::fmt(rejection, f),
            Self::Refused(refusal) => write!(f, "refused by the application with status {}", refusal.status),
            Self::NotWebSocket(_) => f.write_str("a plain HTTP request, which asks for no WebSocket"),
            Self::Response(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl<C: fmt::Debug> core::error::Error for AcceptError<C> {}

impl<C> AcceptError<C> {
    /// Returns the error without the stream. The stream may be bound to a thread or borrow a value.
    #[must_use]
    pub fn without_stream(self) -> AcceptError<()> {
        match self {
            Self::Io(error) => AcceptError::Io(error),
            Self::Rejected(rejection) => AcceptError::Rejected(rejection),
            Self::Refused(refusal) => AcceptError::Refused(refusal),
            Self::NotWebSocket(_) => AcceptError::NotWebSocket(()),
            Self::Response(error) => AcceptError::Response(error),
        }
    }
}

impl<C> From<io::Error> for AcceptError<C> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<C> From<ResponseError> for AcceptError<C> {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

impl NotAccepted {
    /// Returns the public error. `call` adds the stream to a plain HTTP request.
    pub(in crate::adapters) fn into_error<C>(
        self,
        call: impl FnOnce(Box<PlainRequest>) -> C,
    ) -> AcceptError<C> {
        match self {
            Self::Io(error) => AcceptError::Io(error),
            Self::Rejected(rejection) => AcceptError::Rejected(rejection),
            Self::Refused(refusal) => AcceptError::Refused(refusal),
            Self::Http(request) => AcceptError::NotWebSocket(call(request)),
            Self::Response(error) => AcceptError::Response(error),
        }
    }
}
