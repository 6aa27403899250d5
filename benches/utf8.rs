//! UTF-8 validation compared with the standard library: `cargo bench --bench utf8`.
//!
//! `hybi` validates a whole text with `utf8::Validator`. `hybi-1KiB-pieces` and `hybi-1500B-pieces` validate it in
//! pieces, like those that reads return. `hybi-text` makes a `Text` from bytes. `std` is `core::str::from_utf8`.
//! `codec.rs` measures received text, which must also be unmasked.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a bench")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hybi::Text;
use hybi::utf8::Validator;

mod support;
use support::{ascii, column, mixed};

const SIZES: [usize; 5] = [16, 125, 1 << 10, 64 << 10, 1 << 20];
const PIECES: [(usize, &str); 2] = [(1 << 10, "1KiB"), (1500, "1500B")];

fn validate(text: &[u8], piece: usize) -> bool {
    let mut validator = Validator::new();
    text.chunks(piece).all(|piece| validator.push(piece).is_ok()) && validator.is_complete()
}

fn group(criterion: &mut Criterion, group: &str, text: fn(usize) -> Vec<u8>) {
    let mut group = criterion.benchmark_group(group);
    for size in SIZES {
        let (text, column) = (text(size), column(size));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{column}/hybi"), |bencher| {
            bencher.iter(|| assert!(validate(black_box(&text), usize::MAX)));
        });
        for (piece, name) in PIECES.into_iter().filter(|(piece, _)| *piece < size) {
            group.bench_function(format!("{column}/hybi-{name}-pieces"), |bencher| {
                bencher.iter(|| assert!(validate(black_box(&text), piece)));
            });
        }
        let bytes = Bytes::from(text.clone());
        group.bench_function(format!("{column}/hybi-text"), |bencher| {
            bencher.iter(|| Text::try_from(black_box(bytes.clone())).unwrap());
        });
        group.bench_function(format!("{column}/std"), |bencher| {
            bencher.iter(|| core::str::from_utf8(black_box(&text)).unwrap());
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    group(criterion, "utf8-ascii", ascii);
    group(criterion, "utf8-mixed", mixed);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = all
}
criterion_main!(benches);
