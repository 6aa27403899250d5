//! The URLs of proxies.

use hybi::proxy::{ProxyScheme, ProxyUrl, ProxyUrlError};

#[test]
fn s3986_valid_urls_are_split_and_decoded() {
    use ProxyScheme::*;
    for (url, scheme, host, port, credentials) in [
        ("http://proxy.example", Http, "proxy.example", 80, false),
        ("http://proxy.example/", Http, "proxy.example", 80, false),
        ("HTTP://proxy.example:3128", Http, "proxy.example", 3128, false),
        ("https://proxy.example", Https, "proxy.example", 443, false),
        ("socks5://proxy.example", Socks5, "proxy.example", 1080, false),
        ("socks5h://proxy.example:", Socks5h, "proxy.example", 1080, false),
        ("Socks://127.0.0.1:9050/", Socks5h, "127.0.0.1", 9050, false),
        ("http://[::1]:8080", Http, "[::1]", 8080, false),
        ("http://a_b.c-d", Http, "a_b.c-d", 80, false),
        ("http://user@p", Http, "p", 80, true),
        ("http://user:pa:ss@p:1", Http, "p", 1, true),
        ("http://us%3Aer@p", Http, "p", 80, true),
        ("http://a@b:c@p", Http, "p", 80, true),
        ("http://@p", Http, "p", 80, false),
        ("socks5://us%3Aer:%00@p", Socks5, "p", 1080, true),
        // Some services use a token as the user, and no password.
        ("socks5h://token:@p", Socks5h, "p", 1080, true),
        ("socks5://token@p", Socks5, "p", 1080, true),
        ("https://u:p@[2001:db8::1]:65535/", Https, "[2001:db8::1]", 65535, true),
    ] {
        if url.contains("http://us%3A") {
            assert_eq!(ProxyUrl::parse(url), Err(ProxyUrlError::BasicUser));
            continue;
        }
        let proxy = ProxyUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!((proxy.scheme(), proxy.host(), proxy.port()), (scheme, host, port), "{url}");
        assert_eq!(proxy.has_credentials(), credentials, "{url}");
        assert_eq!(proxy.host_for_connect(), host.trim_matches(['[', ']']));
        assert_eq!(proxy.secure(), scheme == Https);
        let shown = format!("{}://{host}:{port}", scheme.as_str());
        assert_eq!(proxy.to_string(), shown);
        // The shown text names the same proxy.
        assert_eq!(ProxyUrl::parse(&shown).unwrap().to_string(), shown);
        assert_eq!(ProxyUrl::parse(&shown).unwrap() == proxy, !credentials);
    }
}

#[test]
fn credentials_need_no_percent_encoding() {
    use ProxyUrlError::*;
    let long = "x".repeat(256);
    for (url, user, password, same_as) in [
        ("http://p", "u", "p@/?#%", Ok("http://u:p%40%2F%3F%23%25@p")),
        ("http://old:one@p:1", "u", "p", Ok("http://u:p@p:1")),
        ("https://p", "token", "", Ok("https://token:@p")),
        ("socks5h://p", "token", "", Ok("socks5h://token:@p")),
        ("socks5://p", "a:b", "\u{fc}\n", Ok("socks5://a%3Ab:%C3%BC%0A@p")),
        ("http://p", "a:b", "", Err(BasicUser)),
        ("http://p", "a", "b\r\nX: y", Err(BasicControl)),
        ("socks5://p", "", "p", Err(SocksUser)),
        ("socks5://p", "", "", Err(SocksUser)),
        ("socks5://p", &long, "p", Err(SocksUser)),
        ("socks5://p", "u", &long, Err(SocksPassword)),
    ] {
        let proxy = url.parse::<ProxyUrl>().unwrap().credentials(user, password);
        assert_eq!(proxy, same_as.map(|url| ProxyUrl::parse(url).unwrap()), "{url} {user:?}");
        assert!(proxy.is_err() || proxy.unwrap().has_credentials());
    }
    // A password may have bytes that are not UTF-8.
    let proxy = ProxyUrl::parse("http://p").unwrap().credentials(b"u", b"\xff");
    assert_eq!(proxy, ProxyUrl::parse("http://u:%ff@p"));
}

#[test]
fn s3986_invalid_urls_are_refused_with_advice() {
    use ProxyUrlError::*;
    let long = "x".repeat(256);
    let (long_user, long_password) = (format!("socks5://{long}:p@h"), format!("socks5://u:{long}@h"));
    for (url, error, advice) in [
        ("", SchemeMissing, "http://host:port"),
        ("proxy.example:3128", SchemeMissing, "http://host:port"),
        ("http:proxy", SchemeMissing, "http://host:port"),
        ("ftp://p", Scheme, "socks5h"),
        ("ws://p", Scheme, "socks5h"),
        ("://p", Scheme, "socks5h"),
        ("quic://p", Scheme, "socks5h"),
        ("socks4://p", Socks4, "socks5h://"),
        ("SOCKS4A://p:1080", Socks4, "socks5h://"),
        ("http://p/path", Path, "scheme://host:port"),
        ("http://p?q", Path, "scheme://host:port"),
        ("http://p#f", Path, "%23"),
        ("http://u:a/b@p", Path, "%2F"),
        ("http://u:a#b@p", Path, "%23"),
        ("http://u:a?b@p", Path, "%3F"),
        ("http://", Host, "brackets"),
        ("http://:80", Host, "brackets"),
        ("http://::1", Host, "brackets"),
        ("http://[::1", Host, "brackets"),
        ("http://a b", Host, "scheme://host:port"),
        ("http://a%41", Host, "scheme://host:port"),
        ("http://a,b", Host, "scheme://host:port"),
        ("http://a\r\nb", Host, "scheme://host:port"),
        ("http://b\u{fc}cher", HostNotAscii, "xn--"),
        ("http://p:0", Port, "65535"),
        ("http://p:65536", Port, "65535"),
        ("http://p:x", Port, "65535"),
        ("http://p:-1", Port, "65535"),
        ("http://u v:p@h", Character, "%20"),
        ("http://u:p\u{fc}@h", Character, "percent-encode"),
        ("http://u:p\n@h", Character, "percent-encode"),
        ("http://u:%@h", PercentEncoding, "%25"),
        ("http://u:%4@h", PercentEncoding, "%25"),
        ("http://u%zz@h", PercentEncoding, "%25"),
        ("https://a%3ab:c@h", BasicUser, "another user"),
        ("http://a:b%0d%0aX%3a%20y@h", BasicControl, "remove"),
        ("http://a%7F:b@h", BasicControl, "remove"),
        ("socks5://:p@h", SocksUser, "socks5h://user:password@"),
        (&long_user, SocksUser, "255"),
        (&long_password, SocksPassword, "255"),
    ] {
        assert_eq!(ProxyUrl::parse(url), Err(error), "{url:?}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}
