//! Every operation, dropped at every place where it can wait.
//!
//! A case drops the future of an operation after 0, 1, 2, … polls, until the number of polls is enough to complete the
//! operation. After each drop, other calls continue. The peer must receive an intact stream of bytes, and no message
//! may be lost or doubled in either direction. `cancel.rs` checks the same rules with streams that move few bytes per
//! call.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use futures_sink::Sink;
use hybi::adapters::futures_io::{Error, Reader, Writer};
use hybi::{CloseCode, Config, Message, MessageKind, Prepared, Role, SendError, SendOptions};

use super::halves::tick;
use super::support::*;

/// Options of a message that is sent uncompressed.
const PLAIN: SendOptions = SendOptions::new().compress(false);

type Doing<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;
/// An operation. It stores what it receives in the last argument.
type Op<T> = for<'a> fn(&'a mut T, &'a Message, &'a RefCell<Vec<Heard>>) -> Doing<'a>;
type Halves = (Reader<End, Clock>, Writer<End, Clock>);

fn text(message: &Message) -> &str {
    std::str::from_utf8(message.as_bytes()).unwrap()
}

const WHOLE: &[(&str, Op<Ws>)] = &[
    ("next", |ws, _, got| {
        Box::pin(async move {
            let event = ws.next_event().await?.unwrap().0;
            got.borrow_mut().push(heard(event));
            Ok(())
        })
    }),
    ("recv", |ws, _, got| {
        Box::pin(async move {
            let message = ws.recv().await?.unwrap();
            got.borrow_mut().push(of_message(message));
            Ok(())
        })
    }),
    ("stream", |ws, _, got| {
        Box::pin(async move {
            let message = poll_fn(|cx| Pin::new(&mut *ws).poll_next(cx)).await;
            got.borrow_mut().push(of_message(message.unwrap()?));
            Ok(())
        })
    }),
    ("answer", |ws, message, got| {
        Box::pin(async move {
            let (event, mut answer) = ws.next_event().await?.unwrap();
            got.borrow_mut().push(heard(event));
            answer.send_text(text(message)).await?;
            ws.flush().await
        })
    }),
    ("send_text", |ws, message, _| Box::pin(ws.send_text(text(message)))),
    ("send_binary", |ws, message, _| Box::pin(ws.send_binary(message.as_bytes()))),
    ("send", |ws, message, _| Box::pin(ws.send(message.clone()))),
    ("send_fragment", |ws, message, _| {
        Box::pin(ws.send_fragment(MessageKind::Text, message.as_bytes(), true))
    }),
    ("send_prepared", |ws, message, _| {
        Box::pin(async move { ws.send_prepared(&Prepared::new(message.clone())).await })
    }),
    ("send_with", |ws, message, _| Box::pin(ws.send_with(message.clone(), PLAIN))),
    ("feed", |ws, message, _| {
        Box::pin(async move {
            ws.feed(message.clone()).await?;
            ws.flush().await
        })
    }),
    ("sink", |ws, message, _| {
        Box::pin(async move {
            poll_fn(|cx| Pin::new(&mut *ws).poll_ready(cx)).await?;
            Pin::new(&mut *ws).start_send(message.clone())?;
            poll_fn(|cx| Pin::new(&mut *ws).poll_flush(cx)).await
        })
    }),
    ("feed_prepared", |ws, message, _| {
        Box::pin(async move {
            ws.feed_prepared(&Prepared::new(message.clone())).await?;
            ws.flush().await
        })
    }),
    ("try_send", |ws, message, _| {
        Box::pin(async move {
            ws.try_send(message.clone()).map_err(|refused| refused.error)?;
            ws.flush().await
        })
    }),
    ("ping", |ws, _, _| Box::pin(ws.ping(b"ping"))),
    ("close", |ws, _, _| Box::pin(ws.close(CloseCode::NORMAL, "bye"))),
    ("sink close", |ws, _, _| Box::pin(poll_fn(|cx| Pin::new(&mut *ws).poll_close(cx)))),
    ("wait_closed", |ws, _, _| {
        Box::pin(async move {
            let _ = ws.close(CloseCode::NORMAL, "bye").await;
            ws.wait_closed().await.map(|outcome| assert!(outcome.is_clean()))
        })
    }),
];

const HALVES: &[(&str, Op<Halves>)] = &[
    ("next", |(reader, _), _, got| {
        Box::pin(async move {
            let event = reader.next_event().await?.unwrap();
            got.borrow_mut().push(heard(event));
            Ok(())
        })
    }),
    ("recv", |(reader, _), _, got| {
        Box::pin(async move {
            let message = reader.recv().await?.unwrap();
            got.borrow_mut().push(of_message(message));
            Ok(())
        })
    }),
    ("stream", |(reader, _), _, got| {
        Box::pin(async move {
            let message = poll_fn(|cx| Pin::new(&mut *reader).poll_next(cx)).await;
            got.borrow_mut().push(of_message(message.unwrap()?));
            Ok(())
        })
    }),
    ("send_text", |(_, writer), message, _| Box::pin(writer.send_text(text(message)))),
    ("send_binary", |(_, writer), message, _| Box::pin(writer.send_binary(message.as_bytes()))),
    ("send", |(_, writer), message, _| Box::pin(writer.send(message.clone()))),
    ("send_with", |(_, writer), message, _| Box::pin(writer.send_with(message.clone(), PLAIN))),
    ("send_fragment", |(_, writer), message, _| {
        Box::pin(writer.send_fragment(MessageKind::Text, message.as_bytes(), true))
    }),
    ("send_prepared", |(_, writer), message, _| {
        Box::pin(async move { writer.send_prepared(&Prepared::new(message.clone())).await })
    }),
    ("feed", |(_, writer), message, _| {
        Box::pin(async move {
            writer.feed(message.clone()).await?;
            writer.flush().await
        })
    }),
    ("feed_prepared", |(_, writer), message, _| {
        Box::pin(async move {
            writer.feed_prepared(&Prepared::new(message.clone())).await?;
            writer.flush().await
        })
    }),
    ("sink", |(_, writer), message, _| {
        Box::pin(async move {
            poll_fn(|cx| Pin::new(&mut *writer).poll_ready(cx)).await?;
            Pin::new(&mut *writer).start_send(message.clone())?;
            poll_fn(|cx| Pin::new(&mut *writer).poll_flush(cx)).await
        })
    }),
    ("try_send", |(_, writer), message, _| {
        Box::pin(async move {
            writer.try_send(message.clone()).map_err(|refused| refused.error)?;
            writer.flush().await
        })
    }),
    ("ping", |(_, writer), _, _| Box::pin(writer.ping(b"ping"))),
    ("close", |(_, writer), _, _| Box::pin(writer.close(CloseCode::NORMAL, "bye"))),
    ("sink close", |(_, writer), _, _| Box::pin(poll_fn(|cx| Pin::new(&mut *writer).poll_close(cx)))),
    ("wait_closed", |(reader, writer), _, _| {
        Box::pin(async move {
            let _ = writer.close(CloseCode::NORMAL, "bye").await;
            reader.wait_closed().await.map(|outcome| assert!(outcome.is_clean()))
        })
    }),
];

/// The parameters of one case.
#[derive(Clone, Debug)]
struct Case {
    role: Role,
    deflate: bool,
    high_water: usize,
    behavior: Behavior,
    len: usize,
}

fn cases() -> impl Iterator<Item = Case> {
    // Larger messages use larger pieces, so each operation waits at ten to a hundred places.
    let sizes = [(0, 2), (5, 3), (125, 9), (126, 64), (20_000, 3000), (70_000, 20_000), (300_000, 100_000)];
    let roles = [Role::Server, Role::Client].into_iter();
    roles.flat_map(move |role| sizes.into_iter().map(move |(len, piece)| (role, len, piece))).flat_map(
        |(role, len, piece)| {
            let hesitant = Behavior { piece, hesitant: true, ..Behavior::default() };
            let narrow = Behavior { piece, capacity: piece, ..Behavior::default() };
            let case = Case { role, deflate: false, high_water: 64 << 10, behavior: hesitant, len };
            let more = Case { high_water: 64, behavior: narrow, ..case.clone() };
            [case, more].into_iter().flat_map(move |case| {
                let deflate = cfg!(feature = "deflate") && ![0, 125].contains(&len);
                let deflated = deflate.then(|| Case { deflate: true, ..case.clone() });
                [Some(case), deflated].into_iter().flatten()
            })
        },
    )
}

/// Polls `times` times, lets the peer read between polls, and drops the future.
fn poll_and_drop(times: usize, mut doing: Doing<'_>, peer: &RefCell<Peer>) -> Option<Result<(), Error>> {
    for _ in 0..times {
        if let Poll::Ready(result) = doing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(result);
        }
        peer.borrow_mut().pump();
    }
    None
}

/// Runs `future` until it is ready, while the peer reads and replies in another task. A task is polled only after it
/// was woken.
fn to_the_end<T>(clock: &Clock, peer: &RefCell<Peer>, future: impl Future<Output = T>) -> T {
    let mut far = pin!(async {
        loop {
            peer.borrow_mut().pump();
            tick().await;
        }
    });
    run(clock, future, &mut [far.as_mut()])
}

/// Waits for two futures in one task.
async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other, mut done) = (pin!(one), pin!(other), [false; 2]);
    poll_fn(|cx| {
        done[0] = done[0] || one.as_mut().poll(cx).is_ready();
        done[1] = done[1] || other.as_mut().poll(cx).is_ready();
        if done == [true; 2] { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Lets the peer send three messages and a Ping. Returns the messages.
fn say(peer: &mut Peer, len: usize) -> Vec<Heard> {
    let (small, large) = (noise(30), noise(len));
    peer.connection.send_text(&small).unwrap();
    peer.connection.send_binary(large.as_bytes()).unwrap();
    peer.connection.ping(hybi::Instant::ZERO, b"are you there?").unwrap();
    peer.connection.send_fragment(MessageKind::Text, &large.as_bytes()[..len / 3], false).unwrap();
    peer.connection.send_fragment(MessageKind::Text, &large.as_bytes()[len / 3..], true).unwrap();
    peer.say();
    vec![Heard::Text(small), Heard::Binary(large.clone().into_bytes()), Heard::Text(large)]
}

/// Checks the events of the peer. `sent` tells whether the message of the operation was accepted. `sent` is `None` if
/// the caller does not know.
fn judge(what: &str, case: &Case, done: bool, sent: Option<bool>, peer: &Peer) {
    let (before, after) = (Heard::Text("before".into()), Heard::Text("after".into()));
    let messages = peer.messages();
    let payload = noise(case.len);
    let is_payload = |heard: &Heard| match heard {
        Heard::Text(text) => *text == payload,
        Heard::Binary(data) => data == payload.as_bytes(),
        _ => false,
    };
    assert_eq!(messages.first(), Some(&before), "{what}");
    let rest = match messages.split_last() {
        Some((last, rest)) if *last == after => &rest[1..],
        _ if what.contains("close") => &messages[1..],
        _ => panic!("{what}: the last message is missing"),
    };
    assert!(rest.len() <= 1 && rest.iter().all(is_payload), "{what}: {} messages", messages.len());
    if let Some(sent) = sent {
        assert_eq!(rest.len(), usize::from(sent), "{what}: done {done}");
    }
    let pings = peer.heard.iter().filter(|heard| **heard == Heard::Ping(b"ping".to_vec())).count();
    assert!(pings <= 1, "{what}");
    if what.starts_with("ping") && done {
        assert_eq!(pings, 1, "{what}");
    }
    // RFC 6455 5.5.1: no Pong follows a Close, so the Pong may be missing.
    let pongs = peer.heard.iter().filter(|heard| matches!(heard, Heard::Pong(_))).count();
    assert!(pongs <= 1 && (pongs == 1 || what.contains("close")), "{what}: {pongs} pongs");
    assert_eq!(peer.heard.iter().filter(|heard| matches!(heard, Heard::Close(_))).count(), 1, "{what}");
}

const fn sends(name: &str) -> bool {
    !matches!(
        name.as_bytes(),
        b"next" | b"recv" | b"stream" | b"ping" | b"close" | b"sink close" | b"wait_closed"
    )
}

/// Returns whether all messages were received once and in order. Pings are skipped, because only some calls return
/// them.
fn all_received(got: &RefCell<Vec<Heard>>, said: &[Heard], closing: bool) -> bool {
    got.borrow_mut().retain(|heard| matches!(heard, Heard::Text(_) | Heard::Binary(_)));
    let got = got.borrow();
    assert!(got.len() <= said.len() && said[..got.len()] == got[..], "received {}", got.len());
    // `wait_closed` discards messages, so after this call they may be missing.
    closing || got.len() == said.len()
}

/// Drops one operation of a whole WebSocket after `times` polls. Returns whether the operation was complete by then.
fn whole(case: &Case, (name, op): (&str, Op<Ws>), times: usize) -> bool {
    let what = format!("{name}, {case:?}, polled {times} times");
    let (clock, mut ws, peer) = pair_with(case.role, case.behavior.clone(), config(case), case.deflate);
    let (peer, got) = (RefCell::new(peer), RefCell::new(Vec::new()));
    let said = say(&mut peer.borrow_mut(), if sends(name) { 10 } else { case.len });
    to_the_end(&clock, &peer, ws.feed("before")).unwrap();
    let message = Message::from(noise(case.len));
    let accepted = ws.connection().sent().messages;
    let result = poll_and_drop(times, op(&mut ws, &message, &got), &peer);
    let done = result.is_some();
    result.unwrap_or(Ok(())).unwrap();
    let sent = ws.connection().sent().messages > accepted;
    assert!(sent || !(done && sends(name)), "{what}");

    let closing = name.contains("close");
    to_the_end(&clock, &peer, async {
        match ws.send("after").await {
            Err(Error::Send(SendError::Closed)) if closing => {}
            sent => sent.unwrap(),
        }
        while !all_received(&got, &said, name == "wait_closed") {
            let message = ws.recv().await.unwrap().unwrap();
            got.borrow_mut().push(of_message(message));
        }
        let _ = ws.close(CloseCode::NORMAL, "").await;
        assert!(ws.wait_closed().await.is_ok_and(|outcome| outcome.is_clean()), "{what}");
        tick().await;
    });
    judge(&what, case, done, Some(sent), &peer.borrow());
    done
}

/// Like [`whole`], with the halves of a WebSocket.
fn halves(case: &Case, (name, op): (&str, Op<Halves>), times: usize) -> bool {
    let what = format!("{name} in halves, {case:?}, polled {times} times");
    let (clock, ws, peer) = pair_with(case.role, case.behavior.clone(), config(case), case.deflate);
    let (peer, got) = (RefCell::new(peer), RefCell::new(Vec::new()));
    let said = say(&mut peer.borrow_mut(), if sends(name) { 10 } else { case.len });
    let mut pair = ws.split();
    to_the_end(&clock, &peer, pair.1.feed("before")).unwrap();
    let message = Message::from(noise(case.len));
    let result = poll_and_drop(times, op(&mut pair, &message, &got), &peer);
    let done = result.is_some();
    result.unwrap_or(Ok(())).unwrap();

    let closing = name.contains("close");
    let (mut reader, mut writer) = pair;
    to_the_end(&clock, &peer, async {
        let sending = async {
            match writer.send("after").await {
                Err(Error::Send(SendError::Closed)) if closing => {}
                sent => sent.unwrap(),
            }
        };
        let receiving = async {
            while !all_received(&got, &said, name == "wait_closed") {
                let message = reader.recv().await.unwrap().unwrap();
                got.borrow_mut().push(of_message(message));
            }
        };
        both(sending, receiving).await;
        let _ = writer.close(CloseCode::NORMAL, "").await;
        assert!(reader.wait_closed().await.is_ok_and(|outcome| outcome.is_clean()), "{what}");
        tick().await;
    });
    // Below the high-water mark the first poll accepts the message. Above it, only a completed call shows that the
    // message was accepted.
    let fits = times > 0 && case.high_water > 6 + "before".len();
    let sent = if !sends(name) {
        Some(false)
    } else if fits || done {
        Some(true)
    } else {
        None
    };
    judge(&what, case, done, sent, &peer.borrow());
    done
}

fn config(case: &Case) -> Config {
    patient().high_water(case.high_water)
}

/// Drops the operation after 0, 1, 2, … polls, until it completes before the drop.
fn everywhere(mut one: impl FnMut(usize) -> bool) {
    let mut times = 0;
    while !one(times) {
        times += 1;
        assert!(times < 5000, "the operation never completes");
    }
}

#[test]
fn a_websocket_continues_after_any_future_was_dropped() {
    for case in cases() {
        for op in WHOLE {
            everywhere(|times| whole(&case, *op, times));
        }
    }
}

#[test]
fn halves_continue_after_any_future_was_dropped() {
    for case in cases() {
        for op in HALVES {
            everywhere(|times| halves(&case, *op, times));
        }
    }
}
