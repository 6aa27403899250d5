//! A scripted peer without a thread: a [`Player`] over a link.
//!
//! The world calls the peer when bytes or the end of the stream arrive, and when there is space to write. The world
//! also calls the peer after a reset, and at the time that the peer has requested. At [`OVER`] the streams are reset,
//! which ends a peer that still runs.

use hybi::Connection;

use crate::draw::OVER;
use crate::player::{Player, Script};
use crate::support::cuts::Xorshift;
use crate::world::{Due, World};

pub struct Peer {
    player: Player,
    random: Xorshift,
    /// The time for which the peer has requested a call.
    calls_at: u64,
    shut_down: bool,
    over: bool,
}

impl Peer {
    pub fn new(connection: Connection, script: Script, seed: u64) -> Self {
        Self {
            player: Player::new(connection, script),
            random: Xorshift::new(seed),
            calls_at: 0,
            shut_down: false,
            over: false,
        }
    }

    /// Does everything that is possible now.
    pub fn play(&mut self, world: &mut World, end: usize) {
        let (now, script) = (world.now(), self.player.script);
        if self.over || now >= script.gone_from {
            return;
        }
        if now >= script.half_closes_at {
            self.player.be_silent();
            if !self.shut_down {
                self.shut_down = true;
                world.finish(end);
            }
        } else {
            self.player.say(&mut world.journals[end], &mut self.random, now);
        }
        self.read(world, end, now);
        self.write(world, end);
        let next = [self.player.reads_at, self.player.says_at, script.half_closes_at];
        if let Some(next) = next.into_iter().filter(|at| *at > now && *at < OVER).min() {
            if next != self.calls_at {
                self.calls_at = next;
                world.at(next, Due::Play(end));
            }
        }
    }

    /// Reads as the script says.
    fn read(&mut self, world: &mut World, end: usize, now: u64) {
        let (mut left, pause) = self.player.may_read(now);
        if left == 0 {
            return;
        }
        while left > 0 {
            let len = world.take(end, self.player.space(left));
            if len == 0 {
                if world.links[1 - end].has_ended() {
                    self.over = true;
                    world.links[1 - end].see_end();
                    world.close_stream(end);
                    return;
                }
                break;
            }
            self.player.decode(len);
            left -= len;
        }
        if now >= self.player.reads_at {
            self.player.reads_at = now + pause;
        }
    }

    /// Writes as many bytes as the script allows.
    fn write(&mut self, world: &mut World, end: usize) {
        if self.shut_down || self.over || world.links[end].broken {
            return;
        }
        while !self.player.to_write().is_empty() {
            let len = world.put(end, self.player.to_write(), true);
            if len == 0 {
                return;
            }
            self.player.wrote(len);
        }
        if self.player.ends() {
            self.shut_down = true;
            world.finish(end);
            self.player.handle_half_closed();
        }
    }
}
