//! Ways to split an input into pieces.
//!
//! The result of a case must not depend on the sizes of reads. [`plan`] returns the splits to run: everything at once,
//! byte by byte, one cut at each place, and pseudo-random cuts. The splits are the same in each run of the program.

use std::fmt;

/// Maximum length of an input that is cut in two at every place.
const EVERY_PLACE: usize = 4 << 10;
/// The number of places at the beginning of a longer input at which the input is cut in two. There are as many places
/// at its end, and as many in between.
const PLACES: usize = 64;
/// The number of pseudo-random splits of each input.
const RANDOM: usize = 32;

/// One way to split an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cuts {
    Whole,
    EachByte,
    /// Cuts at these places, in order. A repeated place makes an empty piece.
    At(Vec<usize>),
}

impl Cuts {
    /// Returns cuts at a random number of random places.
    pub fn random(random: &mut Xorshift, len: usize) -> Self {
        let magnitude = random.below(6);
        let count = 1 + random.below(2 << magnitude);
        let mut places: Vec<_> = (0..count).map(|_| random.below(len + 1)).collect();
        places.sort_unstable();
        Self::At(places)
    }

    /// Returns the lengths of the pieces of an input of `len` bytes.
    pub fn pieces(&self, len: usize) -> Box<dyn Iterator<Item = usize> + '_> {
        match self {
            Self::Whole => Box::new(std::iter::once(len)),
            Self::EachByte => Box::new(std::iter::repeat_n(1, len)),
            Self::At(places) => {
                let places = places.iter().map(move |&place| place.min(len));
                let starts = std::iter::once(0).chain(places.clone());
                let ends = places.chain(std::iter::once(len));
                Box::new(starts.zip(ends).map(|(start, end)| end - start))
            }
        }
    }
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::EachByte => f.write_str("byte by byte"),
            Self::At(places) => write!(f, "cut at {places:?}"),
        }
    }
}

/// Returns the splits of a case: first the whole input, then byte by byte, then one cut at each place, then
/// pseudo-random cuts that depend only on `id`. A `stress` case has no splits with one cut at each place.
pub fn plan(id: &str, len: usize, stress: bool) -> Vec<Cuts> {
    let mut plan = vec![Cuts::Whole, Cuts::EachByte];
    if !stress {
        plan.extend(places_for_one(len).into_iter().map(|place| Cuts::At(vec![place])));
    }
    let mut random = Xorshift::from_name(id);
    plan.extend((0..RANDOM).map(|_| Cuts::random(&mut random, len)));
    plan
}

fn places_for_one(len: usize) -> Vec<usize> {
    if len <= EVERY_PLACE {
        return (1..len).collect();
    }
    let spread = (1..=PLACES).map(|n| n * len / (PLACES + 1));
    (1..=PLACES).chain(spread).chain(len - PLACES..len).collect()
}

/// A small generator of pseudo-random numbers (xorshift64).
#[derive(Clone, Debug)]
pub struct Xorshift(u64);

impl Xorshift {
    pub fn new(seed: u64) -> Self {
        // A state of zero would produce only zeros.
        Self(seed | 1 << 63)
    }

    pub fn from_name(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::new(hash)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}
