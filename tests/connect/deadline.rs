//! The deadline for all stages of opening, tested over loopback. The modules of the adapters test this deadline in
//! virtual time.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::adapters::{ADAPTERS, Adapter, Settings, To, name};
use crate::script::*;

/// Checks that each error of `attempt` is a missed deadline in the stage `expected`. `attempt` gets the time limit, and
/// returns the names of its errors.
///
/// On a busy machine, an attempt may reach the deadline in an earlier stage. In this case the attempt is repeated with
/// more time.
#[track_caller]
pub fn ends_in(expected: &str, attempt: impl Fn(Duration) -> Vec<String>) {
    let expected = format!("Deadline {expected}");
    let mut names = Vec::new();
    for limit in [100, 1000, 10_000].map(Duration::from_millis) {
        let began = Instant::now();
        names = attempt(limit);
        assert!(began.elapsed() >= limit);
        assert!(names.iter().all(|name| name.starts_with("Deadline ")), "{names:?}");
        if names.iter().all(|name| *name == expected) {
            return;
        }
    }
    panic!("{names:?} instead of {expected}");
}

#[test]
fn the_deadline_ends_an_attempt_whose_proxy_falls_silent() {
    for (proxy, script, stage) in [
        ("http", vec![Act::Silence], "Proxy"),
        ("http", vec![Act::AnyHead, send("HTTP/1.1 200 O"), Act::Silence], "Proxy"),
        ("socks5h", vec![send([5]), Act::Silence], "Proxy"),
        ("http", vec![Act::AnyHead, send("HTTP/1.1 200 OK\r\n\r\n"), Act::Silence], "Handshake"),
    ] {
        ends_in(stage, |limit| {
            let results = run(script.clone(), |port| {
                let settings = Settings::proxy(&format!("{proxy}://127.0.0.1:{port}"));
                (Settings { limit, ..settings }, "ws://server.example/".into())
            });
            results.into_iter().map(|(_, result)| name(&result.unwrap_err())).collect()
        });
    }
}

#[test]
fn with_a_time_limit_of_zero_the_error_names_the_first_stage() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = |adapter: Adapter, proxy: &str| {
        let settings = Settings { limit: Duration::ZERO, ..Settings::proxy(proxy) };
        name(&adapter.connect(&settings, To::Url("ws://server.example/")).unwrap_err())
    };
    for adapter in ADAPTERS {
        assert_eq!(error(adapter, &format!("http://{address}")), "Deadline Connecting", "{adapter:?}");
    }
    // The asynchronous adapters check whether the name is resolved before they read the clock, so this part tests only
    // `net`.
    assert_eq!(error(Adapter::Net, &format!("socks5://{address}")), "Deadline Resolving");
    assert_eq!(error(Adapter::Net, "http://proxy.example"), "Deadline Resolving");
}
