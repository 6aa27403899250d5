//! The closing handshake as a state machine (RFC 6455 section 7).
//!
//! The table is the whole of its logic:
//!
//! | state \ event | application closes | Close received | violation found | stream ends | time is up |
//! | --- | --- | --- | --- | --- | --- |
//! | **Open** | send Close → Sent | answer Close → Both | send Close → Failed | end, abnormal | end, abnormal |
//! | **Sent** | refuse | → Both | → Failed | end, abnormal | end, timed out |
//! | **Both** | refuse | ignore | ignore | end, clean | end, clean |
//! | **Failed** | refuse | ignore | ignore | end, failed | end, failed |
//! | **Ended** | refuse | ignore | ignore | ignore | ignore |
//!
//! The connection does two things more. It writes the Close that [`CloseAction`] asks for. Once both Closes are done, or the
//! connection has failed, it closes the transport as section 7.1.1 says: a server at once after its Close is flushed, by
//! closing its sending half and discarding input until the stream ends; a client when the server has. A deadline bounds
//! both ([`timers`](super::timers)).

/// How far the closing of a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CloseState {
    /// No Close was sent or received.
    #[default]
    Open,
    /// A Close was sent, none received: data may still come in (RFC 6455 section 7.1.3).
    Sent,
    /// Closes were sent and received: the closing handshake is done (7.1.4).
    Both,
    /// The peer broke the protocol: what it sends is not looked at any more (7.1.7).
    Failed,
    /// The stream has ended.
    Ended,
}

/// The state that the browser's WebSocket calls `readyState`. A connection comes into being once the
/// handshake is done, so there is no `Connecting`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ReadyState {
    /// Messages can be sent and received.
    Open,
    /// A Close was sent or received.
    Closing,
    /// The connection has ended.
    Closed,
}

/// What moves [`CloseNegotiation`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CloseEvent {
    /// The application closes.
    Close,
    /// A valid Close frame came in.
    Received,
    /// The peer broke a rule, or is held to be dead.
    Violation,
    /// The stream ended: end of file or reset.
    Eof,
    /// The time allowed for closing is over.
    Timeout,
}

/// What is to be done about an [`CloseEvent`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CloseAction {
    /// Nothing.
    Ignore,
    /// Refuse it: closing has begun already.
    Refuse,
    /// Send a Close behind what was accepted before.
    SendClose,
    /// Send a Close in response to the peer's.
    AnswerClose,
    /// Send a Close that names the rule, and look at no more input.
    SendFailure,
    /// A Close is out already: look at no more input.
    StopReading,
    /// The connection has ended.
    End(Ending),
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// After Closes in both directions.
    Clean,
    /// Without a Close from the peer.
    Abnormal,
    /// After the peer broke the protocol.
    Failed,
    /// The peer did not answer the Close in time.
    TimedOut,
}

/// The closing handshake as a machine (RFC 6455 section 7). See the table at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct CloseNegotiation(CloseState);

impl CloseNegotiation {
    /// How far it has come.
    pub(super) const fn state(self) -> CloseState {
        self.0
    }

    /// Moves on, and says what is to be done.
    pub(super) const fn handle(&mut self, event: CloseEvent) -> CloseAction {
        let (next, action) = transition(self.0, event);
        self.0 = next;
        action
    }
}

/// The table. Rows are states, the events in each are in one order.
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
        // RFC 6455 7.1.5: no Close was received: the code is 1006.
        (Open, Eof | Timeout) => (Ended, End(Abnormal)),

        // RFC 6455 5.5.1: a Close is sent once.
        (Sent, Close)         => (Sent, Refuse),
        (Sent, Received)      => (Both, Ignore),
        (Sent, Violation)     => (Failed, StopReading),
        (Sent, Eof)           => (Ended, End(Abnormal)),
        (Sent, Timeout)       => (Ended, End(TimedOut)),

        (Both, Close)         => (Both, Refuse),
        // RFC 6455 1.4: what follows a received Close is discarded.
        (Both, Received | Violation) => (Both, Ignore),
        (Both, Eof | Timeout) => (Ended, End(Clean)),

        (Failed, Close)       => (Failed, Refuse),
        // RFC 6455 7.1.7: after failing, nothing the peer sends is processed, a Close included.
        (Failed, Received | Violation) => (Failed, Ignore),
        (Failed, Eof | Timeout) => (Ended, End(Ending::Failed)),

        (Ended, Close)        => (Ended, Refuse),
        (Ended, _)            => (Ended, Ignore),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One cell of the table: a state reached by its shortest way, an event, and what comes of it.
    macro_rules! cells {
        ($($name:ident: $state:ident + $event:ident => $next:ident, $action:expr;)*) => {$(
            #[test]
            fn $name() {
                let way: &[CloseEvent] = match CloseState::$state {
                    CloseState::Open => &[],
                    CloseState::Sent => &[CloseEvent::Close],
                    CloseState::Both => &[CloseEvent::Received],
                    CloseState::Failed => &[CloseEvent::Violation],
                    CloseState::Ended => &[CloseEvent::Eof],
                };
                let mut closing = CloseNegotiation::default();
                for event in way {
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
