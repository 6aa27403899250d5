fn serve(mut stream: TcpStream) -> Result<Outcome, Box<dyn std::error::Error>> {
    let start = Clock::now();
    let now = || Instant::from_origin(start.elapsed());

    // The handshake. Each poll gets all bytes that have arrived, and returns a request when the head is complete.
    let mut handshake = ServerHandshake::new(HeadLimits::new()).with_timeout(now(), Duration::from_secs(10));
    let mut received = Vec::new();
    let mut inbox = loop {
        match handshake.handle_timeout(now()).and_then(|()| handshake.poll(&received)) {
            Ok(None) => {}
            Ok(Some(Incoming::Upgrade(request))) => {
                stream.write_all(&request.accept().to_vec()?)?;
                break Inbox::with_bytes(&received[request.head_len()..]);
            }
            Ok(Some(Incoming::Http(request))) => {
                stream.write_all(&request.rejection().response().to_vec()?)?; // or serve it
                return Err("a plain HTTP request".into());
            }
            Err(rejection) => {
                stream.write_all(&rejection.response().to_vec()?)?;
                return Err(rejection.into());
            }
        }
        let mut piece = [0; 1024];
        stream.set_read_timeout(handshake.poll_timeout().map(|at| left(at, now())))?;
        match stream.read(&mut piece) {
            Ok(0) => return Err("the stream ended within the handshake".into()),
            Ok(n) => received.extend_from_slice(&piece[..n]),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error.into()),
        }
    };

    let mut connection = Connection::server(now(), Config::new(), Outbox::new());
    loop {
        // Handle everything that has arrived.
        loop {
            match connection.poll_event(now(), &mut inbox) {
                Ok(Some(Event::Text(text))) => {
                    // If the queue is full, write some of it first. `text` borrows from `inbox`, so nothing can be
                    // read here. If the peer reads nothing, a timer ends the connection in `write`, and the send is
                    // refused as `Closed`.
                    while connection.send_text(text) == Err(SendError::Blocked) {
                        write(&mut stream, &mut connection, now)?;
                    }
                }
                Ok(Some(Event::Closed(outcome))) => return Ok(outcome),
                Ok(Some(_)) => {}                            // Pings are answered already
                Ok(None) => break,                           // all input is consumed
                Err(violation) => eprintln!("{violation}"),  // a Close with this error is queued
            }
        }
        // Handle due timers, write the queue, and do what the transport needs.
        write(&mut stream, &mut connection, now)?;
        match connection.poll_transport() {
            Some(TransportAction::HalfClose) => {
                stream.shutdown(Shutdown::Write)?;
                connection.handle_half_closed();
            }
            Some(_) => continue,                             // the next `poll_event` returns `Closed`
            None => {}
        }
        // Wait for input, or for the next deadline.
        stream.set_read_timeout(connection.poll_timeout().map(|at| left(at, now())))?;
        match stream.read(connection.read_space(&mut inbox)) {
            Ok(0) => connection.handle_eof(),
            Ok(n) => inbox.handle_read(n),
            Err(error) if is_timeout(&error) => {}
            Err(_) => connection.handle_eof(),               // a reset is also an end
        }
    }
}

/// Handles due timers and writes the queue. Returns when the queue is empty, or when the peer accepted nothing until
/// the next deadline. One write can contain many frames.
fn write(
    stream: &mut TcpStream,
    connection: &mut Connection,
    now: impl Fn() -> Instant,
) -> std::io::Result<()> {
    loop {
        // Handle timers before each write. Otherwise a slow peer could delay them forever.
        connection.handle_timeout(now());
        stream.set_write_timeout(connection.poll_timeout().map(|at| left(at, now())))?;
        let mut slices = [&[][..]; 16];
        let len = connection.poll_transmit(&mut slices);
        if len == 0 {
            return Ok(());
        }
        let vectors: Vec<_> = slices[..len].iter().map(|slice| IoSlice::new(slice)).collect();
        match stream.write_vectored(&vectors) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => connection.transmitted(now(), n),
            // The peer accepted nothing until a deadline. The caller calls again.
            Err(error) if is_timeout(&error) => {
                connection.transmitted(now(), 0);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

fn left(at: Instant, now: Instant) -> Duration {
    at.saturating_duration_since(now).max(Duration::from_millis(1))
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
