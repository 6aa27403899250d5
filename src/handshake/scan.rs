//! The incremental scanner of a head: checks each byte once, when it arrives, and finds the end of the head.
//!
//! The scanner keeps an offset and a few bytes of state. The head stays in the caller's memory. The scanner refuses
//! some input that other parsers accept: a bare LF, several empty lines before a request, or raw UTF-8 in the target.
//!
//! Fast path: nearly all lines arrive complete. `request_line`, `status_line` and `header_line` then parse a
//! whole line with a few vector scans and no state machine. A complete header line is passed to a
//! [`HeaderSink`] immediately, so no second pass is needed.
//!
//! Slow path: `step` advances the state machine by one byte. `step` handles the bytes that the fast path does not
//! accept: separators, versions and status codes in an incomplete line, the end of the first line, empty lines, and
//! every error. If the header lines arrive in several calls, `finish` parses all of them again when the head is
//! complete. `finish` passes these lines to an empty sink.
//!
//! Invariants:
//! - The result does not depend on how the input is split.
//! - Each byte advances the state once. Only `finish` may parse complete header lines once more.
//! - A limit is enforced at the exact byte (RFC 6455 section 10.4).
//!
//! ```text
//!  request:  RequestStart ▶ Method ▶ TargetStart ▶ Target ▶ RequestVersion ┐
//!  response: ResponseVersion ▶ Status ▶ Reason ────────────────────────────┴▶ FirstLineCr ▶ LineStart
//!  headers:  LineStart ▶ Name ▶ Value ▶ ValueCr ▶ LineStart;  LineStart ▶ EndCr ▶ Done
//! ```

use super::head::{HeadError, HeadLimits, Headers};
use super::text::{ByteClass, is_target_byte, is_tchar, trim_ows};

/// The beginning of a version (RFC 9112 section 2.3), which is case-sensitive. One digit follows.
pub(crate) const VERSION: &[u8; 7] = b"HTTP/1.";

/// The position in a head, which decides how the next byte is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a request. One empty line may precede the request.
    RequestStart,
    /// After the CR of the empty line.
    EmptyLineCr,
    /// After the empty line: a request must follow.
    AfterEmptyLine,
    /// In the method.
    Method,
    /// After the space that follows the method.
    TargetStart,
    /// In the request target.
    Target,
    /// In the `HTTP/1.x` of a request, after this number of its bytes.
    RequestVersion(u8),
    /// In the `HTTP/1.x` of a response, after this number of its bytes.
    ResponseVersion(u8),
    /// In the status code, after this number of digits.
    Status(u8),
    /// In the reason phrase.
    Reason,
    /// After the CR of the first line.
    FirstLineCr,
    /// Before a header line or the final empty line.
    LineStart,
    /// In a header name.
    Name,
    /// In a header value, including the whitespace around it.
    Value,
    /// After the CR of a header line.
    ValueCr,
    /// After the CR of the final empty line.
    EndCr,
    /// After the head.
    Done,
}

impl State {
    /// Returns whether the first line is complete.
    const fn in_headers(self) -> bool {
        matches!(self, Self::LineStart | Self::Name | Self::Value | Self::ValueCr | Self::EndCr)
    }
}

/// The state of a head that arrives in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    /// The limits of the head.
    limits: HeadLimits,
    /// The position in the head.
    state: State,
    /// The number of bytes examined so far: an offset into the caller's memory.
    offset: usize,
    /// The offset of the first line.
    first_line_start: usize,
    /// The offset of the header lines.
    headers_start: usize,
    /// The number of header lines so far.
    lines: usize,
    /// The total number of bytes by which the offset was advanced. A test compares the number with the length of the
    /// head.
    #[cfg(test)]
    pub(crate) examined: usize,
}

/// A collector of the header lines of a head, in the order of the lines.
pub(crate) trait HeaderSink<'h>: Default {
    /// Adds one header. The name is a token, and the value has no whitespace around it.
    fn add(&mut self, name: &'h [u8], value: &'h [u8]);
}

/// A complete head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'h> {
    /// The request line or the status line, without CR LF.
    pub(crate) line: &'h [u8],
    /// The header lines.
    pub(crate) headers: Headers<'h>,
    /// The offset of `line` in the caller's memory.
    pub(crate) start: usize,
    /// The number of bytes from the beginning of the caller's memory to the end of the empty line.
    pub(crate) len: usize,
}

impl Scanner {
    /// Returns a scanner for a request.
    pub(crate) const fn request(limits: HeadLimits) -> Self {
        Self::new(limits, State::RequestStart)
    }

    /// Returns a scanner for a response.
    pub(crate) const fn response(limits: HeadLimits) -> Self {
        Self::new(limits, State::ResponseVersion(0))
    }

    /// Returns a scanner that starts in `state`.
    const fn new(limits: HeadLimits, state: State) -> Self {
        // The fields of `HeadLimits` are public, so apply the bound on headers again.
        let limits = HeadLimits::new().max_head(limits.max_head).max_headers(limits.max_headers);
        Self {
            limits,
            state,
            offset: 0,
            first_line_start: 0,
            headers_start: 0,
            lines: 0,
            #[cfg(test)]
            examined: 0,
        }
    }

    /// Continues with the next head, after an interim response. The limit on bytes applies to all heads together.
    pub(crate) const fn next_response(&mut self) {
        self.state = State::ResponseVersion(0);
        self.first_line_start = self.offset;
        self.lines = 0;
    }

    /// Returns whether the examined part of the first line begins with `start`.
    ///
    /// The result does not depend on how the input was split, nor on bytes after a limit.
    pub(crate) fn first_line_starts_with(&self, bytes: &[u8], start: &[u8]) -> bool {
        bytes.get(self.first_line_start..self.offset).is_some_and(|line| line.starts_with(start))
    }

    /// Examines the new part of `bytes`. Returns the head if it is complete.
    ///
    /// `sink` must be empty. If a head is returned, the sink has received all header lines.
    pub(crate) fn scan<'h>(
        &mut self,
        bytes: &'h [u8],
        sink: &mut impl HeaderSink<'h>,
    ) -> Result<Option<Head<'h>>, HeadError> {
        let within = bytes.get(..self.limits.max_head).unwrap_or(bytes);
        let mut complete = 0;
        while self.state != State::Done {
            // The input is shorter than in an earlier call, so the caller has violated the contract. Wait until the
            // caller passes the missing bytes again.
            let Some(new) = within.get(self.offset..) else { return Ok(None) };
            complete += self.skip_valid(new, sink);
            let Some(&byte) = within.get(self.offset) else { break };
            self.state = self.step(byte)?;
            self.advance(1);
        }
        if self.state == State::Done {
            return self.finish(bytes, sink, complete).map(Some);
        }
        // Report the limit as soon as it is reached, not one byte later. A caller whose buffer has exactly this
        // size cannot read another byte.
        if self.offset >= self.limits.max_head {
            // RFC 6455 10.4: the limit protects the receiver's memory.
            return Err(if self.state.in_headers() {
                HeadError::TooLarge
            } else {
                HeadError::StartLineTooLong
            });
        }
        Ok(None)
    }

    /// Moves the offset by `by` bytes.
    const fn advance(&mut self, by: usize) {
        self.offset += by;
        #[cfg(test)]
        {
            self.examined += by;
        }
    }

    /// Returns the complete head. `complete` is the number of header lines that arrived as a whole in this call. The
    /// sink has received these lines.
    fn finish<'h, S: HeaderSink<'h>>(
        &self,
        bytes: &'h [u8],
        sink: &mut S,
        complete: usize,
    ) -> Result<Head<'h>, HeadError> {
        let line =
            bytes.get(self.first_line_start..self.headers_start).and_then(|line| line.strip_suffix(b"\r\n"));
        let block = bytes.get(self.headers_start..self.offset);
        let (Some(line), Some(block)) = (line, block) else { return Err(HeadError::Changed) };
        if complete < self.lines {
            // Some lines arrived in earlier calls or in several calls, so the sink has not received them. Pass all
            // lines to an empty sink.
            let mut again = Self { state: State::LineStart, offset: 0, lines: 0, ..self.clone() };
            *sink = S::default();
            let complete = again.take_lines(block, sink);
            if complete != self.lines || block.get(again.offset..) != Some(b"\r\n") {
                return Err(HeadError::Changed);
            }
        }
        let headers = Headers::new(block);
        // In debug builds, which include tests and fuzzing, the scanner and `httparse` must agree. The two parsers
        // disagree only if the caller has changed the bytes.
        if cfg!(debug_assertions) && !headers.match_httparse() {
            return Err(HeadError::Changed);
        }
        Ok(Head { line, start: self.first_line_start, headers, len: self.offset })
    }

    /// Skips valid bytes that need no [`step`](Self::step), and complete header lines. Returns the number of
    /// these lines.
    fn skip_valid<'h>(&mut self, new: &'h [u8], sink: &mut impl HeaderSink<'h>) -> usize {
        let (state, skipped) = match self.state {
            State::LineStart => return self.take_lines(new, sink),
            State::RequestStart | State::AfterEmptyLine => request_line(new).unwrap_or((self.state, 0)),
            State::ResponseVersion(0) => status_line(new).unwrap_or((self.state, 0)),
            State::Method | State::Name => (self.state, ByteClass::TCHAR.run_len(new)),
            State::Target => (self.state, ByteClass::TARGET.run_len(new)),
            State::Reason | State::Value => (self.state, ByteClass::VALUE.run_len(new)),
            _ => (self.state, 0),
        };
        self.state = state;
        self.advance(skipped);
        0
    }

    /// Takes complete header lines, and skips the valid part of the next line. Returns the number of complete
    /// lines.
    fn take_lines<'h>(&mut self, new: &'h [u8], sink: &mut impl HeaderSink<'h>) -> usize {
        let (mut rest, mut complete) = (new, 0);
        while self.lines + complete < self.limits.max_headers {
            match header_line(rest) {
                Ok(line) => {
                    sink.add(line.name, line.value);
                    complete += 1;
                    rest = line.rest;
                }
                Err((state, skipped)) => {
                    // RFC 6455 10.4: a line counts towards the limit as soon as its first byte arrives.
                    self.lines += usize::from(state != State::LineStart);
                    self.state = state;
                    self.advance(skipped);
                    break;
                }
            }
        }
        self.lines += complete;
        self.advance(new.len() - rest.len());
        complete
    }

    /// Returns the state after `byte`, which the fast path did not accept.
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

    /// Returns the state after `byte` in a request line.
    fn step_request_line(&mut self, byte: u8) -> Result<State, HeadError> {
        match (self.state, byte) {
            // RFC 9112 2.2: a server SHOULD ignore at least one empty line before the request.
            (State::RequestStart, b'\r') => Ok(State::EmptyLineCr),
            (State::EmptyLineCr, b'\n') => {
                self.first_line_start = self.offset + 1;
                Ok(State::AfterEmptyLine)
            }
            (State::EmptyLineCr, _) => Err(HeadError::LineEnd),
            // RFC 9112 3: method SP request-target SP HTTP-version. The bytes of the method itself were
            // skipped by `skip_valid`.
            (State::Method, b' ') => Ok(State::TargetStart),
            (State::TargetStart, _) if is_target_byte(byte) => Ok(State::Target),
            (State::Target, b' ') => Ok(State::RequestVersion(0)),
            // An HTTP/0.9 request has a target and no version.
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

    /// Returns the state after `byte` in a status line.
    fn step_status_line(&mut self, byte: u8) -> Result<State, HeadError> {
        match (self.state, byte) {
            // RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ]
            (State::ResponseVersion(8), b' ') => Ok(State::Status(0)),
            (State::ResponseVersion(seen), _) if is_version_byte(seen, byte) => {
                Ok(State::ResponseVersion(seen + 1))
            }
            (State::ResponseVersion(seen), _) => {
                // An error before the digits of the version means that the peer speaks another protocol.
                Err(if seen < 5 { HeadError::StartLine } else { HeadError::Version })
            }
            // RFC 9110 15: the first digit is the class, and there is no class 0.
            (State::Status(0), b'1'..=b'9') => Ok(State::Status(1)),
            (State::Status(seen @ 1..=2), b'0'..=b'9') => Ok(State::Status(seen + 1)),
            (State::Status(3), b' ') => Ok(State::Reason),
            // RFC 9112 4: a server MUST send the space even without a reason phrase. Some servers omit both the space
            // and the phrase. Refusing these responses would hide their status. The line ends here, so nothing is
            // ambiguous.
            (State::Status(3) | State::Reason, b'\r') => Ok(State::FirstLineCr),
            (State::Status(3) | State::Reason, b'\n') => Err(HeadError::LineEnd),
            _ => Err(HeadError::StartLine),
        }
    }

    /// Returns the state after `byte`, which is not in the first line.
    fn step_headers(&mut self, byte: u8) -> Result<State, HeadError> {
        match (self.state, byte) {
            (State::FirstLineCr, b'\n') => {
                self.headers_start = self.offset + 1;
                Ok(State::LineStart)
            }
            (State::ValueCr, b'\n') => Ok(State::LineStart),
            (State::EndCr, b'\n') => Ok(State::Done),
            // RFC 9112 2.2: a CR must not stand alone.
            (State::FirstLineCr | State::ValueCr | State::EndCr, _) => Err(HeadError::LineEnd),
            (State::LineStart, b'\r') => Ok(State::EndCr),
            // RFC 9112 2.2: whitespace before the first header is refused.
            (State::LineStart, b' ' | b'\t') if self.lines == 0 => Err(HeadError::SpaceBeforeHeader),
            // RFC 9112 5.2: folded headers are refused.
            (State::LineStart, b' ' | b'\t') => Err(HeadError::Fold),
            // RFC 6455 10.4: `take_lines` handles lines up to the limit, so this line exceeds the limit.
            (State::LineStart, _) if is_tchar(byte) => Err(HeadError::TooManyHeaders),
            (State::Name, b':') => Ok(State::Value),
            // RFC 9112 5.1: whitespace between name and colon is refused.
            (State::Name, b' ' | b'\t') => Err(HeadError::SpaceBeforeColon),
            (State::Name, b'\r') => Err(HeadError::NoColon),
            (State::Value, b'\r') => Ok(State::ValueCr),
            // RFC 9112 2.2: a recipient MAY accept a single LF as the end of a line. This parser refuses a single LF,
            // because an attacker can exploit two parsers that disagree about the end of a line.
            (State::LineStart | State::Name | State::Value, b'\n') => Err(HeadError::LineEnd),
            (State::Value, _) => Err(HeadError::ControlByte),
            _ => Err(HeadError::HeaderName),
        }
    }
}

/// Parses the valid part of a request line, without its LF. Returns the state after this part and the length of the
/// part, or `None` if the first byte is not valid.
fn request_line(bytes: &[u8]) -> Option<(State, usize)> {
    // RFC 9112 3: method SP request-target SP HTTP-version
    let len = ByteClass::TCHAR.run_len(bytes);
    if len == 0 {
        return None;
    }
    let Some((_, [b' ', rest @ ..])) = bytes.split_at_checked(len) else { return Some((State::Method, len)) };
    let skipped = len + 1;
    let len = ByteClass::TARGET.run_len(rest);
    if len == 0 {
        return Some((State::TargetStart, skipped));
    }
    let skipped = skipped + len;
    match rest.get(len..).and_then(|rest| rest.strip_prefix(b" HTTP/1.")) {
        Some([b'0'..=b'9', b'\r', ..]) => Some((State::FirstLineCr, skipped + 10)),
        _ => Some((State::Target, skipped)),
    }
}

/// Parses a status line up to the end of its reason phrase. Returns the state after this part and the length of the
/// part. Returns `None` if the part before the reason phrase is not complete or not valid.
fn status_line(bytes: &[u8]) -> Option<(State, usize)> {
    // RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ]
    match bytes.strip_prefix(VERSION)? {
        [b'0'..=b'9', b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', reason @ ..] => {
            Some((State::Reason, 13 + ByteClass::VALUE.run_len(reason)))
        }
        _ => None,
    }
}

/// A complete header line.
struct Line<'h> {
    /// The name, a token.
    name: &'h [u8],
    /// The value without whitespace around it.
    value: &'h [u8],
    /// The bytes after the line.
    rest: &'h [u8],
}

/// Parses the header line at the start of `bytes`. If the line is not complete or not valid, returns the state after
/// its valid part, and the length of this part.
#[inline(always)]
fn header_line(bytes: &[u8]) -> Result<Line<'_>, (State, usize)> {
    // Both lengths are measured from the start of the line. Neither depends on the other, so the processor computes
    // them in parallel. The run of value bytes includes the name and the colon, because a value may contain their
    // bytes.
    let (line_len, name_len) = (ByteClass::VALUE.run_len(bytes), ByteClass::TCHAR.run_len(bytes));
    if name_len == 0 {
        return Err((State::LineStart, 0));
    }
    let (line, rest) = bytes.split_at_checked(line_len).unwrap_or_default();
    match (line.split_at_checked(name_len), rest) {
        (Some((name, [b':', value @ ..])), [b'\r', b'\n', rest @ ..]) => {
            Ok(Line { name, value: trim_ows(value), rest })
        }
        (Some((_, [b':', ..])), _) => Err((State::Value, line_len)),
        _ => Err((State::Name, name_len)),
    }
}

/// Returns whether `byte` may follow the first `seen` bytes of `HTTP/1.x`. Every minor version is accepted: an
/// unknown version counts as the highest known version (RFC 9110 section 2.5).
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

    /// A sink that ignores all headers.
    impl HeaderSink<'_> for () {
        fn add(&mut self, _: &[u8], _: &[u8]) {}
    }

    fn request(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        Scanner::request(HeadLimits::new()).scan(bytes, &mut ()).map(|head| head.map(|head| head.len))
    }

    #[test]
    fn s9112_2_2_each_byte_is_examined_once() {
        let mut head = Vec::from(&b"\r\nGET /chat HTTP/1.1\r\nHost: a\r\n"[..]);
        for _ in 0..90 {
            head.extend_from_slice(b"X-Long-Header-Name: some longer value, and some more of it\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut scanner = Scanner::request(HeadLimits::new());
        for len in 0..head.len() {
            assert!(scanner.scan(&head[..len], &mut ()).unwrap().is_none());
        }
        assert_eq!(scanner.scan(&head, &mut ()).unwrap().unwrap().len, head.len());
        assert_eq!(scanner.examined, head.len());
    }

    #[test]
    fn s9112_2_2_an_error_is_reported_at_its_first_byte() {
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
    fn s9112_4_status_lines_are_accepted_or_refused() {
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
            assert!(Scanner::response(HeadLimits::new()).scan(bytes, &mut ()).is_ok(), "{bytes:?}");
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
            assert!(Scanner::response(HeadLimits::new()).scan(bytes, &mut ()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn s10_4_limits_apply_at_the_exact_byte() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
        let exact = HeadLimits::new().max_head(head.len()).max_headers(2);
        assert!(Scanner::request(exact).scan(head, &mut ()).unwrap().is_some());
        let smaller = exact.max_head(head.len() - 1);
        assert_eq!(Scanner::request(smaller).scan(head, &mut ()).err(), Some(HeadError::TooLarge));
        // A buffer of exactly this size is full, so the caller would wait for more bytes for ever.
        let full = &head[..head.len() - 1];
        assert_eq!(Scanner::request(smaller).scan(full, &mut ()).err(), Some(HeadError::TooLarge));
        assert!(Scanner::request(exact).scan(full, &mut ()).unwrap().is_none());
        let fewer = exact.max_headers(1);
        assert_eq!(Scanner::request(fewer).scan(head, &mut ()).err(), Some(HeadError::TooManyHeaders));
        let line = HeadLimits::new().max_head(14);
        assert_eq!(Scanner::request(line).scan(head, &mut ()).err(), Some(HeadError::StartLineTooLong));
        let many = HeadLimits { max_head: 9, max_headers: usize::MAX };
        assert_eq!(Scanner::request(many).limits.max_headers, HeadLimits::MAX_HEADERS);
    }

    #[test]
    fn changed_header_bytes_are_detected_at_the_end_of_the_head() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
        for offset in 16..head.len() - 1 {
            for byte in *b"\r\n\0" {
                let mut scanner = Scanner::request(HeadLimits::new());
                assert!(scanner.scan(&head[..head.len() - 1], &mut ()).unwrap().is_none());
                let mut changed = *head;
                changed[offset] = byte;
                let outcome = scanner.scan(&changed, &mut ()).map(|head| head.map(|head| head.len));
                let same = changed == *head;
                assert_eq!(outcome, if same { Ok(Some(head.len())) } else { Err(HeadError::Changed) });
            }
        }
    }

    /// Without header lines nothing is passed to the sink. Only the second parser, which runs in debug builds, finds
    /// the change.
    #[test]
    fn a_changed_empty_line_is_no_header() {
        let mut scanner = Scanner::request(HeadLimits::new());
        assert!(scanner.scan(b"GET / HTTP/1.1\r\n\r", &mut ()).unwrap().is_none());
        let outcome =
            scanner.scan(b"GET / HTTP/1.1\r\nX\n", &mut ()).map(|head| head.unwrap().headers.iter().count());
        assert_eq!(outcome, if cfg!(debug_assertions) { Err(HeadError::Changed) } else { Ok(0) });
    }

    #[test]
    fn a_scan_waits_for_bytes_that_are_missing() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
        let mut scanner = Scanner::request(HeadLimits::new());
        assert!(scanner.scan(&head[..20], &mut ()).unwrap().is_none());
        assert!(scanner.scan(&head[..3], &mut ()).unwrap().is_none());
        assert!(scanner.scan(head, &mut ()).unwrap().is_some());
        assert_eq!(scanner.scan(&head[..3], &mut ()).err(), Some(HeadError::Changed));
    }
}
