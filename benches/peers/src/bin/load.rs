//! The load generator, with one thread and epoll. It has two modes:
//!
//! - `load [tls] CONNECTIONS DEPTH SIZE SECONDS PORT:PID...` loads each server for this many seconds. The servers are
//!   loaded in turns of two milliseconds, so that other processes slow all of them down equally. The generator prints a
//!   line of JSON for each server: messages per second, CPU time of the server per message, and percentiles of the
//!   round-trip time. Round trips are measured only with depth 1 and one connection.
//! - `load idle N PORT:PID` opens N idle connections, and prints by how much the resident memory of the server grows.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

struct Conn {
    s: Link,
    /// Number of bytes that must still be sent.
    to_send: usize,
    /// Position of these bytes in the buffer of repeated frames.
    pos: usize,
    /// Header of the frame that is being received.
    hdr: [u8; 10],
    /// Number of bytes of the header that have arrived.
    hlen: usize,
    /// Number of payload bytes that have not arrived.
    left: u64,
    /// Whether FIN is set in the header.
    fin: bool,
    /// Start of the last write, if round trips are measured.
    at: Instant,
}

/// A connection to a server, with or without TLS.
struct Link {
    s: TcpStream,
    tls: Option<Box<rustls::ClientConnection>>,
}

impl Link {
    /// Writes the ciphertext of earlier writes.
    fn push(&mut self) -> std::io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.s)?;
            }
        }
        Ok(())
    }
}

impl Read for Link {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.s.read(to) };
        loop {
            match tls.reader().read(to) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            // Send the client's messages of the TLS handshake.
            while tls.wants_write() {
                tls.write_tls(&mut self.s)?;
            }
            if tls.read_tls(&mut self.s)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(std::io::Error::other)?;
        }
    }
}

impl Write for Link {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        self.push()?;
        let Some(tls) = &mut self.tls else { return self.s.write(from) };
        let n = tls.writer().write(from)?;
        // The rest is written by the next call.
        match self.push() {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(n),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.push()
    }
}

/// A server and its measurements.
struct Target {
    pid: u32,
    ep: i32,
    conns: Vec<Conn>,
    /// Number of echoes in the measured turns. The first two turns are not measured.
    done: u64,
    /// Duration of the measured turns.
    time: Duration,
    rtt: Vec<u32>,
    /// CPU time of the server at the beginning of the first measured turn.
    cpu0: u64,
}

/// Duration of one turn of a server.
const TURN: Duration = Duration::from_millis(2);

fn open(port: u16, tls: bool) -> Link {
    let s = TcpStream::connect(("127.0.0.1", port)).expect("the server does not accept a connection");
    s.set_nodelay(true).unwrap();
    let tls = tls.then(|| {
        let name = "localhost".try_into().unwrap();
        Box::new(rustls::ClientConnection::new(peers::tls::client_config(), name).unwrap())
    });
    let mut s = Link { s, tls };
    let req = String::from_utf8_lossy(peers::CHROME_REQUEST)
        .replace("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", "");
    s.write_all(req.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut b = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        assert!(
            s.read(&mut b).expect("reading failed in the handshake") == 1,
            "the server closed in the handshake"
        );
        head.push(b[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    assert!(head.windows(28).any(|w| w == peers::CHROME_ACCEPT));
    s
}

/// Returns the CPU time that a process has used so far, in nanoseconds.
fn cpu_ns(pid: u32) -> u64 {
    let (mut clock, mut at) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    let known = unsafe { libc::clock_getcpuclockid(pid as i32, &mut clock) };
    assert!(
        known == 0 && unsafe { libc::clock_gettime(clock, &mut at) } == 0,
        "the server process has ended"
    );
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}
fn rss(pid: u32) -> u64 {
    let s = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    s.lines()
        .find(|l| l.starts_with("VmRSS"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

fn target(arg: &str) -> (u16, u32) {
    let (port, pid) = arg.split_once(':').expect("an argument must have the form PORT:PID");
    (port.parse().unwrap(), pid.parse().unwrap())
}

fn main() {
    let mut a: Vec<String> = std::env::args().collect();
    let tls = a[1] == "tls";
    if tls {
        a.remove(1);
    }
    if a[1] == "idle" {
        return idle(a[2].parse().unwrap(), target(&a[3]));
    }
    let (conns, depth, size): (usize, usize, usize) =
        (a[1].parse().unwrap(), a[2].parse().unwrap(), a[3].parse().unwrap());
    let turns = (a[4].parse::<f64>().unwrap() / TURN.as_secs_f64()).ceil() as usize;

    let payload = peers::wire::payload(peers::wire::Content::Random, size, 5);
    let mut one = Vec::new();
    peers::wire::frame(&mut one, true, false, 2, Some([0x37, 0xfa, 0x21, 0x3d]), &payload);
    let copies = depth.max(65536 / one.len()).max(1);
    let load = Load { one: one.len(), repeat: one.repeat(copies), depth, ping: conns == 1 && depth == 1 };

    let mut targets: Vec<Target> = Vec::new();
    for (port, pid) in a[5..].iter().map(|arg| target(arg)) {
        let ep = unsafe { libc::epoll_create1(0) };
        let conns = (0..conns)
            .map(|i| {
                let mut s = open(port, tls);
                check_echo(&mut s, &one, &payload);
                s.s.set_nonblocking(true).unwrap();
                let mut e = libc::epoll_event {
                    events: (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32,
                    u64: i as u64,
                };
                unsafe { libc::epoll_ctl(ep, libc::EPOLL_CTL_ADD, s.s.as_raw_fd(), &mut e) };
                Conn { s, to_send: 0, pos: 0, hdr: [0; 10], hlen: 0, left: 0, fin: false, at: Instant::now() }
            })
            .collect();
        targets.push(Target { pid, ep, conns, done: 0, time: Duration::ZERO, rtt: Vec::new(), cpu0: 0 });
    }
    let mut buf = vec![0u8; 1 << 18];
    // The first two turns of each server are not measured, because in these turns memory grows and caches are filled.
    for turn in 0..turns + 2 {
        if turn == 2 {
            for target in &mut targets {
                (target.done, target.time, target.cpu0) = (0, Duration::ZERO, cpu_ns(target.pid));
                target.rtt.clear();
            }
        }
        // Rotate the order, so that no server is always first. The caller passes the servers in a random order.
        let first = 1 % targets.len();
        targets.rotate_left(first);
        if turn % 2 == 1 {
            targets.reverse();
        }
        for target in &mut targets {
            target.turn(&load, &mut buf);
        }
    }
    let order = |target: &Target| a[5..].iter().position(|arg| arg.ends_with(&format!(":{}", target.pid)));
    targets.sort_by_key(order);
    for target in &mut targets {
        let cpu = (cpu_ns(target.pid) - target.cpu0) as f64;
        let rtt = &mut target.rtt;
        rtt.sort_unstable();
        let pc = |p: f64| rtt.get((rtt.len() as f64 * p) as usize).copied().unwrap_or(0);
        println!(
            r#"{{"msgs_per_s":{:.0},"server_cpu_ns_per_msg":{:.1},"rtt_p50_ns":{},"rtt_p99_ns":{}}}"#,
            target.done as f64 / target.time.as_secs_f64(),
            cpu / target.done as f64,
            pc(0.5),
            pc(0.99)
        );
    }
}

fn idle(n: usize, (port, pid): (u16, u32)) {
    drop(open(port, false));
    std::thread::sleep(Duration::from_millis(200));
    let r0 = rss(pid);
    let v: Vec<TcpStream> = (0..n).map(|_| open(port, false).s).collect();
    std::thread::sleep(Duration::from_millis(500));
    let r1 = rss(pid);
    // Echo one small message on each connection, because a real connection has been used before it idles.
    let mut f = Vec::new();
    peers::wire::frame(&mut f, true, false, 2, Some([1, 2, 3, 4]), &[7; 16]);
    for mut s in v.iter() {
        s.write_all(&f).unwrap();
        let mut b = [0; 18];
        s.read_exact(&mut b).unwrap();
        assert!(b[2..] == [7; 16]);
    }
    std::thread::sleep(Duration::from_millis(300));
    let r2 = rss(pid);
    let (fresh, echoed) = ((r1 - r0) as f64 / n as f64, (r2 - r0) as f64 / n as f64);
    print!(r#"{{"conns":{n},"rss_base":{r0},"bytes_per_conn_fresh":{fresh:.0},"#);
    println!(r#""bytes_per_conn_after_one_echo":{echoed:.0}}}"#);
}

/// Sends one message, and checks all bytes of its echo.
fn check_echo(s: &mut Link, one: &[u8], payload: &[u8]) {
    std::thread::scope(|sc| {
        if s.tls.is_some() {
            // All servers over TLS receive a whole message before they send.
            s.write_all(one).unwrap();
            s.flush().unwrap();
        } else {
            let mut w = s.s.try_clone().unwrap();
            sc.spawn(move || w.write_all(one).unwrap());
        }
        let mut got = Vec::new();
        loop {
            let mut h = [0u8; 2];
            s.read_exact(&mut h).unwrap();
            let len = match h[1] & 127 {
                126 => {
                    let mut x = [0; 2];
                    s.read_exact(&mut x).unwrap();
                    u16::from_be_bytes(x) as usize
                }
                127 => {
                    let mut x = [0; 8];
                    s.read_exact(&mut x).unwrap();
                    u64::from_be_bytes(x) as usize
                }
                l => l as usize,
            };
            let at = got.len();
            got.resize(at + len, 0);
            s.read_exact(&mut got[at..]).unwrap();
            if h[0] & 0x80 != 0 {
                break;
            }
        }
        assert!(got == payload, "the echo differs from the message");
    });
}

/// The data to send.
struct Load {
    /// Length of one frame.
    one: usize,
    /// Many copies of the frame.
    repeat: Vec<u8>,
    depth: usize,
    ping: bool,
}

impl Target {
    /// Keeps `depth` messages in flight on each connection for one turn, then waits for the last echo.
    fn turn(&mut self, load: &Load, buf: &mut [u8]) {
        let start = Instant::now();
        let mut waiting = self.conns.len() * load.depth;
        let mut evs = [libc::epoll_event { events: 0, u64: 0 }; 256];
        for c in &mut self.conns {
            c.to_send = load.depth * load.one;
            self.done += c.drive(load, true, buf, &mut self.rtt) as u64;
        }
        while waiting > 0 {
            let n = unsafe { libc::epoll_wait(self.ep, evs.as_mut_ptr(), 256, 10_000) };
            assert!(n != 0, "the server makes no progress after {} messages", self.done);
            let on = start.elapsed() < TURN;
            for e in &evs[..n.max(0) as usize] {
                let came = self.conns[e.u64 as usize].drive(load, on, buf, &mut self.rtt);
                self.done += came as u64;
                if !on {
                    waiting -= came;
                }
            }
        }
        self.time += start.elapsed();
    }
}

impl Conn {
    /// Sends and receives until both would block. Returns the number of received messages. If `on` is true, a new
    /// message is sent for each received one.
    fn drive(&mut self, load: &Load, on: bool, buf: &mut [u8], rtt: &mut Vec<u32>) -> usize {
        let (mut readable, mut came) = (true, 0);
        loop {
            let mut idle = true;
            match self.s.push() {
                Err(e) if e.kind() != std::io::ErrorKind::WouldBlock => panic!("writing failed: {e}"),
                _ => {}
            }
            while self.to_send > 0 {
                let k = self.to_send.min(load.repeat.len() - self.pos);
                if load.ping {
                    self.at = Instant::now();
                }
                match self.s.write(&load.repeat[self.pos..self.pos + k]) {
                    Ok(w) => {
                        self.to_send -= w;
                        self.pos = (self.pos + w) % load.repeat.len();
                        idle = false;
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(e) => panic!("writing failed: {e}"),
                }
            }
            if readable {
                match self.s.read(buf) {
                    Ok(0) => panic!("the server closed the connection"),
                    Ok(k) => {
                        idle = false;
                        readable = self.s.tls.is_some() || k == buf.len();
                        let msgs = self.take_in(&buf[..k]);
                        came += msgs;
                        if on {
                            self.to_send += msgs * load.one;
                        }
                        if load.ping && msgs > 0 {
                            rtt.push(self.at.elapsed().as_nanos() as u32);
                        }
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => readable = false,
                    Err(e) => panic!("reading failed: {e}"),
                }
            }
            if idle {
                return came;
            }
        }
    }

    /// Parses received bytes. Returns the number of messages that end in them.
    fn take_in(&mut self, mut b: &[u8]) -> usize {
        let mut msgs = 0;
        while !b.is_empty() {
            if self.left > 0 {
                let t = self.left.min(b.len() as u64);
                self.left -= t;
                b = &b[t as usize..];
            } else {
                self.hdr[self.hlen] = b[0];
                self.hlen += 1;
                b = &b[1..];
                if self.hlen < 2 {
                    continue;
                }
                let l = self.hdr[1] & 127;
                let need = match l {
                    126 => 4,
                    127 => 10,
                    _ => 2,
                };
                if self.hlen < need {
                    continue;
                }
                self.left = match l {
                    126 => u16::from_be_bytes([self.hdr[2], self.hdr[3]]) as u64,
                    127 => u64::from_be_bytes(self.hdr[2..10].try_into().unwrap()),
                    l => l as u64,
                };
                self.fin = self.hdr[0] & 0x80 != 0;
                assert!(self.hdr[0] & 0x78 == 0, "unexpected frame {:02x}", self.hdr[0]);
                self.hlen = 0;
            }
            if self.left == 0 && self.hlen == 0 && self.fin {
                msgs += 1;
                self.fin = false;
            }
        }
        msgs
    }
}
