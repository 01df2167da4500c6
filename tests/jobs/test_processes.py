"""Who stands in a folder: below it too, under another name for it, and when it is deleted."""

import contextlib
import os
import subprocess
import sys

import pytest

from prodigy_git.jobs import processes


@contextlib.contextmanager
def somebody(cwd):
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as made:  # fmt: skip
        made.stdout.readline()
        yield
        made.stdin.close()


def test_in_it_and_below_but_not_beside(tmp_path):
    top = tmp_path / "one"
    (top / "a" / "b").mkdir(parents=True)
    (tmp_path / "one-more").mkdir()
    with somebody(top / "a" / "b"):
        seen = processes.Standing()
    for folder, there in {
        top: True, top / "a": True, top / "a" / "b": True, top / "a" / "b" / "c": False,
        tmp_path / "one-more": False, tmp_path / "on": False, tmp_path / "gone": False,
    }.items():  # fmt: skip
        assert seen.is_one_in(str(folder)) is there, folder
    # It is what was seen, and nobody is there any more.
    assert not processes.Standing().is_one_in(str(top))


def test_by_another_name(tmp_path):
    (tmp_path / "real" / "top").mkdir(parents=True)
    (tmp_path / "folders").symlink_to("real")
    (tmp_path / "itself").symlink_to("real/top")
    with somebody(tmp_path / "real" / "top"):
        seen = processes.Standing()
    for name in ("folders/top", "folders/top/", "itself", "folders/../real/top", "real/top/."):
        assert seen.is_one_in(f"{tmp_path}/{name}"), name


def test_in_a_folder_that_is_deleted(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    with somebody(top):
        top.rmdir()
        assert processes.Standing().is_one_in(str(top))


def test_what_the_kernel_adds_may_be_a_name(tmp_path):
    top = tmp_path / "mine (deleted)"
    top.mkdir()
    with somebody(top):
        seen = processes.Standing()
    assert seen.is_one_in(str(top))
    assert not seen.is_one_in(str(tmp_path / "mine"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil is asked as it is")
def test_it_finds_what_psutil_finds(monkeypatch):
    import psutil

    ours = set(processes._working_directories())
    monkeypatch.setattr(sys, "platform", "another")
    assert os.getcwd() in ours
    assert os.getcwd() in set(processes._working_directories())
    assert psutil.Process().cwd() in ours
