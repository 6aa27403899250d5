//! The application of one endpoint. It sends messages, and checks that it receives exactly the messages of its peer.
//!
//! Each application keeps the messages that it has sent. Its peer compares each received message with this list, so a
//! lost, repeated or changed message is noticed at once.

use hybi::{Event, MessageKind, Outcome, Prepared, SendError, SendOptions, SendingHalf};

use crate::support::cuts::Xorshift;

/// A message that was accepted.
#[derive(Debug)]
pub struct Said {
    pub kind: MessageKind,
    pub data: Vec<u8>,
    /// True if the last fragment was accepted.
    pub whole: bool,
}

/// Everything that the application of one endpoint has sent and received.
#[derive(Debug, Default)]
pub struct App {
    /// The messages that were accepted, in order.
    pub said: Vec<Said>,
    /// The number of whole messages that were received.
    pub heard: usize,
    /// The number of received bytes of the next message, if it arrives in chunks.
    chunked: Option<usize>,
    /// Minimum length of a message that may arrive in chunks.
    min_chunked: usize,
    pub pings: usize,
    pub pongs: usize,
    /// True if a send failed with `SendError::Blocked`, so that an `Event::Writable` must follow.
    pub blocked: bool,
    /// The code of the peer's Close, once it was received.
    pub close_received: Option<Option<u16>>,
    pub outcome: Option<Outcome>,
}

/// Returns a random message, short or long, compressible or not.
pub fn message(random: &mut Xorshift) -> (MessageKind, Vec<u8>) {
    let len = match random.below(100) {
        0 => 60_000 + random.below(10_000),
        1 | 2 => 15_000 + random.below(3000),
        3..=7 => 4000 + random.below(200),
        8..=20 => 100 + random.below(400),
        21..=27 => 0,
        _ => random.below(60),
    };
    let start = random.next();
    if random.below(2) == 0 {
        let alphabet = ['a', 'ß', '€', '🦀', 'b', ' '];
        let mut text = start.to_string();
        while text.len() < len {
            text.push(alphabet[text.len() * 7 % 6]);
        }
        return (MessageKind::Text, text.into_bytes());
    }
    let mut noise = Xorshift::new(start);
    let repeats = random.below(2) == 0;
    let data = (0..len).map(|at| if repeats { (at % 50) as u8 } else { noise.next() as u8 });
    (MessageKind::Binary, data.collect())
}

impl App {
    /// Creates the application of an endpoint that delivers messages of less than `min_chunked` bytes whole.
    pub fn new(min_chunked: usize) -> Self {
        Self { min_chunked, ..Self::default() }
    }

    /// Returns whether a fragmented message is open.
    pub fn is_open(&self) -> bool {
        self.said.last().is_some_and(|said| !said.whole)
    }

    /// Sends a message. `way` selects the method that sends it.
    pub fn say(&mut self, half: &mut impl SendingHalf, way: usize, (kind, data): (MessageKind, Vec<u8>)) {
        let text = || std::str::from_utf8(&data).unwrap().to_owned();
        // Without compression, way 0 sends a fragment. While a fragmented message is open, the fragment would continue
        // that message instead of being refused.
        let options = SendOptions::new().compress(way % 4 != 0 || self.is_open());
        let sent = match (way % 3, kind) {
            (0, _) if !options.compress => half.send_fragment_with(kind, &data, true, options),
            (0, MessageKind::Text) => half.send_text(&text()),
            (0, MessageKind::Binary) => half.send_binary(&data),
            (1, MessageKind::Text) => half.send_with(text().into(), options).map_err(|refused| refused.error),
            (1, MessageKind::Binary) => {
                half.send_with(data.clone().into(), options).map_err(|refused| refused.error)
            }
            (_, MessageKind::Text) => half.send_prepared(&Prepared::with_options(text(), options)),
            (_, MessageKind::Binary) => half.send_prepared(&Prepared::with_options(data.clone(), options)),
        };
        let open = self.is_open();
        if self.is_sent(sent, open) {
            self.said.push(Said { kind, data, whole: true });
        }
    }

    /// Sends the first or the next fragment of a message.
    pub fn say_part(
        &mut self,
        half: &mut impl SendingHalf,
        (mut kind, data): (MessageKind, Vec<u8>),
        fin: bool,
    ) {
        if self.is_open() {
            kind = self.said.last().unwrap().kind;
            // The data must stay valid text.
            let data = if kind == MessageKind::Text {
                String::from_utf8_lossy(&data).into_owned().into()
            } else {
                data
            };
            let sent = half.send_fragment(kind, &data, fin);
            if self.is_sent(sent, false) {
                let said = self.said.last_mut().unwrap();
                said.data.extend(data);
                said.whole = fin;
            }
        } else {
            let sent = half.send_fragment(kind, &data, fin);
            if self.is_sent(sent, false) {
                self.said.push(Said { kind, data, whole: fin });
            }
        }
    }

    /// Returns whether a send was accepted, and checks the reason of a refusal. `open` tells whether a fragmented
    /// message is open.
    fn is_sent(&mut self, sent: Result<(), SendError>, open: bool) -> bool {
        match sent {
            Ok(()) => assert!(!open, "a message was accepted inside a fragmented one"),
            Err(SendError::Blocked) => self.blocked = true,
            Err(SendError::MessageOpen) => assert!(open),
            // The caller knows the state, and checks that closing has begun.
            Err(SendError::Closed) => {}
            Err(error) => panic!("{error}"),
        }
        sent.is_ok()
    }

    /// Receives an event, and compares it with the messages that the other application has sent.
    pub fn hear(&mut self, event: &Event<'_>, other: &Self) {
        assert!(self.outcome.is_none(), "{event:?} after Closed");
        match *event {
            Event::Text(text) => self.hear_whole(MessageKind::Text, text.as_bytes(), other),
            Event::Binary(data) => self.hear_whole(MessageKind::Binary, data, other),
            Event::Chunk { kind, data, first, fin } => self.hear_chunk((kind, data, first, fin), other),
            Event::Ping(_) => self.pings += 1,
            Event::Pong(_) => self.pongs += 1,
            Event::CloseReceived { code, .. } => {
                let code = code.map(hybi::CloseCode::get);
                assert_eq!(self.close_received.replace(code), None, "a second Close was received");
            }
            Event::Writable => {
                assert!(std::mem::take(&mut self.blocked), "Writable without a blocked send")
            }
            Event::Closed(outcome) => self.outcome = Some(outcome),
            _ => panic!("{event:?}"),
        }
    }

    /// Receives a whole message, and compares it with the next message of the other application.
    pub fn hear_whole(&mut self, kind: MessageKind, data: &[u8], other: &Self) {
        assert!(self.close_received.is_none() && self.chunked.is_none());
        let said = other.said.get(self.heard).expect("nobody sent this message");
        assert!(
            said.whole && said.kind == kind && said.data == data,
            "message {} differs from the one that was sent",
            self.heard
        );
        self.heard += 1;
    }

    /// Receives a chunk, and compares it with the next message of the other application.
    fn hear_chunk(&mut self, (kind, data, first, fin): (MessageKind, &[u8], bool, bool), other: &Self) {
        assert!(self.close_received.is_none());
        assert_eq!(first, self.chunked.is_none());
        let at = self.chunked.unwrap_or(0);
        let said = other.said.get(self.heard).expect("nobody sent the message of this chunk");
        assert!(
            said.kind == kind && said.data[at..].starts_with(data),
            "message {} differs from the one that was sent",
            self.heard
        );
        self.chunked = Some(at + data.len());
        if fin {
            let len = at + data.len();
            assert!(said.whole && len == said.data.len(), "message {} is incomplete", self.heard);
            assert!(len >= self.min_chunked, "message {} fits into the memory, but is in chunks", self.heard);
            (self.heard, self.chunked) = (self.heard + 1, None);
        }
    }
}
