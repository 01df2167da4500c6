"""What of a program's output comes into a log: all of it, but for what the gate takes out."""

import os
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_secrets import kinds, ordinary

from prodigy_git.redaction.gate import _rules, redact
from prodigy_git.store import redacted_output
from prodigy_git.store.redacted_output import Redacted

TOKEN = "ghp_" + 9 * "a1B2"
TAKEN = b"[redacted: prefixed-token]"


def through(*pieces, env=None):
    out = []
    kept = Redacted(out.append, env or {})
    for piece in pieces:
        kept.add(piece)
    kept.close()
    return b"".join(out)


def lines():
    rng = random.Random(4)
    told = [line for _, _, line in kinds(rng) if "\n" not in line]
    return rng.sample(list(ordinary(rng))[:600] + told, 600 + len(told))


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 16])
def test_each_line_is_as_the_gate_has_it(size):
    """However the program writes it: byte by byte, or in blocks that begin and end within secrets."""
    text = "".join(f"{line}\n" for line in lines())
    data = text.encode() if size > 1 else text.encode()[-8000:]
    wanted = "".join(map(redact, data.decode().splitlines(keepends=True))).encode()
    assert through(*(data[at : at + size] for at in range(0, len(data), size))) == wanted


def test_in_colours():
    told = [line for _, _, line in kinds(random.Random(5)) if "\n" not in line]
    coloured = [f"\x1b[1m{line.replace(' ', chr(27) + '[32m ')}\x1b[0m\n" for line in told]
    assert through("".join(coloured).encode()) == "".join(map(redact, coloured)).encode()
    sk = f"\x1b[32msk-{6 * 'a1b2'}\x1b[0m\n".encode()
    assert through(sk) == b"\x1b[32m[redacted: prefixed-token]\x1b[0m\n"


@pytest.mark.parametrize("part", range(4))
def test_what_a_rule_finds_is_found_here(part):
    rules = _rules()[part::4]

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.data())
    def of(data):
        rule = data.draw(st.sampled_from(rules))
        match = data.draw(st.from_regex(re.compile(rule.pattern, re.ASCII)))
        line = re.sub(r"[^ -~]", " ", match) + "\n"
        if "PRIVATE KEY" not in line:
            assert through(line.encode()) == redact(line).encode()

    of()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=60)))
def test_bytes_of_any_kind_come_through(pieces):
    data = b"".join(pieces)
    if redact(data.decode("utf-8", "surrogateescape")) == data.decode("utf-8", "surrogateescape"):
        assert through(*pieces) == data


def test_binary_output_is_as_it_was():
    data = os.urandom(1 << 18) + b"\0" * (1 << 18)
    assert through(data[: 1 << 17], data[1 << 17 :]) == data


@pytest.mark.parametrize("before", [65_500, 65_536, 61_400, 200_000])
def test_in_a_line_that_never_ends(before):
    data = b"ab " * (before // 3) + TOKEN.encode() + b" cd" * 40_000
    wanted = data.replace(TOKEN.encode(), TAKEN)
    assert through(*(data[at : at + 65_536] for at in range(0, len(data), 65_536))) == wanted


def test_a_progress_bar_is_not_kept_back():
    out = []
    Redacted(out.append, {}).add(b"10%\r20%\r30")
    assert out == [b"10%\r20%\r"]


def test_values_of_the_environment():
    env = {"DB_PASSWORD": "tulip-under-glass", "TOKEN": "one", "DEPLOY_KEY": "x\nfirst-line-9\nend"}
    said = through(b"with tulip-un", b"der-glass and one\nfirst-line-9\n", env=env)
    assert said == b"with [redacted: DB_PASSWORD] and one\n[redacted: DEPLOY_KEY]\n"


@pytest.mark.parametrize("size", [10, 100, 5000])
def test_a_private_key_in_many_lines(size):
    body = b"".join(
        bytes(random.Random(n).choices(b"ABCDxyz0189+/", k=64)) + b"\n" for n in range(40)
    )
    key = b"-----BEGIN RSA PRIVATE KEY-----\n" + body + b"Ab0=\n-----END RSA PRIVATE KEY-----"
    data = b"key:\n" + key + b"\nthe rest\n"
    said = through(*(data[at : at + size] for at in range(0, len(data), size)))
    assert said == b"key:\n[redacted: private-key]\nthe rest\n"


def test_a_private_key_that_is_cut_off():
    begin = b"-----BEGIN PRIVATE KEY-----\n"
    said = through(begin, 64 * b"a" + b"\n", b"error: no end\n", 64 * b"a" + b"\n")
    assert said == b"[redacted: private-key]\nerror: no end\n" + 64 * b"a" + b"\n"


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(redacted_output, "time", clock)
    return clock


def after_a_pause(clock, *pieces):
    """What has gone on once nothing more came for a while, and what in the end."""
    out = []
    kept = Redacted(out.append, {})
    for piece in pieces:
        kept.add(piece)
        kept.pause()
        clock.now += 1
        kept.pause()
    before = b"".join(out)
    kept.add(b"\n")
    kept.close()
    return before, b"".join(out)


@pytest.mark.parametrize("prompt", [b"Password: ", b"Continue [y/n]", b"$ ", b"Go on? ", b">>> "])
def test_a_prompt_goes_on_by_itself(prompt, clock):
    assert after_a_pause(clock, prompt) == (prompt, prompt + b"\n")


def test_not_at_once(clock):
    out = []
    kept = Redacted(out.append, {})
    kept.add(b"Password: ")
    assert kept.waits
    kept.pause()
    assert out == []
    clock.now += 1
    kept.pause()
    assert (out, kept.waits) == ([b"Password: "], False)


def test_what_is_typed_slowly_is_no_prompt(clock):
    """An echo comes letter by letter: what has begun may be a secret."""
    before, whole = after_a_pause(clock, b"Token: ", *(bytes([c]) for c in TOKEN.encode()))
    assert before == b"Token: ghp"
    assert whole == b"Token: ghp" + TAKEN + b"\n"


def test_what_a_prompt_asked_for_tells_what_the_answer_is(clock):
    _, whole = after_a_pause(clock, b"Password: ", b"abc!1xyz")
    assert whole == b"Password: [redacted: named]\n"
