//! A fuzz target: a connection in either role receives any bytes.
//!
//! However the bytes are cut into reads, and in any kind of memory, the events must equal those of the simple receiver
//! in `model.rs`. The output must contain a Pong for each Ping, and a Close for a Close or an error. Heap memory must
//! stay in proportion to the bytes that have arrived.
#![no_main]

use arbitrary::Arbitrary;
use hybi::frame::Role;
use hybi::handshake::DeflateParams;
use hybi::{
    Config, Connection, Delivery, Event, Inbox, Input, Instant, Message, Outbox, SharedConfig, VecMessage,
    WriteQueue,
};
use hybi_fuzz::memory::Meter;
use hybi_fuzz::model::Model;
use hybi_fuzz::support::cuts::Cuts;
use hybi_fuzz::support::drive::{
    Drain, Events, Form, Landing, Quiet, Run, Seen, drive, drive_lent, drive_slice_inbox, machine,
};
use hybi_fuzz::{bit, cuts, deflate_params, role};
use libfuzzer_sys::fuzz_target;

const NOW: Instant = Instant::ZERO;
const KIB: usize = 1 << 10;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Role, delivery, kind of memory, and length of the read buffer of a `SliceInbox`.
    choice: u8,
    deflate: u8,
    limits: u8,
    cuts: u16,
    bytes: &'a [u8],
}

/// The receiving endpoint.
struct Endpoint {
    role: Role,
    config: SharedConfig,
    deflate: Option<DeflateParams>,
    form: Form,
}

fuzz_target!(|case: Case<'_>| {
    let (limits, deflate) = (case.limits, deflate_params(case.deflate));
    let chunks = bit(case.choice, 1);
    let largest = if deflate.is_some() { 64 << 10 } else { 16 << 20 };
    let model = Model {
        max_frame: [16 << 20, 1000, 125, 10][usize::from(limits & 3)],
        max_message: [largest, 1000, 4, 0][usize::from(limits >> 2 & 3)],
        max_fragments: [1 << 16, 4, 1, 0][usize::from(limits >> 4 & 3)],
        ..Model::new(role(bit(case.choice, 0))).with_deflate(deflate)
    };
    let config = Config::new()
        .max_frame(model.max_frame)
        .max_message(model.max_message)
        .max_fragments(model.max_fragments)
        .delivery(if chunks { Delivery::Chunks } else { Delivery::Whole });
    let form = if chunks { Form::Chunks } else { Form::Whole };
    let endpoint = Endpoint { role: model.role, config: config.into(), deflate, form };
    let cuts = cuts(case.cuts, case.bytes.len());

    // Length of the memory for messages, if the caller provides this memory.
    let space = [4096, 100, 5, 0][usize::from(limits >> 6)];

    let expected = model.receive(case.bytes);
    let run = match case.choice >> 2 & 3 {
        0 => endpoint.gather(case.bytes, &cuts),
        1 => endpoint.land(case.bytes, &cuts),
        2 => {
            let events = endpoint.inbox(case.bytes, &cuts);
            let read_buffer = [4096, 16, 100, 1][usize::from(case.choice >> 4 & 3)];
            let run = endpoint.slice_inbox(case.bytes, &cuts, read_buffer, space);
            assert_eq!(events, run.events, "Inbox and SliceInbox differ");
            run
        }
        _ => endpoint.lend(case.bytes, &cuts, space),
    };
    expected.assert_is(&run);
    check_output(model.role, &run);
    endpoint.check_heap(case.bytes, &cuts);
});

impl Endpoint {
    fn machine<O: WriteQueue>(&self, out: O) -> Connection<O> {
        machine(self.role, &self.config, out).with_deflate(self.deflate)
    }

    fn connection(&self) -> Connection {
        self.machine(Outbox::new())
    }

    fn gather(&self, bytes: &[u8], cuts: &Cuts) -> Run {
        let (mut connection, mut message) = (self.connection(), VecMessage::new());
        drive(&mut connection, &mut message, bytes, cuts, (self.form, Drain::Always), &mut Quiet).unwrap()
    }

    fn land(&self, bytes: &[u8], cuts: &Cuts) -> Run {
        let (mut connection, mut message) = (self.connection(), VecMessage::new());
        drive(&mut connection, &mut message, bytes, cuts, (self.form, Drain::Always), &mut Landing).unwrap()
    }

    /// Runs a connection with borrowed memory for messages of at most `space` bytes.
    fn lend(&self, bytes: &[u8], cuts: &Cuts, space: usize) -> Run {
        let (space, form) = self.lent(space);
        drive_lent(|out| self.machine(out), space, bytes, cuts, form).unwrap()
    }

    /// Like [`Self::lend`], but the input is read into a `SliceInbox` with a read buffer of `read_buffer` bytes.
    fn slice_inbox(&self, bytes: &[u8], cuts: &Cuts, read_buffer: usize, space: usize) -> Run {
        let (space, form) = self.lent(space);
        drive_slice_inbox(|out| self.machine(out), (read_buffer, space), bytes, cuts, form).unwrap()
    }

    /// Returns the length of the borrowed memory, and the form of messages. With compression the length is at least 1,
    /// because the inflater needs space for its output.
    fn lent(&self, space: usize) -> (usize, Form) {
        let space = if self.deflate.is_some() { space.max(1) } else { space };
        (space, if self.form == Form::Chunks { Form::Chunks } else { Form::AsFits })
    }

    /// Runs a connection whose input is read directly into an inbox, and takes owned messages.
    fn inbox(&self, bytes: &[u8], cuts: &Cuts) -> Events {
        let (mut connection, mut inbox) = (self.connection(), Inbox::empty());
        let (mut events, mut chunks) = (Events::default(), Vec::new());
        let mut rest = bytes;
        for len in cuts.pieces(bytes.len()) {
            let (mut piece, behind) = rest.split_at(len);
            rest = behind;
            loop {
                let space = connection.read_space(&mut inbox);
                assert!(!space.is_empty());
                let len = space.len().min(piece.len());
                space[..len].copy_from_slice(&piece[..len]);
                piece = &piece[len..];
                inbox.handle_read(len);
                while let Ok(Some(ready)) = connection.poll(NOW, &mut inbox) {
                    let seen = match inbox.event(ready) {
                        Event::Text(text) => Seen::Text(text.to_owned()),
                        Event::Binary(data) => Seen::Binary(data.to_vec()),
                        Event::Ping(payload) => Seen::Ping(payload.to_vec()),
                        Event::Pong(payload) => Seen::Pong(payload.to_vec()),
                        Event::CloseReceived { code, reason } => {
                            Seen::Close(code.map(hybi::CloseCode::get), reason.to_owned())
                        }
                        Event::Chunk { kind, data, fin, .. } => {
                            chunks.extend_from_slice(data);
                            if !fin {
                                continue;
                            }
                            let data = std::mem::take(&mut chunks);
                            match kind {
                                hybi::MessageKind::Text => Seen::Text(String::from_utf8(data).unwrap()),
                                hybi::MessageKind::Binary => Seen::Binary(data),
                            }
                        }
                        other => panic!("{other:?}"),
                    };
                    if self.form == Form::Whole {
                        match (inbox.take_message(ready), &seen) {
                            (Some(Message::Text(text)), Seen::Text(is)) => assert_eq!(&*text, is),
                            (Some(Message::Binary(data)), Seen::Binary(is)) => assert_eq!(data, is),
                            (None, Seen::Ping(_) | Seen::Pong(_) | Seen::Close(..)) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                    events.push(seen, 1);
                }
                if connection.receiver().is_done() || piece.is_empty() {
                    break;
                }
            }
        }
        events
    }

    /// Checks the bounds of SECURITY.md. Heap memory is at most twice the bytes that have arrived, plus 16 KiB. With
    /// compression it is at most twice the inflated bytes, plus 64 KiB and the memory of the inflater.
    fn check_heap(&self, bytes: &[u8], cuts: &Cuts) {
        let inflater = if self.deflate.is_some() { 96 * KIB } else { 0 };
        // The bounds of SECURITY.md do not include the output and the error.
        let few = 2 * KIB + inflater;
        let arrived = bytes.len();
        let most = if self.deflate.is_some() { 2 * 64 * KIB + 64 * KIB } else { 2 * arrived + 16 * KIB };

        let mut meter = Meter::default();
        let (mut connection, mut message, mut bytes) = (self.connection(), VecMessage::new(), bytes.to_vec());
        let mut rest = &mut bytes[..];
        for len in cuts.pieces(arrived) {
            let (piece, behind) = rest.split_at_mut(len);
            rest = behind;
            let mut input = Input::new(piece, &mut message);
            while !matches!(meter.run(|| connection.poll(NOW, &mut input)), Ok(None)) {}
        }
        meter.assert_within(most + few);
        connection.transmitted(NOW, usize::MAX);
        meter.run(|| connection.release_idle());
        meter.run(|| connection.release_compression());
        meter.run(|| drop(connection));
        meter.run(|| drop(message));
        assert_eq!(meter.held(), 0);
    }
}

/// Checks that the output has a Pong for each Ping, and a Close for a Close or an error.
fn check_output(role: Role, run: &Run) {
    let mut due = Events::default();
    for seen in run.events.iter() {
        match seen {
            Seen::Ping(payload) => due.push(Seen::Pong(payload.clone()), 1),
            // The Close that answers a Close has the same code and reason.
            Seen::Close(code, reason) => due.push(Seen::Close(*code, reason.clone()), 1),
            _ => {}
        }
    }
    let sent = Model::new(role.peer()).receive(&run.out);
    assert_eq!(sent.error, None);
    match (run.error, sent.events.last()) {
        (None, _) => assert_eq!(sent.events, due),
        (Some(error), Some(Seen::Close(code, reason))) => {
            assert_eq!((*code, reason.is_empty()), (Some(error.close_code().get()), false));
            due.push(Seen::Close(*code, reason.clone()), 1);
            assert_eq!(sent.events, due);
        }
        (error, last) => panic!("{error:?} is answered by {last:?}"),
    }
}
