//! A fuzz target: one input, cut into reads in two ways. Both runs must give the same events and the same error. If
//! output is written at the same events, it must also be the same.
//!
//! Variants read payload directly into the message, delay writing, or inflate a few bytes in each turn.
#![no_main]

use arbitrary::Arbitrary;
use hybi::{Config, Connection, Delivery, Event, Outbox, SharedConfig, VecMessage};
use hybi_fuzz::memory::Meter;
use hybi_fuzz::support::drive::{Drain, Echo, Form, Habits, Landing, Run, drive, machine};
use hybi_fuzz::{bit, cuts, deflate_params, role};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses the role, the delivery, when output is written, and which runs read payload directly into the message.
    choice: u8,
    deflate: u8,
    limits: u8,
    one: u16,
    other: u16,
    bytes: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let mut meter = Meter::default();
    let (one, other) =
        meter.run(|| (case.run(case.one, bit(case.choice, 4)), case.run(case.other, bit(case.choice, 5))));
    assert_eq!(one, other);
    // This target stores all data twice and sends it back. A length that is only announced must not allocate memory.
    let kept = one.events.iter().count() * 128 + one.out.len() + case.bytes.len() + MAX_MESSAGE;
    meter.assert_within(8 * kept + (2 << 20));
});

const MAX_MESSAGE: usize = 64 << 10;

impl Case<'_> {
    fn run(&self, number: u16, land: bool) -> Run {
        let chunks = bit(self.choice, 1);
        let config: SharedConfig = Config::new()
            .max_frame([1 << 16, 100][usize::from(self.limits & 1)])
            .max_message([MAX_MESSAGE as u64, 200][usize::from(self.limits >> 1 & 1)])
            .max_fragments([1 << 16, 3][usize::from(self.limits >> 2 & 1)])
            .high_water(usize::MAX)
            .delivery(if chunks { Delivery::Chunks } else { Delivery::Whole })
            .into();
        let form = if chunks { Form::Chunks } else { Form::Whole };
        let drain = match self.choice >> 2 & 3 {
            0 => Drain::Late,
            1 => Drain::Sometimes { every: 2, bytes: usize::from(self.limits >> 3) },
            _ => Drain::Always,
        };
        let machine = machine(role(bit(self.choice, 0)), &config, Outbox::new());
        let (mut connection, mut message) =
            (machine.with_deflate(deflate_params(self.deflate)), VecMessage::new());
        let cuts = cuts(number, self.bytes.len());
        // The highest bits choose a budget: none, or from one byte to 16 KiB.
        let budget = match number >> 12 {
            0..=7 => None,
            n => Some(1 << (2 * (n - 8))),
        };
        let mut habits = EchoTo { land, budget };
        drive(&mut connection, &mut message, self.bytes, &cuts, (form, drain), &mut habits).unwrap()
    }
}

/// An application that sends messages back. It may read payload directly into the message, and may inflate a few bytes
/// in each turn.
struct EchoTo {
    land: bool,
    budget: Option<u32>,
}

impl Habits<Outbox, VecMessage> for EchoTo {
    fn land(&mut self, connection: &mut Connection, message: &mut VecMessage, bytes: &[u8]) -> usize {
        if self.land { Landing.land(connection, message, bytes) } else { 0 }
    }

    fn budget(&mut self) -> Option<u32> {
        self.budget
    }

    fn answer(&mut self, connection: &mut Connection, event: &Event<'_>) -> Result<(), String> {
        Habits::<Outbox, VecMessage>::answer(&mut Echo, connection, event)
    }
}
