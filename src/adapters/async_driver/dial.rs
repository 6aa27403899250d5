//! Connects to a host on an asynchronous runtime.
//!
//! [`Dialing`] decides when each attempt starts (RFC 8305). The adapter of the runtime passes in the future that
//! resolves the name, and a function that connects to one address. All attempts run in the task of the caller.
//!
//! Invariant: when the future is done or dropped, no attempt is left. The attempts that have lost are dropped, which
//! closes their sockets.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::{Pin, pin};
use std::boxed::Box;
use std::future::poll_fn;
use std::io;
use std::string::String;
use std::task::{Context, Poll};
use std::vec::Vec;

use super::Timer;
use crate::adapters::handshake_driver::{ConnectError, FailedAddresses, Route};
use crate::dial::{Action, Dialing, Progress, Stage};

/// Connects to the first host of a route: the proxy, or the server if there is no proxy. Before that, resolves the name
/// of the server, if the proxy needs the address of the server.
///
/// `resolve` returns the addresses of a host, and `connect` connects to one of them.
pub(in crate::adapters) async fn dial<R: Timer, A, Q, T, F, S>(
    mut runtime: R,
    route: &mut Route<'_>,
    resolve: impl Fn(String, u16) -> Q,
    connect: impl FnMut(SocketAddr) -> F,
) -> Result<T, ConnectError<S>>
where
    A: IntoIterator<Item = SocketAddr>,
    Q: Future<Output = io::Result<A>>,
    F: Future<Output = io::Result<T>>,
{
    if let Some((host, port)) = route.server_to_resolve() {
        let addresses = in_time(&mut runtime, route.progress(), resolve(host.into(), port)).await?;
        route.handle_addresses(&addresses.into_iter().collect::<Vec<_>>())?;
    }
    let (host, port) = route.first_hop();
    dial_host(runtime, route.progress(), resolve(host.into(), port), connect).await
}

/// Resolves the name of a host with `resolve`, and connects to one of its addresses with `connect`.
async fn dial_host<R: Timer, A: IntoIterator<Item = SocketAddr>, T, F, S>(
    mut runtime: R,
    progress: &mut Progress,
    resolve: impl Future<Output = io::Result<A>>,
    connect: impl FnMut(SocketAddr) -> F,
) -> Result<T, ConnectError<S>>
where
    F: Future<Output = io::Result<T>>,
{
    let mut addresses: Vec<_> = in_time(&mut runtime, progress, resolve).await?.into_iter().collect();
    progress.enter(Stage::Connecting);
    let dialing = Dialing::new(&mut addresses).deadline(progress.deadline());
    let mut race =
        Race { dialing, addresses, attempts: Vec::new(), tried: FailedAddresses::default(), connect };
    match poll_fn(|cx| race.poll(&mut runtime, cx)).await {
        Some(stream) => Ok(stream),
        None => Err(progress.check(runtime.now()).map_or_else(Into::into, |()| race.tried.into_error())),
    }
}

/// Returns the result of `work`, or an error if the deadline passes first.
pub(in crate::adapters) async fn in_time<R: Timer, T, S>(
    runtime: &mut R,
    progress: &Progress,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, ConnectError<S>> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(result) = work.as_mut().poll(cx) {
            return Poll::Ready(result.map_err(ConnectError::Connect));
        }
        let Some(deadline) = progress.deadline() else { return Poll::Pending };
        runtime.poll_at(cx, deadline).map(|()| Err(progress.exceeded().into()))
    })
    .await
}

/// The attempts that run at the same time.
struct Race<F, C> {
    dialing: Dialing,
    addresses: Vec<SocketAddr>,
    /// The running attempts, each with the index of its address.
    attempts: Vec<(usize, Pin<Box<F>>)>,
    tried: FailedAddresses,
    connect: C,
}

impl<T, F: Future<Output = io::Result<T>>, C: FnMut(SocketAddr) -> F> Race<F, C> {
    /// Returns the first success, or `None` if no connection was made.
    fn poll<R: Timer>(&mut self, runtime: &mut R, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut now = runtime.now();
        loop {
            // Check for results before the deadline. If this future was not polled for a long time, an attempt may have
            // succeeded in time.
            match self.poll_attempts(cx) {
                Poll::Ready((index, Ok(stream))) => {
                    if self.dialing.succeeded(index) {
                        return Poll::Ready(Some(stream));
                    }
                    continue;
                }
                Poll::Ready((index, Err(error))) => {
                    if let Some(address) = self.addresses.get(index) {
                        self.tried.failed(*address, error);
                    }
                    self.dialing.failed(index);
                    continue;
                }
                Poll::Pending => {}
            }
            match self.dialing.poll(now) {
                Action::Start(index) => {
                    if let Some(address) = self.addresses.get(index) {
                        self.attempts.push((index, Box::pin((self.connect)(*address))));
                    }
                }
                Action::Wait(until) => {
                    let Some(until) = until else { return Poll::Pending };
                    if runtime.poll_at(cx, until).is_pending() {
                        return Poll::Pending;
                    }
                    now = runtime.now().max(until);
                }
                // A success is returned above, before the next poll.
                Action::Connected(_) | Action::Failed(_) => return Poll::Ready(None),
            }
        }
    }

    /// Polls all running attempts. Returns the result of the first attempt that has ended, and drops this attempt.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Poll<(usize, io::Result<T>)> {
        for (place, (index, attempt)) in self.attempts.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                let index = *index;
                drop(self.attempts.swap_remove(place));
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use core::cell::{Cell, RefCell};
    use core::future::{pending, ready};
    use core::time::Duration;
    use std::rc::Rc;
    use std::string::ToString;
    use std::task::Waker;

    use super::*;
    use crate::Instant;

    /// A clock whose time a test sets. The timer stores when it would fire.
    #[derive(Clone, Default)]
    struct Clock(Rc<(Cell<u64>, Cell<Option<u64>>)>);

    fn millis(instant: Instant) -> u64 {
        u64::try_from(instant.since_origin().as_millis()).unwrap()
    }

    impl Timer for Clock {
        fn now(&self) -> Instant {
            Instant::from_origin(Duration::from_millis(self.0.0.get()))
        }

        fn poll_at(&mut self, _: &mut Context<'_>, at: Instant) -> Poll<()> {
            if at <= self.now() {
                return Poll::Ready(());
            }
            self.0.1.set(Some(millis(at)));
            Poll::Pending
        }
    }

    /// How an attempt ends, in milliseconds after its start.
    #[derive(Clone, Copy)]
    enum End {
        Fails(u64),
        Succeeds(u64),
        Hangs,
    }

    /// The result of [`connect`], with the attempts that it has made.
    struct Dialed {
        result: Result<u16, ConnectError<()>>,
        /// The time of the result, in milliseconds.
        time: u64,
        /// The port of each attempt and the time of its start.
        starts: Vec<(u16, u64)>,
        /// The number of attempts that were not dropped.
        left: usize,
    }

    /// Connects to addresses whose attempts end as `ends` says. The port of an address is its index.
    fn connect(ends: &[End], limit: Option<u64>) -> Dialed {
        let clock = Clock::default();
        let starts = RefCell::new(Vec::new());
        let dropped = Rc::new(());
        let addresses = (0..).zip(ends).map(|(port, _)| SocketAddr::from(([127, 0, 0, 1], port)));
        let addresses: Vec<_> = addresses.collect();
        let attempt = |address: SocketAddr| {
            let (port, clock, dropped) = (address.port(), clock.clone(), Rc::clone(&dropped));
            let start = clock.0.0.get();
            starts.borrow_mut().push((port, start));
            let end = ends[usize::from(port)];
            poll_fn(move |_| {
                let _: &Rc<()> = &dropped;
                let now = clock.0.0.get();
                match end {
                    End::Fails(after) if now >= start + after => {
                        Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused)))
                    }
                    End::Succeeds(after) if now >= start + after => Poll::Ready(Ok(port)),
                    _ => Poll::Pending,
                }
            })
        };
        let mut progress = Progress::new(clock.now(), limit.map(Duration::from_millis));
        let mut dialing = Box::pin(dial_host(clock.clone(), &mut progress, ready(Ok(addresses)), attempt));
        let mut cx = Context::from_waker(Waker::noop());
        // Time advances by a millisecond. A real runtime polls only when an event has happened, which is less often.
        let result = loop {
            if let Poll::Ready(result) = dialing.as_mut().poll(&mut cx) {
                break result;
            }
            let now = clock.0.0.get() + 1;
            assert!(now < 20_000, "the client hangs");
            clock.0.0.set(now);
        };
        drop(dialing);
        // Each attempt that was not dropped holds a clone of `dropped`. This function holds one more clone.
        let left = Rc::strong_count(&dropped) - 1;
        Dialed { result, time: clock.0.0.get(), starts: starts.into_inner(), left }
    }

    #[test]
    fn s8305_5_an_address_that_hangs_costs_250_ms() {
        let Dialed { result, time, starts, left } =
            connect(&[End::Hangs, End::Succeeds(20), End::Hangs], None);
        assert_eq!((result.unwrap(), time, left), (1, 270, 0));
        assert_eq!(starts, [(0, 0), (1, 250)]);
    }

    #[test]
    fn an_address_that_refuses_costs_no_time() {
        let ends = [End::Fails(0), End::Fails(5), End::Succeeds(0)];
        let Dialed { result, time, starts, .. } = connect(&ends, None);
        assert_eq!((result.unwrap(), time), (2, 5));
        assert_eq!(starts, [(0, 0), (1, 0), (2, 5)]);
    }

    #[test]
    fn the_slower_attempt_wins_if_the_faster_one_fails() {
        let Dialed { result, time, .. } = connect(&[End::Succeeds(400), End::Fails(300)], None);
        assert_eq!((result.unwrap(), time), (0, 400));
    }

    #[test]
    fn an_error_names_all_addresses_or_the_stage_that_took_too_long() {
        let Dialed { result, .. } = connect(&[End::Fails(1), End::Fails(2)], Some(1000));
        let Err(ConnectError::Connect(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(text.contains("127.0.0.1:0: ") && text.contains("127.0.0.1:1: "), "{text}");

        let Dialed { result, time, starts, left } =
            connect(&[End::Hangs, End::Fails(1), End::Hangs], Some(1000));
        let Err(ConnectError::Deadline(error)) = result else { panic!("{result:?}") };
        assert_eq!((error.stage(), time, left), (Stage::Connecting, 1000, 0));
        assert_eq!(starts, [(0, 0), (1, 250), (2, 251)]);

        let Dialed { result, .. } = connect(&[], None);
        assert!(
            matches!(result, Err(ConnectError::Connect(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn an_attempt_that_succeeded_wins_although_nobody_polled_until_the_deadline() {
        let clock = Clock::default();
        let done = Cell::new(false);
        let attempt = |_| poll_fn(|_| if done.get() { Poll::Ready(Ok(())) } else { Poll::Pending });
        let addresses = std::vec![SocketAddr::from(([127, 0, 0, 1], 1))];
        let mut progress = Progress::new(clock.now(), Some(Duration::from_millis(7)));
        let mut dialing = pin!(dial_host(clock.clone(), &mut progress, ready(Ok(addresses)), attempt));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(dialing.as_mut().poll(&mut cx).is_pending());
        done.set(true);
        clock.0.0.set(100);
        let Poll::Ready(result) = dialing.as_mut().poll(&mut cx) else { panic!("the client waits") };
        let result: Result<(), ConnectError<()>> = result;
        result.unwrap();
    }

    #[test]
    fn the_deadline_also_limits_name_resolution() {
        let clock = Clock::default();
        let attempt = |_| ready(Ok(()));
        let resolve = pending::<io::Result<Vec<SocketAddr>>>();
        let mut progress = Progress::new(clock.now(), Some(Duration::from_millis(7)));
        let mut dialing = pin!(dial_host(clock.clone(), &mut progress, resolve, attempt));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(dialing.as_mut().poll(&mut cx).is_pending());
        assert_eq!(clock.0.1.get(), Some(7));
        clock.0.0.set(7);
        let Poll::Ready(result) = dialing.as_mut().poll(&mut cx) else { panic!("the client waits") };
        let result: Result<(), ConnectError<()>> = result;
        let Err(ConnectError::Deadline(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.stage(), Stage::Resolving);
    }
}
