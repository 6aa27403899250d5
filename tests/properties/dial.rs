//! Properties of connecting to several addresses: their order, and attempts that end at random times.
//!
//! `tests/exhaustive/dial.rs` tries all orders of events for up to four addresses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hybi::Instant;
use hybi::dial::{Action, DialError, Dialing, interleave};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Returns addresses of both IP versions. The port of each address is its position.
fn addresses(ipv6: &[bool]) -> Vec<SocketAddr> {
    let ip = |ipv6: bool| if ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    (0..).zip(ipv6).map(|(port, ipv6)| SocketAddr::new(ip(*ipv6), port)).collect()
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Fails(u64),
    Succeeds(u64),
    /// The address never answers.
    Hangs,
}

/// Generates the ends of attempts. Many of the times are multiples of 250 ms, so that events coincide.
fn ends() -> impl Strategy<Value = End> {
    let millis = || prop_oneof![0..2000_u64, (0..8_u64).prop_map(|steps| steps * 250)];
    prop_oneof![
        5 => millis().prop_map(End::Fails),
        1 => millis().prop_map(End::Succeeds),
        3 => Just(End::Hangs),
    ]
}

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn s8305_4_addresses_alternate_and_keep_their_order(ipv6 in vec(any::<bool>(), 0..100)) {
        let before = addresses(&ipv6);
        let mut after = before.clone();
        interleave(&mut after);
        let position = |address: &SocketAddr| usize::from(address.port());
        for family in [false, true] {
            let of_family = |list: &[SocketAddr]| -> Vec<usize> {
                list.iter().filter(|address| address.is_ipv6() == family).map(position).collect()
            };
            prop_assert_eq!(of_family(&before), of_family(&after));
        }
        prop_assert_eq!(after.first(), before.first());
        let fewer = ipv6.iter().filter(|ipv6| **ipv6).count().min(ipv6.iter().filter(|ipv6| !**ipv6).count());
        // The addresses alternate until the shorter family ends.
        let pairs = after.windows(2).take((2 * fewer).saturating_sub(1));
        prop_assert!(pairs.into_iter().all(|pair| pair[0].is_ipv6() != pair[1].is_ipv6()), "{:?}", after);
    }

    #[test]
    fn s8305_5_attempts_are_staggered_and_the_first_success_wins(
        ends in vec(ends(), 0..70),
        stagger in 0..400_u64,
        deadline in option::of(0..10_000_u64),
    ) {
        let mut list = addresses(&vec![true; ends.len()]);
        let mut dialing = Dialing::new(&mut list)
            .stagger(Duration::from_millis(stagger))
            .deadline(deadline.map(at));
        let stagger = stagger.max(10);
        let tried = ends.len().min(Dialing::MAX_ADDRESSES);
        let (mut now, mut last_start, mut failed_since) = (0, None, false);
        // Events that have not happened yet: when an attempt ends, the index of the attempt, and whether it succeeds.
        let mut events: Vec<(u64, usize, bool)> = Vec::new();
        let mut started = 0;
        let result = loop {
            match dialing.poll(at(now)) {
                Action::Start(index) => {
                    prop_assert_eq!(index, started);
                    prop_assert!(last_start.is_none_or(|last| failed_since || now >= last + stagger));
                    prop_assert!(deadline.is_none_or(|deadline| now < deadline));
                    (started, last_start, failed_since) = (started + 1, Some(now), false);
                    match ends[index] {
                        End::Fails(after) => events.push((now + after, index, false)),
                        End::Succeeds(after) => events.push((now + after, index, true)),
                        End::Hangs => {}
                    }
                }
                Action::Wait(until) => {
                    let until = until.map(|until| u64::try_from(until.since_origin().as_millis()).unwrap());
                    prop_assert!(until.is_none_or(|until| until > now));
                    // While addresses are left, the next attempt waits only for the stagger.
                    if started < tried {
                        prop_assert!(!failed_since && until.unwrap() <= last_start.unwrap() + stagger);
                    }
                    events.sort_unstable();
                    match (events.first().copied(), until) {
                        (Some((time, index, succeeds)), until) if until.is_none_or(|until| time <= until) => {
                            events.remove(0);
                            now = now.max(time);
                            if succeeds {
                                prop_assert!(dialing.succeeded(index));
                            } else {
                                dialing.failed(index);
                                failed_since = true;
                            }
                        }
                        (_, Some(until)) => now = until,
                        (_, None) => break None,
                    }
                }
                Action::Connected(index) => break Some(Ok(index)),
                Action::Failed(error) => break Some(Err(error)),
            }
        };
        match result {
            Some(Ok(index)) => prop_assert!(matches!(ends[index], End::Succeeds(_))),
            Some(Err(DialError::NoAddress)) => prop_assert!(ends.is_empty()),
            Some(Err(DialError::AllFailed)) => {
                prop_assert_eq!(started, tried);
                prop_assert!(ends[..tried].iter().all(|end| matches!(end, End::Fails(_))));
            }
            Some(Err(DialError::TimedOut)) => prop_assert!(deadline.unwrap() <= now),
            Some(Err(error)) => panic!("{error}"),
            // No event is left, and there is no deadline: all addresses were tried, and one of them hangs.
            None => {
                prop_assert!(deadline.is_none() && started == tried);
                prop_assert!(ends[..tried].iter().any(|end| matches!(end, End::Hangs)));
                prop_assert!(!ends[..tried].iter().any(|end| matches!(end, End::Succeeds(_))));
            }
        }
        // An attempt must be cancelled if it still has an event, or if it hangs.
        let mut cancelled: Vec<usize> = events.iter().map(|event| event.1).collect();
        cancelled.extend((0..started).filter(|index| matches!(ends[*index], End::Hangs)));
        cancelled.sort_unstable();
        prop_assert_eq!(dialing.running().collect::<Vec<_>>(), cancelled);
    }
}
