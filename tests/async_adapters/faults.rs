//! One fault at each call of the stream.
//!
//! A conversation runs once without a fault, and then once for each call of the stream and each kind of fault. It must
//! end with an outcome, must not hang, and must not call the stream much more often than without the fault. Faults of
//! the opening handshake are tested in `open.rs`.

use std::io::ErrorKind;
use std::pin::pin;

use hybi::adapters::futures_io::Error;
use hybi::{CloseCode, EofPosition, Event, Outcome, Role, SendError};

use super::halves::tick;
use super::support::*;

/// Echoes three messages, and then closes the connection. Returns the outcome, the first error, and the number of
/// echoed messages.
async fn conversation(ws: &mut Ws) -> (Option<Outcome>, Option<Error>, usize) {
    let (mut first, mut echoed) = (None, 0);
    loop {
        let result = match ws.next_event().await {
            Ok(None) => return (None, first, echoed),
            Ok(Some((Event::Closed(outcome), _))) => return (Some(outcome), first, echoed),
            Ok(Some((Event::Text(text), mut answer))) => {
                let sent = answer.send_text(text).await;
                echoed += 1;
                match sent {
                    Ok(()) if echoed == 3 => ws.close(CloseCode::NORMAL, "").await,
                    sent => sent,
                }
            }
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            first.get_or_insert(error);
        }
    }
}

/// Like [`conversation`], with the two halves of a WebSocket.
async fn in_halves(ws: Ws) -> (Option<Outcome>, Option<Error>, usize) {
    let (mut reader, mut writer) = ws.split();
    let (mut first, mut echoed) = (None, 0);
    loop {
        let result = match reader.next_event().await {
            Ok(None) => return (None, first, echoed),
            Ok(Some(Event::Closed(outcome))) => return (Some(outcome), first, echoed),
            Ok(Some(Event::Text(text))) => {
                let sent = writer.send_text(text).await;
                echoed += 1;
                match sent {
                    Ok(()) if echoed == 3 => writer.close(CloseCode::NORMAL, "").await,
                    sent => sent,
                }
            }
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            first.get_or_insert(error);
        }
    }
}

/// The parameters of a conversation.
#[derive(Clone, Copy, Debug)]
struct Case {
    role: Role,
    halves: bool,
    deflate: bool,
    len: usize,
    piece: usize,
}

/// Runs a conversation with one fault, or without a fault. Returns its result and the number of calls of the stream.
fn with_fault(case: Case, fault: Option<(usize, Fault)>) -> ((Option<Outcome>, Option<Error>, usize), usize) {
    let behavior = Behavior { piece: case.piece, fault, ..Behavior::default() };
    // If after the fault both sides wait for each other, this timeout ends the conversation.
    let config = patient().close_timeout(Some(ms(1000)));
    let (clock, mut ws, mut peer) = pair_with(case.role, behavior, config, case.deflate);
    let state = peer.end.state.clone();
    let mut far = pin!(async move {
        for text in ["one", "two", &noise(case.len)] {
            peer.connection.send_text(text).unwrap();
            peer.pump();
            tick().await;
        }
        for _ in 0..200 {
            peer.pump();
            tick().await;
        }
        // The input ends, so that the WebSocket does not wait for more input.
        peer.end.end();
    });
    let others: &mut [_] = &mut [far.as_mut() as std::pin::Pin<&mut dyn Future<Output = ()>>];
    let result = if case.halves {
        run(&clock, in_halves(ws), others)
    } else {
        run(&clock, conversation(&mut ws), others)
    };
    let calls = state.lock().unwrap().calls;
    (result, calls)
}

fn fault_at_each_call(case: Case) {
    let ((outcome, error, echoed), calls) = with_fault(case, None);
    assert!(outcome.is_some_and(|outcome| outcome.is_clean()) && error.is_none() && echoed == 3);
    assert!(calls > 10, "{calls}");
    for at in 0..calls {
        for fault in [Fault::Short, Fault::Pending, Fault::Interrupted] {
            let ((outcome, error, echoed), made) = with_fault(case, Some((at, fault)));
            let clean = outcome.is_some_and(|outcome| outcome.is_clean());
            assert!(clean && error.is_none() && echoed == 3, "{case:?} {fault:?} at {at}: {error:?}");
            assert!(made < calls + 10, "{case:?} {fault:?} at {at}: {made} calls instead of {calls}");
        }
        for fault in [Fault::Reset, Fault::Zero] {
            let ((outcome, error, _), made) = with_fault(case, Some((at, fault)));
            let what = format!("{case:?} {fault:?} at {at}: {outcome:?}, {error:?}");
            assert!(made < calls + 10, "{what}: {made} calls instead of {calls}");
            // The WebSocket ends, and reports its outcome.
            let outcome = outcome.expect(&what);
            match error {
                Some(Error::Io(error)) => {
                    let kinds = [ErrorKind::ConnectionReset, ErrorKind::WriteZero];
                    assert!(kinds.contains(&error.kind()), "{what}");
                }
                // The connection had ended before the send.
                Some(Error::Send(SendError::Closed)) | None => {}
                Some(_) => panic!("{what}"),
            }
            match outcome {
                Outcome::Clean { .. } | Outcome::Unanswered { .. } => {}
                Outcome::Abnormal(EofPosition::BetweenMessages | EofPosition::InFrame) => {}
                Outcome::TimedOut(hybi::TimerKind::Close) => {}
                _ => panic!("{what}"),
            }
        }
    }
}

#[test]
fn a_fault_at_any_call_ends_with_a_typed_outcome() {
    for role in [Role::Server, Role::Client] {
        for halves in [false, true] {
            fault_at_each_call(Case { role, halves, deflate: false, len: 19, piece: 9 });
            fault_at_each_call(Case { role, halves, deflate: false, len: 70_000, piece: 12_000 });
            let deflate = cfg!(feature = "deflate");
            fault_at_each_call(Case { role, halves, deflate, len: 20_000, piece: 5000 });
        }
    }
}

#[test]
fn messages_before_a_reset_are_delivered() {
    let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    peer.connection.send_text("the last words").unwrap();
    peer.say();
    block_on(&clock, async {
        assert_eq!(ws.recv().await.unwrap(), Some("the last words".into()));
        peer.end.reset();
        assert!(matches!(ws.recv().await, Err(Error::Io(_))));
        assert!(matches!(ws.recv().await, Ok(None)));
    });
    assert_eq!(ws.outcome(), Some(Outcome::Abnormal(EofPosition::BetweenMessages)));
}

#[test]
fn answers_are_written_before_the_end_is_processed() {
    // All messages and the end of the stream have arrived before the first read.
    for capacity in [3, usize::MAX] {
        let behavior = Behavior { capacity, ..Behavior::default() };
        let (clock, mut ws, mut peer) = pair(Role::Server, behavior, patient());
        for n in 0..10 {
            peer.connection.send_text(&letters(n)).unwrap();
        }
        peer.say();
        peer.end.end();
        let done = std::cell::Cell::new(false);
        let mut far = pin!(async {
            // The peer must receive all echoes although it sends no more. Otherwise this loop never ends, and the
            // test fails.
            while peer.messages().len() < 10 {
                peer.pump();
                tick().await;
            }
            done.set(true);
        });
        let outcome = run(
            &clock,
            async {
                let mut outcome = None;
                while let Some((event, mut answer)) = ws.next_event().await.unwrap() {
                    match event {
                        Event::Text(text) => answer.send_text(text).await.unwrap(),
                        Event::Closed(how) => outcome = Some(how),
                        other => panic!("{other:?}"),
                    }
                }
                while !done.get() {
                    tick().await;
                }
                outcome
            },
            &mut [far.as_mut()],
        );
        assert_eq!(outcome, Some(Outcome::Abnormal(EofPosition::BetweenMessages)));
    }
}

#[test]
fn a_task_yields_while_input_keeps_arriving() {
    let (_, mut ws, peer) = pair(Role::Server, Behavior { piece: 6, ..Behavior::default() }, patient());
    // Empty Pongs are no messages, so each poll stays pending.
    let pong = [0x8A, 0x80, 0, 0, 0, 0];
    peer.end.arrive(&pong.repeat(1000));
    for polls in 1.. {
        assert!(poll_once(ws.recv()).is_pending());
        if peer.end.state.lock().unwrap().calls >= 1000 {
            assert!(polls > 50, "{polls}");
            break;
        }
    }
}

#[test]
fn a_task_that_yields_is_woken_again() {
    for halves in [false, true] {
        let (clock, mut ws, mut peer) =
            pair(Role::Server, Behavior { piece: 6, ..Behavior::default() }, patient());
        peer.end.arrive(&[0x8A, 0x80, 0, 0, 0, 0].repeat(1000));
        peer.connection.send_text(&letters(1000)).unwrap();
        peer.say();
        let message = if halves {
            let (mut reader, _writer) = ws.split();
            block_on(&clock, reader.recv())
        } else {
            block_on(&clock, ws.recv())
        };
        assert_eq!(message.unwrap(), Some(letters(1000).into()));
    }
}
