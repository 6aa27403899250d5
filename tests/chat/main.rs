//! Tests of the chat example with clients that are not browsers. `browser.mjs` tests the page in a browser.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::future::pending;
use std::time::Duration;

use hybi::adapters::tokio::{Client, WebSocket};
use hybi::{CloseCode, Message, Outcome};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

#[allow(dead_code, reason = "its main function")]
#[path = "../../examples/chat/main.rs"]
mod chat;

/// The maximum duration of a test.
const MAX_DURATION: Duration = Duration::from_secs(60);
/// The size of a client's receive buffer in bytes. It is small, so that the server soon notices a client that does not
/// read.
const RECEIVE_BUFFER: u32 = 4 << 10;

/// Runs `test` with the URL of a new chat room.
fn with_room<F: Future<Output = ()>>(test: impl FnOnce(String) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/chat", listener.local_addr().unwrap());
        let server = tokio::spawn(chat::serve(listener, pending()));
        tokio::time::timeout(MAX_DURATION, test(url)).await.unwrap();
        server.abort();
    });
}

async fn connect(url: &str) -> WebSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    let address = url.trim_start_matches("ws://").trim_end_matches("/chat").parse().unwrap();
    let stream = socket.connect(address).await.unwrap();
    Client::new().subprotocols(["chat.hybi.example"]).open(stream, url).await.unwrap()
}

/// Connects and enters the room under `name`. Reads the welcome, but no message after it.
async fn enter(url: &str, name: &str) -> WebSocket {
    let mut ws = connect(url).await;
    ws.send_text(name).await.unwrap();
    assert_eq!(next(&mut ws).await["welcome"], name);
    ws
}

async fn next(ws: &mut WebSocket) -> Value {
    let Some(Message::Text(text)) = ws.recv().await.unwrap() else { panic!("no text") };
    serde_json::from_str(&text).unwrap()
}

async fn code(mut ws: WebSocket) -> CloseCode {
    ws.wait_closed().await.unwrap().code()
}

#[test]
fn a_slow_reader_is_dropped_with_1013_and_no_client_waits_for_it() {
    with_room(|url| async move {
        let (mut quick, slow) = (enter(&url, "Quick").await, enter(&url, "Slow").await);
        assert_eq!(next(&mut quick).await, json!({ "joined": "Slow" }));
        // These messages are more than the socket buffers and the room's queue for one client hold.
        let text = "x".repeat(4000);
        let mut left = false;
        for _ in 0..4096 {
            quick.send_text(&text).await.unwrap();
            let mut got = next(&mut quick).await;
            if got == json!({ "left": "Slow" }) {
                left = true;
                got = next(&mut quick).await;
            }
            assert_eq!(got, json!({ "from": "Quick", "text": text }));
            if left {
                break;
            }
        }
        assert!(left);

        // The slow reader gets the messages that were queued for it, and then the Close.
        let mut slow = slow;
        while let Some(message) = slow.recv().await.unwrap() {
            let Message::Text(message) = message else { panic!("no text") };
            assert_eq!(serde_json::from_str::<Value>(&message).unwrap()["text"], text);
        }
        assert_eq!(slow.outcome(), Some(Outcome::Clean { code: CloseCode::TRY_AGAIN_LATER }));
        // The room still works for the other client.
        quick.send_text("still here").await.unwrap();
        assert_eq!(next(&mut quick).await["text"], "still here");
    });
}

#[test]
fn a_new_client_gets_the_last_fifty_messages() {
    with_room(|url| async move {
        let mut first = enter(&url, "First").await;
        for number in 0..60 {
            first.send_text(&number.to_string()).await.unwrap();
            assert_eq!(next(&mut first).await["text"], number.to_string());
        }
        let mut second = enter(&url, "Second").await;
        for number in 10..60 {
            assert_eq!(next(&mut second).await, json!({ "from": "First", "text": number.to_string() }));
        }
        first.close(CloseCode::NORMAL, "").await.unwrap();
        assert_eq!(next(&mut second).await, json!({ "left": "First" }));
    });
}

#[test]
fn invalid_names_and_messages_end_the_connection_with_a_matching_code() {
    with_room(|url| async move {
        for (name, accepted) in [("  a \u{7} b ", Some("a b")), (" \t\n", None), (&"x".repeat(33), None)] {
            let mut ws = connect(&url).await;
            ws.send_text(name).await.unwrap();
            match accepted {
                Some(accepted) => assert_eq!(next(&mut ws).await["welcome"], accepted),
                None => assert_eq!(code(ws).await, CloseCode::POLICY_VIOLATION),
            }
        }
        let mut ws = connect(&url).await;
        ws.send_binary(b"name").await.unwrap();
        assert_eq!(code(ws).await, CloseCode::UNSUPPORTED_DATA);
        let mut ws = enter(&url, "Binary").await;
        ws.send_binary(b"text").await.unwrap();
        assert_eq!(code(ws).await, CloseCode::UNSUPPORTED_DATA);
        let mut ws = enter(&url, "Large").await;
        ws.send_text(&"x".repeat(4097)).await.unwrap();
        assert_eq!(code(ws).await, CloseCode::MESSAGE_TOO_BIG);
    });
}
