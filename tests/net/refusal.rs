//! The example client shows the answer of a server that refuses the handshake.
//!
//! The body of the answer comes from an untrusted server. The client must not wait for the body forever. It must print
//! neither control characters nor an endless body.

use std::time::Instant;

use hybi::adapters::net::{self, ConnectError};

use crate::common::*;

#[allow(dead_code, reason = "its main function")]
#[path = "../../examples/client.rs"]
mod client;

/// Returns the text that the client shows if a server answers with `pieces`. If `ends` is true, the server half-closes
/// the stream after the last piece.
fn shown(pieces: &[&[u8]], ends: bool) -> String {
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let (address, thread) = serve(move |stream| {
        let mut raw = Raw::new(stream, false);
        raw.head();
        for piece in &pieces {
            raw.write(piece);
            // The yield gives the client time to read each piece separately. The result is the same if the client reads
            // several pieces at once.
            std::thread::yield_now();
        }
        if ends {
            raw.half_close();
        }
        raw.gone();
    });
    let Err(ConnectError::Http(answer)) = net::connect(&url(address)) else {
        panic!("the server did not refuse")
    };
    let shown = client::shown(answer);
    thread.join().unwrap();
    shown
}

#[test]
fn the_body_of_a_refusal_is_shown() {
    timed(|| {
        // The interim response is not shown. The body ends at its `Content-Length`, although more bytes follow.
        let got = shown(
            &[
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
                b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nno ",
                b"entry",
                b"\n\tnot the body",
            ],
            true,
        );
        assert_eq!(got, "HTTP/1.1 403 Forbidden\nContent-Length: 10\n\nno entry\n\t");
        let got = shown(&[b"HTTP/1.1 401\r\n\r\n", b"to the ", b"end"], true);
        assert_eq!(got, "HTTP/1.1 401\n\nto the end");
        let got = shown(&[b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], true);
        assert_eq!(got, "HTTP/1.1 404 Not Found\nContent-Length: 0\n\n");
        let chunked = "HTTP/1.1 502 Bad Gateway\nTransfer-Encoding: chunked\n\n";
        for (pieces, body) in [
            (&[&b"5;x=y\r\nno up"[..], b"\r\n6\r\nstream\r\n", b"0\r\n\r\n"][..], "no upstream"),
            // An invalid or incomplete body is shown as far as it is valid.
            (&[b"5\r\nno up\r\nzz\r\n"], "no up"),
            (&[b"5\r\nno"], "no"),
            (&[b"ffffffffffffffff\r\nno"], "no"),
            (&[b"-1\r\nno"], ""),
        ] {
            let head = b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n";
            let all = [&[&head[..]], pieces].concat();
            assert_eq!(shown(&all, true), format!("{chunked}{body}"));
        }
    });
}

#[test]
fn the_body_of_a_refusal_neither_blocks_nor_floods_the_terminal() {
    timed(|| {
        // A terminal would execute escape sequences, so they are replaced.
        let got = shown(&[b"HTTP/1.1 500 \r\nX: \xff\r\n\r\n\x1b[2J\x07\xc2\x9b31mred\r\n\0"], true);
        assert_eq!(got, "HTTP/1.1 500 \nX: \u{fffd}\n\n\u{fffd}[2J\u{fffd}\u{fffd}31mred\n\u{fffd}");
        let endless = [b"HTTP/1.1 500 \r\n\r\n".to_vec(), vec![b'x'; 1 << 20]].concat();
        let got = shown(&[&endless], false);
        assert!(got.len() < 20_000 && got.ends_with("x\n..."), "{}", got.len());
        // The server keeps the stream open and sends no more. The client stops waiting after a short time.
        let began = Instant::now();
        let got = shown(&[b"HTTP/1.1 500 \r\nContent-Length: 9\r\n\r\nbroken"], false);
        assert!(got.ends_with("broken") && began.elapsed() < ms(10_000), "{got}");
    });
}
