//! Names of columns and sample texts that several benches use.
//!
//! The texts are the same in each run, so results can be compared. Messages that arrive slowly are in `trickle.rs`. A
//! bench and a test include that file by path.

/// Formats a size for the heading of a column, for example `4KiB`.
pub(crate) fn column(size: usize) -> String {
    match size {
        size if size >= 1 << 20 => format!("{}MiB", size >> 20),
        size if size >= 1 << 10 => format!("{}KiB", size >> 10),
        size => format!("{size}B"),
    }
}

/// Returns `size` ASCII letters.
pub(crate) fn ascii(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

/// Returns `size` bytes of words with accents, Cyrillic and Chinese words, and emoji. Their order is random, so that
/// branch predictors cannot learn it.
pub(crate) fn mixed(size: usize) -> Vec<u8> {
    let mut random = 88_172_645_463_325_252_u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound) as u32
    };
    let mut text = String::new();
    while text.len() < size {
        let (first, count) = match below(8) {
            0..=2 => ('а' as u32, 32),
            3..=4 => ('一' as u32, 20_000),
            5 => ('😀' as u32, 80),
            6 => ('à' as u32, 32),
            _ => ('a' as u32, 26),
        };
        for _ in 0..4 + below(5) {
            text.extend(char::from_u32(first + below(count)));
        }
        text.push(' ');
    }
    // Cut the text after a whole character, and append dots until it has the right length.
    let end = (0..=size).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    let mut text = text.into_bytes();
    text.resize(size, b'.');
    text
}
