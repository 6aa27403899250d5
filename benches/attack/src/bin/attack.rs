//! The load generator: many honest connections that request an echo from time to time, and a few that attack.
//!
//! `attack [--honest N] [--period SECONDS] [--seconds SECONDS] [--core CORE] [--only PART-OF-A-NAME] [--realtime yes]`
//!
//! For each attack, the generator starts a server, opens the honest connections, and starts the attackers. It measures
//! how long an honest echo takes. In the end it prints a table.
//!
//! It measures with two clocks: wall-clock time, and the processor time of the server. The second clock stops while the
//! server waits or other processes use its core. Under attack the server never waits. So on a busy machine the second
//! clock shows the effect of the attack alone.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hybi_attack::attack::{self, Attack, WRITE};
use hybi_attack::limits::raise_descriptors;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Number of descriptors that are reserved for attackers, and for everything else that is not an honest connection.
const RESERVED: u64 = 300;
/// Maximum number of connections that are opened from one address.
const PER_ADDRESS: usize = 20_000;
/// How long the honest connections run before the attack, and how long the attack runs before the measurement. So work
/// that an attack causes only once, such as an allocation, is not measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// Maximum wait for the last echoes, while the attack continues.
const GRACE: Duration = Duration::from_secs(2);
/// Length of the payload of an honest message, in bytes.
const PAYLOAD: usize = 32;
/// Length of an echo on the wire, in bytes.
const ECHO: usize = 2 + PAYLOAD;

struct Options {
    honest: usize,
    period: Duration,
    seconds: Duration,
    /// The core that the server runs on.
    core: usize,
    only: String,
    /// Whether the generator gets a realtime priority, so that it does not wait for its core.
    realtime: bool,
}

fn options() -> Result<Options> {
    let mut options = Options {
        honest: 10_000,
        period: Duration::from_secs(10),
        seconds: Duration::from_secs(10),
        core: 1,
        only: String::new(),
        realtime: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        match &name[..] {
            "--honest" => options.honest = value.parse()?,
            "--period" => options.period = Duration::from_secs_f64(value.parse()?),
            "--seconds" => options.seconds = Duration::from_secs_f64(value.parse()?),
            "--core" => options.core = value.parse()?,
            "--only" => options.only = value,
            "--realtime" => options.realtime = value == "yes",
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let mut options = options()?;
    let most = usize::try_from(raise_descriptors().saturating_sub(RESERVED))?;
    if options.honest > most {
        eprintln!("only {most} honest connections, because of the limit on open descriptors (ulimit -Hn)");
        options.honest = most;
    }
    if options.realtime && !set_realtime_priority(2) {
        eprintln!("no permission for `--realtime yes`: the generator runs with normal priority");
        options.realtime = false;
    }
    let attacks = attack::all();
    let attacks = attacks.iter().filter(|attack| attack.name.contains(&options.only));
    // Measure without an attack at the beginning and at the end. The difference between the two results shows how much
    // other processes disturb the measurement.
    let runs = std::iter::once(None).chain(attacks.map(Some)).chain([None]);
    let mut rows = Vec::new();
    for attack in runs {
        let row = run(attack, &options)?;
        eprintln!("{:45} p99 {:.1} ms, {} of {} unanswered", row.name, ms(row.p99), row.unanswered, row.sent);
        rows.push(row);
    }
    println!("{}", table(&rows, &options));
    Ok(())
}

/// Gives this thread a realtime priority. Processes that it starts do not inherit the priority.
fn set_realtime_priority(priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameters are valid during the call, which changes this thread only.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &parameters) == 0 }
}

struct Row {
    name: &'static str,
    sent: usize,
    p50: Duration,
    p90: Duration,
    p99: Duration,
    max: Duration,
    /// Like `p99`, but measured in the server's processor time.
    server_p99: Duration,
    unanswered: usize,
    /// Bytes per second that the attackers have sent.
    rate: f64,
    /// Number of attackers that the server has disconnected.
    lost: u64,
    /// Maximum time by which the generator sent a message too late.
    late: Duration,
    /// Fraction of a core that the server used.
    busy: f64,
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn table(rows: &[Row], options: &Options) -> String {
    let calm: Vec<f64> = rows.iter().filter(|row| row.name == "none").map(|row| ms(row.p99)).collect();
    let calm = calm.iter().sum::<f64>() / calm.len() as f64;
    let mut out = String::new();
    let rate = options.honest as f64 / options.period.as_secs_f64();
    let _ = writeln!(
        out,
        "{} honest connections request {rate:.0} echoes per second, each of {PAYLOAD} B, for {:.0} s with each attack. \
         Times are in ms. \"p99 to none\" is the ratio of p99 to the mean p99 of the two rows `none`.\n",
        options.honest,
        options.seconds.as_secs_f64()
    );
    let _ = writeln!(
        out,
        "| attack | p50 | p90 | p99 | max | p99 to none | p99 by the server's clock | unanswered | MB/s of attack | server busy |"
    );
    let _ = writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let ratio = ms(row.p99) / calm;
        let _ = write!(
            out,
            "| {} | {:.2} | {:.2} | {:.1} | {:.1} | {ratio:.1} ",
            row.name,
            ms(row.p50),
            ms(row.p90),
            ms(row.p99),
            ms(row.max)
        );
        let _ = write!(out, "| {:.1} ", ms(row.server_p99));
        let _ = write!(
            out,
            "| {} of {} | {:.1} | {:.0} % |",
            row.unanswered,
            row.sent,
            row.rate / 1e6,
            row.busy * 100.0
        );
        if row.lost > 0 {
            let _ = write!(out, " {} attackers disconnected", row.lost);
        }
        if row.late > Duration::from_millis(20) {
            let _ = write!(out, " generator late by {:.0} ms", ms(row.late));
        }
        out.push('\n');
    }
    out
}

// --- the server ---

struct Server {
    process: Child,
    port: u16,
    /// The clock of the server's processor time.
    clock: libc::clockid_t,
}

impl Server {
    fn start(core: usize) -> Result<Self> {
        let path = std::env::current_exe()?.with_file_name("server");
        let mut command = Command::new("taskset");
        command.arg("-c").arg(core.to_string()).arg(path).args(["127.0.0.1:0", "--deflate"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or("the server has no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().rsplit(':').next().ok_or("the server printed no port")?.parse()?;
        let mut clock = 0;
        // SAFETY: the clock is valid during the call.
        unsafe { libc::clock_getcpuclockid(process.id().cast_signed(), &mut clock) };
        Ok(Self { process, port, clock })
    }
}

/// Returns the processor time that a server has used.
fn server_time(clock: libc::clockid_t) -> Duration {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is valid during the call.
    unsafe { libc::clock_gettime(clock, &mut at) };
    Duration::new(at.tv_sec.unsigned_abs(), u32::try_from(at.tv_nsec).unwrap_or(0))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// --- connections ---

/// Opens connection number `index` to the server, and performs the handshake.
fn open(port: u16, index: usize, deflate: bool) -> Result<TcpStream> {
    let mut stream = connect(port, 2 + u8::try_from(index / PER_ADDRESS)?)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let extension = if deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extension}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err("closed in the handshake".into());
        }
        head.extend_from_slice(&bytes[..read]);
    }
    if !head.starts_with(b"HTTP/1.1 101")
        || head.windows(18).any(|part| part == b"permessage-deflate") != deflate
    {
        return Err(String::from_utf8_lossy(&head).into());
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Connects from 127.0.0.`host`. The connection ends with a reset, so that its port is free at once.
fn connect(port: u16, host: u8) -> io::Result<TcpStream> {
    let address = |host: u8, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, host]) },
        sin_zero: [0; 8],
    };
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let set = |socket: i32, level, name, value: *const libc::c_void, length: usize| {
        // SAFETY: the value has this length and is valid during the call.
        unsafe { libc::setsockopt(socket, level, name, value, length as libc::socklen_t) }
    };
    let (one, reset) = (1_i32, libc::linger { l_onoff: 1, l_linger: 0 });
    // SAFETY: no other code uses the socket, and the addresses are valid during the calls.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        let stream = TcpStream::from_raw_fd(socket);
        // With this option the system chooses the port in `connect`, and not in `bind`. So the system can choose a port
        // that a connection to another server uses.
        set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const one).cast(), 4);
        set(socket, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const reset).cast(), size_of::<libc::linger>());
        let (from, to) = (address(host, 0), address(1, port));
        if libc::bind(socket, (&raw const from).cast(), length) != 0
            || libc::connect(socket, (&raw const to).cast(), length) != 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok(stream)
    }
}

/// An epoll instance.
struct Poller(i32);

impl Poller {
    fn new() -> Self {
        // SAFETY: the call takes no pointers.
        Self(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
    }

    fn add(&self, stream: &TcpStream, events: i32, index: usize) {
        self.control(libc::EPOLL_CTL_ADD, stream, events, index);
    }

    fn change(&self, stream: &TcpStream, events: i32, index: usize) {
        self.control(libc::EPOLL_CTL_MOD, stream, events, index);
    }

    fn control(&self, operation: i32, stream: &TcpStream, events: i32, index: usize) {
        let mut event = libc::epoll_event { events: events as u32, u64: index as u64 };
        // SAFETY: the event is valid during the call.
        unsafe { libc::epoll_ctl(self.0, operation, stream.as_raw_fd(), &mut event) };
    }

    /// Waits for at most this many milliseconds.
    fn wait<'e>(&self, events: &'e mut [libc::epoll_event], timeout: i32) -> &'e [libc::epoll_event] {
        // SAFETY: the kernel writes at most `events.len()` events.
        let count = unsafe { libc::epoll_wait(self.0, events.as_mut_ptr(), events.len() as i32, timeout) };
        &events[..usize::try_from(count).unwrap_or(0)]
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        // SAFETY: no other code uses this descriptor.
        unsafe { libc::close(self.0) };
    }
}

const NO_EVENT: libc::epoll_event = libc::epoll_event { events: 0, u64: 0 };

// --- attackers ---

struct Attackers {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// The events that a sending attacker waits for.
const ALL: i32 = libc::EPOLLIN | libc::EPOLLOUT;

struct Attacker {
    stream: TcpStream,
    first: usize,
    at: usize,
    /// Number of received bytes of answers to the data that is being sent.
    answered: usize,
    /// Whether everything was sent and some answers are missing.
    waits: bool,
    gone: bool,
}

impl Attackers {
    fn start(attack: &Attack, port: u16, index: usize, realtime: bool) -> Result<Self> {
        let poller = Poller::new();
        let mut all = Vec::new();
        for n in 0..attack.connections {
            let stream = open(port, index + n, attack.deflate)?;
            let events = libc::EPOLLOUT | if attack.reads { libc::EPOLLIN } else { 0 };
            poller.add(&stream, events, n);
            all.push(Attacker { stream, first: 0, at: 0, answered: 0, waits: false, gone: false });
        }
        let (stop, sent, lost) = (Arc::default(), Arc::default(), Arc::default());
        let (first, again, waits) = (attack.first.clone(), attack.again.clone(), attack.waits);
        let shared = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&lost));
        let thread = thread::spawn(move || {
            attack_until(&poller, &mut all, [&first, &again], waits, &shared, realtime)
        });
        Ok(Self { stop, sent, lost, thread: Some(thread) })
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes as much as the server accepts, at most 16 KiB in each write, until `stop` is set. If `waits` is not 0, waits
/// for this many bytes of answers before the data is written again.
fn attack_until(
    poller: &Poller,
    all: &mut [Attacker],
    [first, again]: [&[u8]; 2],
    waits: usize,
    (stop, sent, lost): &(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>),
    realtime: bool,
) {
    // Attackers get a lower priority than the measuring thread, because both run on one core.
    if !realtime || !set_realtime_priority(1) {
        // SAFETY: the calls take no pointers, and change this thread only.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, libc::getpriority(libc::PRIO_PROCESS, 0) + 5) };
    }
    let (mut events, mut buffer) = ([NO_EVENT; 256], vec![0; 256 << 10]);
    while !stop.load(Ordering::Relaxed) {
        for event in poller.wait(&mut events, 10) {
            let Some(attacker) = all.get_mut(event.u64 as usize) else { continue };
            if attacker.gone {
                continue;
            }
            let ready = event.events as i32;
            let mut failed = ready & (libc::EPOLLERR | libc::EPOLLHUP) != 0;
            if ready & libc::EPOLLIN != 0 {
                failed |= match attacker.stream.read(&mut buffer) {
                    Ok(read) => {
                        attacker.answered += read;
                        if attacker.waits && attacker.answered >= waits {
                            attacker.answered = 0;
                            attacker.waits = false;
                            poller.change(&attacker.stream, ALL, event.u64 as usize);
                        }
                        read == 0
                    }
                    Err(error) => error.kind() != io::ErrorKind::WouldBlock,
                };
            }
            if ready & libc::EPOLLOUT != 0 && !failed && !attacker.waits {
                let part = if attacker.first < first.len() {
                    &first[attacker.first..]
                } else {
                    &again[attacker.at..]
                };
                match attacker.stream.write(&part[..part.len().min(WRITE)]) {
                    Ok(written) => {
                        sent.fetch_add(written as u64, Ordering::Relaxed);
                        if attacker.first < first.len() {
                            attacker.first += written;
                        } else {
                            attacker.at = (attacker.at + written) % again.len();
                            if attacker.at == 0 && attacker.answered >= waits {
                                attacker.answered = 0;
                            } else if attacker.at == 0 {
                                attacker.waits = true;
                                poller.change(&attacker.stream, libc::EPOLLIN, event.u64 as usize);
                            }
                        }
                    }
                    Err(error) => failed = error.kind() != io::ErrorKind::WouldBlock,
                }
            }
            if failed {
                attacker.gone = true;
                lost.fetch_add(1, Ordering::Relaxed);
                let _ = attacker.stream.shutdown(std::net::Shutdown::Both);
                // SAFETY: the descriptor is open, and `EPOLL_CTL_DEL` accepts a null pointer.
                unsafe {
                    libc::epoll_ctl(
                        poller.0,
                        libc::EPOLL_CTL_DEL,
                        attacker.stream.as_raw_fd(),
                        std::ptr::null_mut(),
                    )
                };
            }
        }
    }
}

// --- honest connections ---

struct Honest {
    poller: Poller,
    all: Vec<Waiting>,
    message: Vec<u8>,
    /// Number of messages that were due so far.
    due: u64,
    /// Time at which the first message is due.
    start: Instant,
    /// Time between two messages, over all connections.
    interval: Duration,
    /// Duration of each echo, in wall-clock time and in the server's processor time.
    times: Vec<[Duration; 2]>,
    server: libc::clockid_t,
    sent: usize,
    late: Duration,
}

struct Waiting {
    stream: TcpStream,
    /// When the unanswered message was sent, by both clocks.
    since: Option<(Instant, Duration)>,
    /// Number of received bytes of the echo.
    got: usize,
}

impl Honest {
    fn open(server: &Server, options: &Options) -> Result<Self> {
        let poller = Poller::new();
        let mut all = Vec::with_capacity(options.honest);
        for index in 0..options.honest {
            let stream = open(server.port, index, false)?;
            poller.add(&stream, libc::EPOLLIN, index);
            all.push(Waiting { stream, since: None, got: 0 });
        }
        Ok(Self {
            poller,
            all,
            message: attack::frame(0x82, &[b'.'; PAYLOAD]),
            due: 0,
            start: Instant::now(),
            interval: options.period.div_f64(options.honest as f64),
            times: Vec::new(),
            server: server.clock,
            sent: 0,
            late: Duration::ZERO,
        })
    }

    /// Sends due messages and receives echoes until `end`. From `last` on it only receives.
    fn run(&mut self, last: Instant, end: Instant) -> Result<()> {
        let mut events = [NO_EVENT; 1024];
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let mut at = self.start + self.interval.mul_f64(self.due as f64);
            while at <= now && at < last {
                self.late = self.late.max(now - at);
                self.send()?;
                at = self.start + self.interval.mul_f64(self.due as f64);
            }
            let next = if at < last { at.min(end) } else { end };
            let timeout = next.saturating_duration_since(Instant::now()).as_millis().min(10) + 1;
            let ready = self.poller.wait(&mut events, i32::try_from(timeout)?);
            let (now, server_now) = (Instant::now(), server_time(self.server));
            for event in ready {
                let Some(one) = self.all.get_mut(event.u64 as usize) else { continue };
                let mut buffer = [0; ECHO];
                one.got += match one.stream.read(&mut buffer[one.got..]) {
                    Ok(0) => return Err("an honest connection was closed".into()),
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error.into()),
                };
                if one.got == ECHO {
                    one.got = 0;
                    self.times.extend(one.since.take().map(|(at, server)| [now - at, server_now - server]));
                }
            }
        }
    }

    fn send(&mut self) -> Result<()> {
        // Use the connections in a scattered order, not in the order in which they were opened.
        let index = (self.due as usize).wrapping_mul(7919) % self.all.len();
        self.due += 1;
        let one = &mut self.all[index];
        if one.since.is_none() {
            let server = server_time(self.server);
            one.stream.write_all(&self.message)?;
            one.since = Some((Instant::now(), server));
            self.sent += 1;
        }
        Ok(())
    }

    /// Begins the measurement: discards earlier results.
    fn begin(&mut self) {
        self.times.clear();
        self.late = Duration::ZERO;
        self.sent = self.all.iter().filter(|one| one.since.is_some()).count();
    }
}

fn run(attack: Option<&Attack>, options: &Options) -> Result<Row> {
    let server = Server::start(options.core)?;
    let mut honest = Honest::open(&server, options)?;
    honest.start = Instant::now();
    let warm = honest.start + WARM_UP;
    honest.run(warm, warm)?;
    let attackers =
        attack.map(|attack| Attackers::start(attack, server.port, options.honest, options.realtime));
    let attackers = attackers.transpose()?;
    // While the attackers connected, nothing was sent. Move the schedule of the messages by that time.
    let now = Instant::now();
    honest.start = now - honest.interval.mul_f64(honest.due as f64);
    honest.run(now + WARM_UP, now + WARM_UP)?;
    honest.begin();
    let (start, before) = (Instant::now(), server_time(server.clock));
    let sent = |attackers: &Attackers| attackers.sent.load(Ordering::Relaxed);
    let sent_before = attackers.as_ref().map_or(0, sent);
    let last = start + options.seconds;
    honest.run(last, last + GRACE)?;
    let (taken, busy) = (start.elapsed().as_secs_f64(), server_time(server.clock).saturating_sub(before));
    let sent = attackers.as_ref().map_or(0, sent) - sent_before;
    let lost = attackers.as_ref().map_or(0, |attackers| attackers.lost.load(Ordering::Relaxed));
    drop(attackers);
    // Unanswered messages count with the time that they have waited. Otherwise a server that starves connections would
    // seem fast.
    let (now, server_now) = (Instant::now(), server_time(server.clock));
    let waiting = honest.all.iter().filter_map(|one| one.since);
    let waiting: Vec<_> = waiting.map(|(at, server)| [now - at, server_now - server]).collect();
    let unanswered = waiting.len();
    honest.times.extend(waiting);
    let part = |clock: usize, part: f64| {
        let mut times: Vec<_> = honest.times.iter().map(|times| times[clock]).collect();
        times.sort_unstable();
        let at = (times.len() as f64 * part) as usize;
        times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Ok(Row {
        name: attack.map_or("none", |attack| attack.name),
        sent: honest.sent,
        p50: part(0, 0.5),
        p90: part(0, 0.9),
        p99: part(0, 0.99),
        max: part(0, 1.0),
        server_p99: part(1, 0.99),
        unanswered,
        rate: sent as f64 / taken,
        lost,
        late: honest.late,
        busy: busy.as_secs_f64() / taken,
    })
}
