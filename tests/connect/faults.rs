//! Streams that are cut after each byte that a proxy sends.

use crate::adapters::name;
use crate::script::*;

/// Checks that the error has the name `expected`. The proxy sends each of `answers` after it has read the message at
/// the same position of `messages`. It closes the connection after `cut` bytes of all answers.
#[track_caller]
fn check_cut(proxy: &str, messages: &[Act], answers: &[&[u8]], cut: usize, slowly: bool, expected: &str) {
    let (mut script, mut left) = (Vec::new(), cut);
    for (message, answer) in messages.iter().zip(answers) {
        script.push(message.clone());
        let sent = answer[..answer.len().min(left)].to_vec();
        left -= sent.len();
        let is_cut = sent.len() < answer.len();
        script.push(if slowly { Act::Slowly(sent) } else { Act::Send(sent) });
        if is_cut {
            break;
        }
    }
    script.push(Act::Close);
    for (adapter, result) in run_with(proxy, script) {
        let error = result.unwrap_err();
        assert_eq!(name(&error), expected, "{adapter:?}: cut after {cut} bytes");
        if expected.starts_with("Io ") {
            let start = "no WebSocket was opened: the opening handshake failed: ";
            assert!(error.to_string().starts_with(start), "{error}");
        }
    }
}

#[test]
fn s9110_9_3_6_a_cut_at_any_byte_of_a_response_is_a_typed_error() {
    let answer = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n";
    for n in 0..=answer.len() {
        let expected = match n {
            0 => "NoAnswer",
            n if n < answer.len() => "Truncated",
            // The tunnel was open, so the end of the stream counts as the end of the server.
            _ => "Io UnexpectedEof",
        };
        check_cut("http", &[Act::AnyHead], &[answer], n, n % 2 == 1, expected);
    }
}

#[test]
fn s1928_3_a_cut_at_any_byte_of_the_answers_of_a_socks_proxy_is_a_typed_error() {
    let messages = [
        Act::Bytes(vec![5, 2, 0, 2]),
        Act::Bytes(b"\x01\x01u\x01p".into()),
        Act::Bytes([&[5, 1, 0, 3, 14][..], b"server.example", &[0, 81]].concat()),
    ];
    let answers = [&[5, 2][..], &[1, 0], &[5, 0, 0, 3, 5, b'p', b'r', b'o', b'x', b'y', 0, 81]];
    let len = answers.iter().map(|answer| answer.len()).sum();
    for n in 0..=len {
        let expected = match n {
            0 | 4 => "NoAnswer",
            2 | 3 => "LoginClosed",
            n if n < len => "Truncated",
            _ => "Io UnexpectedEof",
        };
        check_cut("socks5h u:p@", &messages, &answers, n, n % 2 == 0, expected);
    }
}
