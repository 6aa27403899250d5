//! Echo servers, one for each library, on a runtime of one thread: echo NAME PORT
//!
//! A server whose name ends in `+batch` echoes all messages that have arrived, and then flushes once. A server whose
//! name begins with `tls/` accepts TLS.
use futures_util::{FutureExt, SinkExt, Stream, StreamExt};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};

/// The server on hybi's adapter for tokio: the unchanged example, on a different runtime.
#[allow(dead_code, reason = "the main function of the example")]
#[path = "../../../../examples/tokio_echo_server.rs"]
mod example;

type R = Result<(), Box<dyn std::error::Error + Send + Sync>>;

macro_rules! echo_batch {
    ($ws:expr, $map:expr) => {{
        let mut ws = $ws;
        while let Some(m) = ws.next().await {
            let Some(m) = $map(m?) else { return Ok(()) };
            ws.feed(m).await?;
            // Flush after at most 257 messages, even if more messages have arrived.
            for _ in 0..256 {
                match ws.next().now_or_never() {
                    None => break,
                    Some(None) => return Ok(()),
                    Some(Some(m)) => match $map(m?) {
                        Some(m) => ws.feed(m).await?,
                        None => return Ok(()),
                    },
                }
            }
            ws.flush().await?;
        }
        Ok(())
    }};
}
macro_rules! echo_send {
    ($ws:expr, $map:expr) => {{
        let mut ws = $ws;
        while let Some(m) = ws.next().await {
            let Some(m) = $map(m?) else { return Ok(()) };
            ws.send(m).await?;
        }
        Ok(())
    }};
}

trait Socket: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Socket for S {}

async fn serve<F: Future<Output = R> + 'static>(port: u16, f: impl Fn(TcpStream) -> F) -> R {
    let l = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ready");
    loop {
        let (s, _) = l.accept().await?;
        s.set_nodelay(true)?;
        let fut = f(s);
        tokio::task::spawn_local(async move {
            let _ = fut.await;
        });
    }
}

type HyperResp = Result<hyper::Response<http_body_util::Empty<bytes::Bytes>>, Infallible>;
async fn hyper_conn<F: Future<Output = HyperResp> + 'static>(
    s: TcpStream,
    svc: impl Fn(hyper::Request<hyper::body::Incoming>) -> F + 'static,
) -> R {
    let conn = hyper::server::conn::http1::Builder::new()
        .serve_connection(hyper_util::rt::TokioIo::new(s), hyper::service::service_fn(svc))
        .with_upgrades();
    Ok(conn.await?)
}

/// A server without a library. It shows how much memory tokio needs for a task and a socket. The server supports only
/// small frames, and each read must return exactly one frame.
async fn bare(s: TcpStream) -> R {
    let mut open = false;
    loop {
        s.readable().await?;
        let mut buf = [0; 2048];
        match s.try_read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) if open => {
                let (head, data) = buf[..n].split_at_mut(6);
                peers::simd::xor(data, u32::from_le_bytes(head[2..].try_into()?));
                buf[4] = buf[0];
                buf[5] = buf[1] & 0x7f;
                s.try_write(&buf[4..n])?;
            }
            Ok(n) => {
                let head = String::from_utf8_lossy(&buf[..n]);
                let key = head
                    .lines()
                    .find_map(|l| l.strip_prefix("Sec-WebSocket-Key: "))
                    .ok_or("the request has no Sec-WebSocket-Key")?;
                s.try_write(response(key.trim()).as_bytes())?;
                open = true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// hybi's adapter for tokio over TLS, with the echo of the example.
async fn hybi_tls(s: TcpStream, config: Arc<ServerConfig>) -> R {
    use hybi::Event;
    let mut ws = hybi::adapters::tokio::Server::new().accept_tls(config, s).await?;
    ws.forget_headers();
    loop {
        let (text, data, mut answer) = match ws.next_event().await? {
            Some((Event::Text(text), answer)) => (Some(text), &[][..], answer),
            Some((Event::Binary(data), answer)) => (None, data, answer),
            Some(_) => continue,
            None => return Ok(()),
        };
        match text {
            Some(text) => answer.send_text(text).await?,
            None => answer.send_binary(data).await?,
        }
    }
}

/// The way in which hybi's server echoes.
#[derive(Clone, Copy, PartialEq)]
enum Hybi {
    /// Messages are sent from the read buffer.
    Borrowed,
    /// Received messages own their data and are sent as they are.
    Owned,
    /// Like `Borrowed`. In addition, a connection frees its memory before it waits.
    Release,
}

/// The run loop of hybi's README over a socket of tokio. It echoes everything that was read, then writes all echoes
/// with one write. It has no timers, because no connection here is silent for half a minute.
async fn hybi(mut s: TcpStream, how: Hybi) -> R {
    use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};
    use hybi::{Config, Connection, Event, Inbox, Instant, Outbox, SendError};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut received = Vec::new();
    let mut handshake = ServerHandshake::new(HeadLimits::new());
    let mut inbox = loop {
        if s.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        match handshake.poll(&received)? {
            None => {}
            Some(Incoming::Upgrade(request)) => {
                s.write_all(&request.accept().to_vec()?).await?;
                break Inbox::with_bytes(&received[request.head_len()..]);
            }
            Some(Incoming::Http(_)) => return Err("not a WebSocket".into()),
        }
    };
    drop(received);

    const LARGE: usize = 16 << 10;

    /// Writes as many bytes as the socket accepts. The caller may ignore an error, because the next call returns it
    /// again.
    fn try_write(s: &TcpStream, slices: &[&[u8]]) -> std::io::Result<usize> {
        let mut vectors = [std::io::IoSlice::new(&[]); 16];
        for (to, from) in vectors.iter_mut().zip(slices) {
            *to = std::io::IoSlice::new(from);
        }
        s.try_write_vectored(&vectors[..slices.len()])
    }

    async fn flush(s: &TcpStream, connection: &mut Connection, now: Instant) -> std::io::Result<()> {
        loop {
            let mut slices = [&[][..]; 16];
            let len = connection.poll_transmit(&mut slices);
            if len == 0 {
                return Ok(());
            }
            match try_write(s, &slices[..len]) {
                Ok(written) => connection.transmitted(now, written),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => s.writable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    let start = std::time::Instant::now();
    let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
    loop {
        let now = Instant::from_origin(start.elapsed());
        if how == Hybi::Owned {
            while let Some(ready) = connection.poll(now, &mut inbox)? {
                let Some(mut message) = inbox.take_message(ready) else { return Ok(()) };
                while let Err(refused) = connection.send(message) {
                    message = refused.message;
                    flush(&s, &mut connection, now).await?;
                }
            }
        } else {
            while let Some(event) = connection.poll_event(now, &mut inbox)? {
                loop {
                    // Large messages are written directly from the read buffer. Only the rest is queued.
                    let write = |slices: &[&[u8]]| try_write(&s, slices).unwrap_or(0);
                    let sent = match event {
                        Event::Text(text) if text.len() < LARGE => connection.send_text(text),
                        Event::Binary(data) if data.len() < LARGE => connection.send_binary(data),
                        Event::Text(text) => connection.transmit_text(now, text, write),
                        Event::Binary(data) => connection.transmit_binary(now, data, write),
                        _ => return Ok(()),
                    };
                    match sent {
                        Err(SendError::Blocked) => flush(&s, &mut connection, now).await?,
                        sent => break sent?,
                    }
                }
            }
        }
        flush(&s, &mut connection, now).await?;
        loop {
            match s.try_read(connection.read_space(&mut inbox)) {
                Ok(0) => return Ok(()),
                Ok(len) => {
                    inbox.handle_read(len);
                    break;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if how == Hybi::Release {
                        inbox.release_idle();
                        connection.release_idle();
                    }
                    s.readable().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

async fn tungstenite<S: Socket>(s: S, batch: bool, buf: usize) -> R {
    use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};
    let c = WebSocketConfig::default().read_buffer_size(buf);
    let ws = tokio_tungstenite::accept_async_with_config(s, Some(c)).await?;
    let map = |m: Message| (m.is_text() || m.is_binary()).then_some(m);
    if batch { echo_batch!(ws, map) } else { echo_send!(ws, map) }
}
async fn tokio_ws<S: Socket>(s: S, batch: bool) -> R {
    use tokio_websockets::{Limits, Message, ServerBuilder};
    let (_, ws) = ServerBuilder::new().limits(Limits::unlimited()).accept(s).await?;
    let map = |m: Message| (m.is_text() || m.is_binary()).then_some(m);
    if batch { echo_batch!(ws, map) } else { echo_send!(ws, map) }
}
async fn fastws(s: TcpStream) -> R {
    use fastwebsockets::{FragmentCollector, OpCode, upgrade};
    hyper_conn(s, |mut req| async move {
        let (resp, fut) = upgrade::upgrade(&mut req).unwrap();
        tokio::task::spawn_local(async move {
            let mut ws = FragmentCollector::new(fut.await?);
            loop {
                let f = ws.read_frame().await?;
                match f.opcode {
                    OpCode::Text | OpCode::Binary => ws.write_frame(f).await?,
                    OpCode::Close => return Ok::<_, fastwebsockets::WebSocketError>(()),
                    _ => {}
                }
            }
        });
        Ok(resp)
    })
    .await
}
async fn yawc(s: TcpStream, batch: bool) -> R {
    use yawc::{Frame, Options, WebSocket, WebSocketError};
    hyper_conn(s, move |mut req| async move {
        let o = Options::default().with_utf8().with_limits(64 << 20, 128 << 20).without_compression();
        let (resp, fut) = WebSocket::upgrade_with_options(&mut req, o).unwrap();
        tokio::task::spawn_local(async move {
            let mut ws = fut.await?;
            if batch {
                echo_batch!(ws.map_frames(), |f: Frame| (!f.opcode().is_control()).then_some(f))
            } else {
                loop {
                    let f = ws.next_frame().await?;
                    if f.opcode().is_control() {
                        return Ok::<(), Box<dyn std::error::Error + Send + Sync>>(());
                    }
                    ws.send(Frame::binary(f.into_payload())).await?;
                }
            }
        });
        let _: Option<WebSocketError> = None;
        Ok(resp)
    })
    .await
}
trait MapFrames: Sized {
    fn map_frames(self) -> Remade<Self> {
        Remade(self)
    }
}
impl<S> MapFrames for yawc::WebSocket<S> {}
/// A stream that replaces each received frame with a new one, because a received frame keeps its masking key.
struct Remade<W>(W);
impl<W: Stream<Item = yawc::Frame> + Unpin> Stream for Remade<W> {
    type Item = Result<yawc::Frame, yawc::WebSocketError>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx).map(|o| {
            o.map(|f| {
                if f.opcode().is_control() {
                    return Ok(f);
                }
                Ok(if f.opcode() == yawc::OpCode::Text {
                    yawc::Frame::text(f.into_payload())
                } else {
                    yawc::Frame::binary(f.into_payload())
                })
            })
        })
    }
}
impl<W: futures_util::Sink<yawc::Frame, Error = yawc::WebSocketError> + Unpin> futures_util::Sink<yawc::Frame>
    for Remade<W>
{
    type Error = yawc::WebSocketError;
    fn poll_ready(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_ready_unpin(cx)
    }
    fn start_send(mut self: std::pin::Pin<&mut Self>, f: yawc::Frame) -> Result<(), Self::Error> {
        self.0.start_send_unpin(f)
    }
    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_flush_unpin(cx)
    }
    fn poll_close(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_close_unpin(cx)
    }
}
async fn soketto(s: TcpStream) -> R {
    use futures_util::io::{BufReader, BufWriter};
    use soketto::handshake::{Server, server::Response};
    use tokio_util::compat::TokioAsyncReadCompatExt;
    let mut h = Server::new(BufReader::new(BufWriter::new(s.compat())));
    let key = h.receive_request().await?.key();
    h.send_response(&Response::Accept { key, protocol: None }).await?;
    let (mut tx, mut rx) = h.into_builder().finish();
    let mut msg = Vec::new();
    loop {
        msg.clear();
        match rx.receive_data(&mut msg).await? {
            soketto::Data::Binary(_) => tx.send_binary_mut(&mut msg).await?,
            soketto::Data::Text(_) => tx.send_text(simdutf8::basic::from_utf8(&msg)?).await?,
        }
        tx.flush().await?;
    }
}
async fn sockudo(mut s: TcpStream, batch: bool) -> R {
    use sockudo_ws::{Config, handshake, protocol::Message, protocol::Role, stream::WebSocketStream};
    let h = handshake::server_handshake(&mut s).await?;
    let cfg = Config::builder().max_payload_length(64 << 20).build();
    let ws = WebSocketStream::from_raw_with_leftover(s, Role::Server, cfg, h.leftover);
    let map = |m: Message| (m.is_text() || m.is_binary()).then_some(m);
    if batch { echo_batch!(ws, map) } else { echo_send!(ws, map) }
}
async fn web_socket(mut s: TcpStream) -> R {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
    use web_socket::{DataType, Event, WebSocket};
    let mut b = vec![0; 4096];
    let n = s.read(&mut b).await?;
    let head = String::from_utf8_lossy(&b[..n]).to_string();
    let key = head
        .lines()
        .find_map(|l| l.strip_prefix("Sec-WebSocket-Key: "))
        .ok_or("the request has no Sec-WebSocket-Key")?;
    s.write_all(response(key.trim()).as_bytes()).await?;
    drop((b, head));
    let mut ws = WebSocket::server(BufStream::new(s));
    ws.max_payload_len = 64 << 20;
    loop {
        match ws.recv().await? {
            Event::Data { ty: DataType::Complete(_), data } => ws.send(&data[..]).await?,
            _ => return Ok(()),
        }
        ws.flash().await?;
    }
}
/// Returns the response of the handshake, for libraries that leave the handshake to the user.
fn response(key: &str) -> String {
    use sha1::Digest;
    let mut h = sha1::Sha1::new();
    h.update(key);
    h.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = data_encoding::BASE64.encode(&h.finalize());
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n")
}
async fn wtx(s: TcpStream) -> R {
    use wtx::web_socket::{Frame, OpCode, WebSocketAcceptor, WebSocketPayloadOrigin};
    let mut ws = WebSocketAcceptor::default()
        .no_masking(false)
        .accept(s)
        .await
        .map_err(|e: wtx::Error| e.to_string())?;
    let (mut common, mut reader, mut writer) = ws.split_mut();
    let mut buf = wtx::collection::Vector::new();
    loop {
        buf.clear();
        let f = reader
            .read_frame(&mut buf, &mut common, WebSocketPayloadOrigin::Adaptive)
            .await
            .map_err(|e| e.to_string())?;
        match f.op_code() {
            op @ (OpCode::Text | OpCode::Binary) => {
                let mut f = f;
                let p: &mut [u8] = f.payload_mut();
                writer
                    .write_frame(&mut common, &mut Frame::new_fin(op, p))
                    .await
                    .map_err(|e| e.to_string())?;
            }
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}

/// Serves over TLS. The peers use tokio-rustls.
async fn serve_tls(port: u16, name: &str) -> R {
    let config = peers::tls::server_config();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&config));
    match name {
        "hybi-tokio" => serve(port, |s| hybi_tls(s, Arc::clone(&config))).await,
        "tokio-tungstenite" | "tokio-tungstenite+batch" => {
            let batch = name.ends_with("+batch");
            serve(port, |s| {
                let accept = acceptor.accept(s);
                async move { tungstenite(accept.await?, batch, 131072).await }
            })
            .await
        }
        "tokio-websockets" | "tokio-websockets+batch" => {
            let batch = name.ends_with("+batch");
            serve(port, |s| {
                let accept = acceptor.accept(s);
                async move { tokio_ws(accept.await?, batch).await }
            })
            .await
        }
        name => panic!("unknown server tls/{name}"),
    }
}

fn main() -> R {
    let a: Vec<String> = std::env::args().collect();
    let port: u16 = a[2].parse()?;
    if a[1] == "floor" {
        return floor(port);
    }
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&rt, async move {
        match a[1].as_str() {
            "tokio" => serve(port, bare).await,
            "hybi" => serve(port, |s| hybi(s, Hybi::Borrowed)).await,
            "hybi-owned" => serve(port, |s| hybi(s, Hybi::Owned)).await,
            "hybi+release" => serve(port, |s| hybi(s, Hybi::Release)).await,
            "hybi-tokio" => Ok(example::run([format!("127.0.0.1:{port}")].into_iter())
                .await
                .map_err(|error| error.to_string())?),
            "tokio-tungstenite" => serve(port, |s| tungstenite(s, false, 131072)).await,
            "tokio-tungstenite+batch" => serve(port, |s| tungstenite(s, true, 131072)).await,
            "tokio-tungstenite/8K" => serve(port, |s| tungstenite(s, false, 8192)).await,
            "tokio-tungstenite/8K+batch" => serve(port, |s| tungstenite(s, true, 8192)).await,
            "tokio-websockets" => serve(port, |s| tokio_ws(s, false)).await,
            "tokio-websockets+batch" => serve(port, |s| tokio_ws(s, true)).await,
            "fastwebsockets" => serve(port, fastws).await,
            "yawc" => serve(port, |s| yawc(s, false)).await,
            "yawc+batch" => serve(port, |s| yawc(s, true)).await,
            "soketto" => serve(port, soketto).await,
            "sockudo-ws" => serve(port, |s| sockudo(s, false)).await,
            "sockudo-ws+batch" => serve(port, |s| sockudo(s, true)).await,
            "web-socket" => serve(port, web_socket).await,
            "wtx" => serve(port, wtx).await,
            name => match name.strip_prefix("tls/") {
                Some(name) => serve_tls(port, name).await,
                None => panic!("unknown server {name}"),
            },
        }
    })
}

/// The floor, a server without a library. It uses epoll and one buffer for all connections, unmasks in place, and makes
/// one write for each read.
fn floor(port: u16) -> R {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    struct C {
        s: std::net::TcpStream,
        open: bool,
        part: Vec<u8>,
        out: Vec<u8>,
        sent: usize,
    }
    let l = std::net::TcpListener::bind(("127.0.0.1", port))?;
    l.set_nonblocking(true)?;
    let ep = unsafe { libc::epoll_create1(0) };
    let add = |fd: i32, id: u64| unsafe {
        let mut e =
            libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32, u64: id };
        libc::epoll_ctl(ep, libc::EPOLL_CTL_ADD, fd, &mut e)
    };
    add(l.as_raw_fd(), u64::MAX);
    println!("ready");
    let mut conns: Vec<Option<C>> = Vec::new();
    let mut buf = vec![0u8; 1 << 18];
    let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    loop {
        let n = unsafe { libc::epoll_wait(ep, evs.as_mut_ptr(), 256, -1) };
        for e in &evs[..n.max(0) as usize] {
            let id = e.u64;
            if id == u64::MAX {
                while let Ok((s, _)) = l.accept() {
                    s.set_nonblocking(true)?;
                    s.set_nodelay(true)?;
                    add(s.as_raw_fd(), conns.len() as u64);
                    conns.push(Some(C { s, open: false, part: vec![], out: vec![], sent: 0 }));
                }
                continue;
            }
            let slot = &mut conns[id as usize];
            let Some(c) = slot else { continue };
            let mut dead = false;
            'io: loop {
                if c.sent < c.out.len() {
                    match c.s.write(&c.out[c.sent..]) {
                        Ok(k) => c.sent += k,
                        Err(_) => break,
                    }
                    if c.sent < c.out.len() {
                        continue;
                    }
                    c.out = Vec::new();
                    c.sent = 0;
                }
                // A long frame is read into a buffer of its own, so it is not moved.
                let own = c.part.len() > 65536;
                let (end, got, asked);
                if own {
                    let have = c.part.len();
                    let want = frame_len(&c.part).map_or(have + 65536, |(h, l)| (h + l).max(have + 1));
                    c.part.reserve_exact(want - have);
                    asked = want - have;
                    let dst = unsafe { std::slice::from_raw_parts_mut(c.part.as_mut_ptr().add(have), asked) };
                    match c.s.read(dst) {
                        Ok(0) => {
                            dead = true;
                            break;
                        }
                        Ok(k) => unsafe {
                            c.part.set_len(have + k);
                            got = k;
                            end = have + k;
                        },
                        Err(_) => break,
                    }
                } else {
                    let have = c.part.len();
                    buf[..have].copy_from_slice(&c.part);
                    asked = buf.len() - have;
                    match c.s.read(&mut buf[have..]) {
                        Ok(0) => {
                            dead = true;
                            break;
                        }
                        Ok(k) => {
                            got = k;
                            end = have + k;
                        }
                        Err(_) => break,
                    }
                    if !c.part.is_empty() {
                        c.part = Vec::new();
                    }
                }
                let mut moved = std::mem::take(&mut c.part);
                let data: &mut [u8] = if own { &mut moved } else { &mut buf[..end] };
                let mut start = 0;
                if !c.open {
                    let head = String::from_utf8_lossy(data).to_string();
                    let key = head.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or("");
                    c.s.write_all(response(key.trim()).as_bytes())?;
                    c.open = true;
                    continue;
                }
                // Turn the frames into echoes. An echo has no masking key and so is shorter than its frame. Place each
                // echo directly behind the previous one.
                let mut w = 0;
                let mut first = None;
                while let Some((h, len)) = frame_len(&data[start..]) {
                    if data.len() - start < h + len {
                        break;
                    }
                    let key = u32::from_le_bytes(data[start + h - 4..start + h].try_into().unwrap());
                    peers::simd::xor(&mut data[start + h..start + h + len], key);
                    if first.is_none() {
                        first = Some(start + 4);
                        w = start + 4;
                    }
                    let (b0, b1) = (data[start], data[start + 1] & 0x7f);
                    let ext: [u8; 8] =
                        std::array::from_fn(|i| if i + 2 < h - 4 { data[start + 2 + i] } else { 0 });
                    if w != start + 4 {
                        data.copy_within(start + h..start + h + len, w + h - 4);
                    }
                    data[w] = b0;
                    data[w + 1] = b1;
                    data[w + 2..w + h - 4].copy_from_slice(&ext[..h - 6]);
                    w += h - 4 + len;
                    start += h + len;
                }
                let tail = data[start..].to_vec();
                if let Some(f) = first {
                    let o = &data[f..w];
                    let mut k = 0;
                    while k < o.len() {
                        match c.s.write(&o[k..]) {
                            Ok(x) => k += x,
                            Err(_) => break,
                        }
                    }
                    if k < o.len() {
                        c.out = o[k..].to_vec();
                        c.part = tail;
                        break 'io;
                    }
                }
                c.part = if start == 0 && own { moved } else { tail };
                // A short read has emptied the socket. Edge-triggered epoll will report new bytes.
                if got < asked {
                    break;
                }
            }
            if dead {
                *slot = None;
            }
        }
    }
}
fn frame_len(b: &[u8]) -> Option<(usize, usize)> {
    if b.len() < 6 {
        return None;
    }
    match b[1] & 127 {
        126 if b.len() >= 8 => Some((8, u16::from_be_bytes([b[2], b[3]]) as usize)),
        127 if b.len() >= 14 => Some((14, u64::from_be_bytes(b[2..10].try_into().unwrap()) as usize)),
        126 | 127 => None,
        l => Some((6, l as usize)),
    }
}
