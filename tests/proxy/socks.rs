//! SOCKS5 (RFC 1928) with user and password (RFC 1929).

use std::net::SocketAddr;

use hybi::handshake::WsUrl;
use hybi::proxy::{ProxyError, ProxyHandshake, ProxyTarget, ProxyUrl, SocksFailure};

use super::{at_every_split, at_every_truncation, drive, handshake};
use crate::support::cuts::Cuts;

/// The reply with a bound IPv4 address.
const REPLY: [u8; 10] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

fn anonymous() -> ProxyHandshake {
    handshake("socks5h://proxy.example", ProxyTarget::new("example.com", 443).unwrap())
}

fn with_login() -> ProxyHandshake {
    handshake("socks5h://alice:secret@proxy.example", ProxyTarget::new("example.com", 443).unwrap())
}

/// Returns the replies with each type of address.
fn replies() -> Vec<Vec<u8>> {
    let mut replies = vec![REPLY.to_vec()];
    replies.push([&[5, 0, 0, 4][..], &[7; 18]].concat());
    for len in [0_u8, 1, 11, 255] {
        replies.push([&[5, 0, 0, 3, len][..], &vec![b'a'; usize::from(len) + 2]].concat());
    }
    replies
}

#[test]
fn s1928_3_each_message_follows_the_answer_to_the_previous_message() {
    let cases = [
        (anonymous(), &[5, 0][..], &b"\x05\x01\x00"[..]),
        (with_login(), &[5, 0], b"\x05\x02\x00\x02"),
        (with_login(), &[5, 2, 1, 0], b"\x05\x02\x00\x02\x01\x05alice\x06secret"),
    ];
    for (handshake, answers, messages) in cases {
        let outcome = drive(handshake, &[answers, &REPLY].concat(), &Cuts::Whole, 3);
        assert_eq!(outcome.result, Ok(()));
        let request = b"\x05\x01\x00\x03\x0bexample.com\x01\xbb";
        assert_eq!(outcome.sent, [messages, request].concat());
    }
}

#[test]
fn s1928_5_targets_are_sent_as_names_or_addresses() {
    let v6: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
    let v4: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let url = |url| ProxyTarget::from_url(&WsUrl::parse(url).unwrap());
    let in_v6 = b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb";
    for (proxy, target, request) in [
        ("socks5://p", ProxyTarget::from(v4), &b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"[..]),
        ("socks5://p", ProxyTarget::from(v6), in_v6),
        ("socks5h://p", ProxyTarget::from(v6), in_v6),
        ("socks5h://p", url("wss://[2001:db8::1]/"), in_v6),
        ("socks5://p", url("ws://192.0.2.1/"), b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"),
        ("socks5h://p", url("ws://a:65535/"), b"\x05\x01\x00\x03\x01a\xff\xff"),
    ] {
        let outcome = drive(handshake(proxy, target), &[&[5, 0], &REPLY[..]].concat(), &Cuts::Whole, 99);
        assert_eq!(outcome.sent, [b"\x05\x01\x00", request].concat(), "{proxy} {target}");
    }

    let proxy = ProxyUrl::parse("socks5://p").unwrap();
    assert!(proxy.needs_address());
    let error = ProxyHandshake::new(&proxy, url("wss://example.com/")).unwrap_err();
    assert_eq!(error, ProxyError::NeedsAddress);
    let proxy = ProxyUrl::parse("socks5h://p").unwrap();
    assert!(!proxy.needs_address());
    let (longest, too_long) = ("a".repeat(255), "a".repeat(256));
    let target = ProxyTarget::new(&longest, 1).unwrap();
    let sent = drive(ProxyHandshake::new(&proxy, target).unwrap(), &[5, 0], &Cuts::Whole, 99).sent;
    assert_eq!(sent.len(), 3 + 5 + 255 + 2);
    let target = ProxyTarget::new(&too_long, 1).unwrap();
    assert_eq!(ProxyHandshake::new(&proxy, target).unwrap_err(), ProxyError::NameTooLong);
}

#[test]
fn s1929_2_the_longest_user_and_password_are_sent_whole() {
    let (user, password) = ("u".repeat(255), "%C3%BF".repeat(127));
    let proxy = format!("socks5h://{user}:{password}@p");
    let new = handshake(&proxy, ProxyTarget::new("a", 1).unwrap());
    let sent = drive(new, &[&[5, 2, 1, 0], &REPLY[..]].concat(), &Cuts::EachByte, 99).sent;
    let login = [&[1, 255][..], user.as_bytes(), &[254], &b"\xc3\xbf".repeat(127)].concat();
    assert_eq!(&sent[4..4 + login.len()], login);
}

#[test]
fn s1929_2_an_empty_password_is_sent_with_length_0() {
    for proxy in ["socks5h://token:@p", "socks5h://token@p"] {
        let new = handshake(proxy, ProxyTarget::new("a", 1).unwrap());
        let sent = drive(new, &[&[5, 2, 1, 0], &REPLY[..]].concat(), &Cuts::EachByte, 99).sent;
        assert_eq!(sent[4..12], *b"\x01\x05token\x00");
    }
}

/// RFC 1929 section 2 has a status for wrong credentials, but some proxies just close the connection.
#[test]
fn s1929_2_a_proxy_that_closes_after_user_and_password_has_refused_them() {
    for input in [&[5, 2][..], &[5, 2, 1]] {
        assert_eq!(at_every_split(with_login, input).result, Err(ProxyError::LoginClosed), "{input:?}");
    }
    let text = ProxyError::LoginClosed.to_string();
    assert!(text.contains("user and password"), "{text}");
    // Here the proxy closes before it has received user and password.
    let mut handshake = with_login();
    handshake.transmitted(usize::MAX);
    handshake.receive(&mut &[5, 2][..]).unwrap();
    assert_eq!(handshake.handle_eof(), Err(ProxyError::NoAnswer));
}

#[test]
fn s1928_6_no_byte_after_the_reply_is_consumed() {
    for reply in replies() {
        for (new, answers) in
            [(anonymous as fn() -> _, &[5, 0][..]), (with_login, &[5, 0]), (with_login, &[5, 2, 1, 0])]
        {
            let input = [answers, &reply].concat();
            at_every_truncation(new, &input);
            for behind in [&b""[..], &[5], &[22, 3, 1], &[0; 300]] {
                let outcome = at_every_split(new, &[&input, behind].concat());
                assert_eq!((outcome.result, outcome.left.as_slice()), (Ok(()), behind));
            }
        }
    }
}

#[test]
fn s1928_3_refused_methods_and_other_protocols_have_typed_errors() {
    for (input, expected) in [
        (&[5, 0xff][..], ProxyError::NoMethod { credentials: false }),
        (&[5, 2], ProxyError::MethodNotOffered(2)),
        (&[5, 1], ProxyError::MethodNotOffered(1)),
        (&[5, 0x80], ProxyError::MethodNotOffered(0x80)),
        (&[0, 0x5a], ProxyError::NotSocks5(0)),
        (&[4, 0], ProxyError::NotSocks5(4)),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProxyError::NotSocks5(b'H')),
        (b"<html>", ProxyError::NotSocks5(b'<')),
        (b"\x15\x03\x01\x00\x02\x02\x46", ProxyError::NotSocks5(0x15)),
        (b"SSH-2.0-x\r\n", ProxyError::NotSocks5(b'S')),
        (b"", ProxyError::NoAnswer),
        (&[5], ProxyError::Truncated),
        (&[5, 0], ProxyError::NoAnswer),
    ] {
        assert_eq!(at_every_split(anonymous, input).result, Err(expected), "{input:?}");
    }
    for (input, expected) in [
        (&[5, 0xff][..], ProxyError::NoMethod { credentials: true }),
        (&[5, 1], ProxyError::MethodNotOffered(1)),
        (&[5, 2, 1, 1], ProxyError::LoginRefused(1)),
        (&[5, 2, 1, 0xff], ProxyError::LoginRefused(0xff)),
        (&[5, 2, 5, 0], ProxyError::LoginVersion(5)),
        (&[5, 2, 0, 0], ProxyError::LoginVersion(0)),
        (&[5, 2, 1, 0], ProxyError::NoAnswer),
    ] {
        assert_eq!(at_every_split(with_login, input).result, Err(expected), "{input:?}");
    }
    let text = |first| ProxyError::NotSocks5(first).to_string();
    assert!(text(b'H').contains("http://") && text(0x15).contains("https://") && text(0).contains("SOCKS4"));
}

#[test]
fn s1928_6_each_reply_code_has_its_own_error() {
    use SocksFailure::*;
    let named = [
        General,
        NotAllowed,
        NetworkUnreachable,
        HostUnreachable,
        ConnectionRefused,
        TtlExpired,
        CommandNotSupported,
        AddressTypeNotSupported,
    ];
    assert_eq!(SocksFailure::from_code(0), None);
    for code in 1..=255_u8 {
        let expected = named.get(usize::from(code) - 1).copied().unwrap_or(Unassigned(code));
        assert_eq!((SocksFailure::from_code(code), expected.code()), (Some(expected), code));
        let reply = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        // Some proxies close the connection after two bytes of the reply.
        for input in [&reply[..], &reply[..2]] {
            let outcome = at_every_split(with_login, &[&[5, 2, 1, 0], input].concat());
            assert_eq!(outcome.result, Err(ProxyError::Socks(expected)), "{code}");
        }
        assert!(expected.to_string().contains(&format!("reply code {code} (RFC 1928 6): ")));
    }
}

#[test]
fn s1928_6_malformed_replies_have_typed_errors() {
    for (reply, expected) in [
        (&[4, 0, 0, 1][..], ProxyError::NotSocks5(4)),
        (b"HTTP", ProxyError::NotSocks5(b'H')),
        (&[5, 0, 1, 1], ProxyError::Reserved(1)),
        (&[5, 0, 0xff, 1], ProxyError::Reserved(0xff)),
        (&[5, 0, 0, 0], ProxyError::AddressType(0)),
        (&[5, 0, 0, 2], ProxyError::AddressType(2)),
        (&[5, 0, 0, 5], ProxyError::AddressType(5)),
        (&[5, 0, 0, 0xff, 1, 2, 3], ProxyError::AddressType(0xff)),
    ] {
        let outcome = at_every_split(anonymous, &[&[5, 0], reply].concat());
        assert_eq!(outcome.result, Err(expected), "{reply:?}");
    }
}

#[test]
fn secrets_appear_in_no_text() {
    let mut handshake = handshake("socks5h://uSeR:pAsS@p", ProxyTarget::new("a", 1).unwrap());
    let check = |text: String| assert!(!text.contains("uSeR") && !text.contains("pAsS"), "{text}");
    check(format!("{handshake:?}"));
    handshake.transmitted(usize::MAX);
    handshake.receive(&mut &[5, 2][..]).unwrap();
    assert_eq!(handshake.bytes_to_send(), b"\x01\x04uSeR\x04pAsS");
    check(format!("{handshake:?}"));
    handshake.transmitted(usize::MAX);
    let error = handshake.receive(&mut &[1, 9][..]).unwrap_err();
    check(format!("{error} {error:?} {handshake:?}"));
}
