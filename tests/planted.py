#!/usr/bin/env python3
"""Plants faults in a copy of the sources, one at a time, and prints which tests find each fault: tests/planted.py

Tests of at least two kinds must find each fault, among them the tests that are named here. Without a fault, no test may
fail. The script needs cargo and git. It takes some minutes, and leaves its copy in target/planted.
"""
import os
import re
import subprocess
import sys

# For each fault: the file, the text to replace, the replacement, and tests that must find the fault.
FAULTS = {
    'the position in the masking key is off by one after some chunks': (
        'src/kernel/mask.rs',
        'xor::rotate_key(self.0, len)',
        'xor::rotate_key(self.0, len + usize::from(len % 64 == 61))',
        ['properties frames::s5_3_the_mask_continues_across_any_split', 'simulation every_message_arrives_or_the_outcome_says_why_not'],
    ),
    'an incomplete code point at the end of a message is accepted': (
        'src/connection/receive/payload.rs',
        'self.kind == MessageKind::Text && !message.validator().is_complete()',
        'false',
        ['properties utf8::s8_1_a_message_is_text_if_std_accepts_it', 'attacks frames::s8_1_text_cut_off_at_its_end_fails'],
    ),
    'a Pong is sent after our Close': (
        'src/connection/send/close.rs',
        'State::Sent => !self.close_is_begun()',
        'State::Sent => true',
        ['exhaustive closing::s7_1_every_order_of_closing_events_matches_the_model', 'attacks frames::s1_4_data_after_a_close_is_discarded'],
    ),
    'the message limit is checked for each frame alone': (
        'src/connection/receive/mod.rs',
        'self.message_len.saturating_add(header.payload_len)',
        'header.payload_len',
        ['properties streams::events_equal_the_encoded_stream', 'attacks frames::s10_4_small_fragments_do_not_evade_the_message_limit'],
    ),
    'the byte after the handshake is lost': (
        'src/handshake/scan.rs',
        'headers, len: self.offset })',
        'headers, len: bytes.len().min(self.offset + 1) })',
        ['properties handshake::s4_2_1_more_of_a_request_never_changes_a_verdict',
         'attacks handshake::s9112_6_an_upgrade_with_a_body_is_refused'],
    ),
}
KINDS = ['properties', 'simulation', 'exhaustive', 'attacks', 'vectors']

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COPY = os.path.join(ROOT, 'target', 'planted', 'copy')


def copy():
    """Copies the tracked files. Files that have not changed keep their times, so that cargo does not build them again.

    Proptest writes failing cases beside the sources of the copy. They stay there, and help to find the fault again.
    """
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


def failing():
    """Runs the tests, and returns those that fail as "target name"."""
    run = ['cargo', 'test', '--release', '--all-features', '--no-fail-fast', '--color', 'never']
    run += [word for kind in KINDS for word in ('--test', kind)]
    env = {**os.environ, 'CARGO_TARGET_DIR': os.path.join(ROOT, 'target', 'planted', 'target')}
    for name in ['RUSTFLAGS', 'HYBI_SIM_SEED', 'HYBI_SIM_SECONDS', 'HYBI_VECTORS']:
        env.pop(name, None)
    done = subprocess.run(run, cwd=COPY, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    found, kind, ran = [], None, set()
    for line in done.stdout.splitlines():
        if match := re.match(r' +Running tests/(\w+)\.rs', line):
            kind = match[1]
        if match := re.match(r'test (\S+) \.\.\. FAILED', line):
            found.append(f'{kind} {match[1]}')
        if line.startswith('test result: '):
            ran.add(kind)
    if ran != set(KINDS):
        sys.exit(f'{done.stdout}\nsome test targets did not run; these did: {ran}')
    return found


def plant(fault):
    path, was, becomes, _ = FAULTS[fault]
    with open(os.path.join(COPY, path)) as file:
        source = file.read()
    if source.count(was) != 1:
        sys.exit(f'{path}: the text to replace must occur once, but occurs {source.count(was)} times: "{was}"')
    with open(os.path.join(COPY, path), 'w') as file:
        file.write(source.replace(was, becomes))


def main():
    copy()
    if found := failing():
        sys.exit(f'these tests fail without a planted fault: {found}')
    print('no test fails without a planted fault')
    missed = []
    for fault, (*_, expected) in FAULTS.items():
        plant(fault)
        found = failing()
        copy()
        print(f'\n{fault}:')
        for test in found:
            print(f'    {test}')
        missed += [f'{fault}: not found by {test}' for test in expected if test not in found]
        if len({test.split()[0] for test in found}) < 2:
            missed.append(f'{fault}: not found by two kinds of tests')
    if missed:
        sys.exit('\n'.join(missed))


main()
