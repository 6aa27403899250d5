//! Parses HTTP/1.1 heads with httparse or with simple code.
//!
//! The handshake targets compare the result of hybi with that of httparse. If httparse does not support an input,
//! simple code reads the relevant parts. No code here uses hybi's own parser.

use hybi::handshake::Headers;

/// Panics if the headers that httparse reads in the request of `len` bytes differ from `headers`.
#[track_caller]
pub fn is_read_by_others(bytes: &[u8], len: usize, headers: Headers<'_>) {
    assert!(bytes[..len].ends_with(b"\r\n\r\n"));
    let head = bytes[..len].strip_prefix(b"\r\n").unwrap_or(&bytes[..len]);
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut slots);
    match request.parse(head) {
        Ok(status) => assert_eq!(status, httparse::Status::Complete(head.len())),
        // httparse does not support later versions of HTTP/1.x.
        Err(error) => return assert_eq!(error, httparse::Error::Version),
    }
    are_same(request.headers, headers);
}

/// Panics if names or values differ.
#[track_caller]
pub fn are_same(theirs: &[httparse::Header<'_>], headers: Headers<'_>) {
    let theirs: Vec<_> = theirs.iter().map(|header| (header.name, trim(header.value))).collect();
    let ours: Vec<_> = headers.iter().map(|header| (header.name, header.value)).collect();
    assert_eq!(ours, theirs);
}

/// Returns the elements of a list header in one or several lines.
pub fn list<'h>(headers: Headers<'h>, name: &str) -> impl Iterator<Item = &'h [u8]> {
    let values: Vec<_> = headers.get_all(name).collect();
    let elements = values.into_iter().flat_map(|value| value.split(|byte| *byte == b','));
    elements.map(trim).filter(|element| !element.is_empty())
}

/// Removes spaces and tabs around a value.
#[must_use]
pub fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let (Some(start), Some(end)) = (value.iter().position(is_text), value.iter().rposition(is_text)) else {
        return b"";
    };
    &value[start..=end]
}

/// Returns the status of a response other than 101. Asserts that its body has the stated length, or is missing in
/// an answer to HEAD (RFC 9110 9.3.2).
#[track_caller]
#[must_use]
pub fn read_answer(response: &[u8], is_head: bool) -> u16 {
    let mut slots = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut slots);
    let status = head.parse(response).expect("the answer must be HTTP");
    let body = &response[status.unwrap()..];
    let mut lengths = head.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("Content-Length"));
    match lengths.next() {
        Some(_) if is_head => assert!(body.is_empty()),
        Some(length) => assert_eq!(length.value, body.len().to_string().as_bytes()),
        None => assert!(body.is_empty()),
    }
    assert!(lengths.next().is_none());
    head.code.expect("httparse found no status")
}

/// Returns the 16 bytes that a key encodes.
#[must_use]
pub fn nonce(key: &[u8]) -> [u8; 16] {
    let digit = |byte: &u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    };
    let bits = key.iter().flat_map(|byte| (0..6).rev().map(move |n| digit(byte) >> n & 1));
    let bits: Vec<u8> = bits.take(128).collect();
    let bytes: Vec<u8> =
        bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
    *bytes.first_chunk().expect("24 base64 digits encode at least 16 bytes")
}
