"""Which failures are alike: those that differ in numbers, names and places, and no others."""

import pytest

from prodigy_git.jobs import signatures

ALIKE = [
    ("tests failed: 3 of 9", "tests failed: 12 of 90"),
    ("/home/a/src/x.py:12:3: undefined name 'foo'", "/srv/b/y.py:4:17: undefined name 'bar_baz'"),
    ("src/app/main.rs:12: mismatched types", "lib/util.rs:9: mismatched types"),
    ("main.c:3: syntax error", "util.c:44:2: syntax error"),
    ("cannot lock ref 'refs/heads/work-1'", "cannot lock ref 'refs/remotes/origin/x'"),
    ("cannot lock ref refs/heads/work-1: busy", "cannot lock ref refs/remotes/origin/x: busy"),
    ("no such file: /tmp/tmpab12_x9/in.json", "no such file: /var/folders/zz/T/tmp.Q8/out.json"),
    ("connect to 127.0.0.1:8080 failed", "connect to 10.0.0.7:443 failed"),
    ("connect to db.example.org:5432 failed", "connect to cache.local:6379 failed"),
    ("GET https://example.org/a?b=1 refused", "GET http://127.0.0.1:9/x refused"),
    ("no object 3c1915d216132cfa02490d620da7240af7f0a444", "no object 83460461e2"),
    ("request 7a9b030d-ef72-5036-b05a-ae847e8ff0a8 lost",
     "request 293D34E1-938B-5E79-8156-C8FFA7899656 lost"),
    ("took 1.5s, gave up", "took 300ms, gave up"),
    ("took 1h30m, gave up", "took 12s, gave up"),
    ("3.5GiB of 8GiB used", "120MB of 16GB used"),
    ("at 2025-01-11T12:00:00Z: busy", "at 2026-02-03 04:05:06,789: busy"),
    ("segfault at 0x7ffee3b0", "segfault at 0xdeadbeef"),
    ("agent-bcdfghjk has it", "agent-x7k2bq9z has it"),
    ("job x7k2bq9z4 is gone", "job q1w2e3r4 is gone"),
    ("No module named \"yaml\"", "No module named \"toml\""),
    ("\x1b[31merror\x1b[0m: 3 left", "error: 12 left"),
    ('Traceback (most recent call last):\n  File "/a/b.py", line 3, in f\nKeyError: \'one\'',
     'Traceback (most recent call last):\n  File "/c.py", line 99, in <module>\n\nKeyError: \'two\''),
    ("  too late\nfor 3", "too late"),
]  # fmt: skip
DIFFERENT = [
    "the command exited with status 1", "the command exited with status 137",
    "exit 7", "exit code 9", "the command died by signal 9", "the command died by signal 15",
    "HTTP 404", "HTTP 503", "[Errno 13] denied", "[Errno 28] denied",
    "KeyError: 'a'", "ValueError: 'a'", "I/O error", "N/A error",
    'said "no space left" at the end', 'said "connection refused" at the end',
    "tests failed: 3 of 9", "tests skipped: 3 of 9",
    "can't open it, don't ask", "can't close it, don't ask",
    "Traceback (most recent call last):\nKeyError: 1",
    "Traceback (most recent call last):\nTypeError: 1",
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_alike(one, other):
    assert signatures.of(one) == signatures.of(other)
    assert signatures.of(one) != signatures.of("unknown")


def test_different():
    found = [signatures.of(one) for one in DIFFERENT]
    assert len(set(found)) == len(DIFFERENT), found


def test_they_can_be_read():
    assert signatures.of("/a/x.py:12:3: undefined name 'foo'") == "#: undefined name '#'"
    assert signatures.of("cannot lock ref 'refs/heads/x'") == "cannot lock ref '#'"
    assert signatures.of("Timeout after 30 seconds") == "Timeout after # seconds"
    assert signatures.of("the command exited with status 3: 5 left") == (
        "the command exited with status 3: # left"
    )
    assert [signatures.of(one) for one in ("", " \n ", "\0")] == ["unknown", "unknown", "\0"]


@pytest.mark.parametrize(
    "piece", ["/a", "a/", "1.", "'a", "a1", "1s", "#:", "a.b:1", "-", " ", "1,"]
)
def test_a_line_of_a_megabyte_is_gone_through_in_part(piece):
    assert len(signatures.of(piece * 500_000)) <= 120


def test_what_was_cut_shows_it():
    assert signatures.of("x" * 120) == "x" * 120
    assert signatures.of("x" * 121) == "x" * 119 + "…"
    assert signatures.of("words " * 40) == ("words " * 20)[:119].rstrip() + "…"
