//! Compares numbers, names of files and names of functions in the documentation with the code.
//!
//! Public values are read through the API. Private constants are read from the source, so no constant must become
//! public for a test. On pages that list limits, each number with a unit must be compared here, or be an example that
//! is named here. If somebody adds a number to such a page, the test fails until the number is compared.
#![cfg(all(feature = "net", feature = "futures-io", feature = "deflate"))]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::path::Path;
use std::time::Duration;

use hybi::deflate::Compression;
use hybi::dial::Dialing;
use hybi::handshake::{self, Request};
use hybi::{Config, Connection, SliceOutbox};

// --- the code ---

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the text between `start` and `end` in a file.
fn between(path: &str, start: &str, end: &str) -> String {
    let source = read(path);
    let (_, rest) = source.split_once(start).unwrap_or_else(|| panic!("{path} has no `{start}`"));
    rest.split_once(end).unwrap().0.to_owned()
}

/// Returns the value of a constant in a source file. For a duration it is the number of seconds.
fn constant(path: &str, name: &str) -> u64 {
    let definition = between(path, &format!("const {name}:"), ";");
    let (_, value) = definition.split_once('=').unwrap();
    evaluate(value).unwrap_or_else(|| panic!("{path}: {name} is `{value}`"))
}

/// Evaluates a sum of numbers. Each number may be shifted to the left.
fn evaluate(value: &str) -> Option<u64> {
    let value = value.trim().trim_start_matches("Duration::from_secs");
    value
        .split('+')
        .map(|term| {
            let term = term.trim().trim_start_matches('(').trim_end_matches(')');
            let mut parts = term.split("<<").map(|part| part.trim().replace('_', "").parse::<u64>());
            let first = parts.next()?.ok()?;
            parts.try_fold(first, |value, shift| Some(value << shift.ok()?))
        })
        .sum()
}

/// Returns the initial value of a builder's timeout, in seconds.
fn initial_seconds(path: &str, field: &str) -> u64 {
    between(path, &format!(" {field}: Some(Duration::from_secs("), ")").parse().unwrap()
}

/// Asserts that the values which the caller has set in `config` are the defaults. The whole `config` is compared,
/// because some values have no getter.
#[track_caller]
fn assert_is_default(config: &Config) {
    assert_eq!(*config, Config::new());
}

// --- how the documentation writes numbers ---

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        _ if bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

fn count(number: u64) -> String {
    let thousands = number / 1000;
    if thousands > 0 { format!("{thousands},{:03}", number % 1000) } else { number.to_string() }
}

fn word(number: u64) -> &'static str {
    ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        [usize::try_from(number).unwrap()]
}

/// A page of documentation, joined to one line. It is a text file, or the doc comments of a source file.
struct Page {
    path: &'static str,
    text: String,
    /// The text without the phrases that have been compared.
    left: String,
}

impl Page {
    fn new(path: &'static str) -> Self {
        Self::of(path, &read(path))
    }

    /// Reads one section of a text file.
    fn section(path: &'static str, start: &str, end: &str) -> Self {
        Self::of(path, &between(path, start, end))
    }

    fn of(path: &'static str, text: &str) -> Self {
        let lines = text.lines().map(str::trim_start).map(|line| {
            let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            // Code between two doc comments becomes a period, so that no sentence continues over it.
            if path.ends_with(".md") { line } else { doc.unwrap_or(" . ") }
        });
        let text = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
        Self { path, left: text.clone(), text }
    }

    /// Asserts that the page contains `phrase`, and marks the phrase as compared.
    #[track_caller]
    fn says(&mut self, phrase: impl AsRef<str>) -> &mut Self {
        let phrase = phrase.as_ref();
        assert!(self.text.contains(phrase), "{} does not contain: {phrase}", self.path);
        self.left = self.left.replace(phrase, " . ");
        self
    }

    /// Asserts that each number with a unit has been compared.
    #[track_caller]
    fn and_no_more(&self) {
        const UNITS: [&str; 12] =
            ["B", "KiB", "MiB", "GiB", "byte", "bytes", "s", "ms", "second", "seconds", "minute", "minutes"];
        let words: Vec<_> =
            self.left.split(' ').map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
        for (number, unit) in words.iter().zip(words.iter().skip(1)) {
            let is_number = number.starts_with(|c: char| c.is_ascii_digit())
                || ["two", "three", "ten", "thirty", "hundred"].contains(number);
            let is_size = is_number && UNITS.contains(unit);
            assert!(!is_size, "{}: {number} {unit} is not compared with the code", self.path);
        }
    }
}

// --- the pages ---

/// The default values, in the form in which pages write them.
struct Defaults {
    frame: String,
    message: String,
    fragments: String,
    high_water: String,
    head: String,
    headers: usize,
    ping: u64,
    pong: u64,
    close: u64,
    end: u64,
    release: u64,
    handshake: u64,
    /// A compressed frame may be longer than `max_frame`: by a quarter of `max_frame`, plus this number of bytes.
    longer: String,
}

fn defaults() -> Defaults {
    let (limits, head) = (Config::new().limits(), handshake::HeadLimits::new());
    let high_water = 64 << 10;
    assert_is_default(&Config::new().high_water(high_water));
    let (ping, pong, close, end) = (30, 30, 10, 2);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_is_default(&Config::new().ping_interval(seconds(ping)).pong_timeout(seconds(pong)));
    assert_is_default(
        &Config::new().close_timeout(seconds(close)).end_timeout(seconds(end)).idle_timeout(None),
    );
    let server = initial_seconds("src/adapters/handshake_driver/server.rs", "timeout");
    let client = initial_seconds("src/adapters/handshake_driver/client.rs", "open_timeout");
    assert!(server == client, "the documentation states one number for both timeouts");
    let longest = between("src/deflate/mod.rs", "fn longest_payload(len: u64) -> u64 {", "}");
    assert!(longest.contains("saturating_add(len / 4)"), "{longest}");
    let longer = longest.rsplit_once("saturating_add(").unwrap().1.trim().trim_end_matches(')').parse();
    Defaults {
        frame: size(limits.max_frame),
        message: size(limits.max_message),
        fragments: count(limits.max_fragments.into()),
        high_water: size(high_water as u64),
        head: size(head.max_head as u64),
        headers: head.max_headers,
        ping,
        pong,
        close,
        end,
        release: Compression::new().release_after.unwrap().as_secs(),
        handshake: server,
        longer: size(longer.unwrap()),
    }
}

/// Returns the number of bytes that a read buffer or a partial message may hold in addition to twice the received
/// bytes.
fn allowance() -> String {
    let allowance = constant("src/connection/buffer/inbox.rs", "MIN_GROWTH");
    assert_eq!(allowance, constant("src/connection/buffer/vec_message.rs", "MAX_OVERALLOCATION_INFLATED"));
    size(allowance)
}

/// Returns the number of bytes that an uncompressed partial message may hold in addition to twice the received bytes.
fn gathered_allowance() -> String {
    size(constant("src/connection/buffer/vec_message.rs", "ALLOWANCE"))
}

fn pongs() -> String {
    size(constant("src/connection/send/outbox.rs", "CONTROL"))
}

/// The size of the largest window of compression.
const WINDOW: &str = "32 KiB";

#[test]
fn the_readme_lists_the_defaults() {
    let d = defaults();
    let mut page = Page::section("README.md", "## Limits and defaults", "## Safety");
    page.says(format!("| payload of a frame, `Config::max_frame` | {} |", d.frame))
        .says(format!(
            "| length of a message, `Config::max_message`; if compressed, its inflated length | {} |",
            d.message
        ))
        .says(format!("| fragments of a message, `Config::max_fragments` | {} |", d.fragments))
        .says(format!("| unsent output, `Config::high_water` | {} |", d.high_water))
        .says(format!("| head of a handshake, `handshake::HeadLimits` | {}, {} headers |", d.head, d.headers))
        .says(format!(
            "| silence of the peer until a Ping is sent, then until the connection fails | {} s and {} s |",
            d.ping, d.pong
        ))
        .says(format!("| duration of closing | {} s |", d.close))
        .says(format!("| wait of a client for the end of the stream after both Closes | {} s |", d.end))
        .says("| time without data | off |")
        .says("A `Connection` takes at most 312 bytes, a `Connection<SliceOutbox>` 328.")
        .says(format!("at most twice what has arrived, or has been inflated, plus {}", allowance()))
        .says(format!("except up to {WINDOW} that the peer may refer to."));
    assert_eq!(d.release, 60);
    page.says("freed after a minute without data").and_no_more();
}

/// Returns the time of `contender` in the column with the heading `column`. The table is in the given section of
/// `benches/peers/RESULTS.md`.
fn result(section: &str, contender: &str, column: &str) -> String {
    let table = between("benches/peers/RESULTS.md", &format!("\n### {section}\n"), "\n### ");
    let row = |name: &str| {
        let row = table.lines().find(|line| line.split('|').nth(1).is_some_and(|cell| cell.trim() == name));
        let row = row.unwrap_or_else(|| panic!("no row `{name}`"));
        row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let place = row("").iter().position(|cell| cell == column).unwrap();
    row(contender)[place].split(' ').next().unwrap().to_owned()
}

#[test]
fn the_readme_quotes_the_measured_times() {
    let cells = ["hybi", "tungstenite", "fastwebsockets", "tokio-websockets"].map(|contender| {
        ["16B", "1KiB", "64KiB"].map(|size| result("server-recv-binary", contender, size)).join(", ")
    });
    Page::new("README.md")
        .says(format!("| receives a message of 16 B, 1 KiB, 64 KiB, in ns [6] | {} |", cells.join(" | ")));
}

#[test]
fn a_connection_is_as_small_as_documented() {
    assert!(size_of::<Connection>() <= 312, "{}", size_of::<Connection>());
    assert!(size_of::<Connection<SliceOutbox<'_>>>() <= 328, "{}", size_of::<Connection<SliceOutbox<'_>>>());
    Page::new("src/lib.rs")
        .says("A connection takes at most 312 bytes.")
        .says(format!("It keeps at most {} bytes of a header.", hybi::frame::MAX_HEADER_LEN));
    // A peer may refer to data as far back as the largest window.
    assert_eq!(WINDOW, size(1 << 15));
}

/// Returns the maximum number of bytes that each adapter reads ahead.
fn read_ahead() -> String {
    let blocking = constant("src/adapters/net/read_ahead.rs", "MAX_READ_AHEAD");
    assert_eq!(blocking, constant("src/adapters/async_driver/read_ahead.rs", "MAX_READ_AHEAD"));
    size(blocking)
}

#[test]
fn security_lists_the_limits() {
    let d = defaults();
    let memory = "src/adapters/async_driver/buffer_pool.rs";
    let opening = "src/adapters/handshake_driver/responding.rs";
    let pool = between(memory, "type TwoSlotPool<T> = [Cell<Option<T>>; ", "]");
    let turn = "src/adapters/async_driver/turn.rs";
    // `Settings::write_timeout` uses both constants as bounds of the handshake timeout.
    let (write, discard) = (constant(opening, "WRITE_STALL_TIMEOUT"), constant(opening, "DISCARD_TIME"));
    let mut page = Page::new("SECURITY.md");
    page.says(format!("at most twice what has arrived, or has been inflated, plus {}", allowance()))
        .says(format!(
            "| payload of one data frame | {} | `Config::max_frame`; a frame of a compressed message may be \
             longer by a quarter and {} |",
            d.frame, d.longer
        ))
        .says(format!(
            "| length of a message over all fragments, inflated | {} | `Config::max_message` |",
            d.message
        ))
        .says(format!("| fragments of a message | {} | `Config::max_fragments` |", d.fragments))
        .says(format!("| payload of a control frame | {} bytes |", hybi::frame::MAX_CONTROL_PAYLOAD))
        .says(format!("| head of a request or response, also of a proxy's response | {} | `handshake::HeadLimits::max_head` |", d.head))
        .says(format!("| header lines in a head | {}, at most {} |", d.headers, handshake::HeadLimits::MAX_HEADERS))
        .says(format!(
            "| part of the body of a proxy's refusal that is kept | {} |",
            size(hybi::proxy::ProxyRefusal::MAX_BODY as u64)
        ))
        .says(format!("| subprotocols in a request | {} |", Request::MAX_SUBPROTOCOLS))
        .says(format!("| bytes that wait to be written | {}, and one message |", d.high_water))
        .says(format!("| bytes that a waiting send reads ahead | {} |", read_ahead()))
        .says(format!(
            "| bytes that a TLS stream has accepted, and whose ciphertext is not written to the socket | {} |",
            size(constant("src/tls/session.rs", "MAX_KEPT"))
        ))
        .says(format!(
            "| replies that the receiving half has stored for the sending half | {} |",
            constant("src/adapters/pending_replies.rs", "MAX_REPLIES")
        ))
        .says(format!(
            "| work of an asynchronous connection in one turn | {} reads, {} frames, {}, {} inflated |",
            constant(turn, "MAX_READS"),
            count(constant(turn, "MAX_FRAMES")),
            size(constant(turn, "MAX_BYTES")),
            size(constant(turn, "MAX_INFLATED"))
        ))
        .says(format!(
            "| buffers that a thread keeps for asynchronous connections | {pool} to read and {pool} to write, {} each at most |",
            size(constant(memory, "LARGEST"))
        ))
        .says(format!("| silence before a Ping | {} s |", d.ping))
        .says(format!(
            "| silence after a Ping; if the transport was full, later writes extend this time by at most {} times its \
             length | {} s |",
            word(constant("src/connection/timers.rs", "MAX_EXTENSIONS")),
            d.pong
        ))
        .says(format!("| duration of closing | {} s |", d.close))
        .says(format!("| wait of a client for the end of the stream after both Closes | {} s |", d.end))
        .says("| time without data in either direction | none |")
        .says(format!("| time without data while memory for compression is held | {} s |", d.release))
        .says(format!(
            "| receiving a handshake request on a server, and sending the 101 response, each | {} s in the adapters; \
             none in the core |",
            d.handshake
        ))
        .says(format!(
            "| wait for the body of a proxy's refusal, after its head | {} s in the adapters; none in the core |",
            constant("src/adapters/handshake_driver/tunneling.rs", "BODY_LIMIT")
        ))
        .says(format!(
            "| all stages of opening on a client: name resolution, TCP, proxy, TLS, handshake | {} s in the adapters; \
             none in the core |",
            d.handshake
        ))
        .says(format!(
            "| time in which the peer accepts no byte of a response whose status is not 101 | {write} s; if a \
             handshake is rejected, the handshake timeout, but at least {discard} s and at most {write} s |"
        ))
        .says(format!("| the time of the previous row, plus one second for each {} of the response |", {
            let slowest = size(constant(opening, "SLOWEST"));
            slowest.strip_prefix("1 ").unwrap().to_owned()
        }))
        .says(format!(
            "| at most {discard} s after the response was flushed, and at most {} |",
            size(constant(opening, "MAX_DISCARDED"))
        ))
        .says(format!("a `VecMessage` has at most twice what has arrived plus {}", gathered_allowance()))
        .says(format!("at most twice the limit, plus {} and the inflater", allowance()))
        .says(format!("{} of Pongs, the newest among them", pongs()))
        .and_no_more();
}

#[test]
fn the_manual_lists_limits_and_timeouts() {
    let d = defaults();
    Page::new("src/manual/limits.rs")
        .says(format!("payload of a data frame | {} |", d.frame))
        .says(format!("over all fragments, inflated | {} |", d.message))
        .says(format!(
            "[`Config::max_fragments`](crate::Config::max_fragments) of a message | {} |",
            d.fragments
        ))
        .says(format!("(crate::handshake::HeadLimits::max_head) | {} |", d.head))
        .says(format!("(crate::handshake::HeadLimits::max_headers) | {} |", d.headers))
        .says(format!("bytes in the write queue | {} |", d.high_water))
        .says(format!("longer than `max_frame` by a quarter and {},", d.longer))
        .says(format!("twice what has arrived, or has been inflated, plus {}.", allowance()))
        .says(format!("a `VecMessage` has at most twice what has arrived plus {}.", gathered_allowance()))
        .says(format!("that are written before the write queue share {}.", pongs()))
        .says("// announces 1001 bytes")
        .and_no_more();
    Page::new("src/manual/timeouts.rs")
        .says(format!("a client gives up | {} s on a server of the adapters, off in the core |", d.handshake))
        .says(format!("names the stage that was running | {} s |", d.handshake))
        .says(format!("| a Ping is sent | {} s |", d.ping))
        .says(format!("| the connection fails with 1011, and ends at once | {} s |", d.pong))
        .says(format!("from the first Close in either direction | the connection ends | {} s |", d.close))
        .says(format!("| the connection ends, and counts as clean | {} s |", d.end))
        .says("the connection is closed with 1001 | off |")
        .says(format!(
            "by at most {} times the pong timeout",
            word(constant("src/connection/timers.rs", "MAX_EXTENSIONS"))
        ))
        .and_no_more();
    Page::new("src/manual/from_tokio_tungstenite.rs")
        // These two are defaults of tungstenite.
        .says("`max_message_size`, 64 MiB")
        .says("`max_frame_size`, 16 MiB")
        .says(format!("(crate::Config::max_message), {};", d.message))
        .says(format!("(crate::Config::max_frame), {} |", d.frame))
        .says(format!("(crate::Config::max_fragments), {} |", d.fragments))
        .says(format!("(crate::Config::high_water), {}:", d.high_water))
        .says(format!(
            "after {} seconds of silence a Ping is sent, and after {} more the connection ends.",
            d.ping, d.pong
        ))
        .says(format!("{} seconds for a handshake, and for closing.", word(d.handshake)))
        .and_no_more();
    assert_eq!(d.handshake, d.close);
    let large = size(constant("src/connection/send/write_queue.rs", "LARGE"));
    Page::new("src/manual/zero_copy.rs")
        .says(format!("an owned message of {large} or more from a server"))
        .says(format!("a `Prepared` message of {large} or more from a server"))
        .says("// a header of ten bytes,")
        .and_no_more();
}

#[test]
fn the_manual_states_the_numbers_of_compression() {
    let deflate = "src/deflate/deflater.rs";
    let d = defaults();
    let at_once = size(constant(deflate, "SINGLE_PASS_LEN"));
    Page::new("src/manual/compression.rs")
        .says(format!(
            "compresses the first {} of a message of more than {at_once}.",
            size(constant(deflate, "TRIAL_LEN"))
        ))
        .says(format!("Messages of up to {at_once} are compressed completely"))
        .says(format!(
            "The last {} of the earlier data remain in the window.",
            size(1 << constant(deflate, "RESTORED_WINDOW_BITS"))
        ))
        .says(format!("the growth is up to a quarter and {}.", d.longer))
        .says(format!("{} of any data arrive, in one fragment or in up to {}.", d.message, d.fragments))
        .says(format!(
            "a message of any size needs only a buffer of {}.",
            size(constant("src/connection/receive/inflate.rs", "CHUNK"))
        ));
    let Compression { level, memory_level, min_size, .. } = Compression::new();
    Page::new(deflate).says(format!(
        "level {level}, memory level {memory_level}, messages of at least {min_size} bytes, and release after one minute.",
    ));
    assert_eq!(d.release, 60);
}

#[test]
fn the_docs_of_config_state_the_defaults() {
    let d = defaults();
    Page::new("src/connection/config.rs")
        .says(format!("in bytes on the wire; {} by default.", d.frame))
        .says(format!("may be longer by a quarter and {}.", d.longer))
        .says(format!("in bytes over all its fragments; {} by default.", d.message))
        .says(format!("the maximum number of fragments of a message; {} by default.", d.fragments))
        .says(format!("(crate::SendError::Blocked); {} by default.", d.high_water))
        .says(format!("without a byte from the peer a Ping is sent; {} seconds by default", d.ping))
        .says(format!("before the connection treats it as dead; {} seconds by default", d.pong))
        .says(format!("to the end of the stream; {} seconds by default", d.close))
        .says(format!("(RFC 6455 section 7.1.1); {} seconds by default", d.end))
        .says("The default is `None`: the connection is never closed for being idle. Pings and Pongs do not count.")
        .says("that many connections share. It takes eight bytes in each connection.")
        .and_no_more();
    assert_eq!(size_of::<hybi::SharedConfig>(), size_of::<usize>());
    let (head, lines) = (handshake::HeadLimits::new().max_head, handshake::HeadLimits::new().max_headers);
    Page::new("src/handshake/head.rs")
        .says(format!("both included; {head} by default"))
        .says(format!("header lines in a head; {lines} by default"))
        .says(format!("the default limits: {head} bytes and {lines} headers."));
}

#[test]
fn the_docs_of_queues_and_messages_state_their_sizes() {
    let d = defaults();
    let control = 2 + 4 + hybi::frame::MAX_CONTROL_PAYLOAD;
    let kept = control + hybi::frame::MAX_HEADER_LEN;
    Page::new("src/connection/send/slice_outbox.rs")
        .says(format!("messages can use `n - {kept}` bytes of an array of `n`"))
        .says(format!("needs space for `len + len / 4` plus {},", d.longer))
        .says(format!("should have at least {} bytes. With {kept} bytes, only empty messages", kept + 1));
    let buffer = "src/connection/buffer/vec_message.rs";
    Page::new(buffer)
        .says(format!("at most twice what has arrived plus {},", gathered_allowance()))
        .says(format!("twice what has arrived, or has been inflated, plus {}.", allowance()))
        .says(format!(
            "more than twice the length of the part, plus {}.",
            size(constant(buffer, "MAX_OVERALLOCATION_INFLATED") + constant(buffer, "MIN_FREED_BY_MOVE"))
        ));
    let large = size(constant("src/connection/send/write_queue.rs", "LARGE"));
    Page::new("src/connection/send/send_message.rs")
        .says(format!("A server does not copy a payload of {large} or more."));
    Page::new("src/connection/send/write_through.rs")
        .says(format!("or if the message is of {large} or more"));
    Page::new("src/connection/buffer/inbox.rs")
        .says(format!(
            "at most as many bytes as the part has, plus {}.",
            size(constant("src/connection/buffer/vec_message.rs", "MIN_FREED_BY_MOVE"))
        ))
        .says("about 16 KiB are allocated for the first read");
    assert_eq!(constant("src/connection/buffer/inbox.rs", "READ_LEN") >> 10, 16);
}

#[test]
fn the_docs_of_the_adapters_state_timeouts_and_kept_memory() {
    let d = defaults();
    let (turn, memory, opening) = (
        "src/adapters/async_driver/turn.rs",
        "src/adapters/async_driver/buffer_pool.rs",
        "src/adapters/handshake_driver/responding.rs",
    );
    Page::new("src/adapters/async_driver/mod.rs")
        .says(format!(
            "also reads what has arrived, up to {},",
            size(constant("src/adapters/async_driver/read_ahead.rs", "MAX_READ_AHEAD"))
        ))
        .says(format!(
            "After {} reads, {} frames, {} of input or {} of inflated data, the task yields",
            count(constant(turn, "MAX_READS")),
            count(constant(turn, "MAX_FRAMES")),
            size(constant(turn, "MAX_BYTES")),
            size(constant(turn, "MAX_INFLATED"))
        ))
        .says(format!(
            "A thread keeps {} of each kind, of {} at most",
            word(between(memory, "type TwoSlotPool<T> = [Cell<Option<T>>; ", "]").parse().unwrap()),
            size(constant(memory, "LARGEST"))
        ))
        .says("For a second it also keeps memory that the rest of a large message may need.")
        // `tests/memory/async_adapters.rs` measures this number.
        .says("a connection that waits holds less than 900 bytes, its timer included")
        .and_no_more();
    assert_eq!(constant(memory, "SPARE_TIMEOUT"), 1);
    Page::new("src/adapters/net/mod.rs")
        .says(format!("of which it keeps up to {} for the next call that receives", read_ahead()));
    Page::new("src/adapters/net/websocket/sending.rs")
        .says(format!("also reads what the peer sends, up to {},", read_ahead()));
    for path in
        ["src/adapters/net/websocket/byte_stream.rs", "src/adapters/async_driver/websocket/byte_stream.rs"]
    {
        let most = size(constant("src/adapters/byte_stream.rs", "MAX_WRITE"));
        Page::new(path).says(format!("Each write sends a binary message, of at most {most}"));
    }
    let handshake = word(d.handshake);
    for path in [
        "src/adapters/tokio.rs",
        "src/adapters/net/client.rs",
        "src/adapters/futures_io.rs",
        "src/adapters/futures_io/async_io.rs",
    ] {
        Page::new(path).says(format!("{handshake} seconds to open a WebSocket"));
    }
    Page::new("src/adapters/handshake_driver/client.rs")
        .says(format!("how long opening a WebSocket may take; {handshake} seconds by default"));
    Page::new("src/adapters/net/client.rs")
        .says(format!("at most {} at a time", constant("src/adapters/net/dial.rs", "MAX_THREADS")));
    for path in ["src/adapters/tokio.rs", "src/adapters/net/server.rs", "src/adapters/futures_io.rs"] {
        Page::new(path).says(format!("any origin, {handshake} seconds for the handshake"));
    }
    // `Settings::write_timeout` uses `DISCARD_TIME` as the lower bound of the handshake timeout.
    let (write, least) = (constant(opening, "WRITE_STALL_TIMEOUT"), constant(opening, "DISCARD_TIME"));
    let slowest = size(constant(opening, "SLOWEST"));
    let slowest = slowest.strip_prefix("1 ").unwrap();
    Page::new("src/adapters/handshake_driver/server.rs").says(format!(
        "plus one second for each {slowest}. For both limits a timeout below {least} s counts as {least} s. A timeout \
         above {write} s, or `None`, counts as {write} s."
    ));
    Page::new("src/adapters/handshake_driver/request_getters.rs")
        .says(format!("the response fails if the stream accepts no byte; {write} s by default"));
    for path in ["src/adapters/net/http_call.rs", "src/adapters/async_driver/http_call.rs"] {
        Page::new(path).says(format!("plus one second for each {slowest}.")).says(format!(
            "for one second after the end of the response, at most {}.",
            size(constant(opening, "MAX_DISCARDED"))
        ));
    }
    assert_eq!(constant(opening, "DISCARD_TIME"), 1);
}

#[test]
fn the_docs_of_connecting_state_the_defaults() {
    let policy = "src/reconnect/policy.rs";
    let seconds = |field: &str| between(policy, &format!(" {field}: Duration::from_secs("), ")");
    Page::new(policy)
        .says(format!("after the first failure; {} seconds by default", seconds("first_delay")))
        .says(format!("stops doubling; {} seconds by default", seconds("max_delay")))
        .says(format!("with `Retry-After`; {} seconds by default", seconds("max_retry_after")))
        .says(format!("are forgotten; {} seconds by default", seconds("min_uptime")))
        .and_no_more();
    let (stagger, least) = (Dialing::DEFAULT_STAGGER.as_millis(), Dialing::MIN_STAGGER.as_millis());
    Page::new("src/dial/dialing.rs")
        .says(format!("The stagger by default: {stagger} ms"))
        .says(format!("The shortest stagger: {least} ms"))
        .and_no_more();
    Page::new("src/dial/mod.rs")
        .says(format!("starts {stagger} ms after the previous one"))
        .says(format!("and starts {stagger} ms later"))
        .and_no_more();
    let mut record = Page::new("docs/decisions/0047-delays-have-full-jitter.md");
    record.says(format!(
        "starts at {} s and doubles with each failure up to {} s",
        seconds("first_delay"),
        seconds("max_delay")
    ));
}

/// Collects all files of the repository, except build output and hidden folders.
fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !name.starts_with("target") && (!name.starts_with('.') || name == ".ci") {
                files(&path, found);
            }
        } else {
            found.push(path.to_str().unwrap().to_owned());
        }
    }
}

/// Pages name sources as `folder/file.rs` or `folder/file.rs::item`. The path may leave out its first folders.
#[test]
fn pages_name_files_and_functions_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(root, &mut found);
    for page in [
        "ARCHITECTURE.md",
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "tests/README.md",
        "docs/decisions/README.md",
    ] {
        let text = read(page);
        for quoted in text.split('`').skip(1).step_by(2) {
            let (path, item) = quoted.split_once("::").unwrap_or((quoted, ""));
            if !path.ends_with(".rs") || path.contains([' ', '<', '*']) {
                continue;
            }
            let end = format!("/{path}");
            let named: Vec<_> = found.iter().filter(|file| file.ends_with(&end)).collect();
            // This file belongs to another project.
            assert!(!named.is_empty() || quoted == "src/proto/codec.rs", "{page} names `{quoted}`");
            let is_there = |file: &&String| {
                let source = read(file);
                ["fn", "const", "struct", "trait"].iter().any(|kind| {
                    source.match_indices(&format!("{kind} {item}")).any(|(at, text)| {
                        !source[at + text.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
                    })
                })
            };
            assert!(item.is_empty() || named.iter().any(is_there), "{page} names `{quoted}`");
        }
        // Links within the repository must lead to files that exist.
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let path = link.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") {
                let file = root.join(page).parent().unwrap().join(path);
                assert!(file.exists(), "{page} links {link}");
            }
        }
    }
}

#[test]
fn the_test_command_has_the_same_features_everywhere() {
    let features = between(".ci/run", "\nFEATURES=", "\n");
    for page in ["README.md", "CONTRIBUTING.md"] {
        let page = read(page);
        assert!(page.contains(&format!("cargo test --features {features}")), "{features}");
        // The headers of OpenSSL are not installed on every machine.
        assert!(!page.contains("cargo test --all-features"));
    }
    assert!(read("CONTRIBUTING.md").contains(&format!("cargo clippy --all-targets --features {features}")));
    assert!(!features.contains("native-tls") && !features.contains("aws-lc"), "{features}");
}
