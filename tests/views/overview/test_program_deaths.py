"""Agent programs that end, are killed, or only pass a call on: what the views say of them."""

import json
import subprocess
import sys

import pytest
from support_program_states import look, of

from prodigy_git import agent_command


@pytest.fixture
def program():
    """A process that calls the hook as a program does: it lives until it is killed."""
    started = []

    def start(cwd, *events):
        calls = [
            (agent_command.text("claude", event, "user"),
             json.dumps({"session_id": "s9", "hook_event_name": event, "cwd": str(cwd), **fields}))
            for event, fields in events
        ]  # fmt: skip
        code = (
            "import json, subprocess, sys\n"
            "for command, given in json.loads(sys.argv[1]):\n"
            "    subprocess.run(['/bin/sh', '-c', command], input=given.encode(), cwd=sys.argv[2])\n"
            "print(flush=True)\ninput()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(calls), str(cwd)], cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(child)
        assert child.stdout.readline() == b"\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


_START = ("SessionStart", {"source": "startup"})
_PROMPT = ("UserPromptSubmit", {"prompt": "x"})
_WAIT = ("Notification", {"notification_type": "permission_prompt", "message": "May I?"})
_STOP = ("Stop", {})
_BADLY = " --failed --error 'its process is gone'"
_FREE = ("Notification", {"notification_type": "idle_prompt", "message": "Waiting for your input"})


@pytest.mark.parametrize(
    ("events", "alive", "killed"),
    [
        ([_START, _PROMPT], "running", "dead"),
        ([_START, _PROMPT, _WAIT], "waiting", "dead"),
        ([_START, _PROMPT, _STOP], "idle", "idle"),
        ([_START, _PROMPT, _STOP, _FREE], "waiting", "idle"),
    ],
)
def test_one_that_is_killed_waits_no_more(repo, ada, program, events, alive, killed):
    child = program(ada, *events)
    assert of(look(repo), "ada")["state"] == alive
    child.kill()
    child.wait()
    found = look(repo)
    assert of(found, "ada")["state"] == killed
    assert of(found, "ada")["activity"]["gone"] is True
    ((_, *end),) = (one["commands"] for one in found["advice"])
    assert end == [f"prodigy-git finish login{'' if killed == 'idle' else _BADLY}"]
    # Somebody who stands there may be the program: a shell may have started the hook for it.
    inside = subprocess.Popen([sys.executable, "-c", "input()"], cwd=ada, stdin=subprocess.PIPE)
    try:
        assert of(look(repo), "ada")["state"] == alive
    finally:
        inside.communicate(b"\n")


def test_one_that_goes_on_in_another_process_is_not_gone(repo, ada, program):
    child = program(ada, _START, _PROMPT)
    child.kill()
    child.wait()
    assert of(look(repo), "ada")["state"] == "dead"
    program(ada, _PROMPT)  # without a word of having been taken up again
    assert of(look(repo), "ada")["state"] == "running"


@pytest.mark.parametrize("again", [False, True])
def test_what_passes_a_call_on_and_ends_is_not_the_program(ada, repo, program, again):
    for event in (_START, _PROMPT, _WAIT):
        child = program(ada, *[event] * (1 + again))
        child.kill()
        child.wait()
    one = of(look(repo), "ada")
    assert (one["state"], one["activity"]["state"], one["activity"]["gone"]) == ("waiting",) * 2 + (
        None,
    )


def test_the_process_that_the_program_names_is_its_own(ada, repo, program, monkeypatch):
    named = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd="/")
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("CLAUDE_PID", str(named.pid))
    for event in (_START, _PROMPT, _WAIT):
        child = program(ada, event)
        child.kill()
        child.wait()
    assert of(look(repo), "ada")["activity"]["gone"] is False
    named.communicate(b"\n")
    assert of(look(repo), "ada")["state"] == "dead"


def test_one_that_is_killed_in_a_persons_checkout_is_no_trouble(repo, own, program):
    child = program(repo, _START, _PROMPT, _WAIT)
    assert of(look(repo), own)["state"] == "waiting"
    child.kill()
    child.wait()
    found = look(repo)
    assert (of(found, own)["state"], of(found, own)["activity"]["gone"]) == ("idle", True)
    assert not any("waits for you" in one["what"] for one in found["advice"])
