//! Reconnecting on tokio, over loopback. The delays are at most 10 milliseconds, except in the test of `reset`.
//!
//! `tests/properties/reconnect.rs` tests the policy in virtual time.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use hybi::adapters::tokio::{Client, Connections, ReconnectTarget, Server, accept};
use hybi::reconnect::{Failure, GiveUp, ReconnectPolicy};
use hybi::{CloseCode, Message};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

fn policy() -> ReconnectPolicy {
    ReconnectPolicy::new().first_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(10))
}

/// Starts a server that accepts `count` connections one after the other. The server sends the number of the connection,
/// drops it without a Close, and listens again.
async fn restarting_server(count: usize) -> String {
    let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0..count {
            let (stream, _) = listener.accept().await.unwrap();
            drop(listener);
            let mut ws = accept(stream).await.unwrap();
            ws.send_text(&number.to_string()).await.unwrap();
            // No Close is sent.
            drop(ws);
            listener = TcpListener::bind(address).await.unwrap();
        }
    });
    format!("ws://{address}/")
}

#[tokio::test]
async fn a_client_comes_back_after_each_of_twenty_restarts() {
    let url = restarting_server(21).await;
    let mut feed = Client::new().reconnecting(policy(), |_| url.as_str());
    for number in 0..21 {
        let mut ws = feed.next_connection().await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from(number.to_string())));
        assert_eq!(ws.recv().await.unwrap(), None);
        feed.closed(Ok(ws.outcome().unwrap()));
    }
}

#[tokio::test]
async fn connections_are_a_stream_that_ends_after_the_first_error() {
    let url = restarting_server(3).await;
    let mut feed = Client::new().reconnecting(policy().max_attempts(Some(3)), move |_| url.clone());
    for number in 0..3 {
        let mut ws = feed.next().await.unwrap().unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from(number.to_string())));
    }
    let stopped = feed.next().await.unwrap().unwrap_err();
    assert_eq!(stopped.reason, GiveUp::TooManyAttempts { attempts: 3, last: Failure::Network });
    assert!(feed.next().await.is_none());
}

#[tokio::test]
async fn an_attempt_goes_on_after_its_future_was_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (opened, is_open) = oneshot::channel();
    tokio::spawn(async move {
        let mut ws = accept(listener.accept().await.unwrap().0).await.unwrap();
        opened.send(()).unwrap();
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        ws.wait_closed().await.unwrap();
    });
    let mut attempts = 0;
    let mut feed = Client::new().reconnecting(policy(), |_| {
        attempts += 1;
        url.as_str()
    });
    for _ in 0..5 {
        let next = pin!(feed.next_connection());
        assert!(next.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let mut ws = feed.next_connection().await.unwrap();
    is_open.await.unwrap();
    feed.closed(ws.wait_closed().await);
    let stopped = feed.next_connection().await.unwrap_err();
    assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Closed(CloseCode::NORMAL)));
    drop(feed);
    assert_eq!(attempts, 1);
}

/// Sets a flag when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn each_attempt_waits_for_a_token_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut tokens = Vec::new();
        for _ in 0..2 {
            let request = Server::new().receive(listener.accept().await.unwrap().0).await.unwrap();
            tokens.push(
                String::from_utf8_lossy(request.head().headers().get("authorization").unwrap()).into_owned(),
            );
            drop(request.accept().await.unwrap());
        }
        tokens
    });
    let (ask, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<u32>>();
    let issuing = tokio::spawn(async move {
        let mut issued = 0;
        while let Some(answer) = asked.recv().await {
            issued += 1;
            // The service that issues the tokens gives no answer to the second request.
            if issued != 2 {
                answer.send(issued).unwrap();
            }
        }
        issued
    });
    let mut feed = Client::new().reconnecting_async(policy(), |failed| {
        let (ask, url) = (ask.clone(), url.clone());
        async move {
            let (answer, token) = oneshot::channel();
            ask.send(answer).unwrap();
            let token = token.await?;
            let target =
                ReconnectTarget::new(url).header("Authorization", format!("token {token}, {failed} failed"));
            Ok::<_, oneshot::error::RecvError>(target)
        }
    });
    drop(feed.next_connection().await.unwrap());
    drop(feed.next_connection().await.unwrap());
    // The first connection counts as lost, and the second attempt had no token.
    assert_eq!(serving.await.unwrap(), ["token 1, 0 failed", "token 3, 2 failed"]);
    drop(feed);
    drop(ask);
    assert_eq!(issuing.await.unwrap(), 3);
}

#[tokio::test]
async fn dropping_the_client_also_drops_a_future_that_waits_for_a_token() {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let mut feed = Client::new().reconnecting_async(policy(), move |_| {
        let flag = Flag(Arc::clone(&flag));
        async move {
            std::future::pending::<()>().await;
            drop(flag);
            "ws://localhost/"
        }
    });
    let waited = tokio::time::timeout(Duration::from_millis(10), feed.next_connection()).await;
    assert!(waited.is_err() && !dropped.load(Ordering::Relaxed));
    drop(feed);
    tokio::task::yield_now().await;
    assert!(dropped.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_panic_of_the_future_for_the_target_is_not_hidden_by_another_attempt() {
    let target = |_| async { if true { panic!("the token has no digits") } else { "ws://localhost/" } };
    let mut feed = Client::new().reconnecting_async(policy(), target);
    for _ in 0..2 {
        let next = AssertUnwindSafe(feed.next_connection()).catch_unwind().await;
        assert_eq!(next.unwrap_err().downcast_ref(), Some(&"the token has no digits"));
    }
}

#[tokio::test]
async fn an_attempt_goes_on_while_nobody_polls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (opened, is_open) = oneshot::channel();
    tokio::spawn(async move {
        let ws = accept(listener.accept().await.unwrap().0).await.unwrap();
        opened.send(()).unwrap();
        drop(ws);
    });
    let client = Client::new().open_timeout(Some(Duration::from_secs(60)));
    let mut feed = client.reconnecting(policy(), |_| url.as_str());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(feed.next_connection()).poll(&mut cx).is_pending());
    // The server has sent its response, although the client was not polled again.
    is_open.await.unwrap();
    feed.next_connection().await.unwrap();
}

#[tokio::test]
async fn last_error_shows_a_retried_failure_and_reset_ends_its_delay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let hour = Duration::from_secs(3600);
    let policy = ReconnectPolicy::new().first_delay(hour).max_delay(hour).max_attempts(Some(1));
    let mut attempts = 0;
    let mut feed = Client::new().reconnecting(policy, move |_| {
        attempts += 1;
        if attempts == 1 { Err("no token") } else { Ok(format!("ws://{address}/")) }
    });
    let stopped = feed.next().await.unwrap().unwrap_err();
    assert_eq!(stopped.reason, GiveUp::TooManyAttempts { attempts: 1, last: Failure::Target });
    assert!(feed.next().await.is_none());
    // After a reset, the stream goes on.
    feed.reset();
    assert_eq!(feed.next_attempt_in(), Some(Duration::ZERO));
    assert!(matches!(feed.next().await, Some(Err(_))));
    assert_eq!(feed.next_attempt_in(), None);

    let policy = policy.max_attempts(None);
    let mut feed = Client::new().reconnecting(policy, |_| format!("ws://{address}/"));
    let waited = tokio::time::timeout(Duration::from_millis(300), feed.next_connection()).await;
    assert!(waited.is_err());
    assert!(feed.last_error().is_some() && feed.next_attempt_in().is_some_and(|delay| delay > hour / 1000));
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { drop(accept(listener.accept().await.unwrap().0).await) });
    feed.reset();
    feed.next_connection().await.unwrap();
    assert!(feed.last_error().is_none());
}

#[test]
fn connections_can_be_sent_to_other_threads() {
    fn is_send<T: Send + Unpin>(_: &T) {}
    let feed: Connections<'static> =
        Client::new().reconnecting(policy(), |_| String::from("ws://localhost/"));
    is_send(&feed);
    assert!(!format!("{feed:?}").contains("localhost"));
}
