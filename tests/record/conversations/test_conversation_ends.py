"""How a session begins with an agent program in its worktree, goes on, and ends with it."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support_agent_calls import events, hear, hear_killed, payload, sessions
from support_agents import say
from support_cli import call, ok
from support_conversations import WHOLE, conversation, seen_to, session_of, settle, told, types
from support_drift import find, repair
from support_record import commit, git
from support_setup import until

from prodigy_git import agent_command
from prodigy_git.lifecycle import made_for_program, program_ended
from prodigy_git.record import locks


def test_a_killed_end_is_seen_to_by_the_next_command(linked, store, killed):
    *before, last = conversation(linked)
    for raw in before:
        hear(raw)
    at = next(n for n in range(60) if not _noted(store) and hear_killed(last, n) and _noted(store))
    assert at
    ok("status", cwd=linked)
    assert session_of(store, linked)["status"] == "Completed"
    assert sorted(types(store)) == sorted(WHOLE)
    assert not _noted(store)


def test_doctor_finds_an_end_that_nobody_sees_to(linked, store, killed, monkeypatch):
    for raw in conversation(linked):
        hear(raw)
    monkeypatch.setattr(program_ended, "_LOOK", 0.0)
    monkeypatch.setattr(locks, "PATIENCE", 0.0)
    (note,) = _noted(store)
    with seen_to(store, linked):
        assert "its agent program has ended" not in call("doctor", cwd=linked).out
        os.utime(note, (time.time() - 100,) * 2)
        assert "its agent program has ended" in call("doctor", cwd=linked).out
    call("doctor", "--fix", cwd=linked)
    assert session_of(store, linked)["status"] == "Completed"
    assert not _noted(store)


def test_a_checkout_of_a_persons_is_no_agents(repo, store, killed):
    for raw in conversation(repo):
        hear(raw)
    settle(store)
    found = session_of(store, repo)
    assert (found["status"], found["metadata"].get("agent_id")) == ("Running", None)
    assert found["metadata"]["agent_program"] == "claude"
    assert not {"AgentStarted", "AgentCompleted"} & set(types(store))


def test_a_repository_that_is_to_have_no_sessions_gets_none(repo, linked, store, killed):
    git("config", "prodigy.autoRegister", "false", cwd=repo)
    for raw in conversation(linked):
        hear(raw)
    assert not (store / "sessions").exists()


@pytest.mark.parametrize(
    ("setting", "status"), [(None, "Running"), ("finish", "Completed"), ("keep", "Running")]
)
def test_what_a_person_made_goes_on_unless_it_is_said(repo, store, killed, setting, status):
    top = repo / ok("new-worktree", "mine", cwd=repo).out.strip()
    if setting:
        git("config", "prodigy.agentEnd", setting, cwd=repo)
    for raw in conversation(top):
        hear(raw)
    settle(store)
    found = session_of(store, top)
    assert found["status"] == status
    assert found["metadata"]["agent_id"].startswith("agent-")
    assert types(store).count("AgentStarted") == 1


def test_the_session_of_a_worktree_made_for_the_program_ends_with_it(repo, store, killed):
    made = made_for_program.create(str(repo), "its", "claude", broken=pytest.fail)
    for raw in conversation(Path(made.worktree)):
        hear(raw)
    settle(store)
    assert session_of(store, Path(made.worktree))["status"] == "Completed"


def test_in_an_attempt_of_runs_it_joins_that(repo, store, tmp_path):
    (tmp_path / "items").write_text('{"id": "i1"}\n')
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    calls = [
        (one["hook_event_name"], json.dumps(one | {"cwd": None})) for one in conversation(repo)
    ]
    hooks = [
        f"printf %s {shlex.quote(text)} | {{ {agent_command.text('claude', event, 'user')}; }}"
        for event, text in calls
    ]
    command = "\n".join([*hooks, "git commit -q --allow-empty -m work"])
    ok("run", "--job", "j", "--item", "i1", "--agent", "ann", "--", "sh", "-c", command, cwd=repo)
    until(lambda: not _noted(store))
    ends = told(store, "SessionFinished", "AgentCompleted", "AgentStarted", "AgentProgramEnded")
    assert sorted(one["type"] for one in ends) == [
        "AgentCompleted", "AgentProgramEnded", "AgentStarted", "SessionFinished",
    ]  # fmt: skip
    assert {one.get("agent_id") for one in ends} == {"ann"}
    assert {one["session_id"] for one in ends} == {ends[0]["session_id"]}


def test_made_for_the_program_it_goes_on_where_that_is_wanted(repo, linked, store, killed):
    git("config", "prodigy.agentEnd", "keep", cwd=repo)
    for raw in conversation(linked):
        hear(raw)
    settle(store)
    assert session_of(store, linked)["status"] == "Running"


def test_who_has_an_item_ends_with_whoever_gave_it(repo, store, killed, tmp_path):
    (tmp_path / "items").write_text('{"id": "i1"}\n')
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    top = repo / ok(
        "new-worktree", "w", "--job", "j", "--item", "i1", "--agent", "ann", cwd=repo
    ).out.strip()  # fmt: skip
    git("config", "prodigy.agentEnd", "finish", cwd=repo)
    for raw in conversation(top):
        hear(raw)
    settle(store)
    assert session_of(store, top)["status"] == "Running"
    ok("finish", cwd=top)
    # Taken up again, it has its item no more, and ends as it had ended.
    hear(payload("c1", "SessionStart", top, source="resume"))
    assert session_of(store, top)["status"] == "Running"
    hear(payload("c1", "SessionEnd", top, reason="other"))
    settle(store)
    assert session_of(store, top)["status"] == "Completed"
    item = json.loads(ok("job", "show", "j", "--json", cwd=repo).out)
    assert item["completed"] == 1
    assert types(store).count("AgentCompleted") == 1
    assert types(store).count("SessionFinished") == 2


def test_what_had_ended_goes_on_with_the_program(linked, store, killed):
    for raw in conversation(linked):
        hear(raw)
    settle(store)
    for reason in ("other", "logout"):
        hear(payload("c1", "SessionStart", linked, source="resume"))
        assert session_of(store, linked)["status"] == "Running"
        hear(payload("c1", "SessionEnd", linked, reason=reason))
        settle(store)
        assert session_of(store, linked)["status"] == "Completed"
    assert [one["resumed"] for one in told(store, "SessionResumed")] == [1, 2]
    assert [one.get("source") for one in told(store, "AgentProgramStarted")] == [
        "startup", "resume", "resume",
    ]  # fmt: skip
    ids = [one["id"] for one in events(store)]
    assert len(set(ids)) == len(ids)


def test_what_its_agent_has_finished_stays_finished(linked, store, killed):
    calls = conversation(linked)
    for raw in calls[:2]:
        hear(raw)
    ok("finish", cwd=linked)
    for raw in calls[2:]:
        hear(raw)
    hear(payload("c1", "UserPromptSubmit", linked, prompt="thanks", prompt_id="p2"))
    settle(store)
    assert session_of(store, linked)["status"] == "Completed"
    assert "SessionResumed" not in types(store)


def test_it_ends_with_the_last_program_in_it(linked, store, killed):
    first, second = conversation(linked), conversation(linked, "c2")
    for raw in [*first[:2], *second[:2], *first[2:]]:
        hear(raw)
    settle(store)
    assert session_of(store, linked)["status"] == "Running"
    for raw in second[2:]:
        hear(raw)
    settle(store)
    assert session_of(store, linked)["status"] == "Completed"


def test_what_a_killed_hook_leaves_is_cleaned(linked, store, killed):
    start, *_, end = conversation(linked)
    hear(start)
    for raw, folder in ((start, "claude"), (end, "ended")):
        at = 0
        while not (left := list((store / "agents" / folder).glob(".*.new"))):
            assert hear_killed(raw, at := at + 1)
        for path in left:
            os.utime(path, (1, 1))
        (found,) = [one for one in find(store) if one.kind == "temporary"]
        assert found.path == str(left[0])
        repair(store)
        assert not left[0].exists()
        hear(raw)


@pytest.mark.parametrize("alive", [True, False])
def test_one_that_was_killed_keeps_no_session(linked, store, killed, alive):
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd="/")
    try:
        for raw in conversation(linked)[:2]:
            hear(raw, process=program.pid)
        if not alive:
            program.kill()
            program.wait()
        for raw in conversation(linked, "c2"):
            hear(raw)
        settle(store)
        wanted = "Running" if alive else "Completed"
        assert session_of(store, linked)["status"] == wanted
    finally:
        program.kill()
        program.wait()
        program.stdin.close()


@pytest.mark.parametrize("reason", ["clear", "resume", "compact"])
def test_another_conversation_is_no_end(linked, store, killed, reason):
    for raw in conversation(linked)[:-1]:
        hear(raw)
    hear(payload("c1", "SessionEnd", linked, reason=reason))
    settle(store)
    assert session_of(store, linked)["status"] == "Running"


def test_its_worktree_may_be_gone_at_the_end(repo, linked, store, killed):
    for raw in conversation(linked)[:-1]:
        hear(raw)
    sha = commit(linked, "work")
    git("worktree", "remove", "--force", linked, cwd=repo)
    hear(payload("c1", "SessionEnd", repo, reason="other"))
    settle(store)
    found = session_of(store, linked)
    assert found["status"] in ("Completed", "Cancelled")
    assert types(store)[-1] == "SessionFinished"
    assert list(sessions(store)) == [linked.name]
    del sha


def test_the_program_waits_for_nothing_in_the_background(linked, store):
    """It goes on while the end is being seen to."""
    for event, fields in (("SessionStart", {"source": "startup"}), ("Stop", {})):
        say("claude", event, cwd=linked, **fields)
    with seen_to(store, linked):
        # Returns at the end of the hook's output, which nobody holds then.
        assert say("claude", "SessionEnd", cwd=linked, reason="other").stdout == b""
        assert session_of(store, linked)["status"] == "Running"
    until(lambda: session_of(store, linked)["status"] == "Completed")


def test_it_outlives_the_programs_processes(linked, store):
    say("claude", "SessionStart", cwd=linked, source="startup")
    with seen_to(store, linked):
        raw = json.dumps(payload("s1", "SessionEnd", linked, reason="other"))
        hook = agent_command.text("claude", "SessionEnd", "user")
        program = subprocess.Popen(
            ["/bin/sh", "-c", f"printf %s {shlex.quote(raw)} | {{ {hook}; }}; echo; read never"],
            cwd=linked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert program.stdout is not None
        program.stdout.readline()  # the hook has returned
        os.killpg(program.pid, 9)
        program.communicate()
        assert session_of(store, linked)["status"] == "Running"
    until(lambda: session_of(store, linked)["status"] == "Completed")


def test_who_looks_behind_an_end_sees_it(linked, store):
    say("claude", "SessionStart", cwd=linked, source="startup")
    say("claude", "SessionEnd", cwd=linked, reason="other")
    (found,) = ok("sessions", "list", "--json", cwd=linked).json
    assert found["status"] == "Completed"


def _noted(store):
    folder = store / "agents" / "ended"
    return [one for one in folder.glob("*") if not one.name.endswith(".new")]
