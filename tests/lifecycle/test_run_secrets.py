"""Secrets in what commands print: our own terminal has them, no file of ours does."""

import json
import random
import sys

import pytest
from support_cli import ok
from support_run import done, started
from support_secrets import kinds, ordinary

TOKEN = "ghp_" + 9 * "a1B2"
PRINTS = "import sys; sys.stdout.write(open(sys.argv[1]).read())"


def files_with(store, text):
    return [
        str(path.relative_to(store)) for path in store.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]  # fmt: skip


def log_of(store):
    (path,) = store.glob("logs/*/j/*.log")
    return path.read_text()


def test_what_a_command_prints(repo, tmp_path, store):
    """A hundred secrets of twenty kinds, among ten thousand ordinary lines."""
    rng = random.Random(7)
    secrets = list(kinds(rng))
    text = list(ordinary(rng))
    for number, (_, _, line) in enumerate(secrets):
        text.insert(50 * number, line + "\n#")
    path = tmp_path / "printed"
    path.write_text("\n".join(text) + "\n")
    where = started(repo, tmp_path)
    status, out, _ = done(where, "--", sys.executable, "-c", PRINTS, path)
    assert (status, out.decode()) == (0, path.read_text())
    log = log_of(store)
    missed = [line for _, secret, line in secrets if secret in log]
    assert len(missed) <= 0.02 * len(secrets), missed
    kept = set(log.split("\n"))
    rng = random.Random(7)
    list(kinds(rng))
    changed = [line for line in ordinary(rng) if line not in kept]
    assert len(changed) <= 10, changed


@pytest.mark.parametrize("how", [[], ["--pty"]])
def test_in_pieces_on_both_streams_and_in_the_error(how, repo, tmp_path, store, events):
    where = started(repo, tmp_path, max_attempts=1)
    half = len(TOKEN) // 2
    command = (
        f"printf 'use {TOKEN[:half]}'; sleep 0.1; printf '{TOKEN[half:]}\\n';"
        f"echo 'Error: 401 for {TOKEN}' >&2; exit 1"
    )
    status, out, _ = done(where, *how, "--", "sh", "-c", command)
    assert status == 1
    assert f"use {TOKEN}" in out.decode()
    assert log_of(store).count("[redacted: prefixed-token]") == 2
    assert not files_with(store, TOKEN)
    (failed,) = (event for event in events("j") if event["type"] == "AgentFailed")
    assert failed["error"] == "exit status 1: Error: 401 for [redacted: prefixed-token]"


def test_values_of_the_commands_variables(repo, tmp_path, store, monkeypatch):
    monkeypatch.setenv("DEPLOY_PASSWORD", "tulip-under-glass")
    where = started(repo, tmp_path)
    done(where, "--", "sh", "-c", 'echo "it is $DEPLOY_PASSWORD"')
    assert log_of(store) == "it is [redacted: DEPLOY_PASSWORD]\n"


def test_it_can_be_off(repo, tmp_path, store, git, events):
    git("config", "prodigy.redact", "off", cwd=repo)
    where = started(repo, tmp_path, max_attempts=1)
    done(where, "--", "sh", "-c", f"echo 'Error: {TOKEN}' >&2; exit 1")
    assert TOKEN in log_of(store)
    (failed,) = (event for event in events("j") if event["type"] == "AgentFailed")
    assert failed["error"] == f"exit status 1: Error: {TOKEN}"


def test_set_up_and_teardown(repo, store, git, tmp_path):
    for name in ("setupRun", "teardownRun"):
        git("config", f"prodigy.{name}", f"echo {name} with {TOKEN}", cwd=repo)
    top = ok("new-worktree", "w", cwd=repo).out.strip()
    ok("finish", "w", cwd=top)
    ok("worktree", "clean", "w", cwd=repo)
    assert files_with(store, "setupRun with [redacted: prefixed-token]")
    assert files_with(store, "teardownRun with [redacted: prefixed-token]")
    assert not files_with(store, TOKEN)


def test_events_that_a_team_has(repo, tmp_path, store):
    """Each secret given to each command that takes a text: none is in the store."""
    where = started(repo, tmp_path, *(f"i{n}" for n in range(3)), max_attempts=1)
    secrets = [(secret, line) for _, secret, line in kinds(random.Random(3))]
    lines = "".join(json.dumps({"type": "Noted", "text": line}) + "\n" for _, line in secrets)
    path = tmp_path / "lines"
    path.write_text(lines)
    with path.open() as stream:
        sys.stdin, before = stream, sys.stdin
        try:
            ok("event", "add", "--job", "j", "-", cwd=where)
        finally:
            sys.stdin = before
    whole = "".join(path.read_text() for path in (store / "events").glob("*/j/*.jsonl"))
    told = "\n".join(str(json.loads(line).get("text")) for line in whole.splitlines())
    missed = [line for secret, line in secrets if secret in told]
    assert len(missed) <= 0.02 * len(secrets), missed
