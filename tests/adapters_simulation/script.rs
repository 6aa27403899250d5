//! A scripted peer in a task: a [`Player`] over a simulated stream.
//!
//! A peer that still runs at [`OVER`] drops its stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use hybi::Instant;

use crate::draw::{Making, OVER};
use crate::driver::Task;
use crate::player::{Player, Script};
use crate::stream::SimStream;

struct Peer {
    stream: SimStream,
    player: Player,
    shut_down: bool,
}

/// Runs a scripted peer until it ends.
pub async fn play(mut task: Task, making: Making, script: Script) {
    let mut peer = Peer {
        stream: SimStream::new(&task.world, task.end),
        player: Player::new(making.connection(Instant::ZERO), script),
        shut_down: false,
    };
    std::future::poll_fn(|cx| peer.poll(&mut task, cx)).await;
}

impl Peer {
    /// Does everything that is possible now. Returns `Ready` when the peer has ended.
    fn poll(&mut self, task: &mut Task, cx: &mut Context<'_>) -> Poll<()> {
        let (now, script) = (task.now(), self.player.script);
        if now >= OVER {
            return Poll::Ready(());
        }
        if now >= script.gone_from {
            return task.alarm.poll(cx, OVER);
        }
        if now >= script.half_closes_at {
            self.player.be_silent();
            self.shut_down = self.shut_down || Pin::new(&mut self.stream).poll_close(cx).is_ready();
        } else {
            let mut journal = task.world.journals[task.end].borrow_mut();
            self.player.say(&mut journal, &mut task.random, now);
        }
        if self.read(now, cx) {
            return Poll::Ready(());
        }
        self.write(cx);
        let next = [self.player.reads_at, self.player.says_at, script.gone_from, script.half_closes_at, OVER];
        let next = next.into_iter().filter(|at| *at > now).min();
        if task.alarm.poll(cx, next.unwrap_or(OVER)).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Reads as the script says. Returns whether the stream has ended.
    fn read(&mut self, now: u64, cx: &mut Context<'_>) -> bool {
        let (mut left, pause) = self.player.may_read(now);
        if left == 0 {
            return false;
        }
        while left > 0 {
            match Pin::new(&mut self.stream).poll_read(cx, self.player.space(left)) {
                Poll::Pending => return false,
                Poll::Ready(Ok(len)) if len > 0 => {
                    self.player.decode(len);
                    left -= len;
                }
                Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Poll::Ready(_) => return true,
            }
        }
        self.player.reads_at = now + pause;
        false
    }

    /// Writes as many bytes as the script allows.
    fn write(&mut self, cx: &mut Context<'_>) {
        while !self.player.to_write().is_empty() {
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, self.player.to_write())
            else {
                return;
            };
            match written {
                Ok(len) => self.player.wrote(len),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => self.player.be_silent(),
            }
        }
        let ends = !self.shut_down && self.player.ends();
        if ends && Pin::new(&mut self.stream).poll_close(cx).is_ready() {
            self.shut_down = true;
            self.player.handle_half_closed();
        }
    }
}
