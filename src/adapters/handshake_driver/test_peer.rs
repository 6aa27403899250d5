//! An HTTP proxy and the server behind it, which answer each request at once, for the tests of all adapters.
//!
//! The adapters put the peer behind streams on virtual time. `silence.rs` has peers that stop answering.

use core::time::Duration;
use std::collections::VecDeque;
use std::vec::Vec;

use super::client::Client;
use super::connect_error::ConnectError;
use crate::dial::Stage;
use crate::handshake::{HeadLimits, Incoming, ServerHandshake};
use crate::proxy::ProxyUrl;

/// The proxy and the server. `answers` has the bytes that the test delivers to the client, at once or later.
#[derive(Default)]
pub(in crate::adapters) struct TestPeer {
    received: Vec<u8>,
    pub(in crate::adapters) answers: VecDeque<u8>,
}

impl TestPeer {
    pub(in crate::adapters) const LIMIT: Duration = Duration::from_secs(3);
    pub(in crate::adapters) const URL: &str = "ws://server.example/";

    /// Returns `client` with the proxy and the deadline.
    pub(in crate::adapters) fn client<R>(client: Client<R>) -> Client<R> {
        let proxy = ProxyUrl::parse("http://user:s3cr3t@127.0.0.1").unwrap();
        client.proxy(proxy).open_timeout(Some(Self::LIMIT))
    }

    /// Receives bytes of the client. Answers the request for a tunnel, and then the request for a WebSocket.
    pub(in crate::adapters) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        if !self.received.ends_with(b"\r\n\r\n") {
            return;
        }
        let head = core::mem::take(&mut self.received);
        if head.starts_with(b"CONNECT ") {
            self.answers.extend(b"HTTP/1.1 200 OK\r\n\r\n");
            return;
        }
        // RFC 9110 11.7.2: user and password are for the proxy only.
        assert!(!head.windows(9).any(|part| part.eq_ignore_ascii_case(b"\r\nProxy-A")), "{head:?}");
        match ServerHandshake::new(HeadLimits::new()).poll(&head) {
            Ok(Some(Incoming::Upgrade(request))) => self.answers.extend(request.accept().to_vec().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// Returns the stage in which the deadline has passed, or `None` if the WebSocket is open.
    #[track_caller]
    pub(in crate::adapters) fn stage_of<T, S>(result: Result<T, ConnectError<S>>) -> Option<Stage> {
        match result {
            Ok(_) => None,
            Err(ConnectError::Deadline(error)) => {
                assert_eq!(error.limit(), Self::LIMIT);
                Some(error.stage())
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Checks the results of `open`, which opens a WebSocket while the clock jumps over the deadline during one call on
    /// the stream. The argument of `open` is the index of this call. The second result of `open` is the number of
    /// calls.
    #[track_caller]
    pub(in crate::adapters) fn check_jumps(mut open: impl FnMut(usize) -> (Option<Stage>, usize)) {
        let (stage, calls) = open(usize::MAX);
        assert_eq!(stage, None);
        // A jump during the last call is too late to matter: the response is complete.
        let stages: Vec<_> = (0..calls).map(|jump| open(jump).0).collect();
        let in_tunnel = stages.iter().take_while(|stage| **stage == Some(Stage::Proxy)).count();
        let (tunnel, rest) = stages.split_at(in_tunnel);
        let (last, rest) = rest.split_last().unwrap();
        assert!(!tunnel.is_empty() && !rest.is_empty(), "{stages:?}");
        assert!(rest.iter().all(|stage| *stage == Some(Stage::Handshake)), "{stages:?}");
        assert_eq!(*last, None, "{stages:?}");
    }
}
