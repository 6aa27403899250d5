//! Properties of reconnecting: each delay lies in its window, and the client gives up exactly when it must.
//!
//! [`History`] records from outside what happened. From the whole record it computes how many attempts have failed in a
//! row, and which window the next delay has.

use std::time::Duration;

use hybi::reconnect::{Decision, Failure, GiveUp, ReconnectPolicy, ReconnectState};
use hybi::{CloseCode, EofPosition, Instant, Outcome, ProtocolError, TimerKind};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Settings {
    first_delay: Duration,
    max_delay: Duration,
    max_retry_after: Duration,
    min_uptime: Duration,
    max_attempts: Option<u32>,
}

/// Durations of all lengths, from a nanosecond to centuries.
fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0..100_000_u64).prop_map(Duration::from_millis),
        1 => (0..=u64::MAX, 0..64_u32).prop_map(|(bits, shift)| Duration::from_nanos(bits >> shift)),
        1 => Just(Duration::MAX),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (durations(), durations(), durations(), durations(), option::of(0..6_u32)).prop_map(
        |(first_delay, max_delay, max_retry_after, min_uptime, max_attempts)| Settings {
            first_delay,
            max_delay,
            max_retry_after,
            min_uptime,
            max_attempts,
        },
    )
}

fn policy(settings: Settings) -> ReconnectPolicy {
    ReconnectPolicy::new()
        .first_delay(settings.first_delay)
        .max_delay(settings.max_delay)
        .max_retry_after(settings.max_retry_after)
        .min_uptime(settings.min_uptime)
        .max_attempts(settings.max_attempts)
}

fn failures() -> impl Strategy<Value = Failure> {
    let status = prop_oneof![Just(429), Just(503), Just(500), Just(404), 200..=599_u16];
    prop_oneof![
        4 => Just(Failure::Network),
        4 => (status, option::of(durations()))
            .prop_map(|(status, retry_after)| Failure::Response { status, retry_after }),
        1 => Just(Failure::Handshake),
        1 => Just(Failure::Request),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let code = || prop_oneof![1000..=1015_u16, 3000..=4999_u16].prop_map(CloseCode::new);
    prop_oneof![
        3 => code().prop_map(|code| Outcome::Clean { code }),
        1 => code().prop_map(|code| Outcome::Unanswered { code }),
        2 => Just(Outcome::Abnormal(EofPosition::InFrame)),
        1 => Just(Outcome::TimedOut(TimerKind::Pong)),
        1 => Just(Outcome::Failed(ProtocolError::InvalidUtf8)),
    ]
}

#[derive(Clone, Debug)]
enum Action {
    Wait(Duration),
    Connect,
    Fail(Failure, u64),
    Close(Outcome, u64),
    Reset,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        6 => durations().prop_map(Action::Wait),
        3 => Just(Action::Connect),
        8 => (failures(), any::<u64>()).prop_map(|(failure, random)| Action::Fail(failure, random)),
        3 => (outcomes(), any::<u64>()).prop_map(|(outcome, random)| Action::Close(outcome, random)),
        1 => Just(Action::Reset),
    ];
    vec(action, 0..60)
}

/// Something that happened to the client.
#[derive(Clone, Copy)]
enum Record {
    Opened(Instant),
    /// An attempt failed, or a connection ended. `delayed` says whether a delay followed.
    Ended {
        at: Instant,
        delayed: bool,
    },
    Reset,
}

#[derive(Default)]
struct History(Vec<Record>);

impl History {
    /// Returns the number of failed attempts, and the number of delays. Both are counted from the last connection that
    /// lasted at least `min_uptime`, or from the last reset.
    fn count(&self, min_uptime: Duration) -> (u32, u32) {
        let (mut failed, mut delays, mut opened) = (0, 0, None);
        for record in &self.0 {
            match *record {
                Record::Opened(at) => opened = Some(at),
                Record::Reset => (failed, delays) = (0, 0),
                Record::Ended { at, delayed } => {
                    let lasted = opened.take().is_some_and(|opened: Instant| {
                        at.since_origin().saturating_sub(opened.since_origin()) >= min_uptime
                    });
                    (failed, delays) = if lasted { (0, 0) } else { (failed + 1, delays) };
                    delays += u32::from(delayed);
                }
            }
        }
        (failed, delays)
    }
}

/// Returns the longest delay that may follow `delays` earlier delays, in nanoseconds.
fn window(settings: Settings, delays: u32) -> u128 {
    let nanos = |duration: Duration| duration.as_nanos().min(u64::MAX.into());
    let doubled =
        (0..delays).fold(nanos(settings.first_delay), |window, _| (window * 2).min(u64::MAX.into()));
    doubled.min(nanos(settings.max_delay))
}

/// Returns the time that the server asked for, in nanoseconds.
fn requested(settings: Settings, failure: &Failure) -> u128 {
    match failure {
        Failure::Response { status: 429 | 503, retry_after: Some(wait) } => {
            (*wait).min(settings.max_retry_after).as_nanos()
        }
        _ => 0,
    }
}

/// Reports a failure with `report`, and checks the answer.
fn check(
    reconnecting: &mut ReconnectState,
    history: &mut History,
    settings: Settings,
    (now, failure): (Instant, Failure),
    random: u64,
    report: impl Fn(&mut ReconnectState, u64) -> Decision,
) -> Result<(), TestCaseError> {
    let mut before = reconnecting.clone();
    let next = report(reconnecting, random);
    // The delay that may follow this failure is not counted yet.
    history.0.push(Record::Ended { at: now, delayed: false });
    let (failed, delays) = history.count(settings.min_uptime);
    prop_assert_eq!(reconnecting.failed_attempts(), failed);
    let last = history.0.last_mut().unwrap();
    match next {
        Decision::GiveUp(GiveUp::NotRetried(reported)) => {
            prop_assert!(!failure.is_transient());
            prop_assert_eq!(reported, failure);
        }
        Decision::GiveUp(GiveUp::TooManyAttempts { attempts, last: reported }) => {
            prop_assert!(failure.is_transient() && settings.max_attempts.unwrap().max(1) <= attempts);
            prop_assert_eq!((attempts, reported), (failed, failure));
        }
        Decision::GiveUp(reason) => panic!("{reason}"),
        Decision::RetryAt(instant) => {
            prop_assert!(failure.is_transient());
            prop_assert!(settings.max_attempts.is_none_or(|most| failed < most.max(1)));
            *last = Record::Ended { at: now, delayed: true };
            // The last instant of the clock is never returned, because it means that no deadline is set.
            let end = u128::from(u64::MAX) - 1;
            let start = (now.since_origin().as_nanos() + requested(settings, &failure)).min(end);
            let longest = (start + window(settings, delays)).min(end);
            let at = instant.since_origin().as_nanos();
            prop_assert!((start..=longest).contains(&at), "{start} {at} {longest}");
            // The random bits select any delay of the window, and a larger number never gives a shorter delay.
            let first = report(&mut before.clone(), 0);
            prop_assert_eq!(
                first,
                Decision::RetryAt(Instant::from_origin(Duration::from_nanos(start as u64)))
            );
            let longest = Instant::from_origin(Duration::from_nanos(longest as u64));
            prop_assert_eq!(report(&mut before.clone(), u64::MAX), Decision::RetryAt(longest));
            if let Decision::RetryAt(half) = report(&mut before, random / 2) {
                prop_assert!(half <= instant);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn s7_2_3_each_delay_lies_in_its_window_and_the_client_gives_up_when_it_must(
        settings in settings(),
        actions in actions(),
    ) {
        let mut reconnecting = ReconnectState::new(policy(settings));
        let (mut now, mut history) = (Instant::ZERO, History::default());
        for action in actions {
            match action {
                Action::Wait(time) => now = now + time,
                Action::Connect => {
                    reconnecting.connected(now);
                    history.0.push(Record::Opened(now));
                }
                Action::Reset => {
                    reconnecting.reset();
                    history.0.push(Record::Reset);
                }
                Action::Fail(failure, random) => {
                    let report = |to: &mut ReconnectState, random| to.failed(now, &failure, random);
                    check(&mut reconnecting, &mut history, settings, (now, failure), random, report)?;
                }
                Action::Close(outcome, random) => {
                    let report = |to: &mut ReconnectState, random| to.closed(now, outcome, random);
                    let failure = Failure::from(outcome);
                    check(&mut reconnecting, &mut history, settings, (now, failure), random, report)?;
                }
            }
        }
    }

    #[test]
    fn s9110_10_2_3_every_value_of_retry_after_gives_a_duration_or_nothing(
        value in prop_oneof![vec(any::<u8>(), 0..40), "[0-9]{1,30}".prop_map(String::into_bytes)],
        unix_time in option::of(durations()),
    ) {
        let wait = hybi::reconnect::parse_retry_after(&value, unix_time);
        let digits = std::str::from_utf8(&value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(digits) = digits.filter(|digits| !digits.is_empty()) {
            let seconds = digits.parse::<u128>().unwrap().min(u64::MAX.into()) as u64;
            prop_assert_eq!(wait, Some(Duration::from_secs(seconds)));
        }
    }
}
