//! Properties of the handshake with a proxy that sends random bytes, or pieces of valid answers with changed bytes.

use hybi::handshake::HeadLimits;
use hybi::proxy::{Proxy, ProxyError, ProxyHandshake, ProxyRefusal, ProxyTarget, ProxyUrl};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{drive, handshake};
use crate::support::cuts::Cuts;

const PROXIES: [&str; 3] = ["http://alice:secret@p", "socks5h://p", "socks5h://alice:secret@p"];

/// Generates the bytes from a proxy: pieces of valid answers in any order, sometimes with changed bytes, or random
/// bytes.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        &b"HTTP/1.1 200 OK\r\n"[..],
        b"HTTP/1.0 200 Connection established\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\n",
        b"Proxy-Authenticate: Basic\r\n",
        b"Content-Length: 5\r\n",
        b"\r\n",
        b"<html>",
        &[5, 0],
        &[5, 2],
        &[1, 0],
        &[5, 0, 0, 1, 127, 0, 0, 1, 4, 56],
        &[5, 0, 0, 3, 1, b'a', 0, 80],
        &[5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[5, 4, 0, 1],
    ]);
    let valid = vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    let edits = prop_oneof![3 => Just(Vec::new()), 1 => vec((any::<Index>(), any::<u8>()), 1..4)];
    let changed = (valid, edits).prop_map(|(mut bytes, edits)| {
        for (at, byte) in edits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    });
    prop_oneof![4 => changed, 1 => vec(any::<u8>(), 0..600)]
}

fn cuts() -> impl Strategy<Value = Cuts> {
    prop_oneof![
        Just(Cuts::EachByte),
        vec(0..600_usize, 0..6).prop_map(|mut places| {
            places.sort_unstable();
            Cuts::At(places)
        }),
    ]
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn no_answer_panics_and_no_split_changes_the_outcome(
        proxy in select(PROXIES.to_vec()),
        input in answers(),
        cuts in cuts(),
        write_len in 1..40_usize,
    ) {
        let new = || handshake(proxy, ProxyTarget::new("example.com", 443).unwrap());
        let whole = drive(new(), &input, &Cuts::Whole, usize::MAX);
        let cut = drive(new(), &input, &cuts, write_len);
        prop_assert_eq!(&cut.sent, &whole.sent);
        match (&whole.result, &cut.result) {
            (Ok(()), Ok(())) => prop_assert_eq!(&cut.left, &whole.left),
            (Err(ProxyError::Refused(whole)), Err(ProxyError::Refused(cut))) => {
                prop_assert_eq!(cut, whole);
                prop_assert!(whole.body().len() <= ProxyRefusal::MAX_BODY);
                prop_assert!(!(100..300).contains(&whole.status()));
            }
            (whole, cut) => prop_assert_eq!(whole, cut),
        }
        let text = format!("{:?} {}", whole.result, whole.result.as_ref().err().map_or("".into(), ToString::to_string));
        prop_assert!(!text.contains("secret"));
        // The consumed bytes, with any other bytes behind them, give the same outcome.
        if whole.result.is_ok() {
            let consumed = input.len() - whole.left.len();
            let again = drive(new(), &[&input[..consumed], b"any"].concat(), &Cuts::Whole, 1);
            prop_assert_eq!((again.result, again.left), (Ok(()), b"any".to_vec()));
        }
    }

    #[test]
    fn small_limits_bound_the_number_of_consumed_bytes(input in answers(), cuts in cuts(), most in 0..120_usize) {
        let proxy = ProxyUrl::parse(PROXIES[0]).unwrap();
        let target = ProxyTarget::new("example.com", 443).unwrap();
        let limits = HeadLimits::new().max_head(most);
        let new = || ProxyHandshake::new(&proxy, target).unwrap().with_head_limits(limits);
        let whole = drive(new(), &input, &Cuts::Whole, 9);
        let cut = drive(new(), &input, &cuts, 9);
        prop_assert_eq!(whole.result.is_ok(), cut.result.is_ok());
        if whole.result.is_ok() {
            prop_assert!(input.len() - whole.left.len() <= most);
        }
    }

    #[test]
    fn no_url_panics_and_the_shown_url_has_no_secret(url in "(http|socks5|socks5h|https|ftp|)(://|:|)([a-z%@:.\\[\\]/#\u{fc}0-9]{0,20})") {
        if let Ok(proxy) = ProxyUrl::parse(&url) {
            let again = ProxyUrl::parse(&proxy.to_string()).unwrap();
            prop_assert_eq!((again.scheme(), again.host(), again.port()), (proxy.scheme(), proxy.host(), proxy.port()));
            prop_assert!(!again.has_credentials());
        }
    }

    #[test]
    fn no_list_of_exceptions_panics(
        list in "[a-z0-9.:/*\\[\\], \u{fc}-]{0,40}",
        host in select(vec!["example.com", "a", "10.1.2.3", "[2001:db8::1]", "x.", "1.2"]),
    ) {
        let proxy = Proxy::from_variables(|name| match name {
            "no_proxy" => Some(list.clone()),
            "wss_proxy" => Some("http://p".into()),
            _ => None,
        });
        let url = format!("wss://{host}/");
        let direct = proxy.for_url(&hybi::handshake::WsUrl::parse(&url).unwrap()).unwrap().is_none();
        // A further entry for another server changes nothing.
        let more = Proxy::from_variables(|name| match name {
            "no_proxy" => Some(format!("{list},other.example")),
            "wss_proxy" => Some("http://p".into()),
            _ => None,
        });
        let still = more.for_url(&hybi::handshake::WsUrl::parse(&url).unwrap()).unwrap().is_none();
        prop_assert_eq!(direct, still);
    }
}
