//! The parts that belong to tokio or async-io: sockets, clocks, and auto traits.
//!
//! These tests use sockets and the timers of the runtimes. They check conversations over TCP, arbitrary streams,
//! alarms, and that types and futures are `Send`.

/// Checks that values of type `T` can be sent to another thread, shared between threads, and moved while they are
/// pinned.
#[cfg(any(feature = "tokio", feature = "async-io"))]
fn is_sync<T: Send + Sync + Unpin>() {}

#[cfg(feature = "tokio")]
mod on_tokio {
    use std::future::poll_fn;
    use std::io;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, ready};
    use std::time::Duration;

    use hybi::adapters::tokio::{
        AcceptError, Client, ConnectError, Error, HttpCall, PendingRequest, Reader, Responder, Server,
        WebSocket, Writer, accept, client, connect,
    };
    use hybi::handshake::HttpResponse;
    use hybi::{CloseCode, Config, Event, Message, Outcome, TimerKind};
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::is_sync;

    fn is_send<T: Send + Unpin>() {}
    fn sends<T: Send>(value: T) -> T {
        value
    }

    #[test]
    fn handles_can_be_sent_to_other_threads() {
        is_sync::<WebSocket>();
        is_sync::<WebSocket<DuplexStream>>();
        is_sync::<Reader>();
        is_sync::<Writer>();
        is_sync::<Server>();
        is_sync::<Client>();
        is_send::<AcceptError>();
        is_send::<ConnectError<TcpStream>>();
        is_send::<HttpCall>();
        is_send::<PendingRequest>();
        is_send::<Responder<'_>>();
        is_sync::<Error>();
    }

    /// The futures of all operations that wait must be `Send`.
    #[expect(dead_code, reason = "this function only has to compile")]
    async fn requests_can_be_decided_in_a_task(request: PendingRequest, other: PendingRequest) {
        let acceptance = request.acceptance();
        sends(request.accept_with(&acceptance)).await.unwrap();
        sends(other.reject(&HttpResponse::new(403))).await.unwrap();
    }

    #[expect(dead_code, reason = "this function only has to compile")]
    async fn futures_can_be_sent(mut ws: WebSocket, stream: TcpStream) {
        sends(accept(stream)).await.unwrap();
        sends(connect("ws://a/")).await.unwrap();
        sends(ws.recv()).await.unwrap();
        sends(ws.send("text")).await.unwrap();
        sends(ws.send_text("text")).await.unwrap();
        sends(ws.flush()).await.unwrap();
        sends(ws.close(CloseCode::NORMAL, "")).await.unwrap();
        let (_, mut answer) = sends(ws.next_event()).await.unwrap().unwrap();
        sends(answer.send_text("text")).await.unwrap();
        let (mut reader, mut writer) = ws.split();
        sends(reader.next_event()).await.unwrap();
        sends(writer.send_text("text")).await.unwrap();
    }

    async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut ws: WebSocket<S>) -> Outcome {
        while let Some((event, mut answer)) = ws.next_event().await.unwrap() {
            match event {
                Event::Text(text) => answer.send_text(text).await.unwrap(),
                Event::Binary(data) => answer.send_binary(data).await.unwrap(),
                Event::Closed(outcome) => return outcome,
                _ => {}
            }
        }
        panic!("the connection has not ended")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn halves_in_two_tasks_converse_over_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server =
            tokio::spawn(
                async move { echo(accept(listener.accept().await.unwrap().0).await.unwrap()).await },
            );
        let (mut reader, mut writer) = connect(&url).await.unwrap().split();
        let messages = |n: usize| Message::from(vec![n as u8; n * 37 % 5000]);
        let sending = tokio::spawn(async move {
            for n in 0..2000 {
                writer.feed(messages(n)).await.unwrap();
            }
            writer.flush().await.unwrap();
            writer
        });
        for n in 0..2000 {
            assert_eq!(reader.recv().await.unwrap(), Some(messages(n)));
        }
        sending.await.unwrap().close(CloseCode::NORMAL, "").await.unwrap();
        assert!(reader.wait_closed().await.unwrap().is_clean());
        assert!(server.await.unwrap().is_clean());
    }

    /// The application decides later. Meanwhile the peer has sent a message, or has left.
    #[tokio::test]
    async fn a_request_over_tcp_waits_for_a_decision() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for goes in [false, true] {
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            peer.write_all(
                b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            )
            .await
            .unwrap();
            let request = Server::new().receive(listener.accept().await.unwrap().0).await.unwrap();
            if goes {
                drop(peer);
                // When this call returns 0, the end of the stream has arrived.
                assert_eq!(request.stream().peek(&mut [0]).await.unwrap(), 0);
                let error = request.accept().await.unwrap_err();
                assert!(
                    matches!(&error, AcceptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof),
                    "{error}"
                );
            } else {
                peer.write_all(&[0x81, 0x85, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o']).await.unwrap();
                assert_eq!(request.stream().peek(&mut [0; 64]).await.unwrap(), 11);
                let mut ws = request.accept().await.unwrap();
                assert_eq!(ws.target(), "/a");
                assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
            }
        }
    }

    #[tokio::test]
    async fn a_large_message_is_echoed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { echo(accept(listener.accept().await.unwrap().0).await.unwrap()).await });
        let (mut reader, mut writer) = connect(&url).await.unwrap().split();
        let large = Message::from(vec![42; 5 << 20]);
        let sent = large.clone();
        tokio::spawn(async move { writer.send(sent).await.unwrap() });
        assert!(reader.recv().await.unwrap() == Some(large));
    }

    trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

    impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

    fn boxed(stream: impl Stream + 'static) -> Box<dyn Stream> {
        Box::new(stream)
    }

    /// A WebSocket over another stream than TCP has the same calls, halves and timers.
    #[tokio::test(start_paused = true)]
    async fn any_stream_can_be_split_and_has_timers() {
        async fn talks(
            near: impl AsyncRead + AsyncWrite + Unpin,
            far: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        ) {
            let server = tokio::spawn(async move { echo(accept(far).await.unwrap()).await });
            let ws = Client::new().open(near, "ws://localhost/").await.unwrap();
            let (mut reader, mut writer) = ws.split();
            writer.send_text("one").await.unwrap();
            assert_eq!(reader.recv().await.unwrap(), Some("one".into()));
            writer.close(CloseCode::NORMAL, "").await.unwrap();
            assert!(reader.wait_closed().await.unwrap().is_clean());
            assert!(server.await.unwrap().is_clean());
        }
        async fn gives_up(near: impl AsyncRead + AsyncWrite + Unpin) {
            let began = tokio::time::Instant::now();
            let connection =
                hybi::Connection::server(hybi::Instant::ZERO, Config::new(), hybi::Outbox::new());
            let (mut reader, _writer) = WebSocket::from_parts(near, connection, hybi::Inbox::empty()).split();
            assert_eq!(reader.wait_closed().await.unwrap(), Outcome::TimedOut(TimerKind::Pong));
            assert_eq!(began.elapsed().as_secs(), 60);
        }
        let (near, far) = duplex(100);
        talks(near, far).await;
        let (near, far) = duplex(100);
        talks(boxed(near), boxed(far)).await;
        let (near, _far) = duplex(100);
        gives_up(boxed(near)).await;
        #[cfg(unix)]
        {
            let (near, far) = tokio::net::UnixStream::pair().unwrap();
            talks(near, far).await;
            let (near, _far) = tokio::net::UnixStream::pair().unwrap();
            gives_up(near).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn timers_use_the_clock_of_tokio() {
        let (near, _far) = duplex(1 << 16);
        let connection = hybi::Connection::server(hybi::Instant::ZERO, Config::new(), hybi::Outbox::new());
        let began = tokio::time::Instant::now();
        let mut ws = WebSocket::from_parts(near, connection, hybi::Inbox::empty());
        assert_eq!(ws.wait_closed().await.unwrap(), Outcome::TimedOut(TimerKind::Pong));
        let took = began.elapsed();
        assert!((60..61).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn timers_fire_for_a_task_that_used_up_its_tokio_budget() {
        let (near, _far) = duplex(1 << 16);
        let connection = hybi::Connection::server(hybi::Instant::ZERO, Config::new(), hybi::Outbox::new());
        let mut ws = WebSocket::from_parts(near, connection, hybi::Inbox::empty());
        // First another task waits, so that the alarm holds the waker of a task that has ended.
        ws = tokio::spawn(async move {
            assert!(timeout(Duration::from_secs(20), ws.recv()).await.is_err());
            ws
        })
        .await
        .unwrap();
        let mut waiting = pin!(timeout(Duration::from_secs(100), ws.wait_closed()));
        let mut turns = 0;
        let outcome = poll_fn(|cx| {
            turns += 1;
            // Use up tokio's budget of this poll, so that even a timer that is due returns `Pending`.
            while turns == 1 && pin!(tokio::task::coop::consume_budget()).poll(cx).is_ready() {}
            waiting.as_mut().poll(cx)
        });
        assert_eq!(
            outcome.await.expect("the alarm did not fire").unwrap(),
            Outcome::TimedOut(TimerKind::Pong)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_without_a_request_times_out() {
        let (near, mut far) = duplex(1 << 16);
        let accepted = Server::new().handshake_timeout(Some(Duration::from_secs(2))).accept(near).await;
        assert!(matches!(accepted, Err(AcceptError::Rejected(why)) if why.status() == 408));
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 408 "));
    }

    #[tokio::test]
    async fn a_conversation_runs_over_any_stream() {
        let (near, far) = duplex(100);
        let server = tokio::spawn(async move {
            let mut ws = accept(far).await.unwrap();
            ws.recv().await.unwrap()
        });
        let mut ws = client(near, hybi::handshake::ClientRequest::new("a", "/")).await.unwrap();
        ws.send_text("hello").await.unwrap();
        assert_eq!(server.await.unwrap(), Some("hello".into()));
        let (mut reader, _writer) = ws.split();
        assert_eq!(reader.wait_closed().await.unwrap().code(), CloseCode::ABNORMAL);
    }

    /// A stream that behaves like one over OpenSSL. A write that returns `Pending` has already taken up to 16 KiB.
    /// The next write reports these bytes as written, and does not compare them with its argument.
    struct Taking {
        stream: DuplexStream,
        taken: Vec<u8>,
        written: usize,
    }

    impl AsyncRead for Taking {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            to: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, to)
        }
    }

    impl AsyncWrite for Taking {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            from: &[u8],
        ) -> Poll<io::Result<usize>> {
            let Self { stream, taken, written } = &mut *self;
            if taken.is_empty() {
                taken.extend(&from[..from.len().min(16 << 10)]);
            } else if from.len() < taken.len() {
                return Poll::Ready(Err(io::Error::other("bad write retry")));
            }
            while *written < taken.len() {
                *written += ready!(Pin::new(&mut *stream).poll_write(cx, &taken[*written..]))?;
            }
            *written = 0;
            Poll::Ready(Ok(std::mem::take(taken).len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn a_stream_that_keeps_the_bytes_of_a_waiting_write_receives_whole_frames() {
        let (near, far) = duplex(100);
        let stream = Taking { stream: near, taken: Vec::new(), written: 0 };
        let server = |stream| {
            let config = Config::new().high_water(1 << 20);
            let connection = hybi::Connection::server(hybi::Instant::ZERO, config, hybi::Outbox::new());
            WebSocket::from_parts(stream, connection, hybi::Inbox::empty())
        };
        let mut ws = server(stream);
        let config = Config::new();
        let connection = hybi::Connection::client(hybi::Instant::ZERO, config, hybi::Outbox::new(), [1; 32]);
        let mut peer = WebSocket::from_parts(far, connection, hybi::Inbox::empty());

        let messages = || [60, 61, 62, 2000, 20_000].map(|len| Message::from(vec![len as u8; len]));
        for message in messages() {
            ws.feed(message).await.unwrap();
        }
        // The flush passes the first bytes of the queue to the stream and then waits. The Pongs that follow must not
        // be written before those bytes.
        assert!(timeout(Duration::ZERO, ws.flush()).await.is_err());
        for n in 0..5 {
            peer.ping(&[n]).await.unwrap();
        }
        let sending = tokio::spawn(async move { ws.wait_closed().await.unwrap() });
        let (mut received, mut pongs) = (Vec::new(), 0);
        while received.len() < 5 || pongs < 5 {
            match peer.next_event().await.unwrap().unwrap().0 {
                Event::Binary(data) => received.push(Message::from(data.to_vec())),
                Event::Pong(_) => pongs += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(received == messages());
        peer.close(CloseCode::NORMAL, "").await.unwrap();
        assert!(peer.wait_closed().await.unwrap().is_clean());
        assert!(sending.await.unwrap().is_clean());
    }

    #[tokio::test]
    async fn an_unreachable_address_is_an_error() {
        #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
        assert!(matches!(connect("wss://a/").await, Err(ConnectError::NeedsTls)));
        assert!(matches!(connect("ftp://a/").await, Err(ConnectError::Url(_))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        match connect(&format!("ws://{address}/")).await {
            Err(ConnectError::Connect(error)) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
            other => panic!("{other:?}"),
        }
        let unsendable = Client::new().header("Host", "b");
        let refused = unsendable.connect(&format!("ws://{address}/")).await;
        assert!(matches!(refused, Err(ConnectError::Request(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn plain_http_is_served_on_the_same_port() {
        let (near, mut far) = duplex(1 << 16);
        far.write_all(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let Err(AcceptError::NotWebSocket(call)) = accept(near).await else { panic!("no call") };
        let (mut stream, received) = call.into_parts();
        assert!(received.starts_with(b"GET /page "));
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        drop(stream);
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 204 "));
    }
}

#[cfg(feature = "async-io")]
mod on_async_io {
    use std::time::{Duration, Instant};

    use hybi::adapters::futures_io::{
        AsyncIo, Client, Error, Reader, Server, Timer, WebSocket, Writer, accept, client,
    };
    use hybi::handshake::ClientRequest;
    use hybi::{CloseCode, Event};
    use smol::net::{TcpListener, TcpStream};

    use super::is_sync;

    #[test]
    fn handles_can_be_sent_to_other_threads() {
        is_sync::<WebSocket<TcpStream>>();
        is_sync::<Reader<TcpStream>>();
        is_sync::<Writer<TcpStream>>();
        is_sync::<Server>();
        is_sync::<Client>();
        is_sync::<Error>();
    }

    #[test]
    fn halves_in_two_tasks_converse_over_tcp() {
        smol::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = smol::spawn(async move {
                let mut ws = accept(listener.accept().await.unwrap().0).await.unwrap();
                while let Some((event, mut answer)) = ws.next_event().await.unwrap() {
                    if let Event::Text(text) = event {
                        answer.send_text(text).await.unwrap();
                    }
                }
                ws.outcome().unwrap()
            });
            let stream = TcpStream::connect(address).await.unwrap();
            let ws = client(stream, ClientRequest::new("a", "/")).await.unwrap();
            let (mut reader, mut writer) = ws.split();
            let sending = smol::spawn(async move {
                for n in 0..500 {
                    writer.send_text(&n.to_string()).await.unwrap();
                }
                writer
            });
            for n in 0..500 {
                assert_eq!(reader.recv().await.unwrap(), Some(n.to_string().into()));
            }
            sending.await.close(CloseCode::NORMAL, "").await.unwrap();
            assert!(reader.wait_closed().await.unwrap().is_clean());
            assert!(server.await.is_clean());
        });
    }

    #[test]
    fn an_alarm_fires_at_its_time_and_not_before() {
        smol::block_on(async {
            let (mut timer, began) = (AsyncIo::default(), Instant::now());
            // A new alarm replaces the old alarm, whether the new time is later or earlier.
            for (first, then) in [(5, 20), (10_000, 10)] {
                let (first, then) = (Duration::from_millis(first), Duration::from_millis(then));
                let now = timer.now();
                let mut first = Some(now + first);
                std::future::poll_fn(|cx| {
                    if let Some(at) = first.take() {
                        assert!(timer.poll_at(cx, at).is_pending());
                    }
                    timer.poll_at(cx, now + then)
                })
                .await;
                assert!(timer.now() >= now + then);
            }
            assert!(began.elapsed() < Duration::from_secs(5));
        });
    }
}
