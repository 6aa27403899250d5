//! What the fuzz targets share: a receiver to compare with, heap that is counted, and parts of the tests.
//!
//! An input begins with some bytes that choose what it is run with, in the order of the fields of the
//! target's `Case`; the rest is what is run. So a seed is put together without the crate that takes it apart,
//! by `seeds.py`.

use hybi::frame::Role;
use hybi::handshake::DeflateParams;
use support::cuts::{Cuts, Xorshift};

pub mod http;
pub mod memory;
pub mod model;
pub mod others;
pub mod script;

/// What the tests drive a connection with, and read its output with.
#[allow(clippy::all, reason = "they are looked at as what they are a part of")]
#[path = "../../tests/support"]
pub mod support {
    pub mod cuts;
    pub mod deflate;
    pub mod drive;
    pub mod wire;
}

/// Where an input is cut: nowhere, everywhere, or at places that belong to the number.
#[must_use]
pub fn cuts(number: u16, len: usize) -> Cuts {
    match number {
        0 => Cuts::Whole,
        1 => Cuts::EachByte,
        seed => Cuts::random(&mut Xorshift::new(seed.into()), len),
    }
}

/// How much of an input of `len` bytes has arrived with each piece.
pub fn arrivals(number: u16, len: usize) -> Vec<usize> {
    let mut sum = 0;
    let mut arrived: Vec<_> = cuts(number, len)
        .pieces(len)
        .map(|piece| {
            sum += piece;
            sum
        })
        .collect();
    // Byte by byte, nothing at all would be no arrival.
    if arrived.is_empty() {
        arrived.push(0);
    }
    arrived
}

/// One bit of a choice.
#[must_use]
pub const fn bit(choice: u8, n: u32) -> bool {
    choice >> n & 1 == 1
}

/// A role by one bit.
#[must_use]
pub const fn role(client: bool) -> Role {
    if client { Role::Client } else { Role::Server }
}

/// What a handshake may have agreed on for compression, in one byte; half of them are nothing.
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
