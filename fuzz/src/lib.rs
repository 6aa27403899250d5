//! Helpers that the fuzz targets share: a model to compare with, an allocator that counts, other implementations, and
//! parts of the tests.
//!
//! The first bytes of an input choose the parameters of a run, in the order of the fields of the target's `Case`.
//! The rest is the input of the run. This format is simple, so `seeds.py` can write seeds.

use hybi::frame::Role;
use hybi::handshake::DeflateParams;
use support::cuts::{Cuts, Xorshift};

pub mod http;
pub mod memory;
pub mod model;
pub mod others;
pub mod script;

/// The helpers with which the tests drive a connection and read its output.
#[allow(clippy::all, reason = "clippy checks these files as parts of the tests")]
#[path = "../../tests/support"]
pub mod support {
    pub mod cuts;
    pub mod deflate;
    pub mod drive;
    pub mod wire;
}

/// Returns how an input is cut into reads: not at all, after every byte, or at places that depend on the number.
#[must_use]
pub fn cuts(number: u16, len: usize) -> Cuts {
    match number {
        0 => Cuts::Whole,
        1 => Cuts::EachByte,
        seed => Cuts::random(&mut Xorshift::new(seed.into()), len),
    }
}

/// Returns the total number of bytes that have arrived after each piece of an input of `len` bytes.
pub fn arrivals(number: u16, len: usize) -> Vec<usize> {
    let mut sum = 0;
    let mut arrived: Vec<_> = cuts(number, len)
        .pieces(len)
        .map(|piece| {
            sum += piece;
            sum
        })
        .collect();
    // An empty input that is split into single bytes has no pieces, so add an empty piece.
    if arrived.is_empty() {
        arrived.push(0);
    }
    arrived
}

/// Returns whether bit number `n` of `choice` is set.
#[must_use]
pub const fn bit(choice: u8, n: u32) -> bool {
    choice >> n & 1 == 1
}

/// Returns the role of a client or of a server.
#[must_use]
pub const fn role(client: bool) -> Role {
    if client { Role::Client } else { Role::Server }
}

/// Returns the negotiated compression parameters that this byte chooses. Half of all bytes choose `None`.
#[must_use]
pub fn deflate_params(choice: u8) -> Option<DeflateParams> {
    let window = |n: u8| [None, Some(12), Some(10), Some(8)][usize::from(n & 3)];
    bit(choice, 7).then(|| DeflateParams {
        server_no_context_takeover: bit(choice, 0),
        client_no_context_takeover: bit(choice, 1),
        server_max_window_bits: window(choice >> 2),
        client_max_window_bits: window(choice >> 4),
    })
}
