//! Properties of the opening handshake: heads that arrive in pieces, and negotiation.
//!
//! The generated requests and responses are valid, or valid except for some changed bytes. Negotiated parameters are
//! compared with a second, plain parser of extension headers.

use hybi::handshake::{
    ClientHandshake, ClientRequest, ClientWindow, DeflateConfig, DeflateOffer, DeflateParams, HeadLimits,
    Incoming, Reply, ServerHandshake, accept_key, encode_nonce,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const NONCE: [u8; 16] = *b"the sample nonce";

// --- heads ---

/// Generates a request, unchanged or with changed bytes, and the bytes after it.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let optional = vec(
        select(vec![
            "Origin: http://example.com\r\n",
            "Sec-WebSocket-Protocol: chat, chat.v2\r\n",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x; a=\"b\\\"c\"\r\n",
            "X-Any: thing \t\r\n",
            "Content-Length: 0\r\n",
        ]),
        0..4,
    );
    let request = optional.prop_map(|optional| {
        let key = encode_nonce(NONCE);
        let mut head = b"GET /chat?x=1 HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\n".to_vec();
        head.extend(b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
        head.extend(key);
        head.extend(b"\r\n");
        head.extend(optional.concat().into_bytes());
        head.extend(b"\r\n");
        head
    });
    (request, edits(), vec(any::<u8>(), 0..20)).prop_map(altered)
}

fn responses() -> impl Strategy<Value = Vec<u8>> {
    let interim =
        select(vec!["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]);
    let status = select(vec!["101 Switching Protocols", "101 ", "200 OK", "401 Unauthorized", "302 Found"]);
    let optional =
        vec(select(vec!["Sec-WebSocket-Protocol: chat\r\n", "Server: any\r\n", "Date: now\r\n"]), 0..3);
    let response = (interim, status, optional).prop_map(|(interim, status, optional)| {
        let mut head = format!("{interim}HTTP/1.1 {status}\r\nUpgrade: websocket\r\n").into_bytes();
        head.extend(b"Connection: Upgrade\r\nSec-WebSocket-Accept: ");
        head.extend(accept_key(&encode_nonce(NONCE)));
        head.extend(b"\r\n");
        head.extend(optional.concat().into_bytes());
        head.extend(b"\r\n");
        head
    });
    (response, edits(), vec(any::<u8>(), 0..20)).prop_map(altered)
}

/// A position, a choice to replace, insert or remove a byte there, and the byte.
type Edit = (Index, u8, u8);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let byte = prop_oneof![select(&b"\r\n \t:;,=\"\\/?#%0189aZ\0\x7f\x80\xff"[..]), any::<u8>()];
    prop_oneof![Just(Vec::new()), vec((any::<Index>(), 0..3_u8, byte), 1..4)]
}

fn altered((mut head, edits, rest): (Vec<u8>, Vec<Edit>, Vec<u8>)) -> Vec<u8> {
    for (at, how, byte) in edits {
        let at = at.index(head.len());
        match how {
            0 => head[at] = byte,
            1 => head.insert(at, byte),
            _ => drop(head.remove(at)),
        }
    }
    head.extend(rest);
    head
}

/// Returns the result of a server for `head` as text, so that two results can be compared. Returns `None` if the head
/// is incomplete.
fn served(handshake: &mut ServerHandshake, head: &[u8]) -> Option<String> {
    match handshake.poll(head) {
        Ok(None) => None,
        Ok(Some(Incoming::Upgrade(request))) => Some(format!("{} {request:?}", request.head_len())),
        Ok(Some(Incoming::Http(request))) => Some(format!("{} {request:?}", request.head_len())),
        Err(rejection) => Some(format!("{rejection:?}")),
    }
}

fn client() -> ClientHandshake<'static> {
    let request = ClientRequest::new("example.com", "/").subprotocols(&["chat", "other"]);
    ClientHandshake::new(request, NONCE, HeadLimits::new()).unwrap()
}

/// Returns the result of a client for `head`, in the form of [`served`].
fn replied(handshake: &mut ClientHandshake<'_>, head: &[u8]) -> Option<String> {
    match handshake.poll(head) {
        Ok(None) => None,
        Ok(Some(Reply::Open(opened))) => Some(format!("{} {opened:?}", opened.head_len())),
        Ok(Some(Reply::Http(response))) => Some(format!("{} {response:?}", response.head_len())),
        Err(error) => Some(format!("{error:?}")),
    }
}

/// Checks that the result changes at most once as the input grows, from "incomplete" to a verdict. `so_far` passes
/// every prefix to the same handshake, and `at_once` passes each prefix to a new handshake. Their results must be
/// equal.
fn is_monotone(
    input: &[u8],
    mut so_far: impl FnMut(&[u8]) -> Option<String>,
    at_once: impl Fn(&[u8]) -> Option<String>,
) -> Result<(), TestCaseError> {
    let mut verdict = None;
    for end in 0..=input.len() {
        let next = so_far(&input[..end]);
        prop_assert_eq!(&at_once(&input[..end]), &next, "in one call, at {}", end);
        prop_assert!(verdict.is_none() || next == verdict, "{:?}, then {:?} at {}", verdict, next, end);
        verdict = next;
    }
    Ok(())
}

// --- negotiation ---

const SUBPROTOCOLS: [&str; 6] = ["chat", "chat.v2", "CHAT", "mqtt", "x", "graphql-ws"];

/// Generates some of the subprotocols, in any order.
fn subprotocols() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(&SUBPROTOCOLS[..], 0..=SUBPROTOCOLS.len()).prop_shuffle()
}

/// Generates one parameter of an extension, valid or not.
fn parameter() -> impl Strategy<Value = String> {
    let bits = prop_oneof![6 => (8..=15_u8).prop_map(|bits| bits.to_string()), 1 => select(vec![
        "7".to_owned(), "16".into(), "08".into(), "\"10\"".into(), "".into(), "+9".into(), "255".into(),
    ])];
    let with = |name: &'static str, bits| prop_oneof![1 => Just(name.to_owned()), 4 => (bits,).prop_map(move |(bits,)| format!("{name}={bits}"))];
    prop_oneof![
        3 => Just("server_no_context_takeover".to_owned()),
        3 => Just("client_no_context_takeover".to_owned()),
        3 => with("server_max_window_bits", bits.clone().boxed()),
        3 => with("client_max_window_bits", bits.boxed()),
        1 => select(vec!["unknown".to_owned(), "server_no_context_takeover=1".into()]),
    ]
}

fn extension() -> impl Strategy<Value = String> {
    let name = prop_oneof![9 => Just("permessage-deflate"), 1 => Just("x-webkit-deflate-frame")];
    (name, vec(parameter(), 0..4)).prop_map(|(name, parameters)| {
        parameters.iter().fold(name.to_owned(), |text, parameter| format!("{text}; {parameter}"))
    })
}

/// The parameters of a permessage-deflate extension, as a plain parser reads them. If an extension is not valid by RFC
/// 7692 section 7, the parser returns no parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Parsed {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server: Option<u8>,
    /// The value of `client_max_window_bits`. In an offer the parameter may have no value.
    client: Option<Option<u8>>,
}

fn parsed(extension: &str) -> Option<Parsed> {
    let mut parts = extension.split(';').map(str::trim);
    if parts.next()? != "permessage-deflate" {
        return None;
    }
    let mut parsed = Parsed::default();
    for part in parts {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
        let bits = || {
            let value = value.map(|value| value.trim_matches('"'))?;
            ["8", "9", "10", "11", "12", "13", "14", "15"].contains(&value).then(|| value.parse().unwrap())
        };
        let fresh = match (name, value) {
            ("server_no_context_takeover", None) => !std::mem::replace(&mut parsed.server_no_takeover, true),
            ("client_no_context_takeover", None) => !std::mem::replace(&mut parsed.client_no_takeover, true),
            ("server_max_window_bits", Some(_)) => parsed.server.replace(bits()?).is_none(),
            ("client_max_window_bits", None) => parsed.client.replace(None).is_none(),
            ("client_max_window_bits", Some(_)) => parsed.client.replace(Some(bits()?)).is_none(),
            _ => return None,
        };
        if !fresh {
            return None;
        }
    }
    Some(parsed)
}

/// RFC 7692 7.1: returns whether the offer allows the response.
fn allows(offer: Parsed, response: &DeflateParams) -> bool {
    let server = match offer.server {
        Some(asked) => response.server_max_window_bits.is_some_and(|bits| (8..=asked).contains(&bits)),
        None => response.server_max_window_bits.is_none_or(|bits| (8..=15).contains(&bits)),
    };
    let client = match (offer.client, response.client_max_window_bits) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(most), Some(bits)) => (8..=most.unwrap_or(15)).contains(&bits),
    };
    (response.server_no_context_takeover || !offer.server_no_takeover) && server && client
}

fn offers() -> impl Strategy<Value = DeflateOffer> {
    let client = prop_oneof![
        Just(ClientWindow::Unsupported),
        Just(ClientWindow::Supported),
        (8..=15_u8).prop_map(ClientWindow::AtMost)
    ];
    (any::<bool>(), any::<bool>(), proptest::option::of(8..=15_u8), client).prop_map(
        |(
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        )| {
            DeflateOffer::new()
                .server_no_context_takeover(server_no_context_takeover)
                .client_no_context_takeover(client_no_context_takeover)
                .server_max_window_bits(server_max_window_bits)
                .client_max_window_bits(client_max_window_bits)
        },
    )
}

fn configs() -> impl Strategy<Value = DeflateConfig> {
    (any::<bool>(), any::<bool>(), 0..20_u8, 0..20_u8).prop_map(
        |(
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        )| {
            DeflateConfig::new()
                .server_no_context_takeover(server_no_context_takeover)
                .client_no_context_takeover(client_no_context_takeover)
                .server_max_window_bits(server_max_window_bits)
                .client_max_window_bits(client_max_window_bits)
        },
    )
}

fn head_with(first: &str, lines: &[(&str, String)]) -> Vec<u8> {
    let lines = lines.iter().filter(|(_, value)| !value.is_empty());
    let head = lines.fold(format!("{first}\r\n"), |head, (name, value)| format!("{head}{name}: {value}\r\n"));
    (head + "\r\n").into_bytes()
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn s4_2_1_more_of_a_request_never_changes_a_verdict(head in requests()) {
        let mut handshake = ServerHandshake::new(HeadLimits::new());
        let at_once = |head: &[u8]| served(&mut ServerHandshake::new(HeadLimits::new()), head);
        is_monotone(&head, |head| served(&mut handshake, head), at_once)?;
    }

    #[test]
    fn s4_1_more_of_a_response_never_changes_a_verdict(head in responses()) {
        let mut handshake = client();
        is_monotone(&head, |head| replied(&mut handshake, head), |head| replied(&mut client(), head))?;
    }

    /// A server chooses a subprotocol that client and server have in common, if there is one. A subprotocol that was
    /// not offered cannot be written.
    #[test]
    fn s4_2_2_a_server_chooses_only_a_subprotocol_that_was_offered(offered in subprotocols(), has in subprotocols()) {
        let request = head_with("GET / HTTP/1.1", &[
            ("Host", "a".into()),
            ("Upgrade", "websocket".into()),
            ("Connection", "Upgrade".into()),
            ("Sec-WebSocket-Version", "13".into()),
            ("Sec-WebSocket-Key", String::from_utf8(encode_nonce(NONCE).to_vec()).unwrap()),
            ("Sec-WebSocket-Protocol", offered.join(", ")),
        ]);
        let mut handshake = ServerHandshake::new(HeadLimits::new());
        let Ok(Some(Incoming::Upgrade(request))) = handshake.poll(&request) else { panic!("an upgrade") };
        let chosen = request.select_subprotocol(&has);
        let both = |one: &&str| has.contains(one) && offered.contains(one);
        prop_assert_eq!(chosen.is_some(), SUBPROTOCOLS.iter().any(both));
        prop_assert!(chosen.iter().all(both));
        for other in SUBPROTOCOLS {
            let written = request.accept().subprotocol(other).write(&mut [0; 512]);
            prop_assert_eq!(written.is_ok(), offered.contains(&other), "{}", other);
        }
    }

    /// A client opens with a subprotocol that it offered, or with none.
    #[test]
    fn s4_1_an_answer_with_a_subprotocol_that_was_not_offered_fails(offered in subprotocols(), answer in subprotocols()) {
        let request = ClientRequest::new("a", "/").subprotocols(&offered);
        let mut handshake = ClientHandshake::new(request, NONCE, HeadLimits::new()).unwrap();
        let response = head_with("HTTP/1.1 101 OK", &[
            ("Upgrade", "websocket".into()),
            ("Connection", "Upgrade".into()),
            ("Sec-WebSocket-Accept", String::from_utf8(accept_key(&encode_nonce(NONCE)).to_vec()).unwrap()),
            ("Sec-WebSocket-Protocol", answer.join(", ")),
        ]);
        let right = answer.is_empty() || answer.len() == 1 && offered.contains(&answer[0]);
        match handshake.poll(&response) {
            Ok(Some(Reply::Open(opened))) => {
                prop_assert!(right);
                prop_assert_eq!(opened.subprotocol(), answer.first().copied());
            }
            Ok(_) => prop_assert!(false, "neither open nor failed"),
            Err(_) => prop_assert!(!right),
        }
    }

    /// A server agrees to parameters that the first acceptable offer allows. Without an acceptable offer it
    /// agrees to none.
    #[test]
    fn s7692_7_1_a_server_agrees_only_to_an_offer(
        extensions in vec(extension(), 1..4),
        config in configs(),
    ) {
        let text = extensions.join(", ");
        let agreed = hybi::handshake::negotiate_offer([text.as_bytes()], &config);
        // An empty value is not a token, so the whole header is malformed.
        if extensions.iter().any(|extension| extension.split(';').any(|part| part.ends_with('='))) {
            prop_assert!(agreed.is_err());
            return Ok(());
        }
        let good = extensions.iter().find_map(|extension| parsed(extension));
        match (agreed.unwrap(), good) {
            (None, None) => {}
            (Some(agreed), Some(offer)) => prop_assert!(allows(offer, &agreed), "{} / {}", text, agreed),
            (agreed, good) => prop_assert!(false, "{:?} of {:?}", agreed, good),
        }
    }

    /// A client accepts exactly the parameters that its offer allows.
    #[test]
    fn s7692_7_1_a_client_agrees_only_to_its_own_offer(offer in offers(), response in extension()) {
        let text = offer.to_string();
        let agreed = hybi::handshake::check_response([text.as_bytes()], [response.as_bytes()]);
        let offered = parsed(&text).unwrap();
        // RFC 7692 7.1.2.2: in a response, the parameter `client_max_window_bits` must have a value.
        let expected = parsed(&response).filter(|parsed| parsed.client != Some(None)).map(|parsed| DeflateParams {
            server_no_context_takeover: parsed.server_no_takeover,
            client_no_context_takeover: parsed.client_no_takeover,
            server_max_window_bits: parsed.server,
            client_max_window_bits: parsed.client.flatten(),
        });
        match expected.filter(|params| allows(offered, params)) {
            Some(params) => prop_assert_eq!(agreed, Ok(Some(params))),
            None => prop_assert!(agreed.is_err(), "{:?}", agreed),
        }
    }

    /// A client accepts every answer that a server gives to its offer.
    #[test]
    fn s7692_7_1_a_client_accepts_every_answer_of_a_server(offer in offers(), config in configs()) {
        let text = offer.to_string();
        let agreed = hybi::handshake::negotiate_offer([text.as_bytes()], &config).unwrap().unwrap();
        let answer = agreed.to_string();
        prop_assert_eq!(hybi::handshake::check_response([text.as_bytes()], [answer.as_bytes()]), Ok(Some(agreed)));
    }
}
