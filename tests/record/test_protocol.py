"""The protocol of intent, append and cursor as a model: killed after any step, others in between.

The drain is the real one and so are git's files; a kill is an exception at a system call after which
every other one fails too, as it would for a process that is no more.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_record import commit, git, place, write_hooks

from prodigy_git import layout
from prodigy_git.record import cursor as cursors
from prodigy_git.record import enrolment, log
from prodigy_git.record.drain import drain

COMMITS = 12
CALLS = ("write", "rename", "fsync", "open", "pread", "mkdir", "ftruncate")


class Killed(BaseException):
    """Not an Exception: nothing in the program may catch it and go on."""


class Process:
    """Lets so many of the calls that touch files through, then none any more."""

    def __init__(self, allowed: int, after: bool) -> None:
        self.allowed = allowed
        self.after = after

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if self.allowed < 0:
                raise Killed
            self.allowed -= 1
            if self.allowed >= 0:
                return call(*arguments, **named)
            if self.after:
                call(*arguments, **named)
            raise Killed

        return wrapped


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("template")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def world(template: Path, sealed: Path) -> Path:
    """A repository with twelve commits, of which the journal says one, enrolled in a store."""
    if not (template / "repo").exists():
        write_hooks(sealed)
        git("init", "-q", template / "repo", cwd=template)
        for number in range(COMMITS):
            commit(template / "repo", f"commit {number}", PRODIGY_HOME=str(template / "store"))
        journal = template / "repo" / ".git" / "logs" / "HEAD"
        journal.rename(template / "lines")
        shutil.rmtree(template / "store")
        for name in ("prodigy", "prodigy-cursor"):
            (template / "repo" / ".git" / name).unlink()
    return template


class World:
    """One example's copy of the template; ``made`` counts the commits that git has made in it."""

    def __init__(self, template: Path, folder: Path) -> None:
        shutil.copytree(template / "repo", folder / "repo")
        self.private = folder / "repo" / ".git"
        self.lines = (template / "lines").read_bytes().splitlines(True)
        self.made = 0
        self.others: list[str] = []
        self.store = folder / "store"
        (self.private / "logs" / "HEAD").write_bytes(b"")
        self.commit()
        self.enrolment = enrolment.Enrolment(
            store=str(self.store), repo="repo", session="one", job="job", nonce="n" * 32,
            worktree="repo", opening=[("SessionStarted", {"created_by": "test"})],
        )  # fmt: skip
        cursors.write(str(self.private), cursors.Cursor(None))
        self.place = place(folder / "repo")

    def commit(self) -> None:
        """Let git make the next commit: first the line, then the ref."""
        if self.made < len(self.lines):
            line = self.lines[self.made]
            with (self.private / "logs" / "HEAD").open("ab") as stream:
                stream.write(line)
            (self.private / "refs" / "heads" / "main").write_bytes(line[41:81] + b"\n")
            self.made += 1

    def other(self) -> None:
        self.others.append(log.event_id("other", str(len(self.others))))
        event = {"id": self.others[-1], "type": "ClaudeMessage", "content": "x" * 300}
        log.append(str(self.store), "repo", "job", [event])

    def raw(self, data: bytes) -> None:
        """Append as a writer that knows nothing of our lock, and dies."""
        folder = Path(layout.job_log(str(self.store), "repo", "job"))
        for path in sorted(folder.glob("*.jsonl"))[-1:]:
            with path.open("ab") as stream:
                stream.write(data)

    def events(self) -> list[dict[str, Any]]:
        folder = Path(layout.job_log(str(self.store), "repo", "job"))
        found = []
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    assert line == b'{"id":"torn'
        return found


actions = st.one_of(
    st.tuples(
        st.sampled_from(["commit", "drain", "other", "torn", "open-ended", "reboot", "lost"])
    ),
    st.tuples(st.just("killed"), st.integers(0, 40), st.booleans()),
)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(actions, min_size=4, max_size=25))
def test_each_commit_is_there_once_whatever_was_killed(
    world: Path, drawn: list[tuple[Any, ...]]
) -> None:
    with (
        tempfile.TemporaryDirectory(dir=world) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        boot = 0
        patch.setattr(cursors, "boot_id", lambda: f"boot {boot}")
        it = World(world, Path(folder))
        for action, *details in drawn:
            if action == "commit":
                it.commit()
            elif action == "drain":
                drain(it.place, it.enrolment)
            elif action == "killed":
                process = Process(details[0], details[1])
                with pytest.MonkeyPatch.context() as calls:
                    for name in CALLS:
                        calls.setattr(os, name, process.wrap(getattr(os, name)))
                    with contextlib.suppress(Killed):
                        drain(it.place, it.enrolment)
            elif action == "other":
                it.other()
            elif action == "torn":
                it.raw(b'{"id":"torn')
                it.other()  # closes it off: what is torn stays a line of its own
            elif action == "open-ended":
                it.raw(b'{"id":"whole","type":"ClaudeMessage"}')
                it.other()
            elif action == "reboot":
                boot += 1
            elif action == "lost":
                (it.private / "prodigy-cursor").unlink(missing_ok=True)
        it.commit()
        drain(it.place, it.enrolment)
        drain(it.place, it.enrolment)
        events = it.events()
        recorded = [event["commit"] for event in events if event["type"] == "CommitCreated"]
        assert recorded == [line[41:81].decode() for line in it.lines[: it.made]]
        others = [event["id"] for event in events if event.get("content")]
        assert others == it.others
        assert [event["type"] for event in events].count("SessionStarted") == 1
        stamps = [event["timestamp"] for event in events if "timestamp" in event]
        assert stamps == sorted(stamps)


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_each_call_in_turn(world: Path, after: bool) -> None:
    reached_the_end = 0
    for allowed in range(60):
        with tempfile.TemporaryDirectory(dir=world) as folder:
            it = World(world, Path(folder))
            drain(it.place, it.enrolment)
            it.commit()
            process = Process(allowed, after)
            with pytest.MonkeyPatch.context() as calls:
                for name in CALLS:
                    calls.setattr(os, name, process.wrap(getattr(os, name)))
                try:
                    drain(it.place, it.enrolment)
                    reached_the_end += 1
                except Killed:
                    pass
            it.other()
            it.commit()
            drain(it.place, it.enrolment)
            recorded = [e["commit"] for e in it.events() if e["type"] == "CommitCreated"]
            assert recorded == [line[41:81].decode() for line in it.lines[:3]]
    assert 0 < reached_the_end < 50  # most of the numbers did kill it
