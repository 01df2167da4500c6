"""What agent programs do, as every view shows it: waiting, idle, at work; and the same files."""

import json
import os
import random
import re

import pytest
from support_agents import say
from support_cli import new, ok, rewrite_session, snapshot
from support_program_states import begin, edit, look, of, wait
from support_terminal import Terminal
from support_top import cell, names, on_screen
from textual.widgets import Static

from prodigy_git import layout
from prodigy_git.cli.status import _STATES
from prodigy_git.record import clock, log
from prodigy_git.record.conversations import activity
from prodigy_git.views import trouble
from prodigy_git.views.overview import memory


def test_each_state_in_each_view(repo, ada):
    begin(ada, model="opus", transcript_path="/t.jsonl")
    one = of(look(repo), "ada")
    assert one["state"] == "running"
    doing = one["activity"]
    assert (doing["agent_program"], doing["program_session"], doing["state"]) == (
        "claude", "s1", "working",
    )  # fmt: skip
    assert (doing["model"], doing["transcript"]) == ("opus", "/t.jsonl")
    assert ok("statusline", cwd=ada).out.startswith("login ada | claude working ")

    wait(ada)
    before = snapshot(repo)
    found = look(repo, "--stuck-after", "0s")
    one = of(found, "ada")
    assert (one["state"], one["activity"]["reason"]) == ("waiting", "permission")
    assert found["counts"]["waiting"] == 1
    assert found["counts"]["stuck"] == found["counts"]["dead"] == 0
    (advised,) = [each for each in found["advice"] if "waits for you" in each["what"]]
    assert advised["commands"] == ["prodigy-git logs login --tail 20", f"cd {ada}"]
    row = next(line for line in ok("status", cwd=repo).out.splitlines() if "agent\t" in line)
    assert row.split("\t")[2:4] == ["waiting", "ada"]
    assert row.split("\t")[-4:-2] == ["claude", "waiting"]
    assert row.endswith("\tpermission")
    (listed,) = [
        each for each in ok("sessions", "list", "--json").json if each["session_id"] == "login"
    ]
    assert listed["activity"]["state"] == "waiting"
    assert "claude waiting" in ok("sessions", "list").out
    shown = ok("sessions", "show", "login", cwd=repo).out
    assert "now: claude waiting" in shown
    assert "  program sessions: program claude, id s1, transcript /t.jsonl, model opus" in shown
    assert ok("explain", "login", "--json", cwd=repo).json["activity"]["state"] == "waiting"
    assert "claude, waiting (permission) since" in ok("explain", "login", cwd=repo).out
    told = ok("report", "--job", "login", "--json", cwd=repo).json
    assert told["counts"]["outcomes"] == {"waiting": 1}
    (waits,) = told["trouble"]["waiting"]["shown"]
    assert (waits["who"], "for a permission" in waits["note"]) == ("ada", True)
    line = ok("statusline", "--json", cwd=ada).json
    assert (line["agent_program"], line["state"], line["reason"]) == (
        "claude", "waiting", "permission",
    )  # fmt: skip
    assert ok("statusline", "--format", "{program} {state} {reason}", cwd=ada).out == (
        "claude waiting permission\n"
    )
    assert snapshot(repo) == before

    edit(ada, f"{ada}/a.py")  # it was given
    assert of(look(repo), "ada")["state"] == "running"
    assert of(look(repo, "--stuck-after", "0s"), "ada")["state"] == "stuck"
    say("claude", "Stop", cwd=ada, last_assistant_message="Done")
    assert of(look(repo, "--stuck-after", "0s"), "ada")["state"] == "idle"
    told = ok("report", "--job", "login", "--json", "--stuck-after", "0s", cwd=repo).json
    assert told["counts"]["outcomes"] == {"idle": 1}
    say("claude", "SessionEnd", cwd=ada, reason="other")
    assert "claude" not in ok("statusline", cwd=ada).out


@pytest.mark.parametrize(
    ("kind", "words"),
    [("permission_prompt", "a permission"), ("agent_needs_input", "an answer")],
)
def test_what_it_waits_for(repo, ada, kind, words):
    begin(ada)
    wait(ada, kind)
    assert f"for {words}" in ok("statusline", cwd=ada).out
    assert f"for {words}" in ok("status", cwd=repo).out
    narrow = Terminal("status", cwd=repo, columns=60)
    assert narrow.end() == 0
    assert f" for {words}" in next(
        line for line in narrow.text().splitlines() if line.startswith("waiting ")
    )


def test_for_what_is_in_the_first_call_that_tells_it(repo, ada):
    """Claude Code asks, and says in words that it does seconds later: that is not told again."""
    begin(ada)
    asked = {"tool_name": "Bash", "tool_input": {"command": "make clean"}}
    say("claude", "PreToolUse", cwd=ada, tool_use_id="t", **asked)
    say("claude", "PermissionRequest", cwd=ada, **asked)
    wait(ada)
    assert "for a permission: Bash: make clean\t" in ok("status", cwd=repo).out


def test_how_many_subagents_work_for_it(repo, ada):
    begin(ada)
    for name in ("one", "two"):
        say("claude", "SubagentStart", cwd=ada, agent_id=name, agent_type="Explore")
    assert re.search("claude working [0-9]+[sm], 2 subagents\t", ok("status", cwd=repo).out)


def test_what_it_said_comes_from_the_log_and_is_harmless(repo, store, ada):
    begin(ada)
    wait(ada)
    since = activity.tail(str(store), "repo", "login")[-1].since
    said = "Run \x1b[31mrm -rf\x07 ?\nsecond line"
    for moment, text in ((since - 60 * clock.SECOND, "long ago"), (since, said)):
        log.append(
            str(store), "repo", "login",
            [{"id": text, "timestamp": clock.stamp(moment), "type": "AgentWaiting",
              "event_type": "AgentWaiting", "session_id": "login", "reason": "permission",
              "message": text}],
        )  # fmt: skip
    assert of(look(repo), "ada")["activity"]["message"] == said
    done = ok("status", cwd=repo)
    assert "for a permission: Run \\x1b[31mrm -rf\\x07 ?\t" in done.out
    assert "\x1b" not in done.out + ok("sessions", "list").out
    shown = Terminal("status", cwd=repo, columns=200)
    assert shown.end() == 0
    assert "\\x1b[31mrm -rf\\x07" in shown.text()


def test_the_longest_waiting_comes_first_then_trouble(repo, store, ada):
    ok("finish", "login", "--failed", cwd=repo)
    for name in ("third", "first", "second", "free"):
        new(repo, name, "--agent", name, "--job", "team")
    for name in ("free", "first", "second", "third"):
        where = layout.worktrees(str(store), "repo") + f"/{name}"
        begin(where, name)
        if name != "third":
            kind = "idle_prompt" if name == "free" else "permission_prompt"
            wait(where, kind, session=name)
    found = look(repo)
    assert [one["agent_id"] for one in found["agents"]] == [
        "first", "second", "free", "ada", "third",
    ]  # fmt: skip
    assert list(found["counts"]) == list(trouble.ORDER) == list(_STATES)
    shown = Terminal("status", cwd=repo)
    assert shown.end() == 0
    assert "3 waiting, 1 failed, 1 running" in shown.text()
    told = ok("report", "--job", "team", "--json", cwd=repo).json["trouble"]["waiting"]
    assert [one["who"] for one in told["shown"]] == ["first", "second", "free"]


def test_only_those_in_a_state(repo, ada):
    begin(ada)
    wait(ada)
    new(repo, "other")
    found = look(repo, "--state", "waiting")
    assert [one["agent_id"] for one in found["agents"]] == ["ada"]
    assert found["counts"]["running"] == 1
    assert look(repo, "--state", "dead")["agents"] == []
    assert len(look(repo, "--state", "running", "--state", "waiting")["agents"]) == 2
    ok("finish", "other", cwd=repo)
    assert [one["session_id"] for one in look(repo, "--state", "finished")["agents"]] == ["other"]


def test_in_a_persons_own_checkout_it_is_seen_and_makes_no_agent(repo, store, own):
    begin(repo)
    found = look(repo)
    assert (found["agents"], set(found["counts"].values())) == ([], {0})
    assert of(found, own)["state"] == "running"
    wait(repo)
    found = look(repo, "--stuck-after", "0s")
    assert (of(found, own)["state"], found["counts"]["waiting"]) == ("waiting", 0)
    assert any("your own checkout" in one["what"] for one in found["advice"])
    (row,) = [one for one in ok("status", cwd=repo).out.splitlines() if "checkout\t" in one]
    assert "\tclaude\twaiting\t" in row
    shown = Terminal("status", cwd=repo, columns=200)
    assert shown.end() == 0
    assert "claude waiting" in shown.text()
    assert ok("statusline", cwd=repo).out.startswith("your own | claude waiting ")

    async def scenario(app, pilot):
        assert names(app) == [own]
        assert (cell(app, own, "STATE"), cell(app, own, "AGENT")) == ("waiting", "your own")
        assert "no agents" in str(app.query_one("#head", Static).render())

    on_screen(store, scenario)
    say("claude", "Stop", cwd=repo)
    assert of(look(repo), own)["state"] == "idle"
    say("claude", "SessionEnd", cwd=repo, reason="other")
    assert of(look(repo), own)["state"] == "idle"
    assert own in ok("sessions", "list").out


def test_of_a_session_that_has_ended_nothing_is_shown(repo, store, ada):
    begin(ada)
    wait(ada)
    rewrite_session(store, "login", status="Completed")
    assert look(repo)["counts"]["waiting"] == 0
    assert of(look(repo, "--all"), "ada")["activity"] is None
    (listed,) = ok("sessions", "list", "--json").json
    assert listed["activity"] is None


@pytest.mark.parametrize("damage", ["nonsense", "torn", "folder", "pipe", "empty"])
def test_a_damaged_activity_file(repo, store, ada, damage):
    begin(ada)
    wait(ada)
    path = store / "activity" / "repo" / "login.jsonl"
    if damage == "torn":
        with path.open("ab") as stream:
            stream.write(b'{"at":"2025')
    else:
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage == "pipe":
            os.mkfifo(path)
        else:
            path.write_bytes(b"\xff\x00{[\n" * 9 if damage == "nonsense" else b"")
    state = "waiting" if damage == "torn" else "running"
    assert of(look(repo), "ada")["state"] == state
    assert ("waiting" in ok("statusline", cwd=ada).out) == (damage == "torn")
    ok("sessions", "list")
    ok("report", "--job", "login", "--json", cwd=repo)


def test_a_stretch_of_work_is_told_by_its_first_and_last_line():
    chance = random.Random(7)
    kinds = ["tool", "working", "seen"] * 6 + [
        "start", "prompt", "waiting", "idle", "end", "subagent_start", "subagent_end",
    ]  # fmt: skip
    for turn in range(600):
        several = turn % 2  # of one alone most lines are not even looked at
        lines = []
        for number in range(chance.randrange(60)):
            line = {
                "at": clock.stamp(10**15 + number * clock.SECOND), "program": "claude",
                "program_session": chance.choice("ab" if several else "a"),
                "kind": chance.choice(kinds),
            }  # fmt: skip
            if line["kind"].startswith("subagent") or (several and chance.random() < 0.1):
                line["subagent"] = chance.choice("xy")
            lines.append(json.dumps(line, separators=(",", ":")).encode())
        if not several:
            lines = [one for one in lines if b"subagent" not in one]
        data = b"".join(line + b"\n" for line in lines)
        whole, few = activity.states(lines), activity.states(memory._telling(data))
        assert [vars_of(one) for one in few] == [vars_of(one) for one in whole]


def vars_of(one):
    return {
        name: getattr(one, name)
        for name in ("program", "program_session", "state", "since", "seen", "reason", "subagents")
    }


def test_a_file_that_two_edit_is_told(repo, store, ada, tmp_path):
    ben = new(repo, "logout", "--agent", "ben")["worktree"]
    begin(ada, "a")
    begin(ben, "b")
    (tmp_path / "link").symlink_to(ada)
    edit(ada, tmp_path / "link" / "app.py", "a")
    edit(ada, f"{ada}/mine.py", "a")
    edit(ada, "/etc/hosts", "a")
    assert look(repo)["same_files"] == []
    edit(ben, f"{ben}/app.py", "b")
    edit(ben, "/etc/hosts", "b")
    (same,) = look(repo)["same_files"]
    assert (same["path"], same["session_ids"]) == ("app.py", ["logout", "login"])
    assert "same-file\trepo\tapp.py\tlogout\tlogin\n" in ok("status", cwd=repo).out
    shown = Terminal("status", cwd=repo)
    assert shown.end() == 0
    assert "edited by several: app.py (ben, ada)" in shown.text()

    async def scenario(app, pilot):
        assert "app.py (ben, ada)" in str(app.query_one("#head", Static).render())

    on_screen(store, scenario)
    ok("finish", "logout", cwd=repo)
    assert look(repo)["same_files"] == []
