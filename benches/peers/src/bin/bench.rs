//! Measures all contenders in all cells, without a socket, on one thread. A contender is a library in one
//! configuration. A cell is one task with one size of message. The program prints the results as JSON, and `results.py`
//! makes tables of them.
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use peers::io::READS;
use peers::wire::{self, Content};
use peers::{CHROME_ACCEPT, CHROME_REQUEST, Contender, Info, Io, Kind, Role, Sink, contenders, limits};

/// The measured operation. `chunk` is the maximum number of bytes of one read. `batch` is the number of messages
/// between two flushes.
#[derive(Clone, Copy, PartialEq)]
enum Op {
    Recv { role: Role, kind: Kind, content: Content, frag: Option<usize>, chunk: usize },
    Send { role: Role, batch: u64 },
    Handshake,
    RecvDeflate,
    SendDeflate,
}

#[derive(Clone)]
struct Cell {
    group: &'static str,
    col: String,
    size: usize,
    op: Op,
}
impl Cell {
    fn id(&self) -> String {
        format!("{}/{}", self.group, self.col)
    }
}

fn label(n: usize) -> String {
    match n {
        n if n >= 1 << 20 => format!("{}MiB", n >> 20),
        n if n >= 1024 => format!("{}KiB", n >> 10),
        n => format!("{n}B"),
    }
}

const SIZES: &[usize] = &[16, 125, 1024, 16384, 65536, 1 << 20];

fn cells() -> Vec<Cell> {
    let mut v = Vec::new();
    let mut add = |group, sizes: &[usize], op| {
        for &s in sizes {
            v.push(Cell { group, col: label(s), size: s, op });
        }
    };
    let recv = |role, kind, content| Op::Recv { role, kind, content, frag: None, chunk: 65536 };
    use {Kind::*, Role::*};
    add("server-recv-binary", SIZES, recv(Server, Binary, Content::Random));
    add("server-recv-text-ascii", SIZES, recv(Server, Text, Content::Ascii));
    add("server-recv-text-mixed", &[1024, 65536, 1 << 20], recv(Server, Text, Content::Mixed));
    add("client-recv-binary", SIZES, recv(Client, Binary, Content::Random));
    add("client-recv-text-ascii", SIZES, recv(Client, Text, Content::Ascii));
    add("server-send-binary", SIZES, Op::Send { role: Server, batch: 1 });
    add("server-send-binary-flush-per-64", &[16, 125, 1024], Op::Send { role: Server, batch: 64 });
    add("client-send-binary", SIZES, Op::Send { role: Client, batch: 1 });
    add("client-send-binary-flush-per-64", &[16, 125, 1024], Op::Send { role: Client, batch: 64 });
    add(
        "server-recv-text-64KiB-in-1KiB-fragments",
        &[65536],
        Op::Recv { role: Server, kind: Text, content: Content::Ascii, frag: Some(1024), chunk: 65536 },
    );
    add(
        "server-recv-binary-1500B-reads",
        &[16, 1024, 65536],
        Op::Recv { role: Server, kind: Binary, content: Content::Random, frag: None, chunk: 1500 },
    );
    add("handshake-server", &[CHROME_REQUEST.len()], Op::Handshake);
    add("deflate-server-recv-json", &[1024, 65536], Op::RecvDeflate);
    add("deflate-server-send-json", &[1024, 65536], Op::SendDeflate);
    v
}

struct Data {
    block: Bytes,
    hashes: Vec<u64>,
    payloads: Vec<Bytes>,
}

fn data(c: &Cell) -> Data {
    match c.op {
        Op::Recv { role, kind, content, frag, .. } => {
            let b = wire::block(role, kind, content, c.size, frag);
            Data { block: b.bytes, hashes: b.hashes, payloads: vec![] }
        }
        Op::RecvDeflate => {
            let b = wire::deflate_block(Role::Server, Content::Json, c.size);
            Data { block: b.bytes, hashes: b.hashes, payloads: vec![] }
        }
        Op::Send { .. } => {
            Data { block: Bytes::new(), hashes: vec![], payloads: wire::payloads(Content::Random, c.size, 1) }
        }
        Op::SendDeflate => {
            let n = ((4 << 20) / c.size).max(1);
            Data { block: Bytes::new(), hashes: vec![], payloads: wire::payloads(Content::Json, c.size, n) }
        }
        Op::Handshake => Data { block: Bytes::from_static(CHROME_REQUEST), hashes: vec![], payloads: vec![] },
    }
}

/// Runs a cell with `n` messages. Returns the number of reads or writes of the transport for each message. Returns 0
/// for receiving compressed messages, and the bytes on the wire for each byte of payload for sending compressed
/// messages. Returns `None` if the contender does not support the cell.
fn exec(k: &dyn Contender, c: &Cell, d: &Data, n: u64, check: bool) -> Option<f64> {
    READS.store(0, Ordering::Relaxed);
    match c.op {
        Op::Recv { frag: Some(_), .. } if k.info().no_fragments => None,
        Op::Recv { role, kind, chunk, .. } => {
            let mut s = if check { Sink::checking(&d.hashes, kind) } else { Sink::timed() };
            let ok = k.recv(role, Io::looped(d.block.clone(), chunk), n, &mut s);
            assert!(!ok || s.msgs == n && s.bytes == n * c.size as u64);
            ok.then(|| READS.load(Ordering::Relaxed) as f64 / n as f64)
        }
        Op::RecvDeflate => {
            let mut s = if check { Sink::checking(&d.hashes, Kind::Text) } else { Sink::timed() };
            let ok = k.recv_deflate(Role::Server, Io::looped(d.block.clone(), 65536), n, &mut s);
            assert!(!ok || s.msgs == n && s.bytes == n * c.size as u64);
            ok.then_some(0.0)
        }
        Op::Send { role, batch } => {
            let mut io = Io::null();
            io.capture = check.then(Vec::new);
            let io = k.send(role, Kind::Binary, &d.payloads, n, batch, io)?;
            if check {
                wire::verify_output(io.capture.as_ref().unwrap(), role, Kind::Binary, &d.payloads, n, false);
            }
            Some(io.out_calls as f64 / n as f64)
        }
        Op::SendDeflate => {
            let mut io = Io::null();
            io.capture = check.then(Vec::new);
            let io = k.send_deflate(Role::Server, Kind::Text, &d.payloads, n, io)?;
            if check {
                let captured = io.capture.as_ref().unwrap();
                wire::verify_output(captured, Role::Server, Kind::Text, &d.payloads, n, true);
            }
            // For compression, report the bytes on the wire for each byte of payload.
            Some(io.out_bytes as f64 / (n as f64 * c.size as f64))
        }
        Op::Handshake => {
            let mut calls = 0;
            for _ in 0..n {
                let mut io = Io::once(d.block.clone());
                io.capture = check.then(Vec::new);
                let io = k.handshake(io)?;
                calls += io.out_calls;
                if check {
                    let c = io.capture.as_ref().unwrap();
                    let text = String::from_utf8_lossy(c).to_lowercase();
                    assert!(text.starts_with("http/1.1 101 ") && text.ends_with("\r\n\r\n"), "{text}");
                    assert!(c.windows(28).any(|w| w == CHROME_ACCEPT));
                    assert!(text.contains("upgrade: websocket") && text.contains("connection: upgrade"));
                }
            }
            Some(calls as f64 / n as f64)
        }
    }
}

struct Row {
    group: &'static str,
    col: String,
    size: usize,
    contender: &'static str,
    min: f64,
    median: f64,
    extra: f64,
}

/// How much work a measurement does.
struct Effort {
    quick: bool,
    repeats: usize,
    /// Number of payload bytes in one run.
    budget: u64,
    /// Maximum number of messages in one run.
    max_n: u64,
}

impl Effort {
    /// Returns the number of messages in one run of a cell.
    fn messages(&self, cell: &Cell) -> u64 {
        let size = cell.size as u64;
        match cell.op {
            Op::Handshake if self.quick => 2_000,
            Op::Handshake => 40_000,
            Op::RecvDeflate | Op::SendDeflate => (self.budget / 4 / size).max(4),
            // A contender that does not copy needs only some nanoseconds for a message of any size. So send many
            // messages. Otherwise the start of a connection would take most of the measured time.
            Op::Send { .. } => (self.budget / size).clamp(if self.quick { 50 } else { 1_000 }, self.max_n),
            _ => (self.budget / size).clamp(4, self.max_n),
        }
    }
}

type List = [&'static dyn Contender];

/// Checks a contender in a cell. Returns `None` if it does not support the cell, and an error if its result is wrong.
fn check(k: &dyn Contender, cell: &Cell, data: &Data, n: u64) -> Result<Option<f64>, ()> {
    // Sent messages are compared byte by byte, which is slow for long messages. So the check sends fewer of them.
    let n = n.min(((4 << 20) / cell.size as u64).max(5)).min(2500);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| exec(k, cell, data, n, true))).map_err(|_| {
        eprintln!("!! {} FAILS the check in {}", k.name(), cell.id());
    })
}

/// Returns `block` at a different offset within a page for each of 256 `turn`s, in steps of 16 bytes. The speed of a
/// copy depends on the two addresses. With one fixed offset, some contenders would have an advantage by chance.
fn elsewhere(block: &Bytes, turn: usize) -> Bytes {
    let skip = turn * 592 % 4096;
    let mut memory = vec![0; skip];
    memory.extend_from_slice(block);
    Bytes::from(memory).slice(skip..)
}

/// Measures one cell. All contenders that support it are checked and warmed up, and then take turns. Returns `false` if
/// a check failed.
fn measure(list: &List, cell: &Cell, effort: &Effort, rows: &mut Vec<Row>) -> bool {
    let (mut data, n) = (data(cell), effort.messages(cell));
    let (mut able, mut fine) = (Vec::new(), true);
    for k in list {
        match check(*k, cell, &data, n) {
            // Count the reads or writes in one more run, because this run is usually longer than the check.
            Ok(Some(_)) => {
                able.extend(exec(*k, cell, &data, n / 8 + 1, false).map(|extra| (*k, extra, vec![])))
            }
            Ok(None) => {}
            Err(()) => fine = false,
        }
    }
    for i in 0..effort.repeats {
        data.block = elsewhere(&data.block, i);
        // This allocation moves the allocations of the contenders to other pages in each repetition.
        let ballast = std::hint::black_box(vec![1_u8; i * 77_824 % (2 << 20)]);
        for (k, _, times) in &mut able {
            let start = Instant::now();
            exec(*k, cell, &data, n, false);
            times.push(start.elapsed().as_nanos() as f64 / n as f64);
        }
        drop(ballast);
    }
    for (k, extra, mut times) in able {
        times.sort_by(f64::total_cmp);
        rows.push(Row {
            group: cell.group,
            col: cell.col.clone(),
            size: cell.size,
            contender: k.name(),
            min: times[0],
            median: times[times.len() / 2],
            extra,
        });
    }
    fine
}

fn measure_limits(effort: &Effort, rows: &mut Vec<Row>) {
    for &size in SIZES {
        let n = (effort.budget / size as u64).clamp(8, effort.max_n);
        let mut times = vec![vec![]; limits::OPS.len()];
        for _ in 0..effort.repeats {
            for (times, op) in times.iter_mut().zip(limits::OPS) {
                times.extend(limits::run(op, size, n));
            }
        }
        for (mut times, op) in times.into_iter().zip(limits::OPS) {
            times.sort_by(f64::total_cmp);
            if let Some(&min) = times.first() {
                let median = times[times.len() / 2];
                rows.push(Row {
                    group: "limit",
                    col: label(size),
                    size,
                    contender: op,
                    min,
                    median,
                    extra: 0.0,
                });
            }
        }
    }
}

const USAGE: &str = "\
usage: bench list
       bench check
       bench one CELL CONTENDER MESSAGES
       bench run [--quick] [--filter PART-OF-A-CELL] [--only A,B] [--repeats N] [--json FILE]";

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let all = contenders::all();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            for k in &all {
                println!("{:20} utf8: {:7} recv: {}", k.name(), k.info().utf8, k.info().recv);
            }
            for cell in cells() {
                println!("{}", cell.id());
            }
        }
        ["check"] => {
            let mut fine = true;
            for cell in cells() {
                let data = data(&cell);
                for k in &all {
                    fine &= check(*k, &cell, &data, 2500).is_ok();
                }
            }
            return if fine { 0 } else { 1 }.into();
        }
        // This command does only the work, because callgrind and perf measure the whole process.
        ["one", cell, contender, n] => {
            let cell =
                cells().into_iter().find(|c| c.id() == cell).expect("CELL must be one of `bench list`");
            let k =
                all.iter().find(|k| k.name() == contender).expect("CONTENDER must be one of `bench list`");
            exec(*k, &cell, &data(&cell), n.parse().expect("MESSAGES must be a number"), false)
                .expect("the contender does not support this cell");
        }
        ["run", ..] => return run(&args[1..], &all),
        _ => {
            eprintln!("{USAGE}");
            return 2.into();
        }
    }
    0.into()
}

fn run(args: &[String], all: &List) -> std::process::ExitCode {
    let option = |name: &str| args.iter().position(|arg| arg == name).map(|at| args[at + 1].as_str());
    let quick = args.iter().any(|arg| arg == "--quick");
    let filter = option("--filter").unwrap_or_default();
    let only: Option<Vec<&str>> = option("--only").map(|names| names.split(',').collect());
    let list: Vec<_> =
        all.iter().copied().filter(|k| only.as_ref().is_none_or(|only| only.contains(&k.name()))).collect();
    let repeats = option("--repeats").map(|n| n.parse().expect("--repeats needs a number"));
    let effort = match quick {
        true => Effort { quick, repeats: repeats.unwrap_or(5), budget: 4 << 20, max_n: 40_000 },
        false => Effort { quick, repeats: repeats.unwrap_or(13), budget: 24 << 20, max_n: 400_000 },
    };

    let (mut rows, mut fine, start) = (Vec::new(), true, Instant::now());
    for cell in cells().iter().filter(|cell| cell.id().contains(filter)) {
        fine &= measure(&list, cell, &effort, &mut rows);
        eprintln!("{:5.0}s {}", start.elapsed().as_secs_f64(), cell.id());
    }
    if !quick && only.is_none() && "limit".contains(filter) {
        measure_limits(&effort, &mut rows);
    }
    let json = json(&list, &rows, quick);
    match option("--json") {
        Some(path) => std::fs::write(path, json).expect("the results cannot be written"),
        None => print!("{json}"),
    }
    if fine { 0 } else { 1 }.into()
}

/// Returns the results as JSON with one line for each row, so that diff and grep work on it.
fn json(list: &List, rows: &[Row], quick: bool) -> String {
    let contender = |k: &&dyn Contender| {
        let Info { utf8, recv, owned, weak_keys, .. } = k.info();
        let name = k.name();
        format!(
            r#"{{"name":"{name}","utf8":"{utf8}","recv":"{recv}","owned":{owned},"weak_keys":{weak_keys}}}"#
        )
    };
    let row = |row: &Row| {
        let Row { group, col, size, contender, min, median, extra } = row;
        format!(
            r#"{{"group":"{group}","col":"{col}","size":{size},"contender":"{contender}","min_ns":{min:.3},"#
        ) + &format!(r#""median_ns":{median:.3},"extra":{extra:.4}}}"#)
    };
    format!(
        "{{\"target_cpu_native\":{},\"quick\":{quick},\"contenders\":[\n{}\n],\"rows\":[\n{}\n]}}\n",
        // AVX2 is a target feature only in a build for the native processor.
        cfg!(target_feature = "avx2"),
        list.iter().map(contender).collect::<Vec<_>>().join(",\n"),
        rows.iter().map(row).collect::<Vec<_>>().join(",\n"),
    )
}
