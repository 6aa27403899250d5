//! The opening handshake in memory: `cargo bench --bench handshake`.
//!
//! `hybi` parses and checks a browser's request, and writes the response. `httparse` only parses the request.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hybi::handshake::{ClientHandshake, ClientRequest, HeadLimits, Incoming, Reply, ServerHandshake};

/// A request as Chromium sends it.
const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
Host: server.example.com:8080\r\n\
Connection: Upgrade\r\n\
Pragma: no-cache\r\n\
Cache-Control: no-cache\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/138.0.0.0 Safari/537.36\r\n\
Upgrade: websocket\r\n\
Origin: http://server.example.com:8080\r\n\
Sec-WebSocket-Version: 13\r\n\
Accept-Encoding: gzip, deflate\r\n\
Accept-Language: en-US,en;q=0.9\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// Reads the request in steps of `step` bytes, and writes the response.
fn accept(request: &[u8], step: usize) -> usize {
    let mut handshake = ServerHandshake::new(HeadLimits::new());
    for end in (step..request.len()).step_by(step) {
        assert!(handshake.poll(&request[..end]).unwrap().is_none());
    }
    let Some(Incoming::Upgrade(request)) = handshake.poll(request).unwrap() else { panic!("not an upgrade") };
    request.accept().write(black_box(&mut [0; 512])).unwrap()
}

fn server(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake-server");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    let column = format!("{}B", REQUEST.len());
    group.bench_function(format!("{column}/hybi"), |bencher| {
        bencher.iter(|| accept(black_box(REQUEST), REQUEST.len()));
    });
    group.bench_function(format!("{column}/hybi-byte-by-byte"), |bencher| {
        bencher.iter(|| accept(black_box(REQUEST), 1));
    });
    group.bench_function(format!("{column}/httparse"), |bencher| {
        bencher.iter(|| {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            httparse::Request::new(&mut headers).parse(black_box(REQUEST)).unwrap().unwrap()
        });
    });
    group.finish();
}

fn client(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake-client");
    let new = || {
        let request = ClientRequest::new("server.example.com:8080", "/chat");
        ClientHandshake::new(request, black_box([7; 16]), HeadLimits::new()).unwrap()
    };
    let mut request = [0; 512];
    let request = {
        let len = new().write(&mut request).unwrap();
        &request[..len]
    };
    let mut response = [0; 512];
    let response = {
        let mut server = ServerHandshake::new(HeadLimits::new());
        let Some(Incoming::Upgrade(upgrade)) = server.poll(request).unwrap() else {
            panic!("not an upgrade")
        };
        let len = upgrade.accept().write(&mut response).unwrap();
        &response[..len]
    };
    group.throughput(Throughput::Bytes(response.len() as u64));
    group.bench_function(format!("{}B/hybi", response.len()), |bencher| {
        bencher.iter(|| {
            let mut handshake = new();
            handshake.write(black_box(&mut [0; 512])).unwrap();
            assert!(matches!(handshake.poll(black_box(response)), Ok(Some(Reply::Open(_)))));
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = server, client
}
criterion_main!(benches);
