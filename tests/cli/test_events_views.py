"""events stats, search, export: what they print, and what of a file is there when something fails."""

import json
import os
import pty
import re
import signal

import pytest
import support_team
from support_cli import call, environment, new, ok, refused, start, write_log


def at(second, kind="X", **more):
    return {"timestamp": f"2025-01-11T12:00:{second:02}Z", "type": kind, **more}


@pytest.fixture
def team(store):
    return support_team.write(store, "repo")


def on_terminal(*arguments, columns=80):
    """Run a command on a pseudo-terminal of so many columns; return what it showed."""
    ours, theirs = pty.openpty()
    child = start(*arguments, stdout=theirs, env=environment(COLUMNS=str(columns), LINES="24"))
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:
        pass  # closed on the other side
    os.close(ours)
    assert child.wait() == 0, child.stderr.read()
    child.stderr.close()
    return shown.decode()


def test_stats_as_table_lines_and_json(team):
    rows = [line.split("\t") for line in ok("events", "stats", "--by", "type").out.splitlines()]
    assert ["AgentCompleted", "10"] in [row[:2] for row in rows]
    assert [int(row[1]) for row in rows] == sorted((int(row[1]) for row in rows), reverse=True)
    found = ok("events", "stats", "--by", "agent", "--json").json
    assert found["events"] == len(team.read_text().splitlines())
    assert sum(row["count"] for row in found["rows"]) == found["events"]
    assert abs(sum(row["share"] for row in found["rows"]) - 1) < 0.001
    assert {"agent-17", None} <= {row["agent_id"] for row in found["rows"]}
    hours = ok("events", "stats", "--by", "hour", "--json").json["rows"]
    assert [row["hour"] for row in hours] == sorted(row["hour"] for row in hours)
    assert ok("events", "stats", "--type", "AgentFailed", "--json").json["events"] == 12


def test_stats_of_nothing_and_of_jobs_of_two_repositories(store):
    assert ok("events", "stats").out == ""
    assert ok("events", "stats", "--json").json == {"by": "type", "events": 0, "rows": []}
    for repo in "qr":
        write_log(store, repo, "j", "events-20250111.jsonl", at(1))
    rows = ok("events", "stats", "--by", "job", "--json").json["rows"]
    assert [(row["repo"], row["job_id"]) for row in rows] == [("q", "j"), ("r", "j")]
    refused("events", "stats", "--by", "colour", code=2)


def test_bars_on_a_terminal_alone_and_nothing_raw(store):
    write_log(
        store, "r", "j", "events-20250111.jsonl", *[at(1, "Many")] * 40, at(2, "\x1b[2J\u202eX")
    )
    shown = on_terminal("events", "stats", columns=60)
    assert "█" * 20 in shown
    assert "\x1b[2J" not in shown
    assert all(len(re.sub("\x1b\\[[0-9;]*m", "", line)) <= 60 for line in shown.splitlines())
    assert "█" not in ok("events", "stats").out


def test_search_looks_at_values_not_at_escapes(store):
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        at(1, "AgentFailed", error="a \"b\"\n\N{SNOWMAN}"), at(2, "agent_failed", error="Timeout"),
        at(3, "X", deep={"list": [{"x": "needle"}]}, n=42), at(4, "needle_name", needle="x"),
    )  # fmt: skip

    def found(*arguments):
        return [e["timestamp"][18:19] for e in ok("events", "search", *arguments, "--json").lines]

    assert found('"b"') == ["1"]
    assert found('b"\n\N{SNOWMAN}$') == ["1"]
    assert found("u2603") == []
    assert found("timeout") == []
    assert found("timeout", "-i") == ["2"]
    assert found("needle") == ["3"]  # neither in a field's name nor in the type NeedleName
    assert found("^42$") == ["3"]
    assert found("AgentFailed") == ["1", "2"]
    assert found("ailed") == ["1", "2"]
    assert found("^Time", "--field", "error") == ["2"]
    assert found("Timeout", "--field", "subject") == []
    assert found("Failed", "--field", "type", "--until", "2025-01-11T12:00:01Z") == ["1"]
    (line,) = ok("events", "search", "Timeout").out.splitlines()
    assert line.endswith("\terror: Timeout")


def test_search_shows_nothing_raw_and_what_is_around_a_match(store, team):
    done = ok("events", "search", "onerror")
    assert done.out.endswith("\\x1b[2J\\u202egnp.exe\n")
    assert "…" not in done.out
    write_log(store, "r", "j", "events-20250111.jsonl", at(1, content="x" * 500 + "here" + "y" * 5))
    assert ok("events", "search", "here").out.endswith(f"content: …{'x' * 30}hereyyyyy\n")


@pytest.mark.parametrize("regex", ["[", "(", "*", "(?P<x", "a{99999999999}", "\\"])
def test_what_is_no_regular_expression_is_wrong_usage(regex):
    assert "no regular expression" in refused("events", "search", regex, code=2)


def test_nothing_found_is_no_failure(team):
    done = call("events", "search", "nowhere at all")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_damage_is_reported_by_each(store):
    path = write_log(store, "r", "j", "events-20250111.jsonl", at(1), "{broken", at(2, v="text"))
    for command in (["stats"], ["search", "."], ["export"], ["export", "--format", "prodigy"]):
        done = ok("events", *command)
        assert f"{path}:2: not an event" in done.err


@pytest.mark.parametrize("form", ["jsonl", "csv", "prodigy"])
def test_an_export_is_the_same_on_stdout_and_in_a_file(team, tmp_path, form):
    path = tmp_path / "out"
    done = ok("events", "export", "--format", form, "-o", path)
    assert done.out == ""
    text = path.read_bytes().decode()
    assert ok("events", "export", "--format", form).out == text
    left = 0
    if form == "prodigy":
        left = int(done.err.removeprefix("prodigy-git: ").split()[0])
        assert "events left out, of types that Prodigy does not know: " in done.err
    assert len(text.splitlines()) == len(team.read_text().splitlines()) - left + (form == "csv")


def test_a_file_that_is_there_is_kept_without_force(team, tmp_path):
    path = tmp_path / "out"
    path.write_text("mine")
    assert "--force" in refused("events", "export", "-o", path)
    assert path.read_text() == "mine"
    ok("events", "export", "-o", path, "--force")
    assert path.read_text().startswith("{")
    assert "no regular file" in refused("events", "export", "-o", "/dev/null", "--force")
    assert os.path.exists("/dev/null")
    assert "no regular file" in refused("events", "export", "-o", tmp_path, "--force")
    refused("events", "export", "-o", tmp_path / "no" / "folder")
    assert not list(tmp_path.glob(".*"))


def test_an_export_that_is_interrupted_leaves_nothing(store, tmp_path):
    # Long enough to be in the middle of it when its file has just been begun.
    write_log(store, "r", "j", "events-20250111.jsonl", *[at(1, v="x" * 400)] * 100_000)
    out = tmp_path / "there"
    out.mkdir()
    inotify = pytest.importorskip("inotify_simple")
    with inotify.INotify() as seen:
        seen.add_watch(str(out), inotify.flags.CREATE)
        child = start("events", "export", "-o", out / "out")
        assert seen.read(timeout=60_000)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "interrupted" in err
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    "command", [["export"], ["export", "--format", "csv"], ["search", "x", "--json"]]
)
def test_a_reader_that_leaves_early_hears_nothing(store, command):
    write_log(store, "r", "j", "events-20250111.jsonl", *[at(1, "X" * 200, v="x")] * 5000)
    child = start("events", *command)
    assert child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait() == 0
    child.stderr.close()


def test_csv_on_a_terminal_shows_nothing_raw(store):
    write_log(store, "r", "j", "events-20250111.jsonl", at(1, "\x1b[2J", error="\x1b]0;x\x07"))
    assert "\x1b" not in on_terminal("events", "export", "--format", "csv")


def test_parquet_is_not_for_a_terminal(store):
    ours, theirs = pty.openpty()
    child = start("events", "export", "--format", "parquet", stdout=theirs)
    _, err = child.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert child.returncode == 2
    assert "-o FILE" in err


def test_each_catches_up_with_what_hooks_did_not_record(repo, git):
    made = new(repo, "w1")
    for number, command in enumerate(
        (["search", "no hooks", "--json"], ["export"], ["stats", "--json", "--by", "item"])
    ):
        git("commit", "-q", "--allow-empty", "-m", f"no hooks {number}", cwd=made["worktree"])
        done = ok("events", *command, cwd=repo)
        if command[0] == "stats":
            assert done.json["events"] == 5
        else:
            assert f"no hooks {number}" in done.out


def test_catching_up_reads_no_session_without_a_worktree(repo, store, monkeypatch):
    from prodigy_git.store import sessions

    new(repo, "w1")
    folder = store / "sessions"
    text = json.loads((folder / "w1.json").read_text())
    for number in range(50):
        (folder / f"old-{number}.json").write_text(json.dumps({**text, "id": f"old-{number}"}))
    read = []
    load = sessions.load
    monkeypatch.setattr(sessions, "load", lambda s, name: read.append(name) or load(s, name))
    ok("events", "ls", cwd=repo)
    assert set(read) == {"w1"}
