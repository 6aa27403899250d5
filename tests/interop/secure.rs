//! hybi's side of conversations over TLS with another implementation, or with itself.
//!
//! Usage: `secure server CERTIFICATE KEY COUNT SECONDS`, `secure client|reconnect URL AUTHORITY COUNT SECONDS`.
//! `secure.py` starts this program and explains the arguments.

use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, process, thread};

use hybi::adapters::net::{Client, Server, Stream, WebSocket};
use hybi::reconnect::ReconnectPolicy;
use hybi::tls::rustls::pki_types::pem::PemObject;
use hybi::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use hybi::tls::rustls::{RootCertStore, crypto::ring};
use hybi::tls::{ClientConfig, ServerConfig};
use hybi::{CloseCode, Message};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [role, first, second, count, seconds] = args.as_slice() else {
        return Err(
            "usage: secure server CERTIFICATE KEY COUNT SECONDS, or secure client|reconnect URL AUTHORITY \
                    COUNT SECONDS"
                .into(),
        );
    };
    let (count, limit) = (count.parse()?, Duration::from_secs(seconds.parse()?));
    let (_held_until_the_end, end) = channel::<()>();
    thread::spawn(move || {
        if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("the conversation did not end within {limit:?}");
            process::exit(3);
        }
    });
    match role.as_str() {
        "server" => {
            let config = server_config(first, second)?;
            let listener = TcpListener::bind("127.0.0.1:0")?;
            println!("port {}", listener.local_addr()?.port());
            let accepted = Server::new().accept_tls(config, listener.accept()?.0);
            talk(accepted.map_err(|error| error.to_string())?, false, count)?;
        }
        "client" => talk(Client::new().tls(client_config(second)?).connect(first)?, true, count)?,
        _ => reconnect(first, &Client::new().tls(client_config(second)?), count)?,
    }
    println!("done");
    Ok(())
}

/// Returns the configuration of a server with the certificate and the key in two files.
fn server_config(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, Failure> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate)?],
            PrivateKeyDer::from_pem_file(key)?,
        )?;
    Ok(Arc::new(config))
}

/// Returns the configuration of a client that trusts the authority in a file.
fn client_config(authority: &str) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Sends and receives `count` messages at the same time, in two threads. A client then closes.
fn talk<S: Stream + Send + 'static>(ws: WebSocket<S>, is_client: bool, count: u32) -> Result<(), Failure> {
    let (mut reader, mut writer) = ws.split()?;
    let (received, all_received) = channel();
    let sending = thread::spawn(move || -> Result<(), Failure> {
        for n in 0..count {
            writer.send_text(&format!("message {n}"))?;
        }
        if is_client {
            all_received.recv()?;
            writer.close(CloseCode::NORMAL, "")?;
        }
        Ok(())
    });
    for n in 0..count {
        match reader.recv()? {
            Some(Message::Text(text)) if *text == format!("message {n}") => {}
            other => return Err(format!("{other:?} instead of message {n}").into()),
        }
    }
    // The sending thread of a client waits for this signal. The sending thread of a server may have ended, so an error
    // is ignored.
    let _ = received.send(());
    if let Some(message) = reader.recv()? {
        return Err(format!("{message:?} after the last message").into());
    }
    sending.join().map_err(|_| "the sending thread has panicked")??;
    match reader.outcome() {
        Some(outcome) if outcome.is_clean() && outcome.code() == CloseCode::NORMAL => Ok(()),
        outcome => Err(format!("the connection did not end cleanly with code 1000: {outcome:?}").into()),
    }
}

/// Opens `count` connections one after the other. The client closes the last connection. All other connections end
/// because the server is killed.
fn reconnect(url: &str, client: &Client, count: u32) -> Result<(), Failure> {
    let policy =
        ReconnectPolicy::new().first_delay(Duration::from_millis(20)).max_delay(Duration::from_millis(200));
    let mut connections = client.reconnecting(policy, |_| url.to_owned());
    for n in 1..=count {
        let mut ws = connections.next_connection()?;
        ws.send_text("hello")?;
        match ws.recv()? {
            Some(Message::Text(text)) if *text == *"hello" => println!("open {n}"),
            other => return Err(format!("{other:?} instead of the echo").into()),
        }
        if n == count {
            ws.close(CloseCode::NORMAL, "")?;
        }
        // When the server is killed, `recv` returns an error, or the outcome is an abnormal end, or both.
        while matches!(ws.recv(), Ok(Some(_))) {}
        if let Some(outcome) = ws.outcome() {
            connections.closed(Ok(outcome));
        }
    }
    Ok(())
}
