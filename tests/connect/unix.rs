//! WebSockets over Unix sockets.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

use hybi::adapters::net::Server;

use crate::adapters::{ADAPTERS, ConnectError, Settings, To, name};
use crate::deadline::ends_in;

/// A path for a socket. The file is removed at the end.
struct Socket(PathBuf);

impl Socket {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hybi-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Returns settings with a proxy that does not exist, because no proxy is used for a Unix socket.
fn settings() -> Settings {
    Settings::proxy("http://127.0.0.1:1")
}

#[test]
fn a_websocket_opens_over_a_unix_socket() {
    for adapter in ADAPTERS {
        let socket = Socket::new("open");
        let listener = UnixListener::bind(&socket.0).unwrap();
        let server = thread::spawn(move || {
            let request = Server::new().receive_stream(listener.accept().unwrap().0).unwrap();
            assert_eq!((request.head().host(), request.head().path()), (Some("server.example:81"), "/chat"));
            let mut ws = request.accept().unwrap();
            let message = ws.recv().unwrap().unwrap();
            ws.send(message).unwrap();
            ws.recv()
        });
        let answer = adapter.connect(&settings(), To::Unix(&socket.0, "ws://server.example:81/chat"));
        assert_eq!(answer.unwrap().as_deref(), Some("hello"), "{adapter:?}");
        let _ = server.join().unwrap();
    }
}

#[test]
fn a_unix_socket_that_does_not_exist_or_is_silent_has_a_typed_error() {
    for adapter in ADAPTERS {
        let socket = Socket::new("silent");
        let error = adapter.connect(&settings(), To::Unix(&socket.0, "ws://server.example/")).unwrap_err();
        let ConnectError::Connect(why) = &error else { panic!("{error:?}") };
        assert_eq!(why.kind(), std::io::ErrorKind::NotFound, "{adapter:?}");
        assert!(error.to_string().contains(socket.0.to_str().unwrap()), "{adapter:?} {error}");

        let listener = UnixListener::bind(&socket.0).unwrap();
        // The system accepts the connections, and nothing answers.
        ends_in("Handshake", |limit| {
            let to = To::Unix(&socket.0, "ws://server.example/");
            vec![name(&adapter.connect(&Settings { limit, ..settings() }, to).unwrap_err())]
        });
        drop(listener);
        let error = adapter.connect(&settings(), To::Unix(&socket.0, "ftp://server.example/")).unwrap_err();
        assert_eq!(name(&error), "Url(Scheme)", "{adapter:?}");
    }
}
