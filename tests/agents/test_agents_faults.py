"""agents install and uninstall where they are killed, refused room, or not alone at a file."""

import json
import os
import shutil

import pytest
from support_agent_settings import CLAUDE, REAL, ours, written
from support_cli import call, ok, refused

from prodigy_git.agents import (
    programs,
    settings_file,
)

CALLS = ("open", "write", "fsync", "fchmod", "fchown", "rename", "unlink", "mkdir", "rmdir")


def at_call(number, what):
    """Have the ``number``-th call that changes something on disk do something else; return a count."""
    seen = [0]

    def wrapped(name):
        real = getattr(os, name)

        def instead(*arguments, **more):
            if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
                return real(*arguments, **more)
            seen[0] += 1
            if seen[0] == number:
                what()
            return real(*arguments, **more)

        return instead

    for name in CALLS:
        setattr(os, name, wrapped(name))
    return seen


def in_a_child(action):
    """Run something in a process of its own and return its exit status, -1 where it was killed."""
    sys_status = os.fork()
    if sys_status == 0:
        status = 99
        try:
            status = action()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(sys_status, 0)[1])


@pytest.mark.parametrize("command", ["install", "uninstall"])
@pytest.mark.parametrize("made", [False, True])
def test_killed_at_any_step_the_file_is_whole(home, store, command, made):
    path = home / CLAUDE
    text = REAL["a person's"]

    def begin():
        shutil.rmtree(store, ignore_errors=True)
        shutil.rmtree(path.parent, ignore_errors=True)
        if not made:
            written(home, text)
        if command == "uninstall":
            ok("agents", "install", "claude")

    begin()
    old = path.read_bytes() if path.exists() else None
    ok("agents", command, "claude")
    new = path.read_bytes() if path.exists() else None
    number = 0
    while True:
        number += 1
        begin()

        def killed(number=number):
            at_call(number, lambda: os._exit(42))
            return call("agents", command, "claude").code

        status = in_a_child(killed)
        there = path.read_bytes() if path.exists() else None
        assert there in (old, new), number
        ok("agents", "install", "claude")
        assert ours(path) == len(programs.CLAUDE.hooks)
        ok("agents", "uninstall", "claude")
        assert (path.read_bytes() if path.exists() else None) == (None if made else text.encode())
        assert not path.parent.exists() or os.listdir(path.parent) in ([], ["settings.json"])
        if status != 42:
            assert status == 0
            break
    assert number > 5


def test_a_full_disk_leaves_the_file_as_it_was(home, store):
    path = written(home, REAL["a person's"])
    number = 0
    while True:
        number += 1

        def full():
            raise OSError(28, "No space left on device")

        def tried(number=number):
            at_call(number, full)
            done = call("agents", "install", "claude")
            assert done.err.count("\n") == (1 if done.code else 0), done
            assert "internal error" not in done.err, done
            return done.code

        status = in_a_child(tried)
        assert status in (0, 1)
        if status == 1:
            assert path.read_text() == REAL["a person's"]
            assert os.listdir(path.parent) == ["settings.json"]
        else:
            assert ours(path) == len(programs.CLAUDE.hooks)
            ok("agents", "uninstall", "claude")
            assert path.read_text() == REAL["a person's"]
            if number > 20:
                break


def test_what_the_program_writes_meanwhile_is_not_lost(home, monkeypatch):
    path = written(home, '{"a": 1}')
    real = settings_file._dress
    texts = iter(['{"a": 2}', '{"a": 3}'])

    def slow(*arguments):
        real(*arguments)
        with_text = next(texts, None)
        if with_text is not None:
            path.write_text(with_text)

    monkeypatch.setattr(settings_file, "_dress", slow)
    ok("agents", "install", "claude")
    assert json.loads(path.read_text())["a"] == 3
    assert ours(path) == len(programs.CLAUDE.hooks)
    monkeypatch.setattr(settings_file, "_dress", real)
    ok("agents", "uninstall", "claude")
    assert path.read_text() == '{"a": 3}'

    def restless(*arguments):
        real(*arguments)
        path.write_text(path.read_text() + " ")

    monkeypatch.setattr(settings_file, "_dress", restless)
    assert "all the time" in refused("agents", "install", "claude")
