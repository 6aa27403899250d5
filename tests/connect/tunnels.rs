//! Tunnels that open: the bytes that each proxy gets, and the WebSocket that opens through each tunnel.

use hybi::proxy::Proxy;

use crate::adapters::{Settings, name};
use crate::script::*;

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";
/// The first message of a SOCKS client without and with a password (RFC 1928 section 3).
const GREETING: [u8; 3] = [5, 1, 0];
const GREETING_WITH_PASSWORD: [u8; 4] = [5, 2, 0, 2];
const REPLY: [u8; 10] = [5, 0, 0, 1, 192, 0, 2, 9, 0, 81];

#[track_caller]
fn opens(proxy: &str, script: Vec<Act>) {
    for (adapter, result) in run_with(proxy, script) {
        assert_eq!(result.unwrap().as_deref(), Some("hello"), "{adapter:?}");
    }
}

/// The request of a SOCKS client, which has the name of the server (RFC 1928 section 4).
fn socks_request() -> Act {
    Act::Bytes([&[5, 1, 0, 3, 14][..], b"server.example", &[0, 81]].concat())
}

#[test]
fn s9110_9_3_6_a_tunnel_is_requested_with_connect() {
    opens("http", vec![connect_head("server.example:81", ""), send(OPEN), Act::Echo]);
}

#[test]
fn s9110_11_7_2_user_and_password_are_sent_to_the_proxy_only() {
    let authorization = "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n";
    opens("http user:p%40ss@", vec![connect_head("server.example:81", authorization), send(OPEN), Act::Echo]);
}

#[test]
fn s1928_4_a_socks5h_proxy_gets_the_name_of_the_server() {
    let script = vec![Act::Bytes(GREETING.into()), send([5, 0]), socks_request(), send(REPLY), Act::Echo];
    opens("socks5h", script);
}

#[test]
fn s1929_2_a_socks_proxy_gets_user_and_password() {
    let script = vec![
        Act::Bytes(GREETING_WITH_PASSWORD.into()),
        send([5, 2]),
        Act::Bytes(b"\x01\x04user\x04pass".into()),
        send([1, 0]),
        socks_request(),
        send(REPLY),
        Act::Echo,
    ];
    opens("socks5h user:pass@", script);
}

#[test]
fn s1928_4_a_socks5_proxy_gets_an_address_that_the_client_has_resolved() {
    let localhost = std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 81)).unwrap().next().unwrap();
    let address = match localhost.ip() {
        std::net::IpAddr::V4(ip) => [&[5, 1, 0, 1][..], &ip.octets(), &[0, 81]].concat(),
        std::net::IpAddr::V6(ip) => [&[5, 1, 0, 4][..], &ip.octets(), &[0, 81]].concat(),
    };
    for (host, request) in [("localhost", address), ("192.0.2.7", vec![5, 1, 0, 1, 192, 0, 2, 7, 0, 81])] {
        let script =
            vec![Act::Bytes(GREETING.into()), send([5, 0]), Act::Bytes(request), send(REPLY), Act::Echo];
        let url = format!("ws://{host}:81/");
        for (adapter, result) in
            run(script, |port| (Settings::proxy(&format!("socks5://localhost:{port}")), url.clone()))
        {
            assert_eq!(result.unwrap().as_deref(), Some("hello"), "{adapter:?} {host}");
        }
    }
}

#[test]
fn an_answer_may_arrive_byte_by_byte() {
    let long = "HTTP/1.0 200 OK\r\nVia: 1.1 proxy\r\nContent-Length: 5\r\n\r\n";
    opens("http", vec![Act::AnyHead, Act::Slowly(long.into()), Act::Echo]);
    let script = vec![
        Act::Bytes(GREETING.into()),
        Act::Slowly(vec![5, 0]),
        socks_request(),
        Act::Slowly(REPLY.into()),
        Act::Echo,
    ];
    opens("socks5h", script);
}

/// A proxy that requires no password could send all its answers before it gets the request.
#[test]
fn a_socks_proxy_may_answer_early() {
    let script =
        vec![send([&[5, 0][..], &REPLY].concat()), Act::Bytes(GREETING.into()), socks_request(), Act::Echo];
    opens("socks5h", script);
}

#[test]
fn the_first_bytes_of_the_server_may_come_with_the_answer_of_the_proxy() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    opens("http", vec![Act::AnyHead, send([OPEN, interim].concat()), Act::Echo]);
    // Only a part of the first head comes with the answer.
    let (first, rest) = interim.split_at(20);
    opens("http", vec![Act::AnyHead, send([OPEN, first].concat()), send(rest), Act::Echo]);
    let script = vec![
        Act::Bytes(GREETING.into()),
        send([5, 0]),
        socks_request(),
        send([&REPLY[..], interim.as_bytes()].concat()),
        Act::Echo,
    ];
    opens("socks5h", script);
}

/// The server sends a complete response before it gets the request, and then keeps the connection open.
#[test]
fn a_server_may_refuse_before_it_gets_the_request() {
    let refusal = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    for (adapter, result) in
        run_with("http", vec![Act::AnyHead, send([OPEN, refusal].concat()), Act::Silence])
    {
        assert_eq!(name(&result.unwrap_err()), "Http 503", "{adapter:?}");
    }
    // A 101 response that arrives before the request was sent cannot be an answer to this request.
    let switched = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    for (adapter, result) in
        run_with("http", vec![Act::AnyHead, send([OPEN, switched].concat()), Act::Silence])
    {
        let error = name(&result.unwrap_err());
        assert!(error.starts_with("Handshake("), "{adapter:?} {error}");
    }
}

#[test]
fn the_environment_names_the_proxy_and_the_exceptions() {
    let settings = |variables: Vec<(&'static str, String)>| Settings {
        proxy: Proxy::from_variables(|name| {
            variables.iter().find(|(is, _)| *is == name).map(|(_, value)| value.clone())
        }),
        ..Settings::proxy("http://unused.example")
    };
    let proxied = vec![connect_head("server.example:81", ""), send(OPEN), Act::Echo];
    let results = run(proxied, |port| {
        let all = ("all_proxy", format!("socks5h://127.0.0.1:{port}"));
        let variables = vec![("ws_proxy", format!("http://127.0.0.1:{port}")), all];
        (settings(variables), "ws://server.example:81/".into())
    });
    assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
    let direct = run(vec![Act::Echo], |port| {
        let variables = vec![
            ("http_proxy", "http://proxy.invalid:3128".into()),
            ("no_proxy", "db.example, 127.0.0.0/8".into()),
        ];
        (settings(variables), format!("ws://127.0.0.1:{port}/"))
    });
    assert!(direct.iter().all(|(_, result)| result.is_ok()), "{direct:?}");
}
