//! The proxy variables of the environment.

use hybi::handshake::WsUrl;
use hybi::proxy::{Proxy, ProxyUrlError};

/// Returns the proxy that `variables` name for `url`. The variables are written as in a shell, separated by semicolons.
fn proxy_for(variables: &str, url: &str) -> String {
    let proxy = Proxy::from_variables(|name| {
        let mut all = variables.split(';').filter_map(|one| one.split_once('='));
        all.find(|(is, _)| is.trim() == name).map(|(_, value)| value.to_owned())
    });
    match proxy.for_url(&WsUrl::parse(url).unwrap()) {
        Ok(None) => "direct".into(),
        Ok(Some(proxy)) => proxy.to_string(),
        Err(error) => format!("{} {:?}", error.variable(), error.reason()),
    }
}

#[track_caller]
fn check(table: &[(&str, &str, &str)]) {
    for (variables, url, expected) in table {
        assert_eq!(proxy_for(variables, url), *expected, "{variables} for {url}");
    }
}

#[test]
fn s4_1_3_variables_are_tried_in_order() {
    let all = "http_proxy=http://h;https_proxy=http://s;all_proxy=socks5://a;socks_proxy=socks5://k;\
               ws_proxy=http://w;wss_proxy=http://ww";
    check(&[
        ("", "wss://x", "direct"),
        (all, "ws://x", "http://w:80"),
        (all, "wss://x", "http://ww:80"),
        // `http` and `https` URLs mean `ws` and `wss`.
        (all, "http://x", "http://w:80"),
        (all, "https://x", "http://ww:80"),
        ("ws_proxy=http://w", "wss://x", "direct"),
        ("wss_proxy=http://w", "ws://x", "direct"),
        ("http_proxy=http://h;https_proxy=http://s;socks_proxy=socks5://k", "ws://x", "socks5://k:1080"),
        ("http_proxy=http://h;https_proxy=http://s;socks_proxy=socks5://k", "wss://x", "socks5://k:1080"),
        ("all_proxy=socks5://a;socks_proxy=socks5h://k", "wss://x", "socks5h://k:1080"),
        // Python and its library `websockets` ignore all_proxy. So all_proxy comes last, also if it names a SOCKS
        // proxy.
        ("https_proxy=http://s;all_proxy=socks5h://a", "wss://x", "http://s:80"),
        ("https_proxy=http://s;all_proxy=socks://a", "ws://x", "http://s:80"),
        ("http_proxy=http://h;all_proxy=socks5h://a", "ws://x", "http://h:80"),
        ("http_proxy=http://h;all_proxy=socks5h://a", "wss://x", "socks5h://a:1080"),
        ("https_proxy=http://s;all_proxy=http://a", "wss://x", "http://s:80"),
        ("http_proxy=http://h;all_proxy=http://a", "ws://x", "http://h:80"),
        ("http_proxy=http://h;all_proxy=http://a", "wss://x", "http://a:80"),
        ("http_proxy=http://h;https_proxy=http://s", "ws://x", "http://s:80"),
        ("http_proxy=http://h", "ws://x", "http://h:80"),
        ("http_proxy=http://h", "wss://x", "direct"),
        ("all_proxy=https://a", "wss://x", "https://a:443"),
        ("ftp_proxy=http://f", "ws://x", "direct"),
    ]);
}

#[test]
fn names_in_lower_case_come_before_names_in_upper_case() {
    check(&[
        ("HTTPS_PROXY=http://u", "wss://x", "http://u:80"),
        ("HTTPS_PROXY=http://u;https_proxy=http://l", "wss://x", "http://l:80"),
        ("https_proxy=;HTTPS_PROXY=http://u", "wss://x", "direct"),
        ("https_proxy=  ;HTTPS_PROXY=http://u", "wss://x", "direct"),
        ("https_proxy=;HTTPS_PROXY=http://u;http_proxy=http://h", "ws://x", "http://h:80"),
        ("WSS_PROXY=http://w;https_proxy=http://s", "wss://x", "http://w:80"),
        ("WS_PROXY=http://w", "ws://x", "http://w:80"),
        ("SOCKS_PROXY=socks5://k", "wss://x", "socks5://k:1080"),
        ("ALL_PROXY=socks5://a", "wss://x", "socks5://a:1080"),
        ("NO_PROXY=x;https_proxy=http://s", "wss://x", "direct"),
        ("NO_PROXY=x;no_proxy=y;https_proxy=http://s", "wss://x", "http://s:80"),
        ("NO_PROXY=x;no_proxy=;https_proxy=http://s", "wss://x", "http://s:80"),
        ("Https_Proxy=http://m", "wss://x", "direct"),
    ]);
}

#[test]
fn a_cgi_program_ignores_http_proxy_in_upper_case() {
    check(&[
        ("HTTP_PROXY=http://evil", "ws://x", "http://evil:80"),
        ("HTTP_PROXY=http://evil;REQUEST_METHOD=GET", "ws://x", "direct"),
        ("HTTP_PROXY=http://evil;REQUEST_METHOD=", "ws://x", "direct"),
        ("HTTP_PROXY=http://evil;REQUEST_METHOD=GET;http_proxy=http://h", "ws://x", "http://h:80"),
        ("HTTPS_PROXY=http://s;REQUEST_METHOD=GET", "ws://x", "http://s:80"),
        ("HTTP_PROXY=http://evil;REQUEST_METHOD=GET;ALL_PROXY=http://a", "ws://x", "http://a:80"),
    ]);
}

#[test]
fn values_may_lack_a_scheme_and_errors_name_the_variable() {
    check(&[
        ("https_proxy=proxy.example:3128", "wss://x", "http://proxy.example:3128"),
        ("https_proxy= http://s ", "wss://x", "http://s:80"),
        ("https_proxy=user:pass@s:1", "wss://x", "http://s:1"),
        ("socks_proxy=127.0.0.1:9050", "wss://x", "socks5h://127.0.0.1:9050"),
        ("socks_proxy=http://h:1", "wss://x", "http://h:1"),
        ("all_proxy=socks.example:1", "wss://x", "http://socks.example:1"),
        ("https_proxy=ftp://s", "wss://x", "https_proxy Scheme"),
        ("HTTPS_PROXY=http://s/path", "wss://x", "HTTPS_PROXY Path"),
        // An invalid all_proxy has no effect if another variable names the proxy.
        ("all_proxy=socks4://a;https_proxy=http://s", "wss://x", "http://s:80"),
        ("all_proxy=socks6://a;https_proxy=http://s", "wss://x", "http://s:80"),
        ("all_proxy=ftp://a;https_proxy=http://s", "wss://x", "http://s:80"),
        ("all_proxy=socks4://a", "wss://x", "all_proxy Socks4"),
        // An invalid value is not an error for a URL to which the variable does not apply.
        ("http_proxy=x y;https_proxy=http://s", "wss://x", "http://s:80"),
        ("https_proxy=x y;no_proxy=x", "wss://x", "direct"),
        // An invalid value is an error for the other URLs, even if another variable names a proxy.
        ("wss_proxy=x y;https_proxy=http://s", "wss://x", "wss_proxy Host"),
    ]);
}

#[test]
fn no_proxy_lists_servers_that_are_reached_directly() {
    for (list, url, direct) in [
        ("*", "wss://anything.example", true),
        ("*", "wss://[::1]", true),
        ("a, *", "wss://x", true),
        ("**", "wss://x", false),
        ("example.com", "wss://example.com", true),
        ("example.com", "wss://EXAMPLE.COM", true),
        ("Example.Com", "wss://example.com", true),
        ("example.com", "wss://www.example.com", true),
        ("example.com", "wss://a.b.example.com", true),
        ("example.com", "wss://notexample.com", false),
        ("example.com", "wss://example.com.evil", false),
        ("example.com", "wss://com", false),
        ("www.example.com", "wss://example.com", false),
        (".example.com", "wss://www.example.com", true),
        (".example.com", "wss://example.com", true),
        (".example.com", "wss://notexample.com", false),
        ("..example.com", "wss://example.com", true),
        ("*.example.com", "wss://www.example.com", true),
        ("*.example.com", "wss://example.com", true),
        ("*.example.com", "wss://notexample.com", false),
        ("*example.com", "wss://notexample.com", false),
        ("*example.com", "wss://example.com", false),
        ("w*.example.com", "wss://www.example.com", false),
        ("example.com.", "wss://example.com", true),
        ("example.com", "wss://example.com.", true),
        (".", "wss://example.com", false),
        ("", "wss://example.com", false),
        (" , ,", "wss://example.com", false),
        // Commas and whitespace separate the entries.
        ("a,example.com", "wss://example.com", true),
        ("a , example.com ,b", "wss://example.com", true),
        ("a example.com\tb", "wss://b", true),
        ("a,,example.com,", "wss://example.com", true),
        ("a;example.com", "wss://example.com", false),
        // Ports.
        ("example.com:443", "wss://example.com", true),
        ("example.com:443", "wss://www.example.com", true),
        ("example.com:80", "wss://example.com", false),
        ("example.com:8443", "wss://example.com:8443", true),
        ("example.com:80", "ws://example.com", true),
        ("example.com:", "ws://example.com", false),
        ("example.com:x", "ws://example.com", false),
        (":443", "wss://example.com", false),
        // Loopback names and addresses need an entry like any other server.
        ("a", "ws://localhost", false),
        ("a", "ws://127.0.0.1", false),
        ("a", "ws://[::1]", false),
        ("localhost", "ws://localhost:9001", true),
        ("localhost", "ws://app.localhost", true),
        ("localhost", "ws://127.0.0.1", false),
        ("127.0.0.1", "ws://localhost", false),
        // Addresses.
        ("10.0.0.1", "ws://10.0.0.1", true),
        ("10.0.0.1", "ws://10.0.0.12", false),
        ("0.0.1", "ws://10.0.0.1", false),
        (".0.0.1", "ws://10.0.0.1", false),
        ("10.0.0.1:80", "ws://10.0.0.1", true),
        ("10.0.0.1:81", "ws://10.0.0.1", false),
        ("::1", "ws://[::1]", true),
        ("[::1]", "ws://[::1]", true),
        ("0:0:0:0:0:0:0:1", "ws://[::1]", true),
        ("[::1]:80", "ws://[::1]", true),
        ("[::1]:81", "ws://[::1]", false),
        ("[::1", "ws://[::1]", false),
        ("[::1]x", "ws://[::1]", false),
        ("2001:DB8::1", "ws://[2001:db8::1]", true),
        ("10.0.0.1", "ws://[::ffff:10.0.0.1]", true),
        // CIDR blocks.
        ("10.0.0.0/8", "ws://10.255.0.1", true),
        ("10.0.0.0/8", "ws://11.0.0.1", false),
        ("10.1.2.3/8", "ws://10.255.0.1", true),
        ("192.168.1.128/25", "ws://192.168.1.129", true),
        ("192.168.1.128/25", "ws://192.168.1.127", false),
        ("0.0.0.0/0", "ws://203.0.113.9", true),
        ("10.0.0.0/8", "ws://[::ffff:10.0.0.1]", true),
        ("0.0.0.0/0", "ws://[::1]", false),
        ("0.0.0.0/0", "ws://example.com", false),
        ("10.0.0.1/32", "ws://10.0.0.1", true),
        ("10.0.0.1/32", "ws://10.0.0.2", false),
        ("10.0.0.0/33", "ws://10.0.0.1", false),
        ("10.0.0.0/x", "ws://10.0.0.1", false),
        ("10.0.0.0/", "ws://10.0.0.1", false),
        ("10.0.0.0/8:80", "ws://10.0.0.1", false),
        ("fd00::/8", "ws://[fd12::1]", true),
        ("fd00::/8", "ws://[fe80::1]", false),
        ("fd00::/129", "ws://[fd00::1]", false),
        ("2001:db8::/33", "ws://[2001:db8:7fff::1]", true),
        ("2001:db8::/33", "ws://[2001:db8:8000::1]", false),
        ("::/0", "ws://[2001:db8::1]", true),
        ("::/0", "ws://10.0.0.1", false),
        ("::1/128", "ws://[::1]", true),
        // A block of IPv4 addresses in the form of IPv6 (RFC 4291 section 2.5.5.2).
        ("::ffff:10.0.0.0/104", "ws://10.255.0.1", true),
        ("::ffff:10.0.0.0/104", "ws://[::ffff:10.255.0.1]", true),
        ("::ffff:10.0.0.0/104", "ws://11.0.0.1", false),
        ("::ffff:10.0.0.0/104", "ws://[::10.0.0.1]", false),
        ("::ffff:0.0.0.0/96", "ws://203.0.113.9", true),
        ("::ffff:0.0.0.0/96", "ws://[::1]", false),
        ("::ffff:10.0.0.1/128", "ws://10.0.0.1", true),
        ("::ffff:10.0.0.1/128", "ws://10.0.0.2", false),
        ("::ffff:10.0.0.1/129", "ws://10.0.0.1", false),
        ("::ffff:10.0.0.1/95", "ws://10.0.0.1", false),
        ("::ffff:10.0.0.1/95", "ws://[::fffe:a00:1]", true),
        // Forms that match nothing.
        ("http://example.com", "ws://example.com", false),
        ("example.com/path", "ws://example.com", false),
    ] {
        let expected = if direct { "direct" } else { "http://p:80" };
        for variable in ["no_proxy", "NO_PROXY"] {
            let variables = format!("ws_proxy=http://p;wss_proxy=http://p;{variable}={list}");
            assert_eq!(proxy_for(&variables, url), expected, "{list:?} for {url}");
        }
    }
}

#[test]
fn a_fixed_proxy_and_a_disabled_proxy_do_not_depend_on_the_environment() {
    let url = WsUrl::parse("ws://localhost/").unwrap();
    let proxy = Proxy::url("http://p:1").unwrap();
    assert_eq!(proxy.for_url(&url).unwrap().unwrap().to_string(), "http://p:1");
    assert_eq!(Proxy::none().for_url(&url), Ok(None));
    assert_eq!(Proxy::default().for_url(&url), Ok(None));
    assert_eq!(Proxy::url("p:1").unwrap_err(), ProxyUrlError::SchemeMissing);
}

#[test]
fn secrets_appear_in_no_text() {
    let proxy = Proxy::from_variables(|name| match name {
        "https_proxy" => Some("http://uSeR:pAsS@proxy.example".into()),
        "http_proxy" => Some("http://uSeR:pA/sS@proxy.example".into()),
        "no_proxy" => Some("a.example".into()),
        _ => None,
    });
    let text = format!("{proxy:?}");
    assert!(!text.contains("uSeR") && !text.contains("sS"), "{text}");
    assert!(text.contains("proxy.example") && text.contains("https_proxy") && text.contains("a.example"));
    let proxy = Proxy::from_variables(|name| (name == "wss_proxy").then(|| "x://uSeR:pAsS@p".into()));
    let error = proxy.for_url(&WsUrl::parse("wss://a").unwrap()).unwrap_err();
    let text = format!("{error} {error:?} {proxy:?}");
    assert!(!text.contains("uSeR") && !text.contains("pAsS"), "{text}");
    assert!(error.to_string().starts_with("the environment variable wss_proxy cannot be used: the scheme"));
}

/// Checks nothing if `HYBI_TEST_EXPECTED` is not set. The test below sets this variable and proxy variables in other
/// processes, which run this test.
#[cfg(all(feature = "std", unix))]
#[test]
fn process_with_variables() {
    let Ok(expected) = std::env::var("HYBI_TEST_EXPECTED") else { return };
    let proxy = Proxy::from_env();
    let found = proxy.for_url(&WsUrl::parse("ws://example.com/").unwrap());
    let found = match found {
        Ok(proxy) => proxy.map_or("direct".into(), ToString::to_string),
        Err(error) => format!("{} {:?}", error.variable(), error.reason()),
    };
    assert_eq!(found, expected);
}

#[cfg(all(feature = "std", unix))]
#[test]
fn the_environment_of_the_process_is_read() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    /// Variables, and the expected proxy.
    type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a str);

    let cases: [Case<'_>; 5] = [
        (&[], "direct"),
        (&[("http_proxy", b"http://p:1"), ("HTTP_PROXY", b"http://q:1")], "http://p:1"),
        (&[("HTTP_PROXY", b"http://q:1"), ("REQUEST_METHOD", b"GET")], "direct"),
        (&[("ALL_PROXY", b"socks5h://p"), ("NO_PROXY", b"localhost, example.com")], "direct"),
        (&[("ws_proxy", b"http://u:\xff@p")], "ws_proxy Character"),
    ];
    for (variables, expected) in cases {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "environment::process_with_variables"]).env_clear();
        child.env("HYBI_TEST_EXPECTED", expected);
        for (name, value) in variables {
            child.env(name, OsStr::from_bytes(value));
        }
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{variables:?}: {text}");
    }
}
