//! The messages that one application has sent, and whether the other application has received them.
//!
//! Each message of a run is unique, so a received message identifies its entry. Messages must arrive once and in
//! order. A message whose fate is unknown may arrive or be missing, and a refused message must not arrive.

use hybi::MessageKind;

use crate::support::cuts::Xorshift;
use crate::world::fail;

/// What an application knows about a message that it passed to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The call has not returned.
    Offered,
    /// The message was accepted.
    Accepted,
    /// The call was dropped or failed, so the message may or may not have been accepted.
    Unknown,
    /// The message was refused, and must never arrive.
    Refused,
}

#[derive(Debug)]
pub struct Entry {
    pub kind: MessageKind,
    pub data: Vec<u8>,
    pub fate: Fate,
    pub received: bool,
}

/// The messages of one direction, in the order of their calls.
#[derive(Debug, Default)]
pub struct Journal {
    pub entries: Vec<Entry>,
    /// Index of the first entry that may be received next.
    next: usize,
    /// The received part of a message that arrives in chunks.
    chunks: Option<Vec<u8>>,
    pub received: usize,
}

/// Returns a message of about this length that differs from all others of the run.
pub fn message(random: &mut Xorshift, number: usize, len: usize) -> (MessageKind, Vec<u8>) {
    let mut data = format!("{number}:").into_bytes();
    let seed = random.next();
    if random.below(2) == 0 {
        let letters = ["a", "ß", "€", "🦀", "b", " "];
        let mut at = seed as usize % letters.len();
        while data.len() < len {
            data.extend(letters[at].bytes());
            at = (at * 7 + 3) % letters.len();
        }
        return (MessageKind::Text, data);
    }
    let mut noise = seed | 1;
    while data.len() < len {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        data.extend(noise.to_le_bytes());
    }
    (MessageKind::Binary, data)
}

impl Journal {
    /// Records a message that is passed to a call. Returns its index.
    pub fn offer(&mut self, kind: MessageKind, data: Vec<u8>) -> usize {
        self.entries.push(Entry { kind, data, fate: Fate::Offered, received: false });
        self.entries.len() - 1
    }

    /// Records the fate of a message when its call has returned or was dropped.
    pub fn apply(&mut self, place: usize, fate: Fate) {
        let entry = &mut self.entries[place];
        assert_eq!(entry.fate, Fate::Offered);
        entry.fate = fate;
        if fate == Fate::Refused && entry.received {
            fail!("1 refused arrived", "message {place} was refused, and has arrived");
        }
    }

    /// Checks a received message.
    pub fn receive(&mut self, kind: MessageKind, data: &[u8]) {
        if self.chunks.is_some() {
            fail!("2 chunks", "a whole message arrived inside a message in chunks");
        }
        let rest = &self.entries[self.next..];
        let Some(skipped) = rest.iter().position(|entry| entry.kind == kind && entry.data == data) else {
            let head = String::from_utf8_lossy(&data[..data.len().min(12)]).into_owned();
            fail!("1 unknown message", "{kind:?} of {} bytes that nobody sent: {head:?}", data.len());
        };
        let place = self.next + skipped;
        for (at, entry) in self.entries[self.next..place].iter().enumerate() {
            if matches!(entry.fate, Fate::Accepted | Fate::Offered) {
                let lost = self.next + at;
                fail!("1 lost between", "message {lost}, which was accepted, is missing before {place}");
            }
        }
        let entry = &mut self.entries[place];
        if entry.fate == Fate::Refused {
            fail!("1 refused arrived", "message {place} was refused, and arrives");
        }
        entry.received = true;
        self.received += 1;
        self.next = place + 1;
    }

    /// Checks a received chunk.
    pub fn receive_chunk(&mut self, kind: MessageKind, data: &[u8], first: bool, fin: bool) {
        if first != self.chunks.is_none() {
            fail!("2 chunks", "a chunk has the wrong flag `first`: {first}");
        }
        let chunks = self.chunks.get_or_insert_default();
        chunks.extend(data);
        if fin {
            let data = self.chunks.take().unwrap_or_default();
            self.receive(kind, &data);
        }
    }

    /// Returns the number of messages that were certainly accepted and were not received.
    pub fn missing(&self) -> usize {
        self.entries.iter().filter(|entry| entry.fate == Fate::Accepted && !entry.received).count()
    }

    /// Returns the length of the longest message.
    pub fn longest(&self) -> usize {
        self.entries.iter().map(|entry| entry.data.len()).max().unwrap_or(0)
    }
}
