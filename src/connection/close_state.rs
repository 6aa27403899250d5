//! The closing handshake as a state machine (RFC 6455 section 7).
//!
//! [`CloseNegotiation`] takes a [`CloseEvent`], moves to the next [`CloseState`], and returns the [`CloseAction`] that
//! the caller must carry out. `send/close.rs` queues the Close, and [`timers`](super::timers) limits how long closing
//! takes. The table is the complete logic. A cell gives the action, and after the arrow the next state. Without an
//! arrow the state stays the same. The exception is `end`, which leads to **Ended** with the given [`Ending`]:
//!
//! | state \ event | application closes | Close received | violation found | stream ends | time is up |
//! | --- | --- | --- | --- | --- | --- |
//! | **Open** | send Close → Sent | answer Close → Both | send Close → Failed | end, abnormal | end, abnormal |
//! | **Sent** | refuse | ignore → Both | stop reading → Failed | end, abnormal | end, timed out |
//! | **Both** | refuse | ignore | ignore | end, clean | end, clean |
//! | **Failed** | refuse | ignore | ignore | end, failed | end, failed |
//! | **Ended** | refuse | ignore | ignore | ignore | ignore |
//!
//! In `Both` and `Failed` the driver closes the transport according to section 7.1.1. Once the Close is flushed, a
//! server closes the sending half of its transport, and discards input until the stream ends. An endpoint that failed
//! the connection does the same. A client in `Both` waits until the server ends the stream.
//!
//! Invariants:
//! - At most one Close is written. A failure in `Sent` may replace a Close that is still in the queue.
//! - `Ended` is final.

/// The state of the closing handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CloseState {
    /// No Close was sent or received.
    #[default]
    Open,
    /// A Close was sent, and none was received. Data may still be received (RFC 6455 section 7.1.3).
    Sent,
    /// A Close was sent and one was received, so the closing handshake is done (RFC 6455 section 7.1.4).
    Both,
    /// The peer broke a rule or did not answer a Ping. Further input is discarded (RFC 6455 section 7.1.7).
    Failed,
    /// The stream has ended.
    Ended,
}

/// The state that a WebSocket in a browser calls `readyState`.
///
/// The browser's value for connecting is missing, because a connection is created after its handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ReadyState {
    /// Messages can be sent and received.
    Open,
    /// A Close was sent or received.
    Closing,
    /// The connection has ended.
    Closed,
}

/// An event of the closing handshake, passed to [`CloseNegotiation::handle`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CloseEvent {
    /// The application closes.
    Close,
    /// A valid Close frame was received.
    Received,
    /// The peer broke a rule, or did not answer a Ping.
    Violation,
    /// The stream ended, by end of file or by reset.
    Eof,
    /// The close timeout has passed.
    Timeout,
}

/// The action that a [`CloseEvent`] asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CloseAction {
    /// Do nothing.
    Ignore,
    /// Refuse the command, because closing has begun already.
    Refuse,
    /// Send a Close after the messages that were accepted before.
    SendClose,
    /// Send a Close in response to the peer's Close.
    AnswerClose,
    /// Send a Close that names the broken rule, and discard further input.
    SendFailure,
    /// Discard further input. A Close is already queued or sent.
    StopReading,
    /// Report the end of the connection.
    End(Ending),
}

/// The result of the closing handshake at the end of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// A Close was sent and one was received.
    Clean,
    /// No Close was received.
    Abnormal,
    /// The peer broke a rule, or did not answer a Ping.
    Failed,
    /// The peer did not answer the Close in time.
    TimedOut,
}

/// The state machine of the closing handshake (RFC 6455 section 7). The table is at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct CloseNegotiation(CloseState);

impl CloseNegotiation {
    /// Returns the state.
    pub(super) const fn state(self) -> CloseState {
        self.0
    }

    /// Moves to the next state and returns the action to carry out.
    pub(super) const fn handle(&mut self, event: CloseEvent) -> CloseAction {
        let (next, action) = transition(self.0, event);
        self.0 = next;
        action
    }
}

/// Returns the next state and the action: the table at the top of this file, row by row.
#[rustfmt::skip]
const fn transition(state: CloseState, event: CloseEvent) -> (CloseState, CloseAction) {
    use CloseAction::{AnswerClose, End, Ignore, Refuse, SendClose, SendFailure, StopReading};
    use Ending::{Abnormal, Clean, TimedOut};
    use CloseEvent::{Close, Eof, Received, Timeout, Violation};
    use CloseState::{Both, Ended, Failed, Open, Sent};
    match (state, event) {
        (Open, Close)         => (Sent, SendClose),
        // RFC 6455 5.5.1: an endpoint that receives a Close and has sent none sends one in response.
        (Open, Received)      => (Both, AnswerClose),
        // RFC 6455 7.1.7: to fail the connection, an endpoint should send a Close with a fitting code.
        (Open, Violation)     => (Failed, SendFailure),
        // RFC 6455 7.1.5: if no Close was received, the code is 1006.
        (Open, Eof | Timeout) => (Ended, End(Abnormal)),

        // RFC 6455 5.5.1: a Close is sent once.
        (Sent, Close)         => (Sent, Refuse),
        (Sent, Received)      => (Both, Ignore),
        (Sent, Violation)     => (Failed, StopReading),
        (Sent, Eof)           => (Ended, End(Abnormal)),
        (Sent, Timeout)       => (Ended, End(TimedOut)),

        (Both, Close)         => (Both, Refuse),
        // RFC 6455 1.4: bytes after a received Close are discarded.
        (Both, Received | Violation) => (Both, Ignore),
        (Both, Eof | Timeout) => (Ended, End(Clean)),

        (Failed, Close)       => (Failed, Refuse),
        // RFC 6455 7.1.7: after the connection has failed, no input is processed, not even a Close.
        (Failed, Received | Violation) => (Failed, Ignore),
        (Failed, Eof | Timeout) => (Ended, End(Ending::Failed)),

        (Ended, Close)        => (Ended, Refuse),
        (Ended, _)            => (Ended, Ignore),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each test covers one cell of the table. It reaches the state by the shortest path, handles the event, and checks
    /// the action and the next state.
    macro_rules! cells {
        ($($name:ident: $state:ident + $event:ident => $next:ident, $action:expr;)*) => {$(
            #[test]
            fn $name() {
                let path: &[CloseEvent] = match CloseState::$state {
                    CloseState::Open => &[],
                    CloseState::Sent => &[CloseEvent::Close],
                    CloseState::Both => &[CloseEvent::Received],
                    CloseState::Failed => &[CloseEvent::Violation],
                    CloseState::Ended => &[CloseEvent::Eof],
                };
                let mut closing = CloseNegotiation::default();
                for event in path {
                    closing.handle(*event);
                }
                assert_eq!(closing.state(), CloseState::$state);
                assert_eq!(closing.handle(CloseEvent::$event), $action);
                assert_eq!(closing.state(), CloseState::$next);
            }
        )*};
    }

    cells! {
        s7_1_2_open_close: Open + Close => Sent, CloseAction::SendClose;
        s5_5_1_open_received: Open + Received => Both, CloseAction::AnswerClose;
        s7_1_7_open_violation: Open + Violation => Failed, CloseAction::SendFailure;
        s7_1_5_open_eof: Open + Eof => Ended, CloseAction::End(Ending::Abnormal);
        s7_1_5_open_timeout: Open + Timeout => Ended, CloseAction::End(Ending::Abnormal);
        s5_5_1_sent_close: Sent + Close => Sent, CloseAction::Refuse;
        s5_5_1_sent_received: Sent + Received => Both, CloseAction::Ignore;
        s7_1_7_sent_violation: Sent + Violation => Failed, CloseAction::StopReading;
        s7_1_5_sent_eof: Sent + Eof => Ended, CloseAction::End(Ending::Abnormal);
        s7_1_1_sent_timeout: Sent + Timeout => Ended, CloseAction::End(Ending::TimedOut);
        s5_5_1_both_close: Both + Close => Both, CloseAction::Refuse;
        s1_4_both_received: Both + Received => Both, CloseAction::Ignore;
        s1_4_both_violation: Both + Violation => Both, CloseAction::Ignore;
        s7_1_4_both_eof: Both + Eof => Ended, CloseAction::End(Ending::Clean);
        s7_1_1_both_timeout: Both + Timeout => Ended, CloseAction::End(Ending::Clean);
        s7_1_7_failed_close: Failed + Close => Failed, CloseAction::Refuse;
        s7_1_7_failed_received: Failed + Received => Failed, CloseAction::Ignore;
        s7_1_7_failed_violation: Failed + Violation => Failed, CloseAction::Ignore;
        s7_1_7_failed_eof: Failed + Eof => Ended, CloseAction::End(Ending::Failed);
        s7_1_7_failed_timeout: Failed + Timeout => Ended, CloseAction::End(Ending::Failed);
        s7_1_4_ended_close: Ended + Close => Ended, CloseAction::Refuse;
        s7_1_4_ended_received: Ended + Received => Ended, CloseAction::Ignore;
        s7_1_4_ended_violation: Ended + Violation => Ended, CloseAction::Ignore;
        s7_1_4_ended_eof: Ended + Eof => Ended, CloseAction::Ignore;
        s7_1_4_ended_timeout: Ended + Timeout => Ended, CloseAction::Ignore;
    }
}
