//! The order of reasons when several apply to a refused call.
//!
//! `Closed` comes first, because nothing can be sent any more. A mistake of the caller comes next. `Blocked` comes
//! last, because only this state ends without a change by the caller. A refused call has no effect.

use hybi::frame::{MaskingKeys, Role};
use hybi::{
    CloseCode, Config, Connection, ControlPayload, Instant, Message, MessageKind, Prepared, SendError,
    SliceMessage, SliceOutbox,
};

use crate::pair::{End, Scenario, secs};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// The events after which nothing can be sent: our Close, both Closes, a failure, the end of the stream, a timeout.
const OVER: [&str; 5] = ["sent", "both", "failed", "ended", "gone"];

/// A call that must be refused, with its name.
type Call = (&'static str, Run);
type Run = fn(&mut End) -> Result<(), SendError>;

fn fail_if_written(_: &[&[u8]]) -> usize {
    panic!("a refused message is not written")
}

const MESSAGES: [Call; 11] = [
    ("send_text", |end| end.conn.send_text("x")),
    ("send_binary", |end| end.conn.send_binary(&[1; 9000])),
    ("send_fragment, the first", |end| end.conn.send_fragment(MessageKind::Binary, b"x", false)),
    ("send_fragment, the only one", |end| end.conn.send_fragment(MessageKind::Binary, b"x", true)),
    ("send, small", |end| end.conn.send("x").map_err(|refused| refused.error)),
    ("send, large", |end| end.conn.send(vec![1; 9000]).map_err(|refused| refused.error)),
    ("send_prepared, small", |end| end.conn.send_prepared(&Prepared::new("x"))),
    ("send_prepared, large", |end| end.conn.send_prepared(&Prepared::new(vec![1; 9000]))),
    ("transmit_text", |end| end.conn.transmit_text(end.now, "x", fail_if_written)),
    ("transmit_binary", |end| end.conn.transmit_binary(end.now, &[1; 9000], fail_if_written)),
    ("transmit", |end| end.conn.transmit(end.now, &Message::from("x"), fail_if_written)),
];

/// Calls that are mistakes in any state of the connection.
const MISTAKES: [(&str, Run, SendError); 7] = [
    ("ping", |end| end.conn.ping(end.now, &[0; 126]), SendError::ControlTooLong),
    ("pong", |end| end.conn.pong(&[0; 126]), SendError::ControlTooLong),
    ("code", |end| end.conn.close(end.now, CloseCode::ABNORMAL, ""), SendError::CodeNotAllowed),
    ("reason alone", |end| end.conn.close(end.now, None, "why"), SendError::CodeNotAllowed),
    ("reason", |end| end.conn.close(end.now, CloseCode::NORMAL, "x".repeat(124)), SendError::ReasonTooLong),
    // A wrong code is reported before a long reason, because the error text lists the valid codes.
    (
        "code and reason",
        |end| end.conn.close(end.now, CloseCode::NO_STATUS, "x".repeat(124)),
        SendError::CodeNotAllowed,
    ),
    ("long reason alone", |end| end.conn.close(end.now, None, "x".repeat(124)), SendError::CodeNotAllowed),
];

/// Ends an open connection in one of the ways of [`OVER`].
fn end_by(mut end: End, how: &str) -> End {
    match how {
        "sent" => end.conn.close(end.now, CloseCode::NORMAL, "").unwrap(),
        "both" => drop(end.receive_close(1000, "")),
        "failed" => drop(end.feed(&[0x83])),
        "ended" => drop(end.eof()),
        // The close timeout ends the connection, and `Closed` is delivered.
        _ => {
            end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
            end.advance(secs(10));
        }
    }
    end
}

/// Returns a connection. `open` says whether a fragmented text is open, and `full` says whether the queue is full.
fn open_connection(role: Role, open: bool, full: bool) -> End {
    let high_water = if full { 1 } else { 1 << 20 };
    let mut end = Scenario::of(role).config(Config::new().high_water(high_water)).open();
    if open {
        end.conn.send_fragment(MessageKind::Text, b"x", false).unwrap();
    } else if full {
        end.conn.send_text("x").unwrap();
    }
    end
}

#[test]
fn s5_5_1_closed_is_reported_before_every_other_reason() {
    for role in ROLES {
        for how in OVER {
            for (open, full) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut end = end_by(open_connection(role, open, full), how);
                let before = (end.conn.buffered_amount(), end.conn.sent());
                let continues: Call =
                    ("the next fragment", |end| end.conn.send_fragment(MessageKind::Text, b"x", true));
                let closes: Call = ("close", |end| end.conn.close(end.now, CloseCode::NORMAL, ""));
                let pings: Call = ("ping", |end| end.conn.ping(end.now, b""));
                let mistakes = MISTAKES.map(|(name, call, _)| (name, call));
                for (name, call) in MESSAGES.into_iter().chain(mistakes).chain([continues, closes, pings]) {
                    let said = call(&mut end);
                    assert_eq!(said, Err(SendError::Closed), "{name}: {role:?} {how} {open} {full}");
                }
                assert_eq!(end.conn.sender().can_send(), Err(SendError::Closed));
                assert_eq!((end.conn.buffered_amount(), end.conn.sent()), before);
                // A refusal with `Closed` causes no later `Writable` event.
                assert!(!end.poll().contains(&crate::pair::Seen::Writable));
            }
        }
    }
}

#[test]
fn s5_4_a_mistake_is_reported_before_blocked() {
    for role in ROLES {
        for full in [false, true] {
            let mut end = open_connection(role, true, full);
            for (name, call) in MESSAGES {
                assert_eq!(call(&mut end), Err(SendError::MessageOpen), "{name}: {role:?} {full}");
            }
            for (name, call, mistake) in MISTAKES {
                assert_eq!(call(&mut end), Err(mistake), "{name}: {role:?} {full}");
            }
            let mut end = open_connection(role, false, true);
            for (name, call) in MESSAGES {
                assert_eq!(call(&mut end), Err(SendError::Blocked), "{name}: {role:?}");
            }
        }
    }
}

#[test]
fn s5_4_in_borrowed_memory_too_large_is_reported_before_blocked() {
    for role in ROLES {
        let (mut memory, mut gathered) = ([0; 400], [0; 16]);
        let (mut queue, mut control) = ([0; 508], ControlPayload::EMPTY);
        let out = SliceOutbox::new(&mut memory, &mut queue);
        let config = Config::new();
        let conn = match role {
            Role::Server => Connection::server(Instant::ZERO, config, out),
            Role::Client => Connection::client(Instant::ZERO, config, out, MaskingKeys::from_seed([1; 32])),
        };
        let mut end = End::new(conn, SliceMessage::new(&mut gathered, &mut control));
        end.conn.send_fragment(MessageKind::Text, &[b'x'; 200], false).unwrap();
        let large = [0; 500];
        assert_eq!(end.conn.send_binary(&large), Err(SendError::MessageOpen));
        assert_eq!(end.conn.send_fragment(MessageKind::Binary, &large, true), Err(SendError::MessageOpen));
        assert_eq!(end.conn.send_fragment(MessageKind::Text, &large, true), Err(SendError::TooLarge));
        assert_eq!(end.conn.send_fragment(MessageKind::Text, &large[..200], true), Err(SendError::Blocked));
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        for kind in [MessageKind::Text, MessageKind::Binary] {
            assert_eq!(end.conn.send_fragment(kind, &large, true), Err(SendError::Closed));
        }
        assert_eq!(end.conn.send_binary(&large), Err(SendError::Closed));
    }
}

#[cfg(feature = "deflate")]
#[test]
fn s7692_6_1_compressed_messages_are_refused_for_the_same_reasons() {
    use hybi::handshake::DeflateParams;

    let opened = |role, full| {
        let high_water = if full { 1 } else { 1 << 20 };
        let config = Config::new().high_water(high_water);
        let mut end = Scenario::of(role).config(config).deflate(DeflateParams::default()).open();
        end.conn.send_fragment(MessageKind::Text, &[b'x'; 500], false).unwrap();
        end
    };
    for role in ROLES {
        for full in [false, true] {
            let mut end = opened(role, full);
            for (name, call) in MESSAGES {
                assert_eq!(call(&mut end), Err(SendError::MessageOpen), "{name}: {role:?} {full}");
            }
            for how in OVER {
                let mut end = end_by(opened(role, full), how);
                for (name, call) in MESSAGES {
                    assert_eq!(call(&mut end), Err(SendError::Closed), "{name}: {role:?} {how} {full}");
                }
            }
        }
    }
}
