//! A fuzz target for `Sec-WebSocket-Extensions`. A second parser, which first splits the header into tokens, checks the
//! grammar.
//!
//! Only offered parameters may be negotiated. Negotiation must not allocate. A client must accept every answer that a
//! server gives to its offer.
#![no_main]

use arbitrary::Arbitrary;
use hybi::handshake::{
    DeflateConfig, DeflateOffer, DeflateParams, Extensions, Malformed, check_extensions, check_response,
    negotiate_offer,
};
use hybi_fuzz::bit;
use hybi_fuzz::memory::no_heap;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses the configuration of the server.
    choice: u8,
    bits: u8,
    /// An offer, a line feed, and a response.
    text: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let mut lines = case.text.splitn(2, |byte| *byte == b'\n');
    let (offer, response) = (lines.next().unwrap_or_default(), lines.next());
    let config = DeflateConfig::new()
        .server_no_context_takeover(bit(case.choice, 0))
        .client_no_context_takeover(bit(case.choice, 1))
        .server_max_window_bits(case.bits & 15)
        .client_max_window_bits(case.bits >> 4);

    let expected = parse(offer).filter(|list| !list.is_empty());
    let parsed = no_heap(|| Extensions::parse(offer));
    assert_eq!(parsed.is_ok(), expected.is_some());
    assert_eq!(check_extensions(offer).is_ok(), expected.is_some());
    if let Ok(extensions) = parsed {
        let read: Vec<_> = extensions
            .iter()
            .map(|extension| {
                let value = |value: Option<hybi::handshake::Value<'_>>| value.map(|value| value.to_string());
                let params = extension.params().map(|(name, is)| (name.to_owned(), value(is)));
                (extension.name.to_owned(), params.collect())
            })
            .collect();
        assert_eq!(Some(read), expected);
    }

    let agreed = no_heap(|| negotiate_offer([offer], &config));
    // A list in several lines is one list (RFC 6455 9.1).
    if let Some(list) = &expected {
        assert_eq!(agreed, negotiate_offer(offer.split(|byte| *byte == b','), &config));
        let wanted = list.iter().any(|(name, params)| name == "permessage-deflate" && is_offer(params));
        assert_eq!(agreed.map(|agreed| agreed.is_some()), Ok(wanted));
    } else {
        assert_eq!(agreed, Err(Malformed));
    }
    if let Ok(Some(params)) = agreed {
        is_allowed(offer, &params);
        // The client accepts the server's answer to its offer.
        let text = params.to_string();
        assert!(text.len() <= DeflateParams::MAX_LEN);
        assert_eq!(check_response([offer], [text.as_bytes()]), Ok(Some(params)));
    }
    if let Some(response) = response {
        let agreed = no_heap(|| check_response([offer], [response]));
        let chosen = parse(response).filter(|list| !list.is_empty());
        match agreed {
            Ok(params) => {
                let offered = expected.as_deref().unwrap_or_default();
                let chosen = chosen.expect("negotiation succeeds only for a valid list");
                assert!(chosen.iter().all(|(name, _)| offered.iter().any(|(offer, _)| offer == name)));
                let users = chosen.iter().filter(|(name, _)| name == "permessage-deflate").count();
                assert_eq!(users, usize::from(params.is_some()));
                if let Some(params) = params {
                    is_allowed(offer, &params);
                }
            }
            Err(error) => assert!(error.to_string().contains("RFC ")),
        }
    }
});

/// Panics if none of the offers permits these parameters.
fn is_allowed(offer: &[u8], params: &DeflateParams) {
    let mut offers = Extensions::parse(offer).expect("the offer was parsed before").into_iter();
    let mut offers = offers.by_ref().filter_map(|offer| DeflateOffer::from_extension(&offer));
    assert!(offers.any(|offer| offer.permits(params)));
}

/// Returns whether these are valid parameters of an offer (RFC 7692 7.1).
fn is_offer(params: &[Param]) -> bool {
    let is_window = |value: &str| (8..=15).any(|bits: u8| bits.to_string() == value);
    params.iter().enumerate().all(|(at, (name, value))| {
        let is_new = params[..at].iter().all(|(other, _)| other != name);
        is_new
            && match (name.as_str(), value.as_deref()) {
                ("server_no_context_takeover" | "client_no_context_takeover", None) => true,
                ("client_max_window_bits", None) => true,
                ("server_max_window_bits" | "client_max_window_bits", Some(value)) => is_window(value),
                _ => false,
            }
    })
}

type Param = (String, Option<String>);

/// Parses a list of extensions (RFC 6455 9.1), first into tokens, then into extensions. Empty elements are ignored.
fn parse(text: &[u8]) -> Option<Vec<(String, Vec<Param>)>> {
    let words = words(text)?;
    words
        .split(|word| *word == Word::Mark(b','))
        .filter(|element| !element.is_empty())
        .map(extension)
        .collect()
}

fn extension(words: &[Word]) -> Option<(String, Vec<Param>)> {
    let mut parts = words.split(|word| *word == Word::Mark(b';'));
    let Some([Word::Token(name)]) = parts.next() else { return None };
    let params = parts.map(|part| match part {
        [Word::Token(name)] => Some((name.clone(), None)),
        [Word::Token(name), Word::Mark(b'='), Word::Token(value) | Word::Quoted(value)] => {
            Some((name.clone(), Some(value.clone())))
        }
        _ => None,
    });
    Some((name.clone(), params.collect::<Option<_>>()?))
}

#[derive(PartialEq)]
enum Word {
    Token(String),
    Quoted(String),
    Mark(u8),
}

fn words(text: &[u8]) -> Option<Vec<Word>> {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let (mut words, mut bytes) = (Vec::new(), text.iter().copied().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => {}
            b',' | b';' | b'=' => words.push(Word::Mark(byte)),
            b'"' => {
                let mut value = String::new();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => value.push(bytes.next()?.into()),
                        byte => value.push(byte.into()),
                    }
                }
                if value.is_empty() || !value.chars().all(|c| u8::try_from(c).is_ok_and(is_tchar)) {
                    return None;
                }
                words.push(Word::Quoted(value));
            }
            byte if is_tchar(byte) => {
                let mut token = String::from(char::from(byte));
                while let Some(byte) = bytes.next_if(|byte| is_tchar(*byte)) {
                    token.push(byte.into());
                }
                words.push(Word::Token(token));
            }
            _ => return None,
        }
    }
    Some(words)
}
