"""A merge that is interrupted stops where it is, leaves nothing, and can be called again."""

import json
import os
import select
import shutil
import signal

import pytest
from support_cli import environment, start
from support_merge import sh


@pytest.mark.parametrize(("number", "own"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_interrupted_it_stops_and_can_be_called_again(team, tmp_path, git, number, own):
    team.each({"a": "echo a >a", "b": "echo b >b", "c": "echo c >c"})
    fifo = tmp_path / "ready"
    os.mkfifo(fifo)
    check = f"test ! -e b || {{ echo >{fifo}; exec sleep 600; }}"
    options = ["--check", check] if own else []
    git("config", "prodigy.check", check, cwd=team.repo)
    running = start("merge", "--job", "j", "--json", *options, cwd=team.repo)
    fifo.read_text()
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert [one["state"] for one in json.loads(out)["results"]] == [
        "merged", "not_tried", "not_tried",
    ]  # fmt: skip
    assert team.left() == []
    assert team.is_clean()
    assert team.states("--no-check") == {"a": "already_merged", "b": "merged", "c": "merged"}


def _heard(fifo):
    """Wait for a line; a git that is never asked again writes none."""
    reading = os.open(fifo, os.O_RDWR)  # so that opening it waits for nobody
    try:
        return select.select([reading], [], [], 60)[0] and os.read(reading, 1)
    finally:
        os.close(reading)


@pytest.fixture
def slow(team, git, tmp_path):
    """A filter that waits, in the repository's own checkout, as long as a file is there."""
    fifo, once, script = tmp_path / "ready", tmp_path / "once", tmp_path / "filter"
    os.mkfifo(fifo)
    script.write_text(
        f"#!/bin/sh\n"
        f'if [ "$PWD" = {team.repo} ] && [ -e {once} ]; then\n'
        f"  [ -e {once}.ever ] || rm {once}; echo >{fifo}; exec sleep 60\nfi\ncat\n"
    )
    script.chmod(0o755)
    sh(team.repo, "echo 'f filter=slow' >.gitattributes; git add .; git commit -qm filter")
    git("config", "filter.slow.clean", str(script), cwd=team.repo)
    team.each({"a": "echo a >a", "b": "echo b >b"})
    sh(team.repo, "touch -d 2001-01-01 f")
    once.touch()
    return fifo, once


def test_a_ctrl_c_ends_git_too_and_a_clean_checkout_follows_all_the_same(team, slow):
    """The terminal sends it to all its processes: here while git looks at the checkout."""
    fifo, _ = slow
    running = start(
        "merge", "--job", "j", "--order", "item", "--json", cwd=team.repo, process_group=0
    )
    assert _heard(fifo)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    found = json.loads(out)
    assert [one["state"] for one in found["results"]] == ["merged", "not_tried"]
    assert [one["followed"] for one in found["target_checkouts"]] == [True]
    assert team.is_clean()


def test_what_git_waits_for_in_a_checkout_a_second_ctrl_c_ends(team, slow):
    fifo, once = slow
    once.with_name("once.ever").touch()
    running = start(
        "merge", "--job", "j", "--order", "item", "--json", cwd=team.repo, process_group=0
    )
    for _ in range(2):
        assert _heard(fifo)
        os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    (left,) = json.loads(out)["target_checkouts"]
    assert (left["followed"], "was ended by signal 2" in left["reason"]) == (False, True)
    once.unlink()
    sh(team.repo, left["command"])
    assert team.is_clean()


def test_a_ctrl_c_that_ends_git_before_anything_is_merged_is_no_failure(team, tmp_path):
    team.each({"a": "echo a >a"})
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "git").write_text(
        '#!/bin/sh\ncase "$*" in *"--no-deref HEAD"*) kill -INT 0;; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    (bin_ / "git").chmod(0o755)
    env = environment(PATH=f"{bin_}:{os.environ['PATH']}")
    running = start("merge", "--job", "j", cwd=team.repo, process_group=0, env=env)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "prodigy-git: error: interrupted\n")
    assert team.states() == {"a": "merged"}
