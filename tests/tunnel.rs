//! The example `tunnel`: slow services, and peers that close while bytes are on the way. The connections are on
//! loopback.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../examples/tunnel.rs"]
#[allow(dead_code, unreachable_pub, reason = "the program itself is not run")]
mod tunnel;

use std::net::SocketAddr;
use std::time::Duration;

use hybi::adapters::tokio::{ByteStream, Client, ClientStream};
use hybi::{CloseCode, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);
/// More bytes than the buffers of TCP take.
const LEN: usize = 16 << 20;

/// Starts a tunnel to a service, and returns a peer of the tunnel and the connection that the service has accepted.
async fn open() -> (ByteStream<ClientStream>, TcpStream) {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, target) = (listener.local_addr().unwrap(), service.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        let (stream, peer): (TcpStream, SocketAddr) = listener.accept().await.unwrap();
        // The result of `serve` is an error if the tunnel has broken off. The tests ignore this error, because they
        // look at both ends.
        let _ = tunnel::serve(stream, peer, &target).await;
    });
    let config = Config::new().max_message(u64::MAX).max_frame(u64::MAX);
    let (client, url) = (Client::new().config(config), format!("ws://{address}/"));
    let (ws, accepted) = tokio::join!(client.connect(&url), service.accept());
    (ws.unwrap().into_byte_stream(), accepted.unwrap().0)
}

#[tokio::test]
async fn the_last_data_of_a_peer_reaches_a_slow_service_that_still_sends() {
    timeout(LIMIT, async {
        let (mut peer, mut service) = open().await;
        let (mut reading, mut writing) = service.split();
        // The service sends all the time, so the tunnel notices at once when it can send nothing more to the peer.
        let sending = async {
            while writing.write_all(&[7; 1000]).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        let peer = async {
            peer.write_all(&[9; LEN]).await.unwrap();
            peer.shutdown().await.unwrap();
            // The peer reads until the tunnel has answered the peer's Close.
            let _ = tokio::io::copy(&mut peer, &mut tokio::io::sink()).await;
        };
        let receiving = async {
            let (mut all, mut some) = (0, vec![0; 4096]);
            loop {
                match reading.read(&mut some).await.unwrap() {
                    0 => break all,
                    n => all += n,
                }
                // The service is slower than the peer.
                tokio::task::yield_now().await;
            }
        };
        let receiving = async {
            tokio::select! {
                received = receiving => received,
                () = sending => panic!("the tunnel has reset the connection"),
            }
        };
        let ((), received) = tokio::join!(peer, receiving);
        assert_eq!(received, LEN);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_connection_to_the_service_is_reset_if_the_peer_breaks_off() {
    timeout(LIMIT, async {
        for code in [Some(CloseCode::GOING_AWAY), None] {
            let (mut peer, mut service) = open().await;
            peer.write_all(b"half").await.unwrap();
            peer.flush().await.unwrap();
            let mut half = [0; 4];
            service.read_exact(&mut half).await.unwrap();
            match code {
                Some(code) => peer.into_inner().close(code, "").await.unwrap(),
                None => drop(peer),
            }
            assert!(service.read(&mut half).await.is_err(), "{code:?}");
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_end_of_a_service_causes_a_normal_close() {
    timeout(LIMIT, async {
        let (mut peer, mut service) = open().await;
        service.write_all(b"all").await.unwrap();
        drop(service);
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"all");
    })
    .await
    .unwrap();
}
