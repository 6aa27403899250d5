//! Connects a socket to a host, with helper threads.
//!
//! [`Dialing`] decides when each attempt starts (RFC 8305). Connecting blocks, so each attempt runs in a thread of its
//! own and sends its result over a channel. The calling thread waits for the results. If no other attempt is running
//! or can follow, the attempt runs in the calling thread instead. Name resolution blocks too, so it runs in a
//! thread of its own if there is a deadline.
//!
//! Invariants:
//! - One call has at most [`MAX_THREADS`] attempts at a time.
//! - A thread cannot be cancelled. When one attempt has succeeded, the threads of the other attempts end at the
//!   deadline at the latest, and close their connections. Without a deadline, the system limits the time of each
//!   attempt.
//! - If the system starts no thread, the work is done in the calling thread.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::borrow::ToOwned;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(unix)]
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::vec::Vec;
use std::{thread, vec};

use super::clock::Clock;
#[cfg(unix)]
use crate::adapters::handshake_driver::name_path;
use crate::adapters::handshake_driver::{ConnectError, FailedAddresses, Route};
use crate::dial::{Action, Dialing, Progress, Stage};

/// Maximum number of attempts of one call that run at the same time, each in a thread.
const MAX_THREADS: usize = 8;

/// Connects to the first host of a route. Before that, resolves the name of the server, if the proxy needs its address.
pub(super) fn connect<S>(route: &mut Route<'_>, clock: Clock) -> Result<TcpStream, ConnectError<S>> {
    if let Some((host, port)) = route.server_to_resolve() {
        let addresses = resolve(host, port, route.progress(), clock)?;
        route.handle_addresses(&addresses)?;
    }
    let (host, port) = route.first_hop();
    let progress = route.progress();
    let mut addresses = resolve(host, port, progress, clock)?;
    progress.enter(Stage::Connecting);
    let dialing = Dialing::new(&mut addresses).deadline(progress.deadline());
    race(dialing, &addresses, progress, clock, |address, remaining| {
        let socket = match remaining {
            Some(remaining) => TcpStream::connect_timeout(&address, remaining),
            None => TcpStream::connect(address),
        }?;
        // Queued frames are already written together, so Nagle's algorithm would delay them without any benefit. If
        // this call fails, the attempt to connect fails, and its error names the address.
        socket.set_nodelay(true)?;
        Ok(socket)
    })
}

/// Connects to a Unix socket. If its queue of connections is full, the system lets the client wait.
#[cfg(unix)]
pub(super) fn connect_unix<S>(
    path: &Path,
    progress: &Progress,
    clock: Clock,
) -> Result<UnixStream, ConnectError<S>> {
    let path = path.to_owned();
    let connect = move || UnixStream::connect(&path).map_err(|error| name_path(&path, error));
    in_time(connect, progress, clock)
}

/// Returns the addresses of a host.
fn resolve<S>(
    host: &str,
    port: u16,
    progress: &Progress,
    clock: Clock,
) -> Result<Vec<SocketAddr>, ConnectError<S>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    in_time(move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect), progress, clock)
}

/// Returns the result of `work`, or an error if the deadline passes first.
fn in_time<T: Send + 'static, S>(
    work: impl Fn() -> io::Result<T> + Clone + Send + 'static,
    progress: &Progress,
    clock: Clock,
) -> Result<T, ConnectError<S>> {
    let Some(remaining) = progress.remaining(clock.now(|| None)) else {
        return work().map_err(ConnectError::Connect);
    };
    if remaining.is_zero() {
        return Err(progress.exceeded().into());
    }
    let (sender, result) = mpsc::channel();
    let helper = work.clone();
    if spawn(move || sender.send(helper())).is_err() {
        return work().map_err(ConnectError::Connect);
    }
    match result.recv_timeout(remaining) {
        Ok(result) => result.map_err(ConnectError::Connect),
        Err(RecvTimeoutError::Timeout) => Err(progress.exceeded().into()),
        Err(error) => Err(ConnectError::Connect(io::Error::other(error))),
    }
}

/// Makes the attempts that `dialing` asks for, and returns the first success. `attempt` connects to an address in the
/// given time.
fn race<T: Send + 'static, S>(
    mut dialing: Dialing,
    addresses: &[SocketAddr],
    progress: &Progress,
    clock: Clock,
    attempt: impl Fn(SocketAddr, Option<Duration>) -> io::Result<T> + Clone + Send + 'static,
) -> Result<T, ConnectError<S>> {
    let (sender, results) = mpsc::channel();
    let mut tried = FailedAddresses::default();
    loop {
        let now = clock.now(|| None);
        let running = dialing.running().count();
        let until = if running >= MAX_THREADS && progress.check(now).is_ok() {
            // No further attempt may start. Only a result or the deadline ends the wait.
            progress.deadline()
        } else {
            match dialing.poll(now) {
                Action::Start(index) => {
                    let Some(address) = addresses.get(index).copied() else { continue };
                    let (attempt, results) = (attempt.clone(), sender.clone());
                    let remaining = progress.remaining(now);
                    let run = move || results.send((index, attempt(address, remaining)));
                    let is_last = running == 0 && index + 1 == addresses.len();
                    if is_last || spawn(run.clone()).is_err() {
                        // The receiver still exists, so sending the result cannot fail.
                        let _: Result<(), _> = run();
                    }
                    continue;
                }
                Action::Wait(until) => until,
                Action::Connected(_) | Action::Failed(_) => {
                    // An attempt in this thread may have succeeded, but only after the deadline. Its result is still in
                    // the channel. All other successes are returned below.
                    if let Some(stream) = results.try_iter().find_map(|(_, result)| result.ok()) {
                        return Ok(stream);
                    }
                    return Err(progress.check(now).map_or_else(Into::into, |()| tried.into_error()));
                }
            }
        };
        let result = match until {
            Some(until) => results.recv_timeout(until.saturating_duration_since(now)).ok(),
            None => results.recv().ok(),
        };
        match result {
            Some((index, Ok(stream))) if dialing.succeeded(index) => return Ok(stream),
            Some((index, Err(error))) => {
                if let Some(address) = addresses.get(index) {
                    tried.failed(*address, error);
                }
                dialing.failed(index);
            }
            _ => {}
        }
    }
}

/// Runs `work` in a new thread.
fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("hybi-connect".to_owned()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::string::ToString;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::Instant;

    /// Returns addresses whose port is their index.
    fn addresses(count: u16) -> Vec<SocketAddr> {
        (0..count).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect()
    }

    fn refused<T>() -> io::Result<T> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    /// Runs the attempts with the shortest stagger. Returns the result.
    fn connect_with(
        count: u16,
        limit: Option<Duration>,
        attempt: impl Fn(u16) -> io::Result<u16> + Clone + Send + 'static,
    ) -> Result<u16, ConnectError<()>> {
        let mut addresses = addresses(count);
        let mut progress = Progress::new(Instant::ZERO, limit);
        progress.enter(Stage::Connecting);
        let dialing = Dialing::new(&mut addresses).stagger(Duration::ZERO).deadline(progress.deadline());
        let clock = Clock::start_at(Instant::ZERO, None);
        race(dialing, &addresses, &progress, clock, move |address, _| attempt(address.port()))
    }

    #[test]
    fn an_attempt_that_hangs_delays_the_others_only_by_the_stagger() {
        let (end, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(Mutex::new(hangs));
        let result = connect_with(3, None, move |port| {
            if port == 0 {
                // Waits until the test has ended.
                let _: Result<(), _> = hangs.lock().unwrap().recv();
            }
            if port == 1 { refused() } else { Ok(port) }
        });
        assert_eq!(result.unwrap(), 2);
        drop(end);
    }

    #[test]
    fn at_most_eight_attempts_run_at_the_same_time() {
        let (end, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(Mutex::new(hangs));
        let started = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&started);
        let result = connect_with(64, Some(Duration::from_millis(300)), move |port| {
            seen.lock().unwrap().insert(port);
            let _: Result<(), _> = hangs.lock().unwrap().recv();
            refused()
        });
        let Err(ConnectError::Deadline(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.stage(), Stage::Connecting);
        let started = started.lock().unwrap().len();
        assert!(started <= MAX_THREADS, "{started}");
        drop(end);
    }

    #[test]
    fn every_address_that_refuses_is_tried_and_named() {
        let result = connect_with(40, None, |_| refused());
        let Err(ConnectError::Connect(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        for address in addresses(40) {
            assert!(error.to_string().contains(&std::format!("{address}: ")), "{error}");
        }
    }

    #[test]
    fn the_only_address_is_tried_in_the_calling_thread() {
        let caller = thread::current().id();
        let result = connect_with(1, None, move |_| Ok(u16::from(thread::current().id() == caller)));
        assert_eq!(result.unwrap(), 1);
        let result = connect_with(0, None, Ok);
        assert!(
            matches!(result, Err(ConnectError::Connect(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn an_attempt_that_succeeds_after_the_deadline_still_counts() {
        let result = connect_with(1, Some(Duration::from_millis(20)), |port| {
            // Takes longer than the limit, like a call of the system that returns late.
            let start = std::time::Instant::now();
            while start.elapsed() < Duration::from_millis(30) {
                thread::yield_now();
            }
            Ok(port)
        });
        assert_eq!(result.unwrap(), 0);
    }

    #[test]
    fn name_resolution_that_takes_too_long_is_named_in_the_error() {
        let (end, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(Mutex::new(hangs));
        let progress = Progress::new(Instant::ZERO, Some(Duration::from_millis(10)));
        let work = move || {
            let _: Result<(), _> = hangs.lock().unwrap().recv();
            Ok(())
        };
        let result: Result<(), ConnectError<()>> =
            in_time(work, &progress, Clock::start_at(Instant::ZERO, None));
        let Err(ConnectError::Deadline(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.stage(), Stage::Resolving);
        drop(end);
    }
}
