"""What is advised, followed to the letter, ends what it is advised about, and harms nothing else."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest
from support_cli import call, new, ok, rewrite_session, snapshot

from prodigy_git.jobs import claims, owner

TROUBLE = ("dead", "failed", "stuck")


@pytest.fixture
def world(repo, store, tmp_path, git):
    """A job, and beside the trouble a healthy agent with work that is not committed."""
    ok("install", cwd=repo)
    (tmp_path / "items").write_text("1\n2\n3\n")
    ok("job", "start", "j", "--items", tmp_path / "items", "--max-attempts", "2", cwd=repo)
    claimed(repo, store, "item-3", owner.of_process(os.getpid()))
    healthy = store / "worktrees" / "repo" / "w-item-3"
    (healthy / "mine").write_text("not committed")
    return repo


def claimed(repo, store, item, by):
    claims.claim(
        str(store), "repo", "j", agent=f"a-{item}", item=item, worktree=f"w-{item}",
        owner=by.as_json(), broken=lambda _: None,
    )  # fmt: skip
    new(repo, f"w-{item}", "--job", "j", "--agent", f"a-{item}", "--item", item)


def gone():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = owner.of_process(process.pid)
    process.communicate(b"\n")
    return found


def owner_gone(repo, store, git, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    claimed(repo, store, "item-1", owner.of_process(process.pid))
    process.communicate(b"\n")


def owner_gone_of_a_cancelled_job(repo, store, git, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    claimed(repo, store, "item-1", owner.of_process(process.pid))
    ok("job", "cancel", "j", cwd=repo)
    process.communicate(b"\n")


def folder_gone(repo, store, git, tmp_path):
    new(repo, "lost")
    shutil.rmtree(store / "worktrees/repo/lost")


def folder_gone_and_pruned(repo, store, git, tmp_path):
    new(repo, "lost")
    rewrite_session(store, "lost", metadata={"worktree_path": str(tmp_path / "no" / "lost")})
    git("worktree", "remove", store / "worktrees/repo/lost", cwd=repo)


def branch_gone_too(repo, store, git, tmp_path):
    folder_gone_and_pruned(repo, store, git, tmp_path)
    git("branch", "-D", "prodigy-lost", cwd=repo)


def in_the_trash(repo, store, git, tmp_path):
    new(repo, "binned")
    ok("worktree", "clean", "-f", "binned", cwd=repo)
    rewrite_session(store, "binned", status="Running", completed_at=None)


def failed_with_work_left(repo, store, git, tmp_path):
    path = new(repo, "broke")["worktree"]
    git("commit", "-q", "--allow-empty", "-m", "half", cwd=path)
    (store / "worktrees/repo/broke/rest").write_text("x")
    ok("finish", "broke", "--failed", "--error", "no", cwd=repo)


def failed_and_clean(repo, store, git, tmp_path):
    new(repo, "broke")
    ok("finish", "broke", "--failed", "--error", "no", cwd=repo)


def silent_and_its_maker_gone(repo, store, git, tmp_path):
    new(repo, "quiet")
    rewrite_session(store, "quiet", metadata=gone().as_json())


def in_the_queue(repo, store, git, tmp_path):
    for number in range(2):
        new(repo, f"w{number}", "--job", "j", "--agent", f"b{number}", "--item", "item-1")
        ok("finish", f"w{number}", "--failed", "--error", "no", cwd=repo)


def troubles(repo, *options):
    (found,) = ok("status", "--json", *options, cwd=repo).json["repositories"]
    mine = [one for one in found["agents"] if one["session_id"] != "w-item-3"]
    return [one["session_id"] for one in mine if one["state"] in TROUBLE], found["advice"]


@pytest.mark.parametrize(
    "trouble",
    [
        owner_gone, owner_gone_of_a_cancelled_job, folder_gone, folder_gone_and_pruned,
        branch_gone_too, in_the_trash, failed_with_work_left, failed_and_clean,
        silent_and_its_maker_gone, in_the_queue,
    ],
    ids=lambda one: one.__name__,
)  # fmt: skip
@pytest.mark.parametrize("pick", [0, -1], ids=["first", "last"])
def test_following_the_advice_ends_the_trouble(world, store, git, tmp_path, trouble, pick):
    trouble(world, store, git, tmp_path)
    # Whoever is silent is so at once; who has an owner that lives is then stuck, and is left out.
    options = ("--stuck-after", "0s") if trouble is silent_and_its_maker_gone else ()
    healthy = snapshot(store / "worktrees/repo/w-item-3")
    before, _ = troubles(world, *options)
    assert before, "there is no trouble"
    for _ in range(3):  # what failed because it was ended has to be looked at, too
        left, advice = troubles(world, *options)
        todo = [
            one["commands"] for one in advice
            if any(name in json.dumps(one) for name in left) or "item of job j failed" in one["what"]
            or "a-item-1" in one["what"]
        ]  # fmt: skip
        if not left or not todo:
            break
        for commands in todo:
            # Where there are two ways either one does; a look before harms nothing.
            looks = [
                one
                for one in commands
                if one.split()[1:3] in (["worktree", "show"], ["dlq", "list"])
            ]
            acts = [one for one in commands if one not in looks]
            for command in (*looks, acts[pick]):
                program, *words = shlex.split(command)
                if program == "git":
                    git(*words, cwd=world)
                else:
                    done = call(*words, cwd=world)
                    assert done.code == 0, (command, done)
    assert troubles(world, *options)[0] == []
    assert snapshot(store / "worktrees/repo/w-item-3") == healthy
    (still,) = [
        one for one in ok("sessions", "list", "--json", cwd=world).json
        if one["session_id"] == "w-item-3"
    ]  # fmt: skip
    assert still["status"] == "Running"
    ok("verify", cwd=world)
