//! The messages that one application has given to its end, and which of them the other application has received.

use hybi::MessageKind;

use crate::support::cuts::Xorshift;
use crate::world::fail;

/// What the application knows of a message that it gave away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The call has not returned.
    Offered,
    /// It was accepted.
    Accepted,
    /// It was accepted, or it was not: the call was dropped, or failed.
    Unknown,
    /// It was refused, and must never arrive.
    Refused,
}

#[derive(Debug)]
pub struct Entry {
    pub kind: MessageKind,
    pub data: Vec<u8>,
    pub fate: Fate,
    pub received: bool,
}

/// The messages of one direction, in the order in which they were given away.
#[derive(Debug, Default)]
pub struct Journal {
    pub entries: Vec<Entry>,
    /// The first entry that may be received next.
    next: usize,
    /// What has come of a message in chunks.
    chunks: Option<Vec<u8>>,
    pub received: usize,
}

/// Makes a message of about that length, which no other one of the run equals.
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
    /// The application gives a message away; gives its place.
    pub fn offer(&mut self, kind: MessageKind, data: Vec<u8>) -> usize {
        self.entries.push(Entry { kind, data, fate: Fate::Offered, received: false });
        self.entries.len() - 1
    }

    /// The call has returned, or was dropped.
    pub fn apply(&mut self, place: usize, fate: Fate) {
        let entry = &mut self.entries[place];
        assert_eq!(entry.fate, Fate::Offered);
        entry.fate = fate;
        if fate == Fate::Refused && entry.received {
            fail!("1 refused arrived", "message {place} was refused, and has arrived");
        }
    }

    /// A whole message was received.
    pub fn receive(&mut self, kind: MessageKind, data: &[u8]) {
        if self.chunks.is_some() {
            fail!("2 chunks", "a whole message inside one that comes in chunks");
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

    /// A piece of a message was received.
    pub fn receive_chunk(&mut self, kind: MessageKind, data: &[u8], first: bool, fin: bool) {
        if first != self.chunks.is_none() {
            fail!("2 chunks", "a chunk is the first of its message or it is not: {first}");
        }
        let chunks = self.chunks.get_or_insert_default();
        chunks.extend(data);
        if fin {
            let data = self.chunks.take().unwrap_or_default();
            self.receive(kind, &data);
        }
    }

    /// How many messages were accepted for certain, and have not been received.
    pub fn missing(&self) -> usize {
        self.entries.iter().filter(|entry| entry.fate == Fate::Accepted && !entry.received).count()
    }

    /// The longest message that was given away.
    pub fn longest(&self) -> usize {
        self.entries.iter().map(|entry| entry.data.len()).max().unwrap_or(0)
    }
}
