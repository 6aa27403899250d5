//! Limits on frames, messages and fragments (RFC 6455 section 10.4).
//!
//! A hostile peer sends frames or messages that are too large, too many fragments, endless chunks or floods of Pings.
//! These tests check at which byte the connection fails and with which code. `tests/memory.rs` measures how much memory
//! is used.

use hybi::frame::{Header, Opcode};
use hybi::{
    Config, Connection, Delivery, Input, Instant, Outbox, ProtocolError, Role, SharedConfig, VecMessage,
};

use crate::pair::{Scenario, Seen, frame, text};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// Returns the header of a data frame of the peer that announces `payload_len` bytes.
fn header(from: Role, opcode: Opcode, fin: bool, payload_len: u64) -> Vec<u8> {
    let masking_key = (from == Role::Client).then_some([0; 4]);
    let mut bytes = [0; 14];
    let len = Header { fin, rsv: 0, opcode, masking_key, payload_len }.encode(&mut bytes);
    bytes[..len].to_vec()
}

fn deliveries(config: &Config) -> [Config; 2] {
    [config.clone(), config.clone().delivery(Delivery::Chunks)]
}

#[test]
fn s10_4_a_frame_over_the_limit_fails_at_its_header() {
    for role in ROLES {
        for limit in [0, 1, 100, 125, 126, 1000, 70_000u64] {
            for config in deliveries(&Config::new().max_frame(limit)) {
                let mut end = Scenario::of(role).config(config.clone()).open();
                let head = header(role.peer(), Opcode::Binary, true, limit + 1);
                assert_eq!(end.feed_in(&head, 1), [Seen::Failed(ProtocolError::FrameTooBig)]);
                assert_eq!(end.flush(), ["close 1009 frame over the size limit"]);

                // The frame is small and complete, so the fast path decodes it. The fast path must apply the limit too.
                let mut end = Scenario::of(role).config(config.clone()).open();
                let over = end.receive(Opcode::Binary, vec![1; limit as usize + 1]);
                assert_eq!(over, [Seen::Failed(ProtocolError::FrameTooBig)]);

                // Frames whose length equals the limit are accepted any number of times. The limit does not apply to
                // control frames, which may have 125 bytes.
                let mut end = Scenario::of(role).config(config).open();
                for _ in 0..3 {
                    assert_eq!(end.receive(Opcode::Binary, vec![1; limit as usize]).len(), 1);
                    end.receive_part(Opcode::Binary, false, vec![1; limit as usize]);
                    end.receive(Opcode::Continuation, vec![1; limit as usize]);
                    assert_eq!(end.receive(Opcode::Ping, [1; 125]).len(), 1);
                }
                assert_eq!(end.conn.received().messages, 6);
            }
        }
    }
}

#[test]
fn s10_4_a_message_over_the_limit_fails_at_the_header_that_exceeds_it() {
    for role in ROLES {
        for config in deliveries(&Config::new().max_message(1000)) {
            let open = || Scenario::of(role).config(config.clone()).open();
            let too_big = [Seen::Failed(ProtocolError::MessageTooBig)];
            assert_eq!(open().feed(&header(role.peer(), Opcode::Text, true, 1001)), too_big);

            let mut end = open();
            end.receive_part(Opcode::Text, false, [b'x'; 600]);
            end.receive_part(Opcode::Continuation, false, [b'x'; 400]);
            assert_eq!(end.receive_part(Opcode::Continuation, false, ""), [], "empty fragments add nothing");
            assert_eq!(end.feed(&header(role.peer(), Opcode::Continuation, true, 1)), too_big);
            assert_eq!(end.flush(), ["close 1009 message over the size limit"]);

            // The count restarts with each message.
            let mut end = open();
            for _ in 0..10 {
                end.receive_part(Opcode::Text, false, [b'x'; 600]);
                assert_eq!(end.receive(Opcode::Continuation, [b'x'; 400]).len(), 1);
                assert_eq!(end.receive(Opcode::Text, [b'x'; 1000]).len(), 1);
            }
        }
        // The fast path checks small limits too.
        for limit in [0, 5, 124] {
            let mut end = Scenario::of(role).config(Config::new().max_message(limit)).open();
            assert_eq!(end.receive(Opcode::Text, vec![b'x'; limit as usize]).len(), 1);
            let over = end.receive(Opcode::Text, vec![b'x'; limit as usize + 1]);
            assert_eq!(over, [Seen::Failed(ProtocolError::MessageTooBig)]);
        }
    }
}

#[test]
fn s10_4_too_many_fragments_fail_with_1008() {
    for role in ROLES {
        for config in deliveries(&Config::new().max_fragments(3)) {
            let mut end = Scenario::of(role).config(config).open();
            for _ in 0..2 {
                end.receive_part(Opcode::Text, false, "");
                end.receive(Opcode::Ping, "");
                end.receive_part(Opcode::Continuation, false, "");
                assert_eq!(end.receive_part(Opcode::Continuation, true, "").len(), 1);
            }
            end.receive_part(Opcode::Text, false, "");
            end.receive_part(Opcode::Continuation, false, "x");
            end.receive_part(Opcode::Continuation, false, "");
            assert_eq!(
                end.receive_part(Opcode::Continuation, true, ""),
                [Seen::Failed(ProtocolError::TooManyFragments)]
            );
            assert_eq!(end.flush().last().unwrap(), "close 1008 message of too many fragments");
        }
        // A limit of zero refuses every message, at any size of reads.
        for size in [1, 100] {
            let mut end = Scenario::of(role).config(Config::new().max_fragments(0)).open();
            let wire = frame(role.peer(), Opcode::Text, true, b"x");
            assert_eq!(end.feed_in(&wire, size), [Seen::Failed(ProtocolError::TooManyFragments)]);
        }
    }
}

#[test]
fn s10_4_a_million_empty_fragments_end_at_the_limit() {
    let mut end = Scenario::server().open();
    let mut wire = frame(Role::Client, Opcode::Text, false, b"");
    let empty = frame(Role::Client, Opcode::Continuation, false, b"");
    for _ in 0..1000 {
        wire.extend_from_slice(&empty);
    }
    assert_eq!(end.feed(&wire), []);
    let mut failed = Vec::new();
    for _ in 0..1000 {
        failed.extend(end.feed(&wire[empty.len()..]));
    }
    assert_eq!(failed, [Seen::Failed(ProtocolError::TooManyFragments)]);
    assert_eq!(end.conn.received().frames, 65_537);
}

#[test]
fn s10_4_a_flood_of_pings_is_answered_by_few_pongs() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        let mut wire = Vec::new();
        for i in 0..10_000u32 {
            wire.extend(frame(role.peer(), Opcode::Ping, true, &i.to_be_bytes()));
        }
        assert_eq!(end.feed(&wire).len(), 10_000);
        assert!(end.conn.buffered_amount() <= 512);
        for piece in wire.chunks(1000) {
            end.feed(piece);
            end.write(1);
            assert!(end.conn.buffered_amount() <= 512);
        }
        end.write_all();
        assert_eq!(end.sent().last().unwrap().as_bytes().last(), Some(&0x0F));
    }
}

#[test]
fn s10_4_frame_and_message_limits_are_independent() {
    // A message may be larger than the limit of frames if each of its frames is small.
    let mut end = Scenario::server().config(Config::new().max_frame(10).max_message(100)).open();
    end.receive_part(Opcode::Text, false, "0123456789");
    for _ in 0..8 {
        assert_eq!(end.receive_part(Opcode::Continuation, false, "0123456789"), []);
    }
    assert_eq!(end.receive_part(Opcode::Continuation, true, "0123456789"), [text(&"0123456789".repeat(10))]);
    assert_eq!(end.conn.received().frames, 10);
}

#[test]
fn s10_4_an_endless_message_is_delivered_in_chunks_without_memory() {
    let config = Config::new().delivery(Delivery::Chunks).max_message(u64::MAX).max_frame(u64::MAX);
    let mut end = Scenario::server().config(config).open();
    let mut bytes = header(Role::Client, Opcode::Binary, true, u64::MAX >> 1);
    assert_eq!(end.feed(&bytes), []);
    bytes = vec![7; 1 << 16];
    for i in 0..100 {
        match &end.feed(&bytes)[..] {
            [Seen::Chunk { data, first, fin: false, .. }] => {
                assert_eq!((data.len(), *first), (1 << 16, i == 0))
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(end.message.capacity(), 0);
}

/// A static configuration can be shared like one in an `Arc`.
#[test]
fn s10_4_limits_of_a_static_configuration_apply() {
    static SMALL: Config = Config::new().max_frame(10);
    static DEFAULT: Config = Config::new();
    for (config, error) in [(&SMALL, Some(ProtocolError::FrameTooBig)), (&DEFAULT, None)] {
        let shared = SharedConfig::from(config);
        assert_eq!((shared.limits(), format!("{shared:?}")), (config.limits(), format!("{config:?}")));
        let mut conn = Connection::client(Instant::ZERO, shared, Outbox::new(), [7; 32]);
        let mut bytes = header(Role::Server, Opcode::Binary, true, 11);
        let mut message = VecMessage::new();
        let polled = conn.poll(Instant::ZERO, &mut Input::new(&mut bytes, &mut message));
        assert_eq!(polled.err(), error);
    }
}
