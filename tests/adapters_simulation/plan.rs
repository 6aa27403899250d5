//! What an application is going to do.

use crate::driver::{Ask, Reading, Way};
use crate::support::cuts::Xorshift;

/// One thing that an application does.
#[derive(Clone, Debug)]
pub enum Item {
    Send(Way, usize),
    /// A message in pieces of these lengths.
    Fragments(Vec<usize>),
    Ask(Ask),
    /// It is busy for so long, and calls nothing.
    Sleep(u64),
    /// It takes its WebSocket apart and puts it together again.
    Reassemble,
}

/// How an application ends its connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    Close(Option<u16>, &'static str),
    SinkClose,
    /// It waits for its group to be closed, or for its peer.
    Wait,
    /// It drops what it has, without a word.
    Abandon,
}

/// What an application does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it does, and how long it receives, or waits, before.
    pub items: Vec<(u64, Item)>,
    pub readings: Vec<Reading>,
    /// Of a hundred messages, so many are answered.
    pub answers: usize,
    /// Of a hundred calls, so many are dropped before they return.
    pub drops: usize,
    pub ending: Ending,
    /// The half that sends is kept until the other one is over.
    pub keeps_writer: bool,
    /// When the half that receives is dropped.
    pub drops_reader: Option<u64>,
    /// How often and for how long the half that receives does something else.
    pub reader_rests: Option<(u64, u64)>,
    pub seed: u64,
}

/// The length of a message, mostly a short one.
pub fn length(random: &mut Xorshift) -> usize {
    match random.below(100) {
        0 => 60_000 + random.below(10_000),
        1 | 2 => 15_000 + random.below(3000),
        3..=7 => 4000 + random.below(200),
        8..=20 => 100 + random.below(400),
        _ => random.below(60),
    }
}
