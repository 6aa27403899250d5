//! Load generator (one thread, epoll): load PORT CONNS DEPTH SIZE SECONDS PID
//! Prints one JSON line: messages/s, server CPU per message, RTT percentiles (depth 1, 1 connection).
//! load PORT idle N PID   opens N idle connections and prints the server's RSS growth.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

struct Conn {
    s: TcpStream,
    /// Bytes of the repeated frame still to send, and where in the repeat buffer.
    to_send: usize,
    pos: usize,
    /// Receive state: bytes of the frame header so far, payload left, FIN.
    hdr: [u8; 10],
    hlen: usize,
    left: u64,
    fin: bool,
    at: Instant,
}

fn open(port: u16) -> TcpStream {
    let mut s = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    s.set_nodelay(true).unwrap();
    let req = String::from_utf8_lossy(peers::CHROME_REQUEST)
        .replace("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", "");
    s.write_all(req.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut b = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        assert!(s.read(&mut b).expect("handshake") == 1, "closed in handshake");
        head.push(b[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    assert!(head.windows(28).any(|w| w == peers::CHROME_ACCEPT));
    s
}

fn cpu_ns(pid: u32) -> u64 {
    let mut t = 0;
    for e in std::fs::read_dir(format!("/proc/{pid}/task")).expect("server is gone").flatten() {
        let f = std::fs::read_to_string(e.path().join("schedstat")).unwrap_or_default();
        t += f.split(' ').next().and_then(|x| x.parse::<u64>().ok()).unwrap_or(0);
    }
    t
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

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let port: u16 = a[1].parse().unwrap();
    if a[2] == "idle" {
        let n: usize = a[3].parse().unwrap();
        let pid: u32 = a[4].parse().unwrap();
        drop(open(port));
        std::thread::sleep(Duration::from_millis(200));
        let r0 = rss(pid);
        let v: Vec<TcpStream> = (0..n).map(|_| open(port)).collect();
        std::thread::sleep(Duration::from_millis(500));
        let r1 = rss(pid);
        // One small message on each, as a live connection has had.
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
        return;
    }
    let (conns, depth, size): (usize, usize, usize) =
        (a[2].parse().unwrap(), a[3].parse().unwrap(), a[4].parse().unwrap());
    let secs: f64 = a[5].parse().unwrap();
    let pid: u32 = a[6].parse().unwrap();

    let payload = peers::wire::payload(peers::wire::Content::Random, size, 5);
    let mut one = Vec::new();
    peers::wire::frame(&mut one, true, false, 2, Some([0x37, 0xfa, 0x21, 0x3d]), &payload);
    let copies = depth.max(65536 / one.len()).max(1);
    let repeat = one.repeat(copies);

    let ep = unsafe { libc::epoll_create1(0) };
    let mut cs: Vec<Conn> = Vec::new();
    for i in 0..conns {
        let mut s = open(port);
        // Check one echo in full.
        std::thread::scope(|sc| {
            let mut w = s.try_clone().unwrap();
            let one = &one;
            sc.spawn(move || w.write_all(one).unwrap());
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
            assert!(got == payload, "echo differs");
        });
        s.set_nonblocking(true).unwrap();
        let mut e = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32,
            u64: i as u64,
        };
        unsafe { libc::epoll_ctl(ep, libc::EPOLL_CTL_ADD, s.as_raw_fd(), &mut e) };
        cs.push(Conn {
            s,
            to_send: depth * one.len(),
            pos: 0,
            hdr: [0; 10],
            hlen: 0,
            left: 0,
            fin: false,
            at: Instant::now(),
        });
    }
    let mut buf = vec![0u8; 1 << 18];
    let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    let mut done = 0u64;
    let mut rtt: Vec<u32> = Vec::new();
    let warm = Duration::from_secs_f64(secs * 0.2);
    let t0 = Instant::now();
    let (mut start, mut cpu0, mut done0) = (None, 0, 0);
    let mut last = Instant::now();
    let ping = conns == 1 && depth == 1;
    loop {
        let now = Instant::now();
        if start.is_none() && now - t0 >= warm {
            start = Some(now);
            cpu0 = cpu_ns(pid);
            done0 = done;
            rtt.clear();
        }
        if (now - t0).as_secs_f64() >= secs {
            break;
        }
        assert!(now - last < Duration::from_secs(10), "no progress: {done} messages");
        let n = unsafe { libc::epoll_wait(ep, evs.as_mut_ptr(), 256, 100) };
        for e in &evs[..n.max(0) as usize] {
            let c = &mut cs[e.u64 as usize];
            let mut readable = true;
            loop {
                let mut idle = true;
                while c.to_send > 0 {
                    let k = c.to_send.min(repeat.len() - c.pos);
                    if ping {
                        c.at = Instant::now();
                    }
                    match c.s.write(&repeat[c.pos..c.pos + k]) {
                        Ok(w) => {
                            c.to_send -= w;
                            c.pos = (c.pos + w) % repeat.len();
                            idle = false;
                        }
                        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                        Err(e) => panic!("write: {e}"),
                    }
                }
                if readable {
                    match c.s.read(&mut buf) {
                        Ok(0) => panic!("server closed"),
                        Ok(k) => {
                            idle = false;
                            readable = k == buf.len();
                            let mut b = &buf[..k];
                            let mut msgs = 0;
                            while !b.is_empty() {
                                if c.left > 0 {
                                    let t = c.left.min(b.len() as u64);
                                    c.left -= t;
                                    b = &b[t as usize..];
                                } else {
                                    c.hdr[c.hlen] = b[0];
                                    c.hlen += 1;
                                    b = &b[1..];
                                    if c.hlen < 2 {
                                        continue;
                                    }
                                    let l = c.hdr[1] & 127;
                                    let need = match l {
                                        126 => 4,
                                        127 => 10,
                                        _ => 2,
                                    };
                                    if c.hlen < need {
                                        continue;
                                    }
                                    c.left = match l {
                                        126 => u16::from_be_bytes([c.hdr[2], c.hdr[3]]) as u64,
                                        127 => u64::from_be_bytes(c.hdr[2..10].try_into().unwrap()),
                                        l => l as u64,
                                    };
                                    c.fin = c.hdr[0] & 0x80 != 0;
                                    assert!(c.hdr[0] & 0x78 == 0, "unexpected frame {:02x}", c.hdr[0]);
                                    c.hlen = 0;
                                }
                                if c.left == 0 && c.hlen == 0 && c.fin {
                                    msgs += 1;
                                    c.fin = false;
                                }
                            }
                            done += msgs;
                            c.to_send += msgs as usize * one.len();
                            if ping && msgs > 0 {
                                rtt.push(c.at.elapsed().as_nanos() as u32);
                            }
                        }
                        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => readable = false,
                        Err(e) => panic!("read: {e}"),
                    }
                }
                if idle {
                    break;
                }
                last = now;
            }
        }
    }
    let dt = start.unwrap().elapsed().as_secs_f64();
    let n = (done - done0) as f64;
    let cpu = (cpu_ns(pid) - cpu0) as f64;
    rtt.sort_unstable();
    let pc = |p: f64| rtt.get((rtt.len() as f64 * p) as usize).copied().unwrap_or(0);
    println!(
        r#"{{"msgs_per_s":{:.0},"server_cpu_ns_per_msg":{:.1},"rtt_p50_ns":{},"rtt_p99_ns":{}}}"#,
        n / dt,
        cpu / n,
        pc(0.5),
        pc(0.99)
    );
}
