//! Runs the vectors of `handshake_server.jsonl` and `handshake_client.jsonl`, and the negotiation cases of
//! `deflate.jsonl`.
//!
//! Each case is run at each split that `cuts::plan` returns. The outcome must match the case, and must not depend on
//! the split.

use hybi::handshake::*;
use serde_json::{Map, Value, json};

use super::case::{Judged, Verdict, check_keys, has_tag};
use super::cuts::{Cuts, plan};

pub fn judge_server(case: &Value) -> Judged {
    check_keys(case, &["id", "rfc", "config", "input", "expect", "alt", "tags", "why"]);
    check_keys(&case["config"], &["subprotocols", "deflate", "origins", "max_head", "max_headers"]);
    let (outcome, response) =
        at_every_split(case, |input, ends| server_outcome(&case["config"], input, ends))?;
    judge(case, &outcome, |expected| match expected["outcome"].as_str() {
        Some("reject") => rejects(expected, &outcome, &response),
        _ => outcome == *expected,
    })
}

pub fn judge_client(case: &Value) -> Judged {
    check_keys(case, &["id", "rfc", "config", "input", "expect", "alt", "tags", "why"]);
    check_keys(&case["config"], &["key", "subprotocols", "offer", "max_head", "max_headers"]);
    let outcome = at_every_split(case, |input, ends| client_outcome(&case["config"], input, ends))?;
    judge(case, &outcome, |expected| outcome == *expected)
}

pub fn judge_deflate(case: &Value) -> Judged {
    let outcome = match case["kind"].as_str() {
        Some("server-negotiation") => server_negotiation(case),
        Some("client-negotiation") => client_negotiation(case),
        #[cfg(feature = "deflate")]
        Some("inflate") => return super::inflate::judge(case),
        #[cfg(not(feature = "deflate"))]
        Some("inflate") => return Ok(Verdict::Skipped("the feature deflate is off")),
        kind => panic!("unknown kind {kind:?}"),
    };
    judge(case, &outcome, |expected| outcome == *expected)
}

fn judge(case: &Value, outcome: &Value, is_met: impl Fn(&Value) -> bool) -> Judged {
    if is_met(&case["expect"]) {
        return Ok(Verdict::Passed);
    }
    match case["alt"].as_array().into_iter().flatten().position(is_met) {
        Some(index) => Ok(Verdict::Alt(index)),
        None => Err(format!("input in one piece\n    expected {}\n    got      {outcome}", case["expect"])),
    }
}

/// Returns whether the refusal has one of the expected statuses, and all required headers.
fn rejects(expected: &Value, outcome: &Value, response: &[u8]) -> bool {
    check_keys(expected, &["outcome", "status", "status_any", "headers"]);
    let any = expected["status_any"].as_array().into_iter().flatten();
    let mut statuses = std::iter::once(&expected["status"]).chain(any);
    let mut headers = expected["headers"].as_object().into_iter().flatten();
    outcome["outcome"] == "reject"
        && statuses.any(|status| outcome["status"] == *status)
        && headers.all(|(name, value)| header(response, name).as_deref() == value.as_str())
}

/// Runs the case at every split. The result must be the same each time.
fn at_every_split<T: PartialEq + std::fmt::Debug>(
    case: &Value,
    run: impl Fn(&[u8], &[usize]) -> T,
) -> Result<T, String> {
    let input = bytes(&case["input"]);
    let first = run(&input, &[input.len()]);
    for cuts in plan(case["id"].as_str().unwrap_or_default(), input.len(), has_tag(case, "stress")) {
        let got = run(&input, &ends(&cuts, input.len()));
        if got != first {
            return Err(format!("{cuts}\n    in one piece {first:?}\n    got          {got:?}"));
        }
    }
    Ok(first)
}

/// Returns the total number of bytes after each piece.
fn ends(cuts: &Cuts, len: usize) -> Vec<usize> {
    let sum = |total: &mut usize, piece| {
        *total += piece;
        Some(*total)
    };
    cuts.pieces(len).scan(0, sum).collect()
}

/// Reads bytes: a string whose characters are one byte each, or a list of such strings and repetitions.
pub fn bytes(input: &Value) -> Vec<u8> {
    match input {
        Value::String(text) => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
        Value::Array(parts) => parts.iter().flat_map(bytes).collect(),
        Value::Object(repeat) => {
            let times = usize::try_from(repeat["repeat"][1].as_u64().unwrap()).unwrap();
            bytes(&repeat["repeat"][0]).repeat(times)
        }
        _ => panic!("{input}"),
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().map_or(Vec::new(), |list| list.iter().map(|one| one.as_str().unwrap()).collect())
}

fn limits(config: &Value) -> HeadLimits {
    let get = |key: &str, default| config[key].as_u64().map_or(default, |n| usize::try_from(n).unwrap());
    HeadLimits::new().max_head(get("max_head", 16384)).max_headers(get("max_headers", 100))
}

fn deflate_config(config: &Value) -> DeflateConfig {
    let bits = |key: &str| u8::try_from(config[key].as_u64().unwrap_or(15)).unwrap();
    let flag = |key: &str| config[key].as_bool().unwrap_or(false);
    DeflateConfig::new()
        .server_no_context_takeover(flag("server_no_context_takeover"))
        .client_no_context_takeover(flag("client_no_context_takeover"))
        .server_max_window_bits(bits("server_max_window_bits"))
        .client_max_window_bits(bits("client_max_window_bits"))
}

fn params(params: DeflateParams) -> Value {
    let mut map = Map::new();
    for (name, set) in [
        ("server_no_context_takeover", params.server_no_context_takeover),
        ("client_no_context_takeover", params.client_no_context_takeover),
    ] {
        if set {
            map.insert(name.into(), true.into());
        }
    }
    for (name, bits) in [
        ("server_max_window_bits", params.server_max_window_bits),
        ("client_max_window_bits", params.client_max_window_bits),
    ] {
        if let Some(bits) = bits {
            map.insert(name.into(), bits.into());
        }
    }
    map.into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the value of a header in a request or response that this crate wrote.
pub fn header(response: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(response).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let mut found = head
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .filter(|(is, _)| is.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned());
    let value = found.next();
    assert_eq!(found.next(), None, "the header {name} occurs twice");
    value
}

/// Polls a server with `input[..cut]` for each `cut`, in order, until its outcome is known. Returns the outcome and
/// the response.
pub fn server_outcome(config: &Value, input: &[u8], cuts: &[usize]) -> (Value, Vec<u8>) {
    let mut handshake = ServerHandshake::new(limits(config));
    for &cut in cuts {
        let request = match handshake.poll(&input[..cut]) {
            Ok(None) => continue,
            Err(rejection) => return reject(rejection, input),
            Ok(Some(Incoming::Http(request))) => return reject(request.rejection(), input),
            Ok(Some(Incoming::Upgrade(request))) => request,
        };
        if let Some(origins) = config.get("origins") {
            if let Err(rejection) = request.check_origin(&strings(origins)) {
                return reject(rejection, input);
            }
        }
        let deflate = config.get("deflate").and_then(|deflate| {
            let config = deflate_config(deflate);
            let values = request.headers().get_all("Sec-WebSocket-Extensions");
            let agreed = negotiate_offer(values, &config).unwrap();
            assert!(cuts.len() > 1 || agreed == request.negotiate_deflate(&config));
            agreed
        });
        let subprotocol = request.select_subprotocol(&strings(&config["subprotocols"]));
        let mut out = [0; 1024];
        let len = request.accept().subprotocol(subprotocol).deflate(deflate).write(&mut out).unwrap();
        let response = out[..len].to_vec();
        assert!(response.starts_with(b"HTTP/1.1 101 "));
        assert_eq!(header(&response, "upgrade").as_deref(), Some("websocket"));
        assert_eq!(header(&response, "connection").as_deref(), Some("Upgrade"));
        let outcome = json!({
            "outcome": "accept",
            "accept": header(&response, "sec-websocket-accept"),
            "protocol": header(&response, "sec-websocket-protocol"),
            "extensions": header(&response, "sec-websocket-extensions"),
            "rest_hex": hex(&input[request.head_len()..]),
        });
        return (outcome, response);
    }
    (json!({"outcome": "need-more"}), Vec::new())
}

fn reject(rejection: Rejection, input: &[u8]) -> (Value, Vec<u8>) {
    let mut out = [0; 1024];
    let len = rejection.response().write(&mut out).unwrap();
    let response = out[..len].to_vec();
    assert!(response.starts_with(format!("HTTP/1.1 {} ", rejection.status()).as_bytes()));
    let text = std::str::from_utf8(&response).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    // RFC 9110 9.3.2: the answer to HEAD has the headers of the answer to GET, and no body.
    let is_head = input.strip_prefix(b"\r\n").unwrap_or(input).starts_with(b"HEAD ");
    let whole = format!("{}\n", rejection.reason());
    assert_eq!(body, if is_head { "" } else { &whole });
    assert_eq!(header(&response, "content-length"), Some(whole.len().to_string()));
    (json!({"outcome": "reject", "status": rejection.status()}), response)
}

/// Returns the nonce that a key encodes.
fn nonce(key: &str) -> [u8; 16] {
    use base64::Engine as _;
    let mut nonce = [0; 18];
    assert_eq!(base64::engine::general_purpose::STANDARD.decode_slice(key, &mut nonce), Ok(16));
    *nonce.first_chunk().unwrap()
}

/// Polls a client with `input[..cut]` for each `cut`, in order, until its outcome is known. Returns the outcome.
pub fn client_outcome(config: &Value, input: &[u8], cuts: &[usize]) -> Value {
    let subprotocols = strings(&config["subprotocols"]);
    let request = ClientRequest::new("server.example.com", "/chat")
        .subprotocols(&subprotocols)
        .extensions(config["offer"].as_str());
    let key = config["key"].as_str().unwrap();
    let mut handshake = ClientHandshake::new(request, nonce(key), limits(config)).unwrap();
    let mut out = [0; 1024];
    let len = handshake.write(&mut out).unwrap();
    assert_eq!(header(&out[..len], "sec-websocket-key").as_deref(), Some(key));
    for &cut in cuts {
        match handshake.poll(&input[..cut]) {
            Ok(None) => {}
            Err(error) => {
                assert!(error.to_string().contains("RFC"), "{error}");
                return json!({"outcome": "error"});
            }
            Ok(Some(Reply::Http(response))) => {
                return json!({"outcome": "http", "status": response.status()});
            }
            Ok(Some(Reply::Open(opened))) => {
                return json!({
                    "outcome": "ok",
                    "protocol": opened.subprotocol(),
                    "extensions": opened.deflate().map(params),
                    "rest_hex": hex(&input[opened.head_len()..]),
                });
            }
        }
    }
    json!({"outcome": "need-more"})
}

fn server_negotiation(case: &Value) -> Value {
    let offer = case["offer"].as_str().map(str::as_bytes);
    match negotiate_offer(offer, &deflate_config(&case["config"])) {
        Ok(Some(agreed)) => json!({"outcome": "accept", "params": params(agreed)}),
        Ok(None) => json!({"outcome": "decline"}),
        Err(Malformed) => json!({"outcome": "fail"}),
    }
}

fn client_negotiation(case: &Value) -> Value {
    let [offer, response] = ["offer", "response"].map(|key| case[key].as_str().map(str::as_bytes));
    match check_response(offer, response) {
        Ok(agreed) => json!({"outcome": "ok", "params": agreed.map(params)}),
        Err(_) => json!({"outcome": "error"}),
    }
}
