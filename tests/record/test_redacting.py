"""What is written goes through the gate: which fields, which not, and when it is off."""

import json

import pytest
from support_cli import call, ok

from prodigy_git.record import log, redacting, session

TOKEN = "ghp_" + 9 * "a1B2"
TAKEN = "[redacted: prefixed-token]"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(redacting, "_off", {})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"error": f"no access: {TOKEN}"}, {"error": f"no access: {TAKEN}"}),
        ({"a": {"b": ["x", f"see {TOKEN}"]}}, {"a": {"b": ["x", f"see {TAKEN}"]}}),
        ({"password": "abc123!x"}, {"password": "[redacted: named]"}),
        ({"api_key": "a1b2c3d4e5f6"}, {"api_key": "[redacted: named]"}),
        ({"note": "abc123!x", "n": 5, "no": None}, {"note": "abc123!x", "n": 5, "no": None}),
        ({"tokens": {"input": 1200345678}}, {"tokens": {"input": 1200345678}}),
    ],
)
def test_texts_anywhere_in_a_value(given, wanted, tmp_path):
    before = json.dumps(given)
    found = redacting.value(str(tmp_path), "r", given)
    assert found == wanted
    assert json.dumps(given) == before, "the caller's own is left as it is"
    assert redacting.value(str(tmp_path), "r", found) == wanted


@pytest.mark.parametrize(
    "name", ["branch", "worktree_path", "item_id", "files", "json_log_location"]
)
def test_names_of_things_stay(name, tmp_path):
    """They are compared with what git, the disk or another event says."""
    given = {name: f"fix/{TOKEN}", "item_data": {"token": TOKEN}}
    assert redacting.value(str(tmp_path), "r", given) is given
    several = {name: [f"fix/{TOKEN}"]}
    assert redacting.value(str(tmp_path), "r", several) is several


def test_a_picture_is_not_asked_about(tmp_path, monkeypatch):
    picture = 20_000 * "aB3/" + "Zg=="
    asked = []
    monkeypatch.setattr(redacting, "suspicious", asked.append)
    given = {"source": {"data": picture}}
    assert redacting.value(str(tmp_path), "r", given) is given
    assert asked == []
    for text in (f"{picture} {TOKEN}", f"{picture}\n", picture[:60_000]):
        redacting.value(str(tmp_path), "r", {"data": text})
        assert asked.pop() == text


def test_what_is_ordinary_is_not_copied(tmp_path):
    given = {"error": "exit status 1", "list": ["one", {"two": "three"}]}
    assert redacting.value(str(tmp_path), "r", given) is given


def test_a_commits_subject(repo, git, store, events, monkeypatch):
    monkeypatch.setenv("PRODIGY_RECORD", "wait")
    ok("install", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", f"Try with {TOKEN}", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "Try without", cwd=repo)
    said = [e["subject"] for e in _all(events) if e["type"] == "CommitCreated"]
    assert said == [f"Try with {TAKEN}", "Try without"]
    assert git("log", "-1", "--skip=1", "--format=%s", cwd=repo).strip() == f"Try with {TOKEN}"
    assert not _anywhere(store, TOKEN)
    assert call("verify", cwd=repo).code == 0


@pytest.mark.parametrize("value", ["off", "false", "no", "0"])
def test_it_can_be_off(value, repo, git, store, events, monkeypatch):
    monkeypatch.setenv("PRODIGY_RECORD", "wait")
    ok("install", cwd=repo)
    git("config", "prodigy.redact", value, cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", f"Try with {TOKEN}", cwd=repo)
    git("config", "prodigy.redact", "on", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", f"Try again with {TOKEN}", cwd=repo)
    said = [e["subject"] for e in _all(events) if e["type"] == "CommitCreated"]
    assert said == [f"Try with {TOKEN}", f"Try again with {TAKEN}"]


def test_errors_results_and_events_of_ones_own(repo, git, store, tmp_path, events):
    items = tmp_path / "items"
    items.write_text('{"id": "one"}\n{"id": "two"}\n')
    ok("job", "start", "j", "--items", items, "--max-attempts", "1", cwd=repo)
    top = ok(
        "new-worktree", "w", "--job", "j", "--agent", "a", "--item", "one", cwd=repo
    ).out.strip()
    ok("finish", "w", "--failed", "--error", f"401 for {TOKEN}", cwd=top)
    assert "two" in ok("job", "next", "j", "--agent", "b", cwd=repo).out
    ok("job", "done", "j", "two", "--failed", "--error", f"403 for {TOKEN}", cwd=repo)
    ok("event", "add", "--job", "j", "--type", "Noted", "--field", f'text=["use {TOKEN}"]',
       "--field", "pwd=x!23456", "--content", f"all {TOKEN}", cwd=repo)  # fmt: skip
    found = events("j")
    assert [e["error"] for e in found if e["type"] == "AgentFailed"] == [
        f"401 for {TAKEN}", f"403 for {TAKEN}"
    ]  # fmt: skip
    (noted,) = (e for e in found if e["type"] == "Noted")
    assert (noted["text"], noted["content"]) == ([f"use {TAKEN}"], f"all {TAKEN}")
    assert noted["pwd"] == "[redacted: named]"
    assert session.read(str(store), "w")["error"] == f"401 for {TAKEN}"
    assert not _anywhere(store, TOKEN)


def test_the_stores_own_log(store):
    log.report(str(store), f"post-commit: ValueError: {TOKEN}")
    text = (store / "logs/hook-errors.log").read_text()
    assert TAKEN in text
    assert TOKEN not in text


def _all(events):
    return events("*")


def _anywhere(store, text):
    return [
        path for path in store.rglob("*") if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_what_leaves_the_machine_goes_through_again(repo, git, tmp_path, monkeypatch):
    """A log may be of before: the report and what is sent to an OTLP endpoint are for others."""
    monkeypatch.setenv("PRODIGY_RECORD", "wait")
    git("config", "prodigy.redact", "off", cwd=repo)
    items = tmp_path / "items"
    items.write_text('{"id": "one"}\n')
    ok("job", "start", "j", "--items", items, "--max-attempts", "1", cwd=repo)
    top = ok("new-worktree", "w", "--job", "j", "--agent", "a", "--item", "one", cwd=repo)
    ok("finish", "w", "--failed", "--error", f"401 for {TOKEN}", cwd=top.out.strip())
    assert TOKEN in ok("events", "ls", "--job", "j", "--json", cwd=repo).out
    git("config", "prodigy.redact", "on", cwd=repo)
    redacting._off.clear()
    ok("report", "--job", "j", "--output", tmp_path / "r.html", cwd=repo)
    page = (tmp_path / "r.html").read_text()
    assert TOKEN not in page
    assert TAKEN in page
    sent = ok("otel", "push", "--dry-run", "--job", "j", "--json", cwd=repo).out
    assert TOKEN not in sent
    assert TAKEN in sent
