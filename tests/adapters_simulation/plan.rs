//! The plan of an application: its actions, its answers, and how it ends its connection.
//!
//! `setup.rs` creates a random plan, and `app.rs` carries it out. A plan contains no results.

use crate::driver::{Ask, Reading, Way};

/// Each unfragmented message and each fragment is shorter than this, in bytes.
pub const LONGEST: usize = 70_000;

/// One action of an application.
#[derive(Clone, Debug)]
pub enum Item {
    Send(Way, usize),
    /// A message in fragments of these lengths.
    Fragments(Vec<usize>),
    Ask(Ask),
    /// For this many nanoseconds the application makes no call.
    Sleep(u64),
    /// The application takes its WebSocket apart and continues from the parts.
    Reassemble,
}

/// How an application ends its connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    Close(Option<u16>, &'static str),
    SinkClose,
    /// Waits until the peer closes, or until the run closes the `hybi::adapters::futures_io::Group` of the WebSocket.
    Wait,
    /// Drops its WebSocket without a Close.
    Abandon,
}

/// The plan of an application.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The actions. Before each action the application receives or waits for this many nanoseconds.
    pub items: Vec<(u64, Item)>,
    pub readings: Vec<Reading>,
    /// Percentage of messages that are answered.
    pub answers: usize,
    /// Percentage of calls that are dropped before they return.
    pub drops: usize,
    pub ending: Ending,
    /// The writer is kept until the reader has ended.
    pub keeps_writer: bool,
    /// Time at which the reader is dropped.
    pub drops_reader: Option<u64>,
    /// Interval and duration of pauses of the reader.
    pub reader_rests: Option<(u64, u64)>,
    pub seed: u64,
}
