//! The contenders, one file for each. A new contender must be added to `all()`.
use crate::{Contender, Kind};

mod embedded;
mod fastws;
mod floor;
mod hybi;
mod sansio;
mod sockudo;
mod soketto;
mod tokiows;
mod tungstenite;
mod websocket;
mod wtx;
mod yawc;

pub fn all() -> Vec<&'static dyn Contender> {
    vec![
        &floor::Floor(65536),
        &floor::Floor(16384),
        &hybi::Hybi,
        &hybi::Owned,
        &tungstenite::Tungstenite(131072),
        &tungstenite::Tungstenite(8192),
        &fastws::FastWebsockets,
        &tokiows::TokioWebsockets,
        &soketto::Soketto,
        &yawc::Yawc,
        &sockudo::Stream,
        &sockudo::Proto,
        &websocket::WebSocketCrate,
        &sansio::SansIo,
        &embedded::Embedded,
        &wtx::Wtx,
    ]
}

/// Validates text, for libraries that leave this to the user.
#[inline]
pub fn validate(kind: Kind, p: &[u8]) {
    if kind == Kind::Text {
        simdutf8::basic::from_utf8(p).expect("the text must be UTF-8");
    }
}

/// Serves one opening handshake through hyper, for libraries that need it.
pub fn hyper_handshake<F>(io: crate::Io, f: F) -> Option<crate::Io>
where
    F: FnMut(hyper::Request<hyper::body::Incoming>) -> hyper::Response<http_body_util::Empty<bytes::Bytes>>,
{
    let f = std::cell::RefCell::new(f);
    let svc = hyper::service::service_fn(|req| {
        let r = (f.borrow_mut())(req);
        std::future::ready(Ok::<_, std::convert::Infallible>(r))
    });
    let mut conn =
        hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(io), svc);
    let done = crate::block_on(std::future::poll_fn(|cx| conn.poll_without_shutdown(cx)));
    if let Err(e) = done {
        eprintln!("hyper: {e:?}");
        return None;
    }
    Some(conn.into_parts().io.into_inner())
}
