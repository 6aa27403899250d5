//! Runs the vectors of `frames.jsonl`: bytes after the opening handshake, with the expected events and failure.
//!
//! [`judge`] compares the first run of a case with its expectation. All other runs (other splits, chunks, direct
//! reads, borrowed memory for one read or for all) must give the same result as the first.

use hybi::frame::Role;
use hybi::handshake::DeflateParams;
use hybi::{Config, Connection, Delivery, Outbox, ProtocolError, SharedConfig, VecMessage, WriteQueue};
use serde_json::Value;

use super::case::{Judged, Verdict, check_keys, has_tag, hex, text};
use super::cuts::{Cuts, plan};
use super::drive::{
    Drain, Events, Form, Landing, Quiet, Run, Seen, drive, drive_lent, drive_slice_inbox, machine,
};
use super::wire;

/// Maximum length of an input that is also run on borrowed memory of many lengths.
const LENT: usize = 4 << 10;
/// Length of a read buffer that is too small for most messages. The longest header has 14 bytes.
const SMALL: usize = 16;
/// Maximum length of the output if it is written only at the end: a few Pongs and a Close.
const MAX_WAITING: usize = 1 << 10;

pub fn judge(case: &Value) -> Judged {
    check_keys(case, &["id", "rfc", "role", "config", "input_hex", "expect", "alt", "tags", "why"]);
    check_keys(&case["config"], &["max_frame", "max_message", "deflate"]);
    if !cfg!(feature = "deflate") && case["config"].get("deflate").is_some() {
        return Ok(Verdict::Skipped("the feature deflate is off"));
    }
    let endpoint = Endpoint::new(case);
    let input = hex(&case["input_hex"]);
    let first = endpoint.whole(&input, &Cuts::Whole)?;
    let verdict = verdict(case, endpoint.role, &first)?;
    endpoint.same_in_every_way(case, &input, &first)?;
    Ok(verdict)
}

/// Compares the first run of a case with its expectation.
fn verdict(case: &Value, role: Role, run: &Run) -> Judged {
    let sent = Sent::of(role, run)?;
    sent.answers_every_ping(run)?;
    let expected = Expected::new(&case["expect"]);
    if expected.is_met_by(run, &sent) {
        return Ok(Verdict::Passed);
    }
    let alternatives = case["alt"].as_array().into_iter().flatten();
    match alternatives.map(Expected::new).position(|alternative| alternative.is_met_by(run, &sent)) {
        Some(index) => Ok(Verdict::Alt(index)),
        None => Err(format!("input in one piece\n    expected {expected:?}\n    got      {run:?}")),
    }
}

/// The parameters of the endpoint under test.
struct Endpoint {
    role: Role,
    whole: SharedConfig,
    chunks: SharedConfig,
    deflate: Option<DeflateParams>,
}

impl Endpoint {
    fn new(case: &Value) -> Self {
        let limit = |name: &str| case["config"][name].as_u64().unwrap_or(u64::MAX);
        let config = Config::new().max_frame(limit("max_frame")).max_message(limit("max_message"));
        let role = match case["role"].as_str() {
            Some("server") => Role::Server,
            Some("client") => Role::Client,
            role => panic!("unknown role {role:?}"),
        };
        Self {
            role,
            whole: config.clone().into(),
            chunks: config.delivery(Delivery::Chunks).into(),
            deflate: case["config"].get("deflate").map(deflate_params),
        }
    }

    fn machine<O: WriteQueue>(&self, config: &SharedConfig, out: O) -> Connection<O> {
        let machine = machine(self.role, config, out);
        #[cfg(feature = "deflate")]
        let machine = machine.with_deflate(self.deflate);
        machine
    }

    fn connection(&self, config: &SharedConfig) -> Connection {
        self.machine(config, Outbox::new())
    }

    fn whole(&self, input: &[u8], cuts: &Cuts) -> Result<Run, String> {
        let (mut connection, mut message) = (self.connection(&self.whole), VecMessage::new());
        drive(&mut connection, &mut message, input, cuts, (Form::Whole, Drain::Always), &mut Quiet)
    }

    fn landing(&self, input: &[u8], cuts: &Cuts) -> Result<Run, String> {
        let (mut connection, mut message) = (self.connection(&self.whole), VecMessage::new());
        drive(&mut connection, &mut message, input, cuts, (Form::Whole, Drain::Always), &mut Landing)
    }

    fn chunks(&self, input: &[u8], cuts: &Cuts) -> Result<Run, String> {
        let (mut connection, mut message) = (self.connection(&self.chunks), VecMessage::new());
        drive(&mut connection, &mut message, input, cuts, (Form::Chunks, Drain::Always), &mut Quiet)
    }

    fn lent(&self, space: usize, form: Form, input: &[u8], cuts: &Cuts) -> Result<Run, String> {
        let config = if form == Form::Chunks { &self.chunks } else { &self.whole };
        drive_lent(|out| self.machine(config, out), space, input, cuts, form)
    }

    fn slice_inbox(
        &self,
        lengths: (usize, usize),
        form: Form,
        input: &[u8],
        cuts: &Cuts,
    ) -> Result<Run, String> {
        let config = if form == Form::Chunks { &self.chunks } else { &self.whole };
        drive_slice_inbox(|out| self.machine(config, out), lengths, input, cuts, form)
    }

    fn same_in_every_way(&self, case: &Value, input: &[u8], first: &Run) -> Result<(), String> {
        let same = |way: &str, cuts: &Cuts, run: Result<Run, String>| match run {
            Ok(run) if run == *first => Ok(()),
            Ok(run) => Err(format!("{way}, {cuts}\n    in one piece {first:?}\n    got          {run:?}")),
            Err(what) => Err(format!("{way}, {cuts}: {what}")),
        };
        let stress = has_tag(case, "stress");
        let plan = plan(case["id"].as_str().unwrap_or_default(), input.len(), stress);
        // Inflated data does not exist in the input, so it needs memory in every form of delivery.
        let (whole, least) = match self.deflate {
            Some(_) if input.len() > LENT => (2 << 20, 1),
            Some(_) => (1 << 17, 1),
            None => (input.len(), 0),
        };
        for (n, cuts) in plan.iter().enumerate() {
            same("whole messages", cuts, self.whole(input, cuts))?;
            // A stress case has many small frames, and every delivery handles them in the same way. So a few splits are
            // enough.
            if stress && n >= 8 {
                continue;
            }
            same("chunks", cuts, self.chunks(input, cuts))?;
            if input.len() > LENT && *cuts != Cuts::EachByte {
                same("payload read directly into the message", cuts, self.landing(input, cuts))?;
            }
            for read_buffer in [SMALL, input.len().max(SMALL)] {
                let run = self.slice_inbox((read_buffer, whole), Form::Whole, input, cuts);
                same(&format!("a SliceInbox of {read_buffer} bytes"), cuts, run)?;
            }
        }
        self.undrained(input, first)?;
        if input.len() <= LENT {
            for cuts in &[Cuts::Whole, Cuts::EachByte] {
                same("borrowed memory", cuts, self.lent(whole, Form::Whole, input, cuts))?;
                same("borrowed memory, chunks", cuts, self.lent(least, Form::Chunks, input, cuts))?;
                for space in [least, 1, 5] {
                    same(
                        "borrowed memory, too small for some messages",
                        cuts,
                        self.lent(space, Form::AsFits, input, cuts),
                    )?;
                }
                let run = self.slice_inbox((SMALL, least), Form::Chunks, input, cuts);
                same("a SliceInbox, chunks", cuts, run)?;
                for (read_buffer, space) in [(1, least), (SMALL, least), (SMALL, 5), (64, least)] {
                    let run = self.slice_inbox((read_buffer, space), Form::AsFits, input, cuts);
                    same("a SliceInbox, too small for some messages", cuts, run)?;
                }
            }
        }
        Ok(())
    }

    /// Checks a run that writes nothing before the end of the input. In such a run Pongs may be missing. The newest
    /// Ping may lack its Pong only if a Close was sent. The queue does not grow with the number of Pings.
    fn undrained(&self, input: &[u8], first: &Run) -> Result<(), String> {
        let (mut connection, mut message) = (self.connection(&self.whole), VecMessage::new());
        let plan = (Form::Whole, Drain::Late);
        let run = drive(&mut connection, &mut message, input, &Cuts::Whole, plan, &mut Quiet)?;
        if (&run.events, run.error, run.outcome) != (&first.events, first.error, first.outcome) {
            return Err(format!(
                "output written at the end\n    written at once {first:?}\n    got             {run:?}"
            ));
        }
        let (sent, at_once) = (Sent::of(self.role, &run)?, Sent::of(self.role, first)?);
        let mut pings = at_once.pongs.iter();
        let in_order = sent.pongs.iter().all(|pong| pings.any(|ping| ping == pong));
        let newest = sent.close.is_some() || sent.pongs.last() == at_once.pongs.last();
        if sent.close != at_once.close || !in_order || !newest || run.out.len() > MAX_WAITING {
            return Err(format!("output written at the end: {} bytes, {sent:?}", run.out.len()));
        }
        Ok(())
    }
}

fn deflate_params(config: &Value) -> DeflateParams {
    check_keys(
        config,
        &[
            "server_no_context_takeover",
            "client_no_context_takeover",
            "server_max_window_bits",
            "client_max_window_bits",
        ],
    );
    let bits = |name: &str| config[name].as_u64().map(|bits| u8::try_from(bits).unwrap());
    DeflateParams {
        server_no_context_takeover: config["server_no_context_takeover"] == true,
        client_no_context_takeover: config["client_no_context_takeover"] == true,
        server_max_window_bits: bits("server_max_window_bits"),
        client_max_window_bits: bits("client_max_window_bits"),
    }
}

/// The frames that the endpoint has sent.
#[derive(PartialEq, Eq, Debug)]
struct Sent {
    pongs: Vec<Vec<u8>>,
    /// The code of the Close, if the endpoint sent one. A Close may have no code.
    close: Option<Option<u16>>,
}

impl Sent {
    /// Reads the output. Fails if the output has other frames than Pongs and a Close at the end. Also fails if a frame
    /// is malformed, or is not masked as the role requires.
    fn of(role: Role, run: &Run) -> Result<Self, String> {
        let mut sent = Self { pongs: Vec::new(), close: None };
        for frame in wire::decode(&run.out)? {
            if frame.masked != (role == Role::Client) || frame.payload.len() > 125 || sent.close.is_some() {
                return Err(format!("a frame that must not be sent: {frame:02x?}"));
            }
            match frame.first {
                wire::PONG => sent.pongs.push(frame.payload),
                wire::CLOSE => {
                    let body = frame.payload.split_first_chunk();
                    let reason = body.map_or(&frame.payload[..], |(_, reason)| reason);
                    if body.is_none() && !reason.is_empty() || std::str::from_utf8(reason).is_err() {
                        return Err(format!("a broken Close is sent: {frame:02x?}"));
                    }
                    sent.close = Some(body.map(|(code, _)| u16::from_be_bytes(*code)));
                }
                _ => return Err(format!("a frame that must not be sent: {frame:02x?}")),
            }
        }
        // RFC 6455 5.5.1, 7.1.7: both a received Close and a failure cause a Close.
        let due = run.error.is_some() || matches!(run.events.last(), Some(Seen::Close(..)));
        if sent.close.is_some() != due {
            return Err(format!("a Close is {}sent: {run:?}", if due { "not " } else { "" }));
        }
        Ok(sent)
    }

    fn answers_every_ping(&self, run: &Run) -> Result<(), String> {
        let pings = run.events.iter().filter_map(|seen| match seen {
            Seen::Ping(payload) => Some(payload),
            _ => None,
        });
        if pings.eq(&self.pongs) { Ok(()) } else { Err(format!("pings and pongs differ: {run:?}")) }
    }
}

/// The result that a case expects.
#[derive(Debug)]
struct Expected {
    events: Events,
    error: Option<String>,
    close_codes: Vec<Option<u16>>,
}

impl Expected {
    fn new(value: &Value) -> Self {
        check_keys(value, &["events", "error", "close_code", "close_code_any"]);
        let mut events = Events::default();
        for event in value["events"].as_array().unwrap() {
            let (event, times) = match event.get("repeat_event") {
                Some(repeat) => (&repeat[0], repeat[1].as_u64().unwrap()),
                None => (event, 1),
            };
            events.push(seen(event), times);
        }
        let any = value["close_code_any"].as_array().into_iter().flatten();
        let close_codes = std::iter::once(&value["close_code"]).chain(any).map(code).collect();
        Self { events, error: value["error"].as_str().map(str::to_owned), close_codes }
    }

    fn is_met_by(&self, run: &Run, sent: &Sent) -> bool {
        let class = run.error.map(|error| match (error, error.close_code().get()) {
            (ProtocolError::InvalidDeflate, _) => "protocol",
            (_, 1007) => "invalid-utf8",
            (_, 1009) => "too-big",
            _ => "protocol",
        });
        // `null` stands for no Close, or for a Close without a code.
        let code = sent.close.flatten();
        self.events == run.events && self.error.as_deref() == class && self.close_codes.contains(&code)
    }
}

fn code(value: &Value) -> Option<u16> {
    value.as_u64().map(|code| u16::try_from(code).unwrap())
}

fn seen(event: &Value) -> Seen {
    let (kind, value) = event.as_object().and_then(|event| event.iter().next()).unwrap();
    match kind.as_str() {
        "text" => Seen::Text(text(value)),
        "binary_hex" => Seen::Binary(hex(value)),
        "ping_hex" => Seen::Ping(hex(value)),
        "pong_hex" => Seen::Pong(hex(value)),
        "close" => Seen::Close(code(&value[0]), value[1].as_str().unwrap().to_owned()),
        _ => panic!("unknown event {event}"),
    }
}
