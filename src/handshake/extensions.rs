//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 section 9.1), parsed without copying.
//!
//! [`Extensions`] is a list that was checked as a whole, so an iteration over it cannot fail. This file does not know
//! the meaning of any extension. `permessage_deflate` interprets the parameters of permessage-deflate.
//!
//! Invariants:
//! - The constructors check the entire text. The iterators parse the same text again, so they find no errors.
//! - Parsing takes linear time: the parser reads each byte once and never looks ahead.

use core::fmt;

use crate::kernel::ascii;

use super::head::{HeaderLineValues, HeaderLines};
use super::text::{ByteClass, is_ows, is_tchar, is_token};

/// The name of the header.
pub(crate) const EXTENSIONS: &str = "Sec-WebSocket-Extensions";

/// The error for a `Sec-WebSocket-Extensions` value that does not match the grammar of RFC 6455 section 9.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the value of Sec-WebSocket-Extensions is malformed (RFC 6455 9.1): write `name; param=token, …`",
        )
    }
}

impl core::error::Error for Malformed {}

/// A list of extensions with their parameters: those that a client offers, or those that a server chose.
///
/// The list was checked as a whole, so an iteration over it cannot fail. The list may come from several header
/// lines.
///
/// ```
/// use hybi::handshake::{Extensions, Malformed};
///
/// let offers = Extensions::parse(b"x-mux; max=\"1\\0\"; fast, permessage-deflate")?;
/// let mux = offers.iter().next().ok_or(Malformed)?;
/// assert_eq!(mux.name, "x-mux");
/// let mut params = mux.params();
/// assert!(params.next().is_some_and(|(name, value)| name == "max" && value.is_some_and(|v| v == "10")));
/// assert_eq!(params.next(), Some(("fast", None)));
/// assert_eq!(offers.iter().count(), 2);
/// assert!(Extensions::parse(b"permessage-deflate;").is_err());
/// # Ok::<(), Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'h> {
    /// The lines of the list.
    field: HeaderLines<'h>,
}

impl<'h> Extensions<'h> {
    /// The empty list.
    pub const NONE: Self = Self { field: HeaderLines::EMPTY };

    /// Parses the value of one header.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if `value` does not match the grammar (RFC 6455 section 9.1), or contains no extension.
    pub fn parse(value: &'h [u8]) -> Result<Self, Malformed> {
        match Self::parse_part(value)? {
            (_, 0) => Err(Malformed),
            (extensions, _) => Ok(extensions),
        }
    }

    /// Parses one of several values that form a list. Also returns the number of extensions in the value, which may
    /// be zero.
    pub(crate) fn parse_part(value: &'h [u8]) -> Result<(Self, usize), Malformed> {
        Ok((Self { field: HeaderLines::One(value) }, count_extensions(value)?))
    }

    /// Parses all `Sec-WebSocket-Extensions` lines of a head as one list (RFC 6455 section 9.1).
    pub(crate) fn from_lines(field: HeaderLines<'h>) -> Result<Self, Malformed> {
        for_each_part(field.values(EXTENSIONS), |_| Ok::<_, Malformed>(()))?;
        Ok(Self { field })
    }

    /// Returns an iterator over the extensions, in the order of the list.
    #[must_use]
    pub const fn iter(&self) -> ExtensionIter<'h> {
        ExtensionIter { parser: Parser(b""), values: self.field.values(EXTENSIONS) }
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'h> IntoIterator for Extensions<'h> {
    type Item = Extension<'h>;
    type IntoIter = ExtensionIter<'h>;

    fn into_iter(self) -> ExtensionIter<'h> {
        self.iter()
    }
}

impl<'h> IntoIterator for &Extensions<'h> {
    type Item = Extension<'h>;
    type IntoIter = ExtensionIter<'h>;

    fn into_iter(self) -> ExtensionIter<'h> {
        self.iter()
    }
}

/// Checks the value of a `Sec-WebSocket-Extensions` header against the grammar (RFC 6455 section 9.1).
///
/// # Errors
///
/// [`Malformed`] if the value does not match the grammar, or contains no extension.
///
/// ```
/// use hybi::handshake::{Malformed, check_extensions};
///
/// assert_eq!(check_extensions(b"permessage-deflate; client_max_window_bits"), Ok(()));
/// assert_eq!(check_extensions(b"x; a=\"b c\""), Err(Malformed));
/// ```
pub fn check(value: &[u8]) -> Result<(), Malformed> {
    Extensions::parse(value).map(|_| ())
}

/// An iterator over [`Extensions`].
#[derive(Clone, Debug)]
pub struct ExtensionIter<'h> {
    /// The rest of the current value.
    parser: Parser<'h>,
    /// The values that follow.
    values: HeaderLineValues<'h>,
}

impl<'h> Iterator for ExtensionIter<'h> {
    type Item = Extension<'h>;

    fn next(&mut self) -> Option<Extension<'h>> {
        loop {
            if let Ok(Some(extension)) = self.parser.extension() {
                return Some(extension);
            }
            self.parser = Parser(self.values.next()?);
        }
    }
}

/// One extension of a list.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'h> {
    /// The registered name. Names are case-sensitive.
    pub name: &'h str,
    /// The text of the parameters.
    params: &'h [u8],
}

impl<'h> Extension<'h> {
    /// Returns an iterator over the parameters, in the order of the text. Each item is a name and an optional value.
    #[must_use]
    pub const fn params(&self) -> Params<'h> {
        Params(Parser(self.params))
    }
}

/// An iterator over the parameters of an [`Extension`].
#[derive(Clone, Debug)]
pub struct Params<'h>(Parser<'h>);

impl<'h> Iterator for Params<'h> {
    type Item = (&'h str, Option<Value<'h>>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.param().ok().flatten()
    }
}

/// The value of a parameter: a token, which may have been sent as a quoted string.
///
/// Both forms of a token are the same value (RFC 6455 section 9.1), so they compare equal.
#[derive(Clone, Copy, Debug)]
pub struct Value<'h> {
    /// The text without the quotes, but with the backslashes.
    raw: &'h str,
}

impl<'h> Value<'h> {
    /// Returns the bytes of the value, without the backslashes of escapes. All bytes are token characters.
    pub fn bytes(self) -> impl Iterator<Item = u8> + Clone + 'h {
        // A token contains no backslash, so each backslash is an escape.
        self.raw.bytes().filter(|&byte| byte != b'\\')
    }

    /// Returns the value as a slice, or `None` if the value was sent with an escaped character.
    #[must_use]
    pub fn as_str(self) -> Option<&'h str> {
        (!self.raw.contains('\\')).then_some(self.raw)
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl Eq for Value<'_> {}

impl PartialEq<str> for Value<'_> {
    fn eq(&self, other: &str) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl PartialEq<&str> for Value<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.split('\\').try_for_each(|part| f.write_str(part))
    }
}

/// Parses the values that form one list, and calls `visit` with the extensions of each value.
///
/// RFC 6455 section 9.1, RFC 2616 section 2.1: a single value may be empty, but the whole list must have at least
/// one element.
pub(crate) fn for_each_part<'h, E: From<Malformed>>(
    values: impl IntoIterator<Item = &'h [u8]>,
    mut visit: impl FnMut(Extensions<'h>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut values_seen, mut extensions_seen) = (false, false);
    for value in values {
        let (extensions, count) = Extensions::parse_part(value)?;
        values_seen = true;
        extensions_seen |= count > 0;
        visit(extensions)?;
    }
    if values_seen && !extensions_seen { Err(Malformed.into()) } else { Ok(()) }
}

/// Checks the whole of one value, and returns the number of its extensions.
fn count_extensions(value: &[u8]) -> Result<usize, Malformed> {
    let mut parser = Parser(value);
    let mut extensions = 0;
    while let Some(extension) = parser.extension()? {
        debug_assert!(is_token(extension.name.as_bytes()));
        extensions += 1;
    }
    Ok(extensions)
}

/// A parser of a list. The field is the text that was not parsed yet. The parser reads each byte once and never looks
/// ahead.
#[derive(Clone, Copy, Debug)]
struct Parser<'h>(&'h [u8]);

impl<'h> Parser<'h> {
    /// Parses the next element (RFC 6455 section 9.1):
    /// `extension = extension-token *( ";" extension-param )`.
    fn extension(&mut self) -> Result<Option<Extension<'h>>, Malformed> {
        // RFC 2616 2.1: a list may have empty elements.
        while self.skip_separator(b',') {}
        if self.0.is_empty() {
            return Ok(None);
        }
        let name = self.token()?;
        let params = self.0;
        while self.param()?.is_some() {}
        let params = params.get(..params.len() - self.0.len()).unwrap_or_default();
        if !self.0.is_empty() && !self.skip_separator(b',') {
            return Err(Malformed);
        }
        Ok(Some(Extension { name, params }))
    }

    /// Parses the next parameter (RFC 6455 section 9.1):
    /// `extension-param = token [ "=" (token | quoted-string) ]`.
    fn param(&mut self) -> Result<Option<(&'h str, Option<Value<'h>>)>, Malformed> {
        if !self.skip_separator(b';') {
            return Ok(None);
        }
        let name = self.token()?;
        let value = match self.skip_separator(b'=') {
            true => Some(self.value()?),
            false => None,
        };
        Ok(Some((name, value)))
    }

    /// Parses a token or a quoted string.
    fn value(&mut self) -> Result<Value<'h>, Malformed> {
        self.skip_ows();
        let Some((b'"', quoted)) = self.0.split_first() else {
            return Ok(Value { raw: self.token()? });
        };
        let mut escaped = false;
        let mut end = None;
        for (at, &byte) in quoted.iter().enumerate() {
            match byte {
                b'"' if !escaped => {
                    end = Some(at);
                    break;
                }
                b'\\' if !escaped => escaped = true,
                // RFC 6455 9.1: the value after unescaping MUST be a token.
                _ if is_tchar(byte) => escaped = false,
                _ => return Err(Malformed),
            }
        }
        let (raw, rest) = end.and_then(|end| quoted.split_at_checked(end)).ok_or(Malformed)?;
        if raw.is_empty() {
            return Err(Malformed);
        }
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(Value { raw: ascii(raw).ok_or(Malformed)? })
    }

    /// Parses a token.
    fn token(&mut self) -> Result<&'h str, Malformed> {
        self.skip_ows();
        let (token, rest) = self.0.split_at_checked(ByteClass::TCHAR.run_len(self.0)).ok_or(Malformed)?;
        if token.is_empty() {
            return Err(Malformed);
        }
        self.0 = rest;
        ascii(token).ok_or(Malformed)
    }

    /// Skips whitespace, and `separator` if it follows. Returns whether `separator` was skipped. RFC 2616 section 2.1
    /// allows whitespace on either side of a separator.
    fn skip_separator(&mut self, separator: u8) -> bool {
        self.skip_ows();
        match self.0.split_first() {
            Some((&first, rest)) if first == separator => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Skips optional whitespace.
    fn skip_ows(&mut self) {
        while let Some((&first, rest)) = self.0.split_first() {
            if !is_ows(first) {
                break;
            }
            self.0 = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;
    use crate::handshake::head::Headers;

    fn show(value: &str) -> Result<Vec<String>, Malformed> {
        let list = Extensions::parse(value.as_bytes())?;
        let text = |extension: Extension<'_>| {
            let params = extension.params().map(|(name, value)| match value {
                Some(value) => std::format!(";{name}={value}"),
                None => std::format!(";{name}"),
            });
            core::iter::once(String::from(extension.name)).chain(params).collect::<String>()
        };
        Ok(list.iter().map(text).collect())
    }

    #[test]
    fn s9_1_lists_match_the_grammar_or_are_malformed() {
        assert_eq!(show("a").unwrap(), ["a"]);
        assert_eq!(show(" a ;b = c ;\td, ,e;f=\"g\\h\"\t,").unwrap(), ["a;b=c;d", "e;f=gh"]);
        assert_eq!(show("a;b=\"c\\\\\""), Err(Malformed));
        for bad in [
            "",
            " ",
            ",",
            "a;",
            ";a",
            "a b",
            "a;;b",
            "a;b=",
            "a;=b",
            "=",
            "a=b",
            "a;b=c d",
            "a;b=\"\"",
            "a;b=\"c",
            "a;b=\"c d\"",
            "a;b=\"c,d\"",
            "a;b=\"c\\\"",
            "a;b=\"c\\\\d\"",
            "a;b=\"c\"d",
            "a;b=\"c\" d",
            "a\u{b}",
            "a;b=c\u{b}",
            "é",
            "a;b=\"é\"",
            "a;b=\"\\",
            "\"a\"",
            "a;\"b\"",
            "a/b",
            "a, b c",
        ] {
            assert_eq!(show(bad), Err(Malformed), "{bad:?}");
            assert_eq!(check(bad.as_bytes()), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn s9_1_a_quoted_value_is_the_same_value() {
        let list = Extensions::parse(b"x; a=10; b=\"10\"; c=\"\\1\\0\"; d=11").unwrap();
        let values: Vec<_> = list.iter().next().unwrap().params().map(|(_, value)| value.unwrap()).collect();
        assert_eq!(values[0], values[1]);
        assert_eq!(values[1], values[2]);
        assert_ne!(values[2], values[3]);
        assert_eq!(values[2], "10");
        assert_ne!(values[3], "10");
        assert_eq!(values[2], *"10");
        assert_ne!(values[3], *"10");
        assert_eq!((values[1].as_str(), values[2].as_str()), (Some("10"), None));
        assert_eq!(values[2].to_string(), "10");
    }

    #[test]
    fn s9_1_several_lines_are_one_list() {
        let of = |block| Extensions::from_lines(HeaderLines::Several(Headers::new(block)));
        let block = b"Sec-WebSocket-Extensions: a, b;c\r\nX: y\r\nsec-websocket-extensions:\r\n\
                      Sec-WebSocket-Extensions: d\r\n\r\n";
        let list = of(block).unwrap();
        assert_eq!(list.iter().map(|extension| extension.name).collect::<Vec<_>>(), ["a", "b", "d"]);
        assert!(!list.is_empty());
        assert!(of(b"Sec-WebSocket-Extensions: ,\r\n\r\n").is_err());
        assert!(of(b"Sec-WebSocket-Extensions: a;\r\nSec-WebSocket-Extensions: b\r\n\r\n").is_err());
        assert!(of(b"\r\n").unwrap().is_empty());
    }
}
