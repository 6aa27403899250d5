#!/usr/bin/env python3
"""Plants faults in the adapters of a copy of the sources, one at a time, and checks that the simulations find each
fault: tests/planted_adapters.py [net] [NUMBER, NUMBER+, or a part of a name]

Every fault was once in the code, or is similar to such a fault. adapters_simulation must find the faults of the
asynchronous adapters, and net_simulation those of the blocking adapter. With "net" only the blocking adapter is tested.
NUMBER+ selects the first fault with this number, and all faults after it in the list.

A simulation must find each fault within SEEDS runs from seed FIRST on. Without a fault, the same runs must find
nothing. If a text to replace is not in the sources, the program ends. So a change of such a text in the sources needs
the same change in the list. The script needs cargo and git. It takes about twenty minutes, and leaves its copy in
target/planted_adapters.
"""
import os
import re
import subprocess
import sys
import time

FIRST, SEEDS = 0, 100_000

WRITE_DRIVER = 'src/adapters/async_driver/write_driver.rs'
SENDING = 'src/adapters/async_driver/write_driver/sending.rs'
RUN_LOOP = 'src/adapters/async_driver/websocket/run_loop.rs'
CLOCK = 'src/adapters/async_driver/clock.rs'
READER = 'src/adapters/async_driver/reader.rs'
WRITER = 'src/adapters/async_driver/writer.rs'
SPLIT = 'src/adapters/async_driver/split.rs'
SHARED_LOCK = 'src/adapters/async_driver/shared_lock.rs'
STREAM = 'src/adapters/async_driver/stream.rs'
TASKS = 'src/adapters/async_driver/tasks.rs'
NET_AHEAD = 'src/adapters/net/read_ahead.rs'
NET_DRIVER = 'src/adapters/net/write_driver.rs'
NET_TIMERS = 'src/adapters/net/write_driver/timers.rs'
NET_LOOP = 'src/adapters/net/run_loop.rs'
NET_READER = 'src/adapters/net/reader.rs'
NET_STREAM = 'src/adapters/net/wrapped_stream.rs'
INBOX = 'src/connection/buffer/inbox.rs'
SEND = 'src/connection/send/mod.rs'
COMMANDS = 'src/connection/send/commands.rs'
DEADLINES = 'src/connection/send/deadlines.rs'
TIMERS = 'src/connection/timers.rs'
TRANSMIT = 'src/connection/send/transmit.rs'
CLOSE = 'src/connection/send/close.rs'

# For each fault: the number of a group of related faults or "new", a description, and the changes. A change has a file,
# the text to replace, and the replacement.
FAULTS = [
    ('1', 'after a Close to a dead peer, the connection waits for the close timeout', [
        (DEADLINES, '                    self.timers.end_after_one_write(now);\n', '')]),
    ('2', 'a send that waits does not read ahead', [
        (SENDING, '        self.read_ahead(stream, half, cx);\n        let now = ready!',
         '        let _ = &mut *stream;\n        let now = ready!')]),
    ('2', 'bytes that the peer takes do not count as a sign of life', [
        (TRANSMIT, '            self.timers.write_progressed(now);\n', '')]),
    ('3', 'the clock is not read after input has arrived', [
        (RUN_LOOP, 'if self.wire.clock().is_stale() && !inbox.is_idle() {', 'if false && !inbox.is_idle() {')]),
    ('5', 'the clock starts at zero when a connection is built from its parts', [
        (CLOCK, 'let ahead = latest.saturating_duration_since(runtime.now());', 'let ahead = Duration::ZERO;')]),
    ('6', 'only the newest Ping is remembered', [(TIMERS, 'const LAST_TRACKED: u8 = 2;', 'const LAST_TRACKED: u8 = 0;')]),
    ('7', 'a client waits for the end of the stream until the close timeout', [
        (TIMERS, 'self.progress_or_end = self.progress_or_end.min(end);', 'let _ = end;')]),
    ('8', "with the halves of futures, one half replaces the waker of the other", [
        (TASKS, 'if used.tasks().other_waits(side) {', 'if used.tasks().other_waits(side) && false {')]),
    ('9', '`start_send` loses a message that waits for space', [
        (SPLIT, '            out.sender.send(message)\n',
         '            let sent = out.sender.send(message);\n'
         '            let waits = |refused: &UnsentMessage| refused.error == SendError::Blocked;\n'
         '            if sent.as_ref().is_err_and(waits) { Ok(()) } else { sent }\n')]),
    ('11', 'a waker is dropped while the lock of the halves is held', [
        (SHARED_LOCK, '            waiting.waker.replace(waker)\n        };\n        drop(before);',
         '            drop(waiting.waker.replace(waker));\n        };\n        let () = before;')]),
    ('12', 'bytes that the stream has buffered are forgotten when a WebSocket is taken apart', [
        (WRITE_DRIVER, '            unflushed: true,\n', '            unflushed: false,\n')]),
    ('13', 'free memory behind a partial message is freed at each wait', [
        (INBOX, 'self.read_buffer.shrink_to(worth_keeping(self.end));', 'self.read_buffer.shrink_to(worth_keeping(0) * 0);')]),
    ('15', 'after a pending write, a stream that may keep bytes gets other bytes', [
        (WRITE_DRIVER, 'if R::keeps_refused_bytes(stream) {\n            return', 'if R::keeps_refused_bytes(stream) && false {\n            return')]),
    ('15', 'a control frame is written before the bytes of a pending write', [
        (WRITE_DRIVER, '                half.transmit_refused(offered);', '                half.transmit_refused(usize::min(offered, 0));')]),
    ('17', 'a stream may report more bytes than the buffer has', [
        (STREAM, 'Poll::Ready(Ok(n)) if n > most =>', 'Poll::Ready(Ok(n)) if n > most && false =>')]),
    ('26', 'the end counts as clean although the answer to a Close was not written', [
        (DEADLINES, 'let unsent_answer = ending == Ending::Clean && !flushed;',
         'let unsent_answer = ending == Ending::Clean && !flushed && false;')]),
    ('26', 'the end counts as clean although the stream was reset before our Close was written', [
        (SEND, 'Outcome::Clean { code }) if !all_written =>', 'Outcome::Clean { code }) if !all_written && false =>')]),
    ('26', 'the end counts as clean although the stream has buffered our Close', [
        (SEND, 'self.buffered_amount() == 0 && !self.held_back', 'self.buffered_amount() == 0')]),
    ('32', 'queued bytes are written to a stream that was shut down', [
        (CLOSE, '        self.count_dropped(self.out.len());\n        self.out.truncate(0);\n',
         '        self.count_dropped(self.out.len());\n')]),
    ('33', 'messages that a writer has fed are not written after it is dropped', [
        (WRITER, 'in the queue.\n        self.shared.wake(Side::Reader);', 'in the queue.\n        let _ = Side::Reader;')]),
    ('35', 'the queue has no limit', [
        (COMMANDS, 'let is_full = self.out.len() >= self.config.high_water && !self.ignores_high_water;',
         'let is_full = false;')]),
    ('36', 'at the end of the stream, a reader waits for space without a deadline', [
        (READER, '                    out.sender.handle_peer_half_closed(out.wire.clock().now(), receiver.eof_position());\n', '')]),
    ('new', 'a send that has written everything waits for the next timer', [
        (SENDING, '                self.do_due(stream, half, cx);\n            } else {',
         '                ready!(self.poll_wait(stream, half, cx));\n            } else {')]),
    ('new', 'two tasks wake each other while there is input that was read ahead', [
        (TASKS, '|before| before != used.snapshot())', '|before| before != used.snapshot() || used.has_input())'),
        (TASKS, '    fn snapshot(&self) -> Self::Snapshot;\n',
         '    fn snapshot(&self) -> Self::Snapshot;\n    fn has_input(&self) -> bool;\n'),
        (RUN_LOOP, '    type Snapshot = Snapshot;\n',
         '    type Snapshot = Snapshot;\n\n'
         '    fn has_input(&self) -> bool {\n        self.wire.read_ahead_len() > (0, false)\n    }\n')]),
    ('new', 'the reader is not woken for an earlier deadline', [
        (SPLIT, '|| after == CloseState::Ended || sooner;', '|| after == CloseState::Ended || (sooner && false);')]),
]

# The faults of the blocking adapter, in the same form.
NET_FAULTS = [
    ('1', 'after a Close to a dead peer, the connection waits for the close timeout', [
        (DEADLINES, '                    self.timers.end_after_one_write(now);\n', '')]),
    ('1', 'no half handles the timers that the other half starts', [
        (NET_READER, 'let mut deadline = max_block_time.map(|max_block_time| self.link.read_clock() + max_block_time);',
         'let mut deadline = max_block_time.map(|max_block_time| self.link.read_clock() + max_block_time * 1000);')]),
    ('1', 'the receiving half sleeps past a timer while the other half writes', [
        (NET_READER, 'max_block_time.map_or(SHORTEST_NAP, |time| time.min(SHORTEST_NAP))', 'max_block_time.unwrap_or(SHORTEST_NAP)')]),
    ('2', 'a send that waits does not read ahead', [
        (NET_DRIVER, 'Step::Progress | Step::Stalled => self.read_ahead_unless_split(),', 'Step::Progress | Step::Stalled => {}')]),
    ('2', 'bytes that the peer takes do not count as a sign of life', [
        (TRANSMIT, '            self.timers.write_progressed(now);\n', '')]),
    ('2', 'a timer is handled before the input that has arrived', [
        (NET_TIMERS, '        let read = self.read_ahead();\n        match read {',
         '        let read: Option<usize> = None;\n        match read {')]),
    ('4', 'a call with a short timeout restarts the wait for a Pong', [
        (NET_DRIVER, '        let knew_end = self.link.knows_end();\n',
         '        let knew_end = self.link.knows_end();\n'
         '        self.half.apply(self.link.now(), crate::PendingReply::Received { data: false });\n')]),
    ('10', 'the receiving half stops reading while it waits to write its Pong', [
        (NET_READER, '            false => out.write_now(),', '            false => out.write().is_ok(),')]),
    ('15', 'after a pending write, a stream that may keep bytes gets other bytes', [
        (NET_DRIVER, 'let len = if keeps_refused_bytes {', 'let len = if keeps_refused_bytes && false {')]),
    ('15', 'a control frame is written before the bytes of a pending write', [
        (NET_DRIVER, 'self.half.transmit_refused(offered);', 'self.half.transmit_refused(usize::min(offered, 0));')]),
    ('17', 'a stream may report more bytes than the buffer has', [
        (NET_STREAM, 'if n <= most { Ok(n) }', 'if n <= most || true { Ok(n) }')]),
    ('26', 'the end counts as clean although the stream has buffered our Close', [
        (SEND, 'self.buffered_amount() == 0 && !self.held_back', 'self.buffered_amount() == 0')]),
    ('26', 'the receiving half ends the stream before our Close is written', [
        (NET_READER, 'if stalled || receiver.peer_close().is_some() {', 'if stalled {')]),
    ('36', 'at the end of the stream, a call waits for space without a deadline', [
        (NET_LOOP, '        self.connection.handle_peer_half_closed(self.link.now());\n', ''),
        (NET_TIMERS, '            self.half.handle_peer_half_closed(self.link.now());\n', '')]),
    ('new', 'timers do not run after a write has failed', [
        (NET_LOOP, '        self.connection.handle_timeout(self.link.read_at());\n'
         '        if self.link.write_failed() {\n            return Ok(());\n        }\n',
         '        if self.link.write_failed() {\n            return Ok(());\n        }\n'
         '        self.connection.handle_timeout(self.link.read_at());\n')]),
    ('new', 'a call that writes slowly does not read', [
        (NET_TIMERS, 'self.link.now().saturating_duration_since(self.link.read_at()) >= WRITE_TIME_SLICE',
         'self.link.now().saturating_duration_since(self.link.read_at()) >= WRITE_TIME_SLICE * 1000')]),
    ('new', 'consumed bytes still count against the limit of reading ahead', [
        (NET_AHEAD, 'self.bytes.len() - self.taken < MAX_READ_AHEAD', 'self.bytes.len() < MAX_READ_AHEAD'),
        (NET_AHEAD, '        self.bytes.drain(..self.taken);\n        self.taken = 0;\n', '')]),
    ('new', 'a call waits for input that it cannot read yet', [
        (NET_DRIVER, 'readable: self.pending.is_none() && self.link.can_read_ahead(),', 'readable: true,')]),
    ('new', 'a call waits for space although writing has failed', [
        (NET_DRIVER, 'writable: !self.is_out() && !self.link.write_failed(),', 'writable: !self.is_out(),')]),
    ('new', 'the reply to each Ping of a flood waits for space', [
        (NET_READER, 'if is_pong && no_space_at', 'if is_pong && false && no_space_at')]),
    ('new', 'a due Ping is written before the Close is queued', [
        (NET_DRIVER, 'match self.write_now() {', 'match self.write_out() {')]),
]

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COPY = os.path.join(ROOT, 'target', 'planted_adapters', 'copy')


def copy():
    """Copies the tracked files. Files that have not changed keep their times, so that cargo does not build them again."""
    for name in subprocess.check_output(['git', 'ls-files', '-z'], cwd=ROOT, text=True).split('\0'):
        source, target = os.path.join(ROOT, name), os.path.join(COPY, name)
        if not name or not os.path.isfile(source):
            continue
        with open(source, 'rb') as file:
            data = file.read()
        if not os.path.exists(target) or open(target, 'rb').read() != data:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, 'wb') as file:
                file.write(data)


def check(places):
    for path, was, _ in places:
        with open(os.path.join(ROOT, path)) as file:
            times = file.read().count(was)
        if times != 1:
            sys.exit(f'{path}: the text to replace must occur once, but occurs {times} times:\n{was}')


def plant(places):
    for path, was, becomes in places:
        with open(os.path.join(COPY, path)) as file:
            source = file.read()
        if source.count(was) != 1:
            sys.exit(f'{path}: the text to replace must occur once, but occurs {source.count(was)} times:\n{was}')
        with open(os.path.join(COPY, path), 'w') as file:
            file.write(source.replace(was, becomes))


def simulate(test):
    """Runs a simulation. Returns the category and the seed of the failure that it finds, or None if it finds nothing."""
    env = {**os.environ, 'CARGO_TARGET_DIR': os.path.join(ROOT, 'target', 'planted_adapters', 'target'),
           'CARGO_PROFILE_RELEASE_DEBUG': '0', 'CARGO_PROFILE_RELEASE_OPT_LEVEL': '1',
           'CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS': 'true', 'CARGO_INCREMENTAL': '1'}
    for name in ['RUSTFLAGS', 'HYBI_SIM_SECONDS', 'HYBI_SIM_SURVEY']:
        env.pop(name, None)
    build = ['cargo', 'test', '--release', '--all-features', '--test', test, '--color', 'never']
    built = subprocess.run(build + ['--no-run'], cwd=COPY, env=env, text=True, capture_output=True)
    if built.returncode:
        sys.exit(built.stderr)
    env |= {'HYBI_SIM_SEED': str(FIRST), 'HYBI_SIM_RUNS': str(SEEDS)}
    done = subprocess.run(build + ['--', '--nocapture'], cwd=COPY, env=env, text=True, capture_output=True)
    if done.returncode == 0:
        return None
    said = done.stdout + done.stderr
    what = re.search(r'^\[([^\]]+)\]', said, re.M) or re.search(r"panicked at (src/\S+)", said)
    seed = re.search(r'HYBI_SIM_SEED=(\d+)', said)
    if not what or not seed:
        sys.exit(said)
    return what[1], int(seed[1])


def run(test, faults):
    """Runs a simulation with each fault, and returns the faults that it does not find."""
    if found := simulate(test):
        sys.exit(f'the simulation fails without a planted fault: {found}')
    print(f'{test} finds nothing without a planted fault in {SEEDS} runs\n', flush=True)
    print('| number | fault | found as | at run | seconds |\n| --- | --- | --- | --- | --- |', flush=True)
    missed = []
    for number, what, places in faults:
        began = time.monotonic()
        plant(places)
        found = simulate(test)
        copy()
        if not found:
            missed.append(what)
        category, seed = found or ('not found', '')
        print(f'| {number} | {what} | {category} | {seed} | {time.monotonic() - began:.0f} |', flush=True)
    return missed


def main():
    words = sys.argv[1:]
    lists = [('adapters_simulation', FAULTS), ('net_simulation', NET_FAULTS)]
    for _, faults in lists:
        for _, _, places in faults:
            check(places)
    copy()
    if words[:1] == ['net']:
        del words[0], lists[0]
    # The argument chooses faults by number or by a part of the name. "15+" chooses number 15 and all that follow.
    only = words[0] if words else ''
    missed = []
    for test, faults in lists:
        first = next((at for at, fault in enumerate(faults) if f'{fault[0]}+' == only), 0)
        follows = f'{faults[first][0]}+' == only
        chosen = [fault for fault in faults[first:] if only in fault[1] or fault[0] == only or follows]
        if chosen:
            missed += run(test, chosen)
    if missed:
        sys.exit('\nnot found:\n' + '\n'.join(missed))


main()
