//! The deadline over all stages, over loopback. The virtual times are in the modules of the adapters.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::adapters::{ADAPTERS, Adapter, Settings, To, name};
use crate::script::*;

const LIMIT: Duration = Duration::from_millis(120);

#[test]
fn a_proxy_that_falls_silent_ends_at_the_deadline() {
    for (proxy, script, stage) in [
        ("http", vec![Act::Silence], "Proxy"),
        ("http", vec![Act::AnyHead, send("HTTP/1.1 200 O"), Act::Silence], "Proxy"),
        ("socks5h", vec![send([5]), Act::Silence], "Proxy"),
        ("http", vec![Act::AnyHead, send("HTTP/1.1 200 OK\r\n\r\n"), Act::Silence], "Handshake"),
    ] {
        let began = Instant::now();
        let results = run(script, |port| {
            let settings = Settings::proxy(&format!("{proxy}://127.0.0.1:{port}"));
            (Settings { limit: LIMIT, ..settings }, "ws://server.example/".into())
        });
        assert!(began.elapsed() >= LIMIT * 3);
        for (adapter, result) in results {
            assert_eq!(name(&result.unwrap_err()), format!("Deadline {stage}"), "{adapter:?} {proxy}");
        }
    }
}

#[test]
fn without_time_the_first_stage_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = |adapter: Adapter, proxy: &str| {
        let settings = Settings { limit: Duration::ZERO, ..Settings::proxy(proxy) };
        name(&adapter.connect(&settings, To::Url("ws://server.example/")).unwrap_err())
    };
    for adapter in ADAPTERS {
        assert_eq!(error(adapter, &format!("http://{address}")), "Deadline Connecting", "{adapter:?}");
    }
    // The other two adapters look whether the name is resolved before they look at the clock.
    assert_eq!(error(Adapter::Net, &format!("socks5://{address}")), "Deadline Resolving");
    assert_eq!(error(Adapter::Net, "http://proxy.example"), "Deadline Resolving");
}
