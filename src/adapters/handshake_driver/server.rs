//! What a server is told, and its end of the handshake.

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

/// How much more is read of a request that has been answered, in bytes. A socket that is closed with bytes unread sends
/// a reset, which destroys an answer that is on its way.
const MOST_DISCARDED: usize = 64 << 10;
/// How long more is read, from the end of the answer.
const DISCARD_TIME: Duration = Duration::from_secs(1);
/// How long the peer may take nothing of an answer, by default.
///
/// It is longer than the other time outs of a handshake, because a socket is writable again only when a third of its send
/// buffer is free. Over loopback to a peer that reads 100 KiB/s, Linux let the buffer grow to 4 MiB and took nothing for
/// 12 to 15 s at a time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many bytes of an answer the peer has to take in a second, on the whole.
const SLOWEST: u64 = 1024;

/// What a server is told once and uses for each connection. `R` is what it runs on, which each adapter names.
#[derive(Clone, Debug)]
pub struct Server<R> {
    runtime: R,
    settings: Settings,
}

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
        Self::on(R::default())
    }
}

impl<R> Server<R> {
    pub(in crate::adapters) fn on(runtime: R) -> Self {
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

    /// What it runs on.
    #[must_use]
    pub const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Limits, timers and habits of the connections: a [`Config`](crate::Config), or one that is shared.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.settings.config = config.into();
        self
    }

    /// The limits on a request's head.
    #[must_use]
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets how long a handshake may take: from the beginning until the 101 response is sent; `None` for ever.
    ///
    /// A request that is not whole by then is refused (408). A refusal is written beyond that, as long as the peer takes
    /// some of it within each such time (1 s at least, 30 s at most or with `None`), and 1 KiB a second on the whole;
    /// then [`AcceptError::Io`] says that it was not sent.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// The subprotocols that are spoken here. The first that a client lists and that is among them is chosen.
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.settings.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// The origins whose pages may connect; others get 403. A request without an `Origin` is not from a
    /// browser, and let pass (RFC 6455 section 10.2).
    #[must_use]
    pub fn origins<T: Into<String>>(mut self, origins: impl IntoIterator<Item = T>) -> Self {
        self.settings.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Compresses messages (RFC 7692) where a client offers that; not by default. How is in
    /// [`Config`](crate::Config).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, config: impl Into<Option<DeflateConfig>>) -> Self {
        self.settings.deflate = config.into();
        self
    }

    /// One more header of the 101 response.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// What is answered unless the application decides: the client's first subprotocol that is spoken here.
    #[must_use]
    pub fn choose(&self, request: &Request<'_>) -> Acceptance {
        let own = &self.settings.subprotocols;
        let chosen = request.subprotocols().find(|name| own.iter().any(|own| own == name));
        Acceptance { subprotocol: chosen.map(Into::into), headers: Vec::new() }
    }

    /// The handshake for one connection, with `decide` to judge the request.
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

/// The server's end of a handshake.
pub(in crate::adapters) struct Accepting<'s, D> {
    settings: &'s Settings,
    deadline: Option<Instant>,
    stage: Stage<D>,
}

enum Stage<D> {
    /// The head of the request comes in.
    Request {
        handshake: ServerHandshake,
        received: Received,
        decide: D,
    },
    /// The 101 goes out.
    Accept {
        out: Outgoing,
        agreed: Agreed,
    },
    /// Another answer goes out.
    Refuse {
        answer: Box<Answer>,
        why: NotAccepted,
    },
    Done(Box<Result<Opened, NotAccepted>>),
}

/// What the connection will be.
struct Agreed {
    /// What arrived behind the request.
    behind: Vec<u8>,
    handshake: Handshake,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateParams>,
}

/// A request that asks for no WebSocket.
#[derive(Debug)]
pub(in crate::adapters) struct PlainRequest {
    pub(in crate::adapters) method: Box<str>,
    pub(in crate::adapters) target: Box<str>,
    headers: Box<[u8]>,
    /// All that was read: the head, and what came behind it.
    pub(in crate::adapters) received: Vec<u8>,
    /// How long the peer may take nothing of an answer.
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

    /// Begins to send `answer`, without its body if the method of the request is HEAD.
    pub(in crate::adapters) fn answer(&self, now: Instant, answer: &Reject<'_>) -> io::Result<Answer> {
        Answer::new(now, self.write_timeout, &answer.in_reply_to(&self.method))
    }

    /// The answer that only WebSockets are spoken here.
    pub(in crate::adapters) const fn refusal() -> Reject<'static> {
        Rejection::new(Reason::NotAnUpgrade).response()
    }
}

/// Why no connection was opened.
#[derive(Debug)]
pub(in crate::adapters) enum NotAccepted {
    Io(io::Error),
    Rejected(Rejection),
    Refused(Refusal),
    Http(Box<PlainRequest>),
    Response(ResponseError),
}

impl<D> Stage<D> {
    fn done(why: NotAccepted) -> Self {
        Self::Done(Box::new(Err(why)))
    }
}

impl Settings {
    fn refuse<D>(&self, now: Instant, reject: &Reject<'_>, why: NotAccepted) -> Stage<D> {
        // Whoever gives handshakes little time gives refusals little, but enough for what is sent when that time is up.
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
    /// What came of it, once there is nothing more to do.
    pub(in crate::adapters) fn finish(self) -> Result<Opened, NotAccepted> {
        match self.stage {
            Stage::Done(result) => *result,
            _ => Err(NotAccepted::Io(unexpected_eof())),
        }
    }

    /// Some of the request has come in, or time has passed.
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

    /// The request is whole.
    fn judge(&self, now: Instant, received: Received, decide: D) -> Stage<D> {
        // A fresh machine reads it again, to lend what it finds.
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
    fn open(self, now: Instant, config: SharedConfig) -> Opened {
        let connection = Connection::server(now, config, Outbox::new());
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(self.deflate);
        Opened { connection, inbox: Inbox::with_bytes(&self.behind), handshake: self.handshake }
    }
}

/// Sends an answer other than 101, and sees to it that the answer arrives.
///
/// ```text
///  write ──▶ flush ──▶ half-close ──▶ discard what comes ──▶ done
///    └─────────┴─ too slow ─▶ error: TimedOut ─────────────────▲
/// ```
///
/// Two deadlines end the writing. One is put off whenever the stream takes some bytes, so that a slow reader gets the
/// whole answer, however large it is. The other is not, so that a peer which takes a byte now and then does not hold
/// the answer for ever. Behind the flush the answer is on its way, and no deadline is an error any more.
#[derive(Debug)]
pub(in crate::adapters) struct Answer {
    out: Outgoing,
    ending: Ending,
    /// How long the stream may take nothing.
    write_timeout: Duration,
    /// When the stream will have taken nothing for too long.
    stalled_at: Instant,
    /// When the answer must be written, at the slowest rate.
    write_until: Instant,
    /// How long more is read, once the answer is flushed.
    discard_until: Instant,
    scratch: Box<[u8]>,
    pub(in crate::adapters) error: Option<io::Error>,
}

/// What follows an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    HalfClose,
    /// So much more may be read.
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
        // A stream is asked once at least whether it takes something.
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

    /// Some of the answer was written, or nothing happened for a while.
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
            // How a flush gets on cannot be seen. A stream that has kept the whole answer gets the time for all of it.
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

/// How a request is accepted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acceptance {
    /// The subprotocol, one of those that the client offered.
    pub subprotocol: Option<String>,
    /// Headers of the 101 response.
    pub headers: Vec<(String, String)>,
}

/// How a request is refused by the application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The status, 200 to 599.
    pub status: u16,
    /// Headers of the response.
    pub headers: Vec<(String, String)>,
    /// Content type and body.
    pub body: Option<(String, Vec<u8>)>,
}

impl Refusal {
    /// A refusal without headers or a body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }
}

impl From<Rejection> for Refusal {
    /// What [`Rejection::response`] answers, so that a check of the request can be followed by `?`.
    fn from(rejection: Rejection) -> Self {
        let body =
            Some(("text/plain; charset=utf-8".into(), std::format!("{}\n", rejection.reason()).into_bytes()));
        Self { body, ..Self::new(rejection.status()) }
    }
}

/// Why no WebSocket came of a connection. `C` is a plain HTTP call, with its stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError<C> {
    /// The stream failed, or ended, or took too long to take the response.
    Io(io::Error),
    /// The request broke a rule, and has been told which.
    Rejected(Rejection),
    /// The application refused the request, which has been answered.
    Refused(Refusal),
    /// The request is well formed and asks for no WebSocket. It has not been answered.
    NotWebSocket(C),
    /// The 101 response cannot be sent as the application wants it. The client was answered with 500.
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
    /// The same without the stream, which may be bound to a thread or borrow something.
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
    /// The error to return, with what `call` makes of a request that asks for no WebSocket.
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
