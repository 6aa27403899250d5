//! Tests of the texts of errors, outcomes and codes. The text of an error names the broken rule and its section of the
//! RFC, and often tells what to do. `Debug` output must not show secrets.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use hybi::dial::{DialError, Progress, Stage};
use hybi::frame::{EncodeError, MaskingKeys, Role};
use hybi::handshake::{
    ClientHandshake, ClientRequest, DeflateConfig, DeflateParams, ExtensionError, Extensions, HandshakeError,
    HeadError, HeadLimits, HeaderError, HeaderName, Headers, HttpResponse, Incoming, Malformed, NoSpace,
    Reason, Rejection, RequestError, ResponseError, ServerHandshake, UrlError, WsUrl,
};
use hybi::reconnect::{Failure, GiveUp};
use hybi::utf8::Validator;
use hybi::{
    CloseCode, CloseReason, Config, ControlPayload, EofPosition, Instant, Outcome, ProtocolError, SendError,
    TimerKind,
};

/// Returns the texts of errors. Checks that each text is one line without a final period, and that all texts differ.
fn distinct_texts(errors: &[&dyn Error]) -> Vec<String> {
    let texts: Vec<_> = errors.iter().map(|error| error.to_string()).collect();
    for text in &texts {
        assert!(
            text.len() > 15 && !text.contains('\n') && !text.contains("  ") && !text.ends_with('.'),
            "{text:?}"
        );
        // The text must not look like the `Debug` output of a variant.
        assert!(text.contains(' ') && !text.contains('{'), "{text:?}");
    }
    assert_eq!(texts.iter().collect::<HashSet<_>>().len(), texts.len(), "{texts:#?}");
    texts
}

const PROTOCOL: [ProtocolError; 20] = [
    ProtocolError::ReservedBits(4),
    ProtocolError::NotAFrame(b'H'),
    ProtocolError::UnknownOpcode(3),
    ProtocolError::NotMasked,
    ProtocolError::Masked,
    ProtocolError::LengthNotMinimal,
    ProtocolError::LengthTopBit,
    ProtocolError::ControlFragmented,
    ProtocolError::ControlTooLong,
    ProtocolError::NothingToContinue,
    ProtocolError::MessageInterleaved,
    ProtocolError::InvalidUtf8,
    ProtocolError::CloseBodyOfOneByte,
    ProtocolError::CloseCodeNotAllowed(1005),
    ProtocolError::CloseReasonNotUtf8,
    ProtocolError::FrameTooBig,
    ProtocolError::MessageTooBig,
    ProtocolError::TooManyFragments,
    ProtocolError::InvalidDeflate,
    ProtocolError::TextNotAccepted,
];

#[test]
fn s7_4_1_a_protocol_error_names_its_section_and_its_close_code() {
    let errors: Vec<&dyn Error> = PROTOCOL.iter().map(|error| error as &dyn Error).collect();
    for (text, error) in distinct_texts(&errors).iter().zip(PROTOCOL) {
        assert!(text.contains(&format!("RFC {} section {}", error.rfc(), error.section())), "{text}");
        assert!(text.ends_with(&format!("failed with close code {}", error.close_code())), "{text}");
        assert!(
            error.close_code().is_sendable_by(Role::Server)
                && error.close_code().is_sendable_by(Role::Client)
        );
    }
    assert!(ProtocolError::ReservedBits(4).to_string().contains("(100)"));
    assert!(ProtocolError::CloseCodeNotAllowed(1005).to_string().contains("(1005)"));
}

#[test]
fn errors_of_sending_name_a_rule_or_tell_what_to_do() {
    let send = [
        SendError::Blocked,
        SendError::TooLarge,
        SendError::Closed,
        SendError::MessageOpen,
        SendError::ControlTooLong,
        SendError::ReasonTooLong,
        SendError::CodeNotAllowed,
    ];
    let encode = [
        EncodeError::MessageOpen,
        EncodeError::NoMessageOpen,
        EncodeError::TooLong,
        EncodeError::ControlFrame,
        EncodeError::NoSpace,
    ];
    let send: Vec<&dyn Error> = send.iter().map(|error| error as &dyn Error).collect();
    assert!(distinct_texts(&send).iter().all(|text| text.contains(':') || text.contains("RFC")));
    let advised = SendError::CodeNotAllowed.to_string();
    assert!(advised.contains("1011 to 1014"), "{advised}");
    let texts = distinct_texts(&encode.each_ref().map(|error| error as &dyn Error));
    assert!(texts.iter().filter(|text| text.contains("RFC 6455 5.")).count() == 4);
    // Each error of an encoder becomes the error of a sender with the same meaning.
    let becomes = encode.map(SendError::from);
    let (open, large) = (SendError::MessageOpen, SendError::TooLarge);
    assert_eq!(becomes, [open, open, large, SendError::ControlTooLong, large]);
}

#[cfg(feature = "net")]
#[test]
fn an_error_of_a_byte_stream_says_that_data_may_be_missing() {
    use hybi::adapters::net::ByteStreamError;
    use hybi::{CloseFrame, CloseReason};

    let close = |code, reason| {
        ByteStreamError::Closed(CloseFrame { code: Some(code), reason: CloseReason::truncated(reason) })
    };
    let missing = [
        close(CloseCode::GOING_AWAY, ""),
        close(CloseCode::INTERNAL_ERROR, "disk full\n"),
        ByteStreamError::Ended(Outcome::Abnormal(EofPosition::InFrame)),
        ByteStreamError::Ended(Outcome::TimedOut(TimerKind::Pong)),
    ];
    let other =
        [ByteStreamError::Protocol(ProtocolError::TextNotAccepted), ByteStreamError::Protocol(PROTOCOL[0])];
    let unknown = [ByteStreamError::AlreadyEnded];
    let errors: Vec<_> =
        missing.iter().chain(&other).chain(&unknown).map(|error| error as &dyn Error).collect();
    let texts = distinct_texts(&errors);
    for text in &texts[..missing.len()] {
        assert!(text.starts_with("data may be missing: "), "{text}");
    }
    assert!(texts[1].contains("1011 (internal error)") && texts[1].contains("disk full"), "{}", texts[1]);
    // `distinct_texts` checks that the line break in the reason is escaped.
    assert!(texts[4].contains("send binary messages"), "{}", texts[4]);
    assert_eq!(other[0].source().map(ToString::to_string), Some(texts[4].clone()));
}

#[test]
fn errors_of_connecting_say_what_happened() {
    let failures = [
        Failure::Network,
        Failure::Response { status: 503, retry_after: None },
        Failure::Proxy { status: 503, retry_after: None },
        Failure::Handshake,
        Failure::Request,
        Failure::Closed(CloseCode::GOING_AWAY),
    ];
    let mut progress = Progress::new(Instant::ZERO, Some(Duration::from_secs(10)));
    let stages =
        [Stage::Resolving, Stage::Connecting, Stage::ProxyTls, Stage::Proxy, Stage::Tls, Stage::Handshake]
            .map(|stage| {
                progress.enter(stage);
                progress.check(Instant::from_origin(Duration::from_secs(10))).unwrap_err()
            });
    let dial = [DialError::NoAddress, DialError::AllFailed, DialError::TimedOut];
    let not_retried = failures.map(GiveUp::NotRetried);
    let too_many = failures.map(|last| GiveUp::TooManyAttempts { attempts: 3, last });
    let mut errors: Vec<&dyn Error> = Vec::new();
    errors.extend(not_retried.iter().chain(&too_many).map(|error| error as &dyn Error));
    errors.extend(stages.iter().map(|error| error as &dyn Error));
    errors.extend(dial.iter().map(|error| error as &dyn Error));
    for text in distinct_texts(&errors) {
        assert!(text.contains(':'), "{text}");
    }
    assert!(not_retried[5].to_string().contains("1001 (going away)"));
    let one = GiveUp::TooManyAttempts { attempts: 1, last: Failure::Network };
    assert!(one.to_string().contains("1 failed attempt is"), "{one}");
    assert!(too_many[0].to_string().contains("3 failed attempts are"), "{}", too_many[0]);
}

#[test]
fn s4_errors_of_the_handshake_name_a_rule_and_tell_what_to_do() {
    let head = [
        HeadError::StartLine,
        HeadError::Version,
        HeadError::Target,
        HeadError::LineEnd,
        HeadError::ControlByte,
        HeadError::HeaderName,
        HeadError::NoColon,
        HeadError::SpaceBeforeColon,
        HeadError::Fold,
        HeadError::SpaceBeforeHeader,
        HeadError::StartLineTooLong,
        HeadError::TooLarge,
        HeadError::TooManyHeaders,
    ];
    let reasons = [
        Reason::Timeout,
        Reason::HttpVersion,
        Reason::Method,
        Reason::Target,
        Reason::HostMissing,
        Reason::HostRepeated,
        Reason::HostInvalid,
        Reason::NotAnUpgrade,
        Reason::Connection,
        Reason::Body,
        Reason::KeyMissing,
        Reason::KeyRepeated,
        Reason::KeyInvalid,
        Reason::VersionMissing,
        Reason::VersionRepeated,
        Reason::VersionInvalid,
        Reason::VersionUnsupported,
        Reason::SubprotocolInvalid,
        Reason::SubprotocolRepeated,
        Reason::SubprotocolsTooMany,
        Reason::Extensions,
        Reason::OriginRepeated,
        Reason::OriginInvalid,
        Reason::OriginNotAllowed,
    ];
    let extensions = [
        ExtensionError::from(Malformed),
        ExtensionError::NotOffered,
        ExtensionError::Repeated,
        ExtensionError::Parameter,
        ExtensionError::Disagrees,
    ];
    let replies = [
        HandshakeError::Timeout,
        HandshakeError::HttpVersion,
        HandshakeError::Upgrade,
        HandshakeError::Connection,
        HandshakeError::AcceptMissing,
        HandshakeError::AcceptRepeated,
        HandshakeError::AcceptWrong,
        HandshakeError::SubprotocolNotOffered,
        HandshakeError::SubprotocolRepeated,
    ];
    let requests = [
        RequestError::Host,
        RequestError::Target,
        RequestError::Origin,
        RequestError::Subprotocol,
        RequestError::SubprotocolRepeated,
        RequestError::Extensions,
    ];
    let responses = [
        ResponseError::SubprotocolNotOffered,
        ResponseError::ExtensionNotOffered,
        ResponseError::ExtensionsMalformed,
        ResponseError::Status,
        ResponseError::ReasonPhrase,
        ResponseError::Body,
    ];
    let name = HeaderName::new("X-Token");
    let headers = [HeaderError::Name(name), HeaderError::Value(name), HeaderError::Reserved(name)];
    let urls = [
        UrlError::Character,
        UrlError::Scheme,
        UrlError::UserInfo,
        UrlError::Host,
        UrlError::HostNotAscii,
        UrlError::Port,
        UrlError::Fragment,
    ];
    fn dynamic<E: Error>(errors: &[E]) -> Vec<&dyn Error> {
        errors.iter().map(|error| error as &dyn Error).collect()
    }
    let rejections = reasons.map(Rejection::new);
    let all = [
        dynamic(&head),
        dynamic(&rejections),
        dynamic(&extensions),
        dynamic(&replies),
        dynamic(&requests),
        dynamic(&responses),
        dynamic(&headers),
        dynamic(&urls),
    ];
    for text in distinct_texts(&all.concat()) {
        assert!(text.contains("RFC "), "{text}");
        // A text has the problem, then the section in parentheses, and the advice after a colon.
        assert!(text.contains("): ") || text.ends_with("(RFC 6455 3)"), "{text}");
    }
    // An error that wraps another error has the same text, and returns the other error as its source.
    let source = |error: &dyn Error| error.source().map(ToString::to_string);
    for error in head {
        let inner = Some(error.to_string());
        assert_eq!(source(&Reason::from(error)), inner);
        assert_eq!(source(&HandshakeError::from(error)), inner);
        assert_eq!(source(&Rejection::from(error)), inner);
        assert_eq!(Reason::from(error).to_string(), error.to_string());
        assert_eq!(HandshakeError::from(error).to_string(), error.to_string());
        let rejection = Rejection::from(error);
        assert_eq!(
            rejection.to_string(),
            format!("the request was rejected with status {}: {error}", rejection.status())
        );
    }
    for error in headers {
        assert_eq!(source(&RequestError::from(error)), Some(error.to_string()));
        assert_eq!(source(&ResponseError::from(error)), Some(error.to_string()));
        assert_eq!(RequestError::from(error).to_string(), error.to_string());
        assert_eq!(ResponseError::from(error).to_string(), error.to_string());
    }
    for error in extensions {
        assert_eq!(source(&HandshakeError::Extensions(error)), Some(error.to_string()));
        assert_eq!(HandshakeError::Extensions(error).to_string(), error.to_string());
    }
    let no_space = NoSpace { needed: 1234 };
    assert!(no_space.to_string().contains("1234"));
    assert_eq!(source(&RequestError::from(no_space)), Some(no_space.to_string()));
    assert_eq!(source(&ResponseError::from(no_space)), Some(no_space.to_string()));
    assert_eq!(RequestError::from(no_space).to_string(), no_space.to_string());
    assert_eq!(ResponseError::from(no_space).to_string(), no_space.to_string());
    assert!(Malformed.to_string().contains("RFC 6455 9.1"));
    assert!(HeadError::Changed.to_string().contains("keep"));
    let invalid = Validator::new().push(b"ab\xFF").unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "byte 2 of the piece is not valid UTF-8 (RFC 3629 section 3): reject the text"
    );
}

#[cfg(feature = "alloc")]
#[test]
fn s9110_15_4_errors_of_redirects_name_a_rule_and_tell_what_to_do() {
    use hybi::redirect::RedirectError;

    let errors = [
        RedirectError::TooMany { max: 3 },
        RedirectError::LocationMissing,
        RedirectError::LocationRepeated,
        RedirectError::Location(UrlError::Scheme),
        RedirectError::NotEncrypted,
        RedirectError::ClientCertificate,
        RedirectError::Subprotocols,
    ];
    for text in distinct_texts(&errors.each_ref().map(|error| error as &dyn Error)) {
        assert!(text.contains("RFC ") && text.contains("): "), "{text}");
    }
    assert!(errors[0].to_string().contains("more than 3 times"));
    let source = errors[3].source().unwrap().to_string();
    assert_eq!(source, UrlError::Scheme.to_string());
    assert!(errors[3].to_string().ends_with(&source));
}

#[cfg(feature = "alloc")]
#[test]
fn s4_1_3_errors_of_proxies_name_a_rule_or_tell_what_to_do() {
    use hybi::proxy::{Proxy, ProxyError, ProxyUrlError, SocksFailure};

    let urls = [
        ProxyUrlError::SchemeMissing,
        ProxyUrlError::Scheme,
        ProxyUrlError::Socks4,
        ProxyUrlError::Path,
        ProxyUrlError::Host,
        ProxyUrlError::HostNotAscii,
        ProxyUrlError::Port,
        ProxyUrlError::Character,
        ProxyUrlError::PercentEncoding,
        ProxyUrlError::BasicUser,
        ProxyUrlError::BasicControl,
        ProxyUrlError::SocksUser,
        ProxyUrlError::SocksPassword,
    ];
    let handshakes = [
        ProxyError::Target,
        ProxyError::NameTooLong,
        ProxyError::NeedsAddress,
        ProxyError::AuthorizationHeader,
        ProxyError::ClientCertificate,
        ProxyError::NotHttp,
        ProxyError::Head(HeadError::Fold),
        ProxyError::SwitchedProtocols,
        ProxyError::NotSocks5(0),
        ProxyError::NotSocks5(b'H'),
        ProxyError::NotSocks5(0x15),
        ProxyError::NotSocks5(b'S'),
        ProxyError::NoMethod { credentials: true },
        ProxyError::NoMethod { credentials: false },
        ProxyError::MethodNotOffered(1),
        ProxyError::LoginVersion(5),
        ProxyError::LoginRefused(1),
        ProxyError::LoginClosed,
        ProxyError::Reserved(1),
        ProxyError::AddressType(2),
    ];
    let failures: Vec<_> = (1..=9).filter_map(SocksFailure::from_code).collect();
    let without_rule = [ProxyError::NoAnswer, ProxyError::Truncated];
    let mut all: Vec<&dyn Error> = urls.iter().map(|error| error as &dyn Error).collect();
    all.extend(handshakes.iter().map(|error| error as &dyn Error));
    all.extend(failures.iter().map(|error| error as &dyn Error));
    assert!(distinct_texts(&all).iter().all(|text| text.contains("RFC ") && text.contains("): ")));
    all.extend(without_rule.iter().map(|error| error as &dyn Error));
    assert!(distinct_texts(&all).iter().all(|text| text.contains(": ")));

    let source = |error: &dyn Error| error.source().map(ToString::to_string);
    let head = ProxyError::Head(HeadError::Fold);
    assert_eq!(source(&head), Some(HeadError::Fold.to_string()));
    let failure = ProxyError::Socks(SocksFailure::General);
    assert_eq!(
        (source(&failure), failure.to_string()),
        (Some(failure.to_string()), SocksFailure::General.to_string())
    );
    let proxy = Proxy::from_variables(|name| (name == "WSS_PROXY").then(|| "socks4://p".into()));
    let error = proxy.for_url(&WsUrl::parse("wss://a").unwrap()).unwrap_err();
    assert_eq!(source(&error), Some(ProxyUrlError::Socks4.to_string()));
    assert!(distinct_texts(&[&error])[0].contains("WSS_PROXY"));
}

#[test]
fn s3_an_error_of_a_url_tells_how_to_correct_the_url() {
    for (url, error, advice) in [
        ("ws://m\u{fc}nchen.de/", UrlError::HostNotAscii, "punycode"),
        ("wss://a.m\u{fc}nchen.de:8443/chat?x#y", UrlError::HostNotAscii, "xn--"),
        ("ws://a b/", UrlError::Host, "ws://host:port/path"),
        ("ws://u\u{fc}@a/", UrlError::UserInfo, "Authorization"),
        ("m\u{fc}nchen.de/", UrlError::Scheme, "ws://host:port/path"),
        (" ws://a/", UrlError::Scheme, "ws://host:port/path"),
        ("ws://a/m\u{fc}nchen", UrlError::Character, "percent-encode"),
        ("ws://a?m\u{fc}nchen", UrlError::Character, "percent-encode"),
        ("ws://a/b c", UrlError::Character, "percent-encode"),
    ] {
        assert_eq!(WsUrl::parse(url), Err(error), "{url}");
        let text = error.to_string();
        assert!(text.contains(advice), "{url}: {text}");
        assert_eq!(text.contains("percent"), error == UrlError::Character, "{url}: {text}");
    }
    // A host that is passed without a URL gets the same advice.
    let request = ClientRequest::new("m\u{fc}nchen.de", "/");
    let error = ClientHandshake::new(request, [0; 16], HeadLimits::new()).unwrap_err();
    assert!(error == RequestError::Host && error.to_string().contains("xn--"), "{error}");
}

#[test]
fn s4_1_an_error_of_a_header_names_the_header_and_an_existing_setter() {
    let error_text = |name, value| {
        let headers = [(name, value)];
        let request = ClientRequest::new("a", "/").headers(&headers);
        let client = ClientHandshake::new(request, [0; 16], HeadLimits::new()).unwrap_err().to_string();
        let server =
            HttpResponse::new(403).headers(&headers).write(&mut [0; 256]).map_err(|error| error.to_string());
        // Both sides have the same rule, except for headers that only a client's request has.
        assert!(server.is_ok() || server == Err(client.clone()), "{server:?}");
        client
    };
    for (name, advice) in [
        ("host", "URL"),
        ("Origin", "`origin`"),
        ("Sec-WebSocket-Protocol", "`subprotocols`"),
        ("sec-websocket-extensions", "`deflate`"),
        ("Sec-WebSocket-Key", "leave it out"),
        ("Sec-WebSocket-Frame", "leave it out"),
        ("CONNECTION", "leave it out"),
        ("Upgrade", "leave it out"),
        ("Content-Length", "leave it out"),
        ("Transfer-Encoding", "leave it out"),
    ] {
        let text = error_text(name, "a");
        assert!(text.contains(&format!("header {name:?} ")) && text.contains(advice), "{text}");
        assert!(text.contains("RFC ") && !text.contains("the setter"), "{text}");
    }
    let type_twice =
        HttpResponse::new(403).headers(&[("Content-Type", "a/b")]).write(&mut []).unwrap_err().to_string();
    assert!(type_twice.contains("\"Content-Type\"") && type_twice.contains("`body`"), "{type_twice}");
    // The value may be a secret, so it is not shown.
    let text = error_text("X-Token", "secret\n");
    assert!(text.contains("header \"X-Token\" ") && !text.contains("secret"), "{text}");
    let text = HttpResponse::new(403).body("secret\n", b"").write(&mut []).unwrap_err().to_string();
    assert!(text.contains("\"Content-Type\"") && !text.contains("secret"), "{text}");
    // An invalid name is escaped, so that it cannot look like another line of a log. A long name is cut off.
    let text = error_text("X\r\nY: z", "");
    assert!(text.starts_with("\"X\\r\\nY: z\" "), "{text}");
    let text = error_text(&"\u{e9}".repeat(1000), "");
    assert!(text.len() < 250 && text.starts_with("\"\u{e9}\u{e9}"), "{text}");
    let name = HeaderName::new("Access-Control-Allow-Credentials");
    assert_eq!((name.as_str(), name.to_string()), ("Access-Control-Allow-Credentials", name.as_str().into()));
}

#[test]
fn s4_2_1_the_refusal_of_a_request_that_nginx_forwards_by_default_mentions_proxies() {
    let upgrade = "Upgrade: websocket\r\nConnection: upgrade\r\n";
    for headers in ["Connection: close\r\n", upgrade] {
        let head = format!("GET / HTTP/1.0\r\nHost: a\r\n{headers}\r\n");
        let rejection = match ServerHandshake::new(HeadLimits::new()).poll(head.as_bytes()) {
            Ok(Some(Incoming::Http(request))) => request.rejection(),
            Err(rejection) => rejection,
            other => panic!("{other:?}"),
        };
        let expected = if headers == upgrade { Reason::HttpVersion } else { Reason::NotAnUpgrade };
        assert_eq!(rejection.reason(), expected);
        assert!(rejection.to_string().contains("prox"), "{rejection}");
    }
    assert!(Reason::HttpVersion.to_string().contains("HTTP/1.0"));
    assert!(HandshakeError::HttpVersion.to_string().contains("proxy"));
}

#[test]
fn s7_1_5_an_outcome_tells_how_the_connection_ended() {
    let outcomes = [
        Outcome::Clean { code: CloseCode::GOING_AWAY },
        Outcome::Unanswered { code: CloseCode::GOING_AWAY },
        Outcome::Abnormal(EofPosition::BetweenMessages),
        Outcome::Abnormal(EofPosition::InMessage),
        Outcome::Abnormal(EofPosition::InFrame),
        Outcome::Failed(ProtocolError::Masked),
        Outcome::TimedOut(TimerKind::Pong),
        Outcome::TimedOut(TimerKind::Close),
        Outcome::TimedOut(TimerKind::Idle),
    ];
    let texts: HashSet<_> = outcomes.iter().map(Outcome::to_string).collect();
    assert_eq!(texts.len(), outcomes.len());
    assert_eq!(outcomes[0].to_string(), "closed by both sides with code 1001 (going away)");
    assert_eq!(outcomes[0].code(), CloseCode::GOING_AWAY);
    // RFC 6455 7.1.5: without a Close from the peer the code is 1006.
    assert!(outcomes[2..].iter().all(|outcome| outcome.code() == CloseCode::ABNORMAL));
    assert_eq!(outcomes[1].code(), CloseCode::GOING_AWAY);
    assert!(outcomes[1..].iter().all(|outcome| !outcome.is_clean()));
}

#[test]
fn s7_4_the_meaning_of_a_close_code_is_available_as_text() {
    let named: HashSet<_> = (1000..1016).map(|code| CloseCode::new(code).meaning()).collect();
    assert_eq!(named.len(), 16);
    for (code, meaning) in [(0, "reserved"), (1004, "reserved"), (2999, "reserved"), (5000, "reserved")] {
        assert_eq!(CloseCode::new(code).meaning(), meaning);
    }
    assert!(CloseCode::new(3000).meaning().contains("registered"));
    assert!(CloseCode::new(4999).meaning().contains("private"));
    assert_eq!(format!("{:?}", CloseCode::NORMAL), "1000 (normal closure)");
    assert_eq!(CloseReason::new("bye").unwrap().to_string(), "bye");
    assert_eq!(format!("{:?}", ControlPayload::new(b"a\n\xFF").unwrap()), "\"a\\n\\xff\"");
}

/// RFC 6455 10.3: somebody who can predict masking keys can choose the bytes on the wire.
#[test]
fn s10_3_debug_output_of_masking_keys_shows_no_key() {
    let shown = format!("{:?}", MaskingKeys::from_seed([0x5A; 32]));
    assert_eq!(shown, "MaskingKeys { .. }");
}

#[test]
fn debug_output_of_handshakes_shows_no_values_of_headers() {
    const SECRET: &str = "secret";
    let headers = [("Authorization", SECRET)];
    let request = ClientRequest::new("a", "/").headers(&headers);
    let shown = format!("{request:?}");
    assert!(shown.contains("Authorization") && !shown.contains(SECRET), "{shown}");
    // Some web pages send a token as a subprotocol. The subprotocols are in one header line or in several.
    for subprotocols in
        ["Sec-WebSocket-Protocol: a, secret", "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: secret"]
    {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{subprotocols}\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let Ok(Some(Incoming::Upgrade(request))) =
            ServerHandshake::new(HeadLimits::new()).poll(head.as_bytes())
        else {
            panic!("the server did not accept the request");
        };
        assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["a", SECRET]);
        let values = request.headers().get_all("sec-websocket-protocol");
        let response = request.accept().headers(&headers);
        let shown = format!("{request:?} {:?} {values:?} {response:?}", request.headers().iter());
        assert!(shown.contains("Authorization") && !shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn debug_output_of_handshakes_shows_no_queries() {
    // Web pages cannot set headers, so many of them send a token in the query.
    const TARGET: &str = "/a?token=secret";
    let url = WsUrl::parse("ws://b/a?token=secret").unwrap();
    let mut shown = vec![format!("{url:?}"), format!("{:?}", ClientRequest::from_url(&url))];
    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for headers in [UPGRADE, ""] {
        let head = format!("GET {TARGET} HTTP/1.1\r\nHost: b\r\n{headers}\r\n");
        let mut handshake = ServerHandshake::new(HeadLimits::new());
        shown.push(format!("{:?}", handshake.poll(head.as_bytes()).unwrap().unwrap()));
    }
    #[cfg(feature = "alloc")]
    {
        use hybi::handshake::{HandshakeInfo, RequestHead};

        let head = RequestHead::new("GET", TARGET);
        shown
            .extend([format!("{head:?}"), format!("{:?}", HandshakeInfo::new(TARGET, None, head.headers()))]);
    }
    for shown in shown {
        assert!(shown.contains("/a?…") && !shown.contains("secret"), "{shown}");
    }
}

#[test]
fn s9110_15_statuses_have_their_usual_reason_phrases() {
    for (status, phrase) in [
        (200, "OK"),
        (204, "No Content"),
        (301, "Moved Permanently"),
        (302, "Found"),
        (303, "See Other"),
        (304, "Not Modified"),
        (307, "Temporary Redirect"),
        (308, "Permanent Redirect"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (408, "Request Timeout"),
        (410, "Gone"),
        (414, "URI Too Long"),
        (421, "Misdirected Request"),
        (426, "Upgrade Required"),
        (429, "Too Many Requests"),
        (431, "Request Header Fields Too Large"),
        (500, "Internal Server Error"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Gateway Timeout"),
        (505, "HTTP Version Not Supported"),
        // RFC 9112 4: the phrase may be empty, but the space before the phrase is required.
        (599, ""),
    ] {
        let (reject, mut out) = (HttpResponse::new(status), [0; 256]);
        let len = reject.write(&mut out).unwrap();
        let line = format!("HTTP/1.1 {status} {phrase}\r\n");
        assert!(out[..len].starts_with(line.as_bytes()), "{}", out[..len].escape_ascii());
        assert_eq!(reject.status(), status);
    }
}

#[test]
fn debug_output_of_small_types_shows_their_value() {
    assert_eq!(format!("{:?}", Instant::ZERO + Duration::from_millis(1500)), "1.5s");
    assert_eq!(format!("{:?}", CloseReason::new("a \"b\"").unwrap()), r#""a \"b\"""#);
}

#[cfg(feature = "alloc")]
#[test]
fn text_is_a_str_in_a_shared_buffer() {
    use bytes::Bytes;
    use hybi::{Text, UnsentMessage};

    let text = Text::from("a \"b\"");
    assert_eq!((format!("{text:?}"), text.to_string()), (r#""a \"b\"""#.to_owned(), "a \"b\"".to_owned()));
    // An error that returns the unsent message has the text of the error inside.
    let refused = UnsentMessage { error: SendError::Blocked, message: text.into() };
    assert_eq!(refused.to_string(), SendError::Blocked.to_string());

    let bytes = Bytes::from("grüezi".repeat(50));
    let text = Text::try_from(bytes.clone()).unwrap();
    assert_eq!(text.as_bytes().as_ptr(), bytes.as_ptr());
    let owned = "grüezi".repeat(50);
    assert!(text == *owned && text == owned.as_str() && text != *"grüezi" && text != "grüezi");
    let shared: &str = text.as_ref();
    assert_eq!(shared, owned);
    assert_eq!(text.into_bytes(), bytes);
    // The error tells where the bytes are not UTF-8.
    for len in [2, 400] {
        let mut bytes = vec![b'a'; len];
        bytes.extend(b"\xe2\x82");
        let error = Text::try_from(Bytes::from(bytes)).unwrap_err();
        assert_eq!((error.valid_up_to(), error.error_len()), (len, None));
    }
}

#[test]
fn default_and_new_return_equal_values() {
    assert!(Validator::default().is_complete());
    assert_eq!(Validator::default().push("é".as_bytes()), Ok(()));
    assert_eq!(DeflateConfig::default(), DeflateConfig::new());
    assert_eq!(Config::default(), Config::new());
    #[cfg(feature = "alloc")]
    assert!(hybi::VecMessage::default().capacity() == 0 && hybi::VecMessage::default().is_idle());
}

#[cfg(feature = "deflate")]
#[test]
fn debug_output_of_compression_shows_settings_and_no_data() {
    use hybi::deflate::{Compression, Deflater, Inflater, Pool};

    let mut deflater = Deflater::new(8, true, &Compression::default());
    let mut payload = Vec::new();
    deflater.deflate(b"secret", true, &mut payload);
    // zlib does not support a window of 8 bits, so the compressor uses 9 bits.
    assert_eq!(
        format!("{deflater:?}"),
        "Deflater { window_bits: 9, level: 4, memory_level: 5, takeover: true, .. }"
    );
    let mut inflater = Inflater::new(15, false);
    inflater.inflate(&payload, &mut [0; 9]).unwrap();
    assert_eq!(format!("{inflater:?}"), "Inflater { takeover: false, in_message: true, .. }");
    let error = Inflater::new(15, true).finish(b"\x06", &mut [0; 9]).unwrap_err();
    assert!(error.to_string().contains("(RFC 7692 7.2.2)"));
    // Two handles are equal if they belong to the same pool.
    let pool = Pool::new(4);
    assert_eq!(pool, pool.clone());
    assert_ne!(pool, Pool::new(4));
    assert_eq!(format!("{pool:?}"), "Pool { max: 4, .. }");
}

#[test]
fn headers_and_extensions_are_returned_as_they_were_written() {
    let head = b"GET /chat?x HTTP/1.1\r\nHost: example.com\r\nX-A: 1\r\nX-A: 2\r\n\r\n";
    let mut handshake = ServerHandshake::new(HeadLimits::default());
    let Ok(Some(Incoming::Http(request))) = handshake.poll(head) else {
        panic!("the request was not recognized as plain HTTP")
    };
    assert_eq!((request.minor_version(), request.head_len()), (1, head.len()));
    let shown = format!("{:?}", request.headers());
    // Values may be secrets.
    assert!(shown.contains("X-A") && !shown.contains("example.com"), "{shown}");
    let names =
        |headers: Headers<'_>| headers.into_iter().map(|header| header.name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(request.headers()), ["Host", "X-A", "X-A"]);
    assert_eq!((&request.headers()).into_iter().count(), 3);
    assert_eq!(request.headers().get("x-a"), Some(&b"1"[..]));
    assert_eq!(request.headers().get_only("x-a"), None, "the header occurs twice");
    assert_eq!(Headers::from_lines(request.headers().as_bytes()).iter().count(), 3);

    let extensions = Extensions::parse(b"a; b=\"c\", d").unwrap();
    assert!(!extensions.is_empty());
    assert_eq!(extensions.into_iter().map(|one| one.name).collect::<Vec<_>>(), ["a", "d"]);
    let first = (&extensions).into_iter().next().unwrap();
    let (name, value) = first.params().next().unwrap();
    assert_eq!((name, value.unwrap().to_string()), ("b", "c".to_owned()));

    let mut out = [0; DeflateParams::MAX_LEN];
    let len = DeflateParams::default().write(&mut out).unwrap();
    assert_eq!(&out[..len], b"permessage-deflate");
    assert!(DeflateParams::default().write(&mut [0; 5]).is_err());
    let client = ClientHandshake::new(ClientRequest::new("a", "/"), [0; 16], HeadLimits::new()).unwrap();
    assert_eq!(client.key(), b"AAAAAAAAAAAAAAAAAAAAAA==");
}
