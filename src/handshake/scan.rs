//! The incremental scanner: looks at each byte of a head once, as it arrives, and finds its end.
//!
//! It keeps an offset and a few bytes of state; the head itself lies in the caller's memory. Header lines
//! that arrive whole, as nearly all do, are handed on as they are found, to whom they concern. If some did
//! not, all are handed on again at the end.
//!
//! It is stricter than other readers, which let a bare LF pass, any number of empty lines in front, or raw
//! UTF-8 in the target.

use super::head::{HeadError, Headers, Limits};
use super::text::{Class, is_target_byte, is_tchar, trim};

/// RFC 9112 2.3: what a version begins with; its case matters. One digit follows.
pub(crate) const VERSION: &[u8; 7] = b"HTTP/1.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a request; an empty line may still come.
    RequestStart,
    /// The CR of the empty line was seen.
    EmptyLineCr,
    /// The empty line was seen: now there must be a request.
    AfterEmptyLine,
    Method,
    TargetStart,
    Target,
    /// `HTTP/1.x` of a request; so many bytes of it were seen.
    RequestVersion(u8),
    /// The same of a response.
    ResponseVersion(u8),
    /// Between version and status; so many digits were seen.
    Status(u8),
    Reason,
    FirstLineCr,
    LineStart,
    Name,
    Value,
    ValueCr,
    EndCr,
    Done,
}

impl State {
    const fn in_headers(self) -> bool {
        matches!(self, Self::LineStart | Self::Name | Self::Value | Self::ValueCr | Self::EndCr)
    }
}

/// Where a head stands that arrives bit by bit.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    limits: Limits,
    state: State,
    /// Bytes looked at so far: an offset into what the caller holds.
    at: usize,
    /// Where the first line begins.
    start: usize,
    /// Where the header lines begin.
    headers: usize,
    /// Header lines so far.
    lines: usize,
    /// How many bytes were looked at in all, to prove that none is looked at twice.
    #[cfg(test)]
    pub(crate) looked_at: usize,
}

/// What takes in the lines of a head, in their order.
pub(crate) trait Gather<'h>: Default {
    /// The name, which is a token, and the value, which has no whitespace around it.
    fn add(&mut self, name: &'h [u8], value: &'h [u8]);
}

/// A head that is whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'h> {
    /// The request line or the status line, without its CR LF.
    pub(crate) line: &'h [u8],
    pub(crate) headers: Headers<'h>,
    /// Where `line` begins in the caller's memory.
    pub(crate) start: usize,
    /// Bytes from the beginning of the caller's memory to behind the empty line.
    pub(crate) len: usize,
}

impl Scanner {
    pub(crate) const fn request(limits: Limits) -> Self {
        Self::new(limits, State::RequestStart)
    }

    pub(crate) const fn response(limits: Limits) -> Self {
        Self::new(limits, State::ResponseVersion(0))
    }

    const fn new(limits: Limits, state: State) -> Self {
        // The fields are public, so the bound is applied here once more.
        let limits = Limits::new().max_head(limits.max_head).max_headers(limits.max_headers);
        Self {
            limits,
            state,
            at: 0,
            start: 0,
            headers: 0,
            lines: 0,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Goes on to the next head (behind an interim response). The limit on bytes runs on.
    pub(crate) const fn next_response(&mut self) {
        self.state = State::ResponseVersion(0);
        self.start = self.at;
        self.lines = 0;
    }

    /// Returns whether the first line begins with `start` in what has been looked at so far. The answer depends
    /// neither on how `bytes` were split nor on bytes behind a limit.
    pub(crate) fn first_line_starts_with(&self, bytes: &[u8], start: &[u8]) -> bool {
        bytes.get(self.start..self.at).is_some_and(|line| line.starts_with(start))
    }

    /// Looks at what is new in `bytes`; the head if it is whole. Then `known`, which comes empty, has all
    /// its lines.
    pub(crate) fn scan<'h>(
        &mut self,
        bytes: &'h [u8],
        known: &mut impl Gather<'h>,
    ) -> Result<Option<Head<'h>>, HeadError> {
        let within = bytes.get(..self.limits.max_head).unwrap_or(bytes);
        let mut whole = 0;
        while self.state != State::Done {
            // Shorter than before: the caller broke the contract; wait for the bytes to come back.
            let Some(new) = within.get(self.at..) else { return Ok(None) };
            whole += self.pass(new, known);
            let Some(&byte) = within.get(self.at) else { break };
            self.state = self.step(byte)?;
            self.advance(1);
        }
        if self.state == State::Done {
            return self.head(bytes, known, whole).map(Some);
        }
        // As soon as the limit is reached, not one byte later: a caller whose memory has exactly
        // that size could not read on.
        if self.at >= self.limits.max_head {
            // RFC 6455 10.4
            return Err(if self.state.in_headers() { HeadError::TooLarge } else { HeadError::LineTooLong });
        }
        Ok(None)
    }

    const fn advance(&mut self, by: usize) {
        self.at += by;
        #[cfg(test)]
        {
            self.looked_at += by;
        }
    }

    /// The whole head, of which `whole` lines came whole and in this call.
    fn head<'h, G: Gather<'h>>(
        &self,
        bytes: &'h [u8],
        known: &mut G,
        whole: usize,
    ) -> Result<Head<'h>, HeadError> {
        let line = bytes.get(self.start..self.headers).and_then(|line| line.strip_suffix(b"\r\n"));
        let block = bytes.get(self.headers..self.at);
        let (Some(line), Some(block)) = (line, block) else { return Err(HeadError::Changed) };
        if whole < self.lines {
            // Now that the others are there as well, all are taken in.
            let mut again = Self { state: State::LineStart, at: 0, lines: 0, ..self.clone() };
            *known = G::default();
            let whole = again.pass_lines(block, known);
            if whole != self.lines || block.get(again.at..) != Some(b"\r\n") {
                return Err(HeadError::Changed);
            }
        }
        let headers = Headers::new(block);
        // Where every run may be slow, in tests and when fuzzed, two parsers must agree. They differ over bytes
        // that the caller has changed.
        if cfg!(debug_assertions) && !headers.are_read_by_others() {
            return Err(HeadError::Changed);
        }
        Ok(Head { line, start: self.start, headers, len: self.at })
    }

    /// Passes over bytes with which nothing is wrong and that need no [`step`](Self::step), and over whole
    /// header lines: how many.
    fn pass<'h>(&mut self, new: &'h [u8], known: &mut impl Gather<'h>) -> usize {
        let (state, passed) = match self.state {
            State::LineStart => return self.pass_lines(new, known),
            State::RequestStart | State::AfterEmptyLine => request_line(new).unwrap_or((self.state, 0)),
            State::ResponseVersion(0) => status_line(new).unwrap_or((self.state, 0)),
            State::Method | State::Name => (self.state, Class::TCHAR.run(new)),
            State::Target => (self.state, Class::TARGET.run(new)),
            State::Reason | State::Value => (self.state, Class::VALUE.run(new)),
            _ => (self.state, 0),
        };
        self.state = state;
        self.advance(passed);
        0
    }

    /// Passes over whole lines, and over what is right of the next: how many were whole.
    fn pass_lines<'h>(&mut self, new: &'h [u8], known: &mut impl Gather<'h>) -> usize {
        let (mut rest, mut whole) = (new, 0);
        while self.lines + whole < self.limits.max_headers {
            match header_line(rest) {
                Ok(line) => {
                    known.add(line.name, line.value);
                    whole += 1;
                    rest = line.rest;
                }
                Err((state, passed)) => {
                    // RFC 6455 10.4: a line counts from its first byte on.
                    self.lines += usize::from(state != State::LineStart);
                    self.state = state;
                    self.advance(passed);
                    break;
                }
            }
        }
        self.lines += whole;
        self.advance(new.len() - rest.len());
        whole
    }

    /// The state after `byte`, which was not passed over.
    fn step(&mut self, byte: u8) -> Result<State, HeadError> {
        match self.state {
            State::RequestStart
            | State::EmptyLineCr
            | State::AfterEmptyLine
            | State::Method
            | State::TargetStart
            | State::Target
            | State::RequestVersion(_) => self.step_request_line(byte),
            State::ResponseVersion(_) | State::Status(_) | State::Reason => self.step_status_line(byte),
            _ => self.step_headers(byte),
        }
    }

    fn step_request_line(&mut self, byte: u8) -> Result<State, HeadError> {
        match (self.state, byte) {
            // RFC 9112 2.2: at least one empty line before the request is ignored (SHOULD).
            (State::RequestStart, b'\r') => Ok(State::EmptyLineCr),
            (State::EmptyLineCr, b'\n') => {
                self.start = self.at + 1;
                Ok(State::AfterEmptyLine)
            }
            (State::EmptyLineCr, _) => Err(HeadError::LineEnd),
            // RFC 9112 3: method SP request-target SP HTTP-version. What a method may begin with was passed over.
            (State::Method, b' ') => Ok(State::TargetStart),
            (State::TargetStart, _) if is_target_byte(byte) => Ok(State::Target),
            (State::Target, b' ') => Ok(State::RequestVersion(0)),
            // HTTP/0.9: a target and no version
            (State::Target, b'\r') => Err(HeadError::Version),
            (State::TargetStart | State::Target, _) => Err(HeadError::Target),
            (State::RequestVersion(8), b'\r') => Ok(State::FirstLineCr),
            (State::RequestVersion(seen), _) if is_version_byte(seen, byte) => {
                Ok(State::RequestVersion(seen + 1))
            }
            (State::RequestVersion(_), _) => Err(HeadError::Version),
            _ => Err(HeadError::StartLine),
        }
    }

    fn step_status_line(&mut self, byte: u8) -> Result<State, HeadError> {
        match (self.state, byte) {
            // RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ]
            (State::ResponseVersion(8), b' ') => Ok(State::Status(0)),
            (State::ResponseVersion(seen), _) if is_version_byte(seen, byte) => {
                Ok(State::ResponseVersion(seen + 1))
            }
            (State::ResponseVersion(seen), _) => {
                // Before the version's digits this is another protocol altogether.
                Err(if seen < 5 { HeadError::StartLine } else { HeadError::Version })
            }
            // RFC 9110 15: the first digit is a class, and there is no class 0.
            (State::Status(0), b'1'..=b'9') => Ok(State::Status(1)),
            (State::Status(seen @ 1..=2), b'0'..=b'9') => Ok(State::Status(seen + 1)),
            (State::Status(3), b' ') => Ok(State::Reason),
            // RFC 9112 4: a server MUST send the space even where it sends no phrase. Some leave out both, so to
            // insist would hide why they refuse. Nothing is ambiguous: the line ends here.
            (State::Status(3) | State::Reason, b'\r') => Ok(State::FirstLineCr),
            (State::Status(3) | State::Reason, b'\n') => Err(HeadError::LineEnd),
            _ => Err(HeadError::StartLine),
        }
    }

    fn step_headers(&mut self, byte: u8) -> Result<State, HeadError> {
        match (self.state, byte) {
            (State::FirstLineCr, b'\n') => {
                self.headers = self.at + 1;
                Ok(State::LineStart)
            }
            (State::ValueCr, b'\n') => Ok(State::LineStart),
            (State::EndCr, b'\n') => Ok(State::Done),
            // RFC 9112 2.2: a CR that stands alone
            (State::FirstLineCr | State::ValueCr | State::EndCr, _) => Err(HeadError::LineEnd),
            (State::LineStart, b'\r') => Ok(State::EndCr),
            // RFC 9112 2.2
            (State::LineStart, b' ' | b'\t') if self.lines == 0 => Err(HeadError::SpaceBeforeHeader),
            // RFC 9112 5.2
            (State::LineStart, b' ' | b'\t') => Err(HeadError::Fold),
            // RFC 6455 10.4: lines are passed over, up to the limit.
            (State::LineStart, _) if is_tchar(byte) => Err(HeadError::TooManyHeaders),
            (State::Name, b':') => Ok(State::Value),
            // RFC 9112 5.1
            (State::Name, b' ' | b'\t') => Err(HeadError::SpaceBeforeColon),
            (State::Name, b'\r') => Err(HeadError::NoColon),
            (State::Value, b'\r') => Ok(State::ValueCr),
            // RFC 9112 2.2: a LF alone MAY end a line; two readers who differ on that can be played
            // off against each other, so it does not.
            (State::LineStart | State::Name | State::Value, b'\n') => Err(HeadError::LineEnd),
            (State::Value, _) => Err(HeadError::ControlByte),
            _ => Err(HeadError::HeaderName),
        }
    }
}

/// The state behind as much of a request line as is there and is right, and the length of that; not its
/// last line feed. None if there is nothing to begin with.
fn request_line(bytes: &[u8]) -> Option<(State, usize)> {
    // RFC 9112 3: method SP request-target SP HTTP-version
    let len = Class::TCHAR.run(bytes);
    if len == 0 {
        return None;
    }
    let Some((_, [b' ', rest @ ..])) = bytes.split_at_checked(len) else { return Some((State::Method, len)) };
    let passed = len + 1;
    let len = Class::TARGET.run(rest);
    if len == 0 {
        return Some((State::TargetStart, passed));
    }
    let passed = passed + len;
    match rest.get(len..).and_then(|rest| rest.strip_prefix(b" HTTP/1.")) {
        Some([b'0'..=b'9', b'\r', ..]) => Some((State::FirstLineCr, passed + 10)),
        _ => Some((State::Target, passed)),
    }
}

/// The same of a status line, up to the end of the reason phrase.
fn status_line(bytes: &[u8]) -> Option<(State, usize)> {
    // RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ]
    match bytes.strip_prefix(VERSION)? {
        [b'0'..=b'9', b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', reason @ ..] => {
            Some((State::Reason, 13 + Class::VALUE.run(reason)))
        }
        _ => None,
    }
}

/// A whole header line.
struct Line<'h> {
    name: &'h [u8],
    /// Without the whitespace around it.
    value: &'h [u8],
    /// What follows the line.
    rest: &'h [u8],
}

/// The line at the beginning of `bytes`. If it is not whole, the state behind as much of it as is there and
/// is right, and the length of that.
#[inline(always)]
fn header_line(bytes: &[u8]) -> Result<Line<'_>, (State, usize)> {
    // Both are measured from the start, so that the processor need not wait for the one to do the other: a
    // name and its colon might as well be a value.
    let (line_len, name_len) = (Class::VALUE.run(bytes), Class::TCHAR.run(bytes));
    if name_len == 0 {
        return Err((State::LineStart, 0));
    }
    let (line, rest) = bytes.split_at_checked(line_len).unwrap_or_default();
    match (line.split_at_checked(name_len), rest) {
        (Some((name, [b':', value @ ..])), [b'\r', b'\n', rest @ ..]) => {
            Ok(Line { name, value: trim(value), rest })
        }
        (Some((_, [b':', ..])), _) => Err((State::Value, line_len)),
        _ => Err((State::Name, name_len)),
    }
}

/// Whether `byte` may follow `seen` bytes of `HTTP/1.x`. A minor version that is not known counts as
/// the highest known one (RFC 9110 2.5).
fn is_version_byte(seen: u8, byte: u8) -> bool {
    match VERSION.get(usize::from(seen)) {
        Some(&expected) => byte == expected,
        None => seen == 7 && byte.is_ascii_digit(),
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// These tests want the lines alone.
    impl Gather<'_> for () {
        fn add(&mut self, _: &[u8], _: &[u8]) {}
    }

    fn request(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        Scanner::request(Limits::new()).scan(bytes, &mut ()).map(|head| head.map(|head| head.len))
    }

    #[test]
    fn s9112_2_2_each_byte_is_looked_at_once() {
        let mut head = Vec::from(&b"\r\nGET /chat HTTP/1.1\r\nHost: a\r\n"[..]);
        for _ in 0..90 {
            head.extend_from_slice(b"X-Long-Header-Name: some longer value, and some more of it\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut scanner = Scanner::request(Limits::new());
        for len in 0..head.len() {
            assert!(scanner.scan(&head[..len], &mut ()).unwrap().is_none());
        }
        assert_eq!(scanner.scan(&head, &mut ()).unwrap().unwrap().len, head.len());
        assert_eq!(scanner.looked_at, head.len());
    }

    #[test]
    fn s9112_2_2_a_fault_is_found_at_its_first_byte() {
        use HeadError::*;
        let cases: [(&[u8], HeadError); 27] = [
            (b"\x16", StartLine),
            (b" ", StartLine),
            (b"\n", StartLine),
            (b"\0", StartLine),
            (b"\r\r", LineEnd),
            (b"\r\n\r", StartLine),
            (b"G@", StartLine),
            (b"SSH-2.0-OpenSSH_9.6\r", StartLine),
            (b"GET  ", Target),
            (b"GET /\x01", Target),
            (b"GET /\xc3", Target),
            (b"GET /#", Target),
            (b"GET /\r", Version),
            (b"GET / h", Version),
            (b"GET / HTTP/2", Version),
            (b"GET / HTTP/1.1x", Version),
            (b"GET / HTTP/1.1\n", Version),
            (b"GET / HTTP/1.1\r\r", LineEnd),
            (b"GET / HTTP/1.1\r\n ", SpaceBeforeHeader),
            (b"GET / HTTP/1.1\r\n:", HeaderName),
            (b"GET / HTTP/1.1\r\nA\r", NoColon),
            (b"GET / HTTP/1.1\r\nA ", SpaceBeforeColon),
            (b"GET / HTTP/1.1\r\nA(", HeaderName),
            (b"GET / HTTP/1.1\r\nA: b\n", LineEnd),
            (b"GET / HTTP/1.1\r\nA: \x7f", ControlByte),
            (b"GET / HTTP/1.1\r\nA: b\r\n\t", Fold),
            (b"GET / HTTP/1.1\r\n\rX", LineEnd),
        ];
        for (bytes, error) in cases {
            assert_eq!(request(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:?}");
            assert_eq!(request(bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn s9112_4_status_line() {
        let good: [&[u8]; 6] = [
            b"HTTP/1.1 101 \r\n\r\n",
            // The space is missing together with the phrase.
            b"HTTP/1.1 101\r\n\r\n",
            b"HTTP/1.1 401\r",
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.9 999 \xe9 x\r\n\r\n",
            b"HTTP/1.1 4",
        ];
        for bytes in good {
            assert!(Scanner::response(Limits::new()).scan(bytes, &mut ()).is_ok(), "{bytes:?}");
        }
        let bad: [&[u8]; 14] = [
            b"\r",
            b"S",
            b"http",
            b"HTTP/2",
            b"HTTP/1.1\t",
            b"HTTP/1.1  ",
            b"HTTP/1.1 1O",
            b"HTTP/1.1 10 ",
            b"HTTP/1.1 1010",
            b"HTTP/1.1 099",
            b"HTTP/1.1 101\n",
            b"HTTP/1.1 101\r\r",
            b"HTTP/1.1 10\r",
            b"HTTP/1.1 101 a\0",
        ];
        for bytes in bad {
            assert!(Scanner::response(Limits::new()).scan(bytes, &mut ()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn s10_4_limits_hold_exactly() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
        let exact = Limits::new().max_head(head.len()).max_headers(2);
        assert!(Scanner::request(exact).scan(head, &mut ()).unwrap().is_some());
        let smaller = exact.max_head(head.len() - 1);
        assert_eq!(Scanner::request(smaller).scan(head, &mut ()).err(), Some(HeadError::TooLarge));
        // Memory of exactly the limit is full: waiting for more would be waiting for ever.
        let full = &head[..head.len() - 1];
        assert_eq!(Scanner::request(smaller).scan(full, &mut ()).err(), Some(HeadError::TooLarge));
        assert!(Scanner::request(exact).scan(full, &mut ()).unwrap().is_none());
        let fewer = exact.max_headers(1);
        assert_eq!(Scanner::request(fewer).scan(head, &mut ()).err(), Some(HeadError::TooManyHeaders));
        let line = Limits::new().max_head(14);
        assert_eq!(Scanner::request(line).scan(head, &mut ()).err(), Some(HeadError::LineTooLong));
        let many = Limits { max_head: 9, max_headers: usize::MAX };
        assert_eq!(Scanner::request(many).limits.max_headers, Limits::MOST_HEADERS);
    }

    #[test]
    fn bytes_changed_between_calls_are_found_when_the_lines_are_taken_in() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
        for at in 16..head.len() - 1 {
            for byte in *b"\r\n\0" {
                let mut scanner = Scanner::request(Limits::new());
                assert!(scanner.scan(&head[..head.len() - 1], &mut ()).unwrap().is_none());
                let mut changed = *head;
                changed[at] = byte;
                let outcome = scanner.scan(&changed, &mut ()).map(|head| head.map(|head| head.len));
                let same = changed == *head;
                assert_eq!(outcome, if same { Ok(Some(head.len())) } else { Err(HeadError::Changed) });
            }
        }
    }

    /// Without lines there is nothing to take in; then it is the other parser that finds it, where it is asked.
    #[test]
    fn an_empty_line_that_was_changed_is_no_header() {
        let mut scanner = Scanner::request(Limits::new());
        assert!(scanner.scan(b"GET / HTTP/1.1\r\n\r", &mut ()).unwrap().is_none());
        let outcome =
            scanner.scan(b"GET / HTTP/1.1\r\nX\n", &mut ()).map(|head| head.unwrap().headers.iter().count());
        assert_eq!(outcome, if cfg!(debug_assertions) { Err(HeadError::Changed) } else { Ok(0) });
    }

    #[test]
    fn bytes_taken_away_are_waited_for() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
        let mut scanner = Scanner::request(Limits::new());
        assert!(scanner.scan(&head[..20], &mut ()).unwrap().is_none());
        assert!(scanner.scan(&head[..3], &mut ()).unwrap().is_none());
        assert!(scanner.scan(head, &mut ()).unwrap().is_some());
        assert_eq!(scanner.scan(&head[..3], &mut ()).err(), Some(HeadError::Changed));
    }
}
