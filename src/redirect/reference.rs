//! Resolves a URI reference against a WebSocket URL (RFC 3986 section 5.2).
//!
//! The result is text in the form of a URL. [`WsUrl::parse`] checks it afterwards, so this file checks no characters,
//! hosts or ports.
//!
//! The resolution follows the RFC. A reference with a scheme is never relative ("strict" in RFC 3986 section 5.2.2).
//! Browsers differ in four cases. They treat a backslash as a slash, `%2e` as a dot, and `ws:path` as a relative
//! reference. They also skip superfluous slashes before the host.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::handshake::{UrlError, WsUrl};

/// Resolves `reference` against `base`, and drops the fragment.
///
/// # Errors
///
/// [`UrlError::Scheme`]: the reference has a scheme, but `://` is missing.
pub(super) fn resolve(base: &WsUrl<'_>, reference: &str) -> Result<String, UrlError> {
    let reference = before(reference, '#');
    let (hierarchy, query) = split_before(reference, '?');
    // RFC 3986 4.2: in a relative reference, the first segment of the path has no colon.
    let first_segment = before(hierarchy, '/');
    if first_segment.contains(':') {
        let (scheme, rest) = hierarchy.split_once("://").ok_or(UrlError::Scheme)?;
        let (authority, path) = split_before(rest, '/');
        return Ok(format!("{scheme}://{authority}{}{query}", without_dot_segments(path)));
    }
    let scheme = if base.secure() { "wss" } else { "ws" };
    if let Some(rest) = hierarchy.strip_prefix("//") {
        let (authority, path) = split_before(rest, '/');
        return Ok(format!("{scheme}://{authority}{}{query}", without_dot_segments(path)));
    }
    let (path, query) = match (hierarchy, query, base.query()) {
        ("", "", Some(query)) => (Cow::from(base.path()), Cow::from(format!("?{query}"))),
        ("", query, _) => (Cow::from(base.path()), Cow::from(query)),
        (path, query, _) if path.starts_with('/') => (without_dot_segments(path), Cow::from(query)),
        (path, query, _) => {
            // RFC 3986 5.2.3: the path replaces the last segment of the base.
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            (Cow::from(without_dot_segments(&format!("{folder}/{path}")).into_owned()), Cow::from(query))
        }
    };
    Ok(format!("{scheme}://{}{path}{query}", base.authority()))
}

/// Removes the segments "." and ".." from a path that is empty or begins with "/" (RFC 3986 section 5.2.4).
fn without_dot_segments(path: &str) -> Cow<'_, str> {
    let Some(segments) = path.strip_prefix('/').filter(|_| path.contains("/.")) else { return path.into() };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = segments.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            // A ".." above the root has no effect.
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        // A path that ends with a dot segment ends with a slash.
        if segments.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/")).into()
}

/// Returns the part of `text` before the first `separator`, or all of it.
fn before(text: &str, separator: char) -> &str {
    split_before(text, separator).0
}

/// Splits `text` before the first `separator`. Without a separator, the second part is empty.
fn split_before(text: &str, separator: char) -> (&str, &str) {
    let at = text.find(separator).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 3986 section 5.4, with the scheme `ws`. Fragments are dropped, and `g:h` is an error.
    #[test]
    fn s3986_5_4_the_examples_of_the_rfc_are_resolved() {
        let base = WsUrl::parse("ws://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"),
            ("g?y#s", "ws://a/b/c/g?y"),
            (";x", "ws://a/b/c/;x"),
            ("g;x", "ws://a/b/c/g;x"),
            ("g;x?y#s", "ws://a/b/c/g;x?y"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../", "ws://a/"),
            ("../../g", "ws://a/g"),
            ("../../../g", "ws://a/g"),
            ("../../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            (".g", "ws://a/b/c/.g"),
            ("g..", "ws://a/b/c/g.."),
            ("..g", "ws://a/b/c/..g"),
            ("./../g", "ws://a/b/g"),
            ("./g/.", "ws://a/b/c/g/"),
            ("g/./h", "ws://a/b/c/g/h"),
            ("g/../h", "ws://a/b/c/h"),
            ("g;x=1/./y", "ws://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/./x", "ws://a/b/c/g?y/./x"),
            ("g?y/../x", "ws://a/b/c/g?y/../x"),
            ("g#s/./x", "ws://a/b/c/g"),
            ("g#s/../x", "ws://a/b/c/g"),
        ] {
            assert_eq!(resolve(&base, reference).as_deref(), Ok(expected), "{reference:?}");
        }
        assert_eq!(resolve(&base, "ws:g"), Err(UrlError::Scheme));
        assert_eq!(resolve(&base, "g:h"), Err(UrlError::Scheme));
    }

    #[test]
    fn s3986_5_2_4_dot_segments_are_removed() {
        for (path, expected) in [
            ("", ""),
            ("/", "/"),
            ("/a/b/c/./../../g", "/a/g"),
            ("/a//../b", "/a/b"),
            ("/a//b", "/a//b"),
            ("/..", "/"),
            ("/.", "/"),
            ("/a/..", "/"),
            ("/.../.a/..b", "/.../.a/..b"),
            ("/%2e%2e/a", "/%2e%2e/a"),
        ] {
            assert_eq!(without_dot_segments(path), expected, "{path}");
        }
    }
}
