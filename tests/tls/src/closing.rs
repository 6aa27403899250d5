//! How connections over TLS end: with `close_notify`, without it, and after violations of TLS. The tests run with
//! clients of rustls and of native-tls. The peers use the streams of rustls.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use hybi::adapters::net::{ClientStream, Error, Stream, TlsStream, WebSocket};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::tls::TlsError;
use hybi::{CloseCode, Outcome};

use rustls::{ServerConfig, ServerConnection};

use crate::identity::{Tls, both_on_localhost};

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };

/// The server's side of a TLS connection, as a stream of rustls.
type ServerTls = rustls::StreamOwned<ServerConnection, TcpStream>;

/// Starts a server that accepts one connection, answers the request of a WebSocket, and calls `serve`.
fn server<T: Send + 'static>(
    config: Arc<ServerConfig>,
    serve: impl FnOnce(ServerTls) -> T + Send + 'static,
) -> (String, thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let serving = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut tls = rustls::StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tls.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = hybi::handshake::accept_key(key.as_bytes());
        let accept = std::str::from_utf8(&accept).unwrap();
        write!(
            tls,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .unwrap();
        serve(tls)
    });
    (url, serving)
}

fn connect(tls: &Tls, url: &str) -> WebSocket<ClientStream> {
    tls.configure(hybi::adapters::net::Client::new()).connect(url).unwrap()
}

/// Answers the Close of a client, and reads up to the end of the stream. Returns the result of the last read.
fn answer_close(mut tls: ServerTls) -> std::io::Result<usize> {
    let mut close = [0; 8];
    tls.read_exact(&mut close).unwrap();
    assert_eq!(close[..2], *b"\x88\x82");
    tls.write_all(b"\x88\x02\x03\xe8").unwrap();
    tls.conn.send_close_notify();
    tls.flush().unwrap();
    tls.read(&mut [0; 100])
}

#[test]
fn a_blocking_client_sends_close_notify() {
    for (client, config) in both_on_localhost() {
        let (url, serving) = server(config, answer_close);
        let mut ws = connect(&client, &url);
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        assert_eq!(serving.join().unwrap().unwrap(), 0);
    }
}

#[test]
fn a_client_on_tokio_sends_close_notify() {
    for (client, config) in both_on_localhost() {
        let (url, serving) = server(config, answer_close);
        ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let mut ws = client.configure(on_tokio::Client::new()).connect(&url).await.unwrap();
            ws.close(CloseCode::NORMAL, "").await.unwrap();
            assert_eq!(ws.wait_closed().await.unwrap(), CLEAN);
        });
        assert_eq!(serving.join().unwrap().unwrap(), 0);
    }
}

#[test]
fn a_client_on_smol_sends_close_notify() {
    for (client, config) in both_on_localhost() {
        let (url, serving) = server(config, answer_close);
        smol::block_on(async {
            let mut ws = client.configure(futures_io::Client::new()).connect(&url).await.unwrap();
            ws.close(CloseCode::NORMAL, "").await.unwrap();
            assert_eq!(ws.wait_closed().await.unwrap(), CLEAN);
        });
        assert_eq!(serving.join().unwrap().unwrap(), 0);
    }
}

/// Returns whether `error` is a truncation, which [`TlsError::Truncated`] reports.
fn is_truncation(error: &Error) -> bool {
    let Error::Io(error) = error else { return false };
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>());
    error.kind() == ErrorKind::UnexpectedEof && tls == Some(&TlsError::Truncated)
}

#[test]
fn an_end_without_close_notify_is_an_abnormal_end() {
    for (client, config) in both_on_localhost() {
        let (url, serving) = server(config, |mut tls| {
            tls.write_all(b"\x81\x01a").unwrap();
            tls.flush().unwrap();
            tls.sock.shutdown(Shutdown::Write).unwrap();
            tls
        });
        let mut ws = connect(&client, &url);
        assert_eq!(ws.recv().unwrap(), Some("a".into()));
        let error = ws.recv().unwrap_err();
        assert!(is_truncation(&error), "{error:?}");
        assert_eq!(ws.recv().unwrap(), None);
        assert!(!ws.outcome().unwrap().is_clean());
        drop(serving.join().unwrap());
    }
}

#[test]
fn an_end_with_close_notify_but_without_a_close_is_an_abnormal_end_without_an_error() {
    for (client, config) in both_on_localhost() {
        let (url, serving) = server(config, |mut tls| {
            tls.conn.send_close_notify();
            tls.flush().unwrap();
            tls
        });
        let mut ws = connect(&client, &url);
        assert_eq!(ws.recv().unwrap(), None);
        assert!(!ws.outcome().unwrap().is_clean());
        drop(serving.join().unwrap());
    }
}

#[test]
fn a_key_update_of_the_peer_is_answered_in_both_halves() {
    const ROUNDS: u32 = 50;
    for (client, config) in both_on_localhost() {
        let (url, serving) = server(config, |mut tls| {
            for _ in 0..ROUNDS {
                let mut ping = [0; 7];
                tls.read_exact(&mut ping).unwrap();
                tls.conn.refresh_traffic_keys().unwrap();
                tls.write_all(b"\x81\x01a").unwrap();
                tls.flush().unwrap();
            }
            answer_close(tls).unwrap()
        });
        let (mut reader, mut writer) = connect(&client, &url).split().unwrap();
        for _ in 0..ROUNDS {
            writer.send_text("p").unwrap();
            assert_eq!(reader.recv().unwrap(), Some("a".into()));
        }
        writer.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(reader.wait_closed().unwrap(), CLEAN);
        assert_eq!(serving.join().unwrap(), 0);
    }
}

#[test]
fn a_record_that_was_changed_fails_the_session_and_the_peer_reads_the_alert() {
    for (client, config) in both_on_localhost() {
        let (url, serving) = server(config, |mut tls| {
            // An application data record whose tag is wrong.
            tls.sock.write_all(b"\x17\x03\x03\0\x20").and_then(|()| tls.sock.write_all(&[1; 32])).unwrap();
            tls.read(&mut [0; 100])
        });
        let mut ws = connect(&client, &url);
        let Error::Io(error) = ws.recv().unwrap_err() else { panic!("no error of the stream") };
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()).unwrap();
        match &client {
            Tls::Rustls(_) => assert_eq!(*tls, TlsError::Failed(rustls::Error::DecryptError.into())),
            Tls::Native(_) => assert!(matches!(tls, TlsError::Failed(_)), "{tls:?}"),
        }
        let alert = serving.join().unwrap().unwrap_err();
        assert!(alert.to_string().contains("BadRecordMac"), "{alert}");
        // Nothing is encrypted after the failure.
        assert!(ws.send_text("late").is_err());
    }
}

/// Reads of one byte, and of more than a record, return the same bytes.
#[test]
fn plaintext_is_read_with_buffers_of_any_length() {
    for len in [1, 7, 2047, 2048, 5000, 100_000] {
        for (client, config) in both_on_localhost() {
            let (url, serving) = server(config, |mut tls| {
                let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
                tls.write_all(&bytes).unwrap();
                tls.conn.send_close_notify();
                tls.flush().unwrap();
                bytes
            });
            let (mut stream, _, _) = connect(&client, &url).into_parts();
            let (mut all, mut buffer) = (Vec::new(), vec![0; len]);
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => all.extend_from_slice(&buffer[..n]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(all, serving.join().unwrap());
        }
    }
}

/// A timeout ends a read, and nothing that has arrived is lost.
#[test]
fn a_read_with_a_timeout_returns_in_time_although_a_part_of_a_record_has_arrived() {
    for (client, config) in both_on_localhost() {
        let (go_on, wait) = std::sync::mpsc::channel();
        let (url, serving) = server(config, move |mut tls| {
            let mut record = Vec::new();
            tls.conn.writer().write_all(b"\x81\x03abc").unwrap();
            tls.conn.write_tls(&mut record).unwrap();
            let (last, first) = record.split_last().unwrap();
            tls.sock.write_all(first).unwrap();
            wait.recv().unwrap();
            tls.sock.write_all(&[*last]).unwrap();
            tls
        });
        let mut ws = connect(&client, &url);
        let error = ws.recv_timeout(std::time::Duration::from_millis(50)).unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::TimedOut), "{error:?}");
        go_on.send(()).unwrap();
        assert_eq!(ws.recv().unwrap(), Some("abc".into()));
        drop(serving.join().unwrap());
    }
}

#[test]
fn a_stream_in_non_blocking_mode_reports_that_it_is_not_ready() {
    let (client, mut server) = crate::echo::connection();
    let mut ws = client;
    ws.stream().socket().set_nonblocking(true).unwrap();
    let interest = ws.recv().unwrap_err().interest().unwrap();
    assert!(interest.readable && !interest.writable);
    // The server does not read, so at some point the client can write no more.
    let interest = loop {
        if let Err(error) = ws.send(vec![0; 100_000]) {
            break error.interest().unwrap();
        }
    };
    assert!(interest.writable);
    let reading = thread::spawn(move || {
        let mut received = 0;
        while let Some(message) = server.recv().unwrap() {
            assert_eq!(message.as_bytes().len(), 100_000);
            received += 1;
        }
        (received, server.wait_closed().unwrap())
    });
    ws.stream().socket().set_nonblocking(false).unwrap();
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(ws.wait_closed().unwrap(), CLEAN);
    let (received, outcome) = reading.join().unwrap();
    assert!(received > 0);
    assert_eq!(outcome, CLEAN);
}

fn is_stream<S: Stream + Send>() {}

#[test]
fn the_streams_of_a_client_and_of_a_server_can_be_moved_to_another_thread() {
    is_stream::<ClientStream>();
    is_stream::<TlsStream<TcpStream>>();
    is_stream::<TlsStream<TlsStream<TcpStream>>>();
}
