"""What a link, or a document that somebody changed, names outside of the store is left alone."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support_cli import call, new, ok, rewrite_session, session_file, snapshot

EVERY = (
    ("clean", "--all", "--all-repos", "--older-than", "0s", "--yes"),
    ("sessions", "clean", "--older-than", "0s"),
    ("events", "clean", "--older-than", "0s"),
    ("worktree", "clean", "--all", "-f"),
    ("trash", "empty", "--yes"),
    ("doctor", "--fix"),
    ("verify", "--fix"),
    ("resume", "j"),
    ("worktree", "clean", "evil", "-f"),
    ("worktree", "restore", "evil"),
    ("worktree", "restore", "w1"),
    ("job", "show", "evil"),
    ("job", "cancel", "evil"),
)
"""Whatever moves, deletes or writes."""
FILES = {
    "keep.txt": "keep",
    "map-checkpoint-20200101T000000Z.json": '{"phase":"map","timestamp":"2020-01-01T00:00:00Z"}',
    "events-20200101.jsonl": '{"timestamp":"2020-01-01T00:00:00Z","type":"AgentStarted"}\n',
    "dlq-items.json": '{"items":[]}',
    "entry.json": "{}",
    ".entry.json.new": "",
    "sub/.git.in-trash": "gitdir: /nowhere\n",
}


class World(NamedTuple):
    repo: Path
    store: Path
    outside: Path

    def call(self, *arguments: str) -> str:
        done = call(*arguments, cwd=self.repo)
        assert "internal error" not in done.err, done
        assert done.code in (0, 1, 3), done
        return done.out + done.err


@pytest.fixture
def world(repo: Path, store: Path, tmp_path: Path) -> World:
    """A job and a session that have ended, and somebody else's folder that looks like ours."""
    (tmp_path / "items").write_text("[1]")
    ok("job", "start", "j", "--items", tmp_path / "items", "--max-attempts", "1", cwd=repo)
    ok("job", "cancel", "j", cwd=repo)
    tree = new(repo, "w1")["worktree"]
    subprocess.run(["git", "commit", "-qm", "c", "--allow-empty"], cwd=tree, check=True)
    ok("finish", "w1", cwd=repo)
    outside = tmp_path / "outside"
    for name, text in FILES.items():
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text(text)
        os.utime(outside / name, (0, 0))
    return World(repo, store, outside)


def unchanged(world: World, *commands: tuple[str, ...]) -> str:
    before = snapshot(world.outside)
    said = ""
    for command in commands or EVERY:
        said += world.call(*command)
        assert snapshot(world.outside) == before, command
    return said


LINKS = (
    "state/repo/mapreduce/jobs/evil", "events/repo/evil", "dlq/repo/evil", "worktrees/repo/evil",
    "trash/repo/evil", "trash/repo/evil/20200101T000000.000000Z", "state/repo/mapreduce/jobs",
    "events/repo", "dlq/repo", "worktrees/repo", "trash/repo", "state/repo/mappings", "logs/repo",
)  # fmt: skip


@pytest.mark.parametrize("link", LINKS)
def test_nothing_is_moved_written_or_deleted_behind_a_link(world: World, link: str) -> None:
    path = world.store / link
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(path.with_name(f"{path.name}.aside"))
    path.symlink_to(world.outside)
    said = unchanged(world)
    assert path.is_symlink()
    named = link.startswith(("state/repo/mapreduce/jobs/", "events/repo/", "dlq/repo/"))
    if named or link == "trash/repo":
        assert f"{path} is a link that leads out of the store" in said


def test_no_worktree_is_made_behind_a_link(world: World) -> None:
    shutil.rmtree(world.store / "worktrees/repo")
    (world.store / "worktrees/repo").symlink_to(world.outside)
    said = unchanged(world, ("new-worktree", "w2"), ("run", "--job", "j2", "--", "true"))
    assert f"{world.store}/worktrees/repo is a link that leads out of the store" in said


def test_the_output_of_run_goes_behind_no_link_and_costs_no_attempt(
    world: World, tmp_path: Path
) -> None:
    (world.store / "logs/repo").mkdir(parents=True, exist_ok=True)
    (world.store / "logs/repo/k").symlink_to(world.outside)
    ok("job", "start", "k", "--items", tmp_path / "items", cwd=world.repo)
    said = unchanged(world, ("run", "--job", "k", "--next", "--", "true"))
    assert f"{world.store}/logs/repo/k is a link that leads out of the store" in said
    assert ok("job", "show", "k", "--json", cwd=world.repo).json["pending"] == 1


@pytest.mark.parametrize(
    "top", ["worktrees", "trash", "events", "state", "sessions", "dlq", "logs"]
)
def test_a_top_folder_may_be_the_users_link_to_another_disk(
    world: World, top: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    if (world.store / top).exists():
        (world.store / top).rename(disk)
    else:
        disk.mkdir()
    (world.store / top).symlink_to(disk)
    ok("worktree", "clean", "w1", "-f", cwd=world.repo)
    ok("worktree", "restore", "w1", cwd=world.repo)
    new(world.repo, "w2")
    ok("job", "show", "j", cwd=world.repo)
    ok("verify", cwd=world.repo)


def trashed(world: World) -> Path:
    ok("worktree", "clean", "w1", "-f", cwd=world.repo)
    (document,) = world.store.glob("trash/repo/w1/*/entry.json")
    return document


PLACES: dict[str, dict[str, Any]] = {
    "its folder": {"folder": "{}"},
    "its git directory": {"git": "{}"},
    "both": {"folder": "{}", "git": "{}"},
    "its place": {"worktree": "{}/new"},
    "git's place": {"private": "{}/new"},
    "the place of a restore that was killed": {
        "state": "restoring", "restoring": {"to": "{}", "private": "{}/x", "whole": True}},
    "no private directory for a restore": {"state": "restoring", "restoring": {"to": "{}"}},
    "a removal that was killed": {"state": "moving", "settled": False, "worktree": "{}"},
    "another repository": {"common": "{}", "private": "{}/worktrees/w1"},
    "somebody's branch": {"salvage_ref": "refs/heads/main", "tag_refs": ["refs/heads/main"]},
    "a climbing name": {"folder": "{}/../outside"},
}  # fmt: skip


_HARMLESS = ("another repository", "no private directory for a restore")
"""What is read as if it were not there."""


@pytest.mark.parametrize("what", PLACES)
def test_a_changed_entry_moves_and_deletes_nothing_of_others(world: World, what: str) -> None:
    document = trashed(world)
    text = json.dumps(PLACES[what]).replace("{}", str(world.outside))
    fields = json.loads(document.read_text()) | json.loads(text)
    document.write_text(json.dumps(fields))
    (world.store / "sessions/w1.json").unlink()
    main = subprocess.run(
        ["git", "rev-parse", "main"], cwd=world.repo, capture_output=True, check=True
    )
    said = unchanged(world, ("worktree", "restore", "w1"), *EVERY)
    assert "names a place outside" in said or what in _HARMLESS
    again = subprocess.run(
        ["git", "rev-parse", "main"], cwd=world.repo, capture_output=True, check=True
    )
    assert again.stdout == main.stdout


def test_a_worktree_that_was_elsewhere_comes_back_there(world: World, tmp_path: Path) -> None:
    tree = tmp_path / "elsewhere" / "tree"
    subprocess.run(["git", "worktree", "add", "-q", tree], cwd=world.repo, check=True)
    name = ok("worktree", "adopt", tree, "--json", cwd=world.repo).json["session_id"]
    ok("worktree", "clean", name, "-f", cwd=world.repo)
    (world.store / f"sessions/{name}.json").unlink()  # git's own directory says it, too
    assert not tree.exists()
    ok("worktree", "restore", name, cwd=world.repo)
    assert (tree / ".git").is_file()


@pytest.mark.parametrize("kind", ["folder", "repository"])
def test_a_session_that_names_a_foreign_place_moves_nothing(world: World, kind: str) -> None:
    if kind == "repository":
        for command in (["init", "-q"], ["commit", "-qm", "x", "--allow-empty"]):
            subprocess.run(["git", *command], cwd=world.outside, check=True)
    fields = session_file(world.store, "w1") | {"id": "evil", "status": "Completed"}
    (world.store / "sessions/evil.json").write_text(json.dumps(fields))
    places = {"worktree_path": str(world.outside), "repo_path": str(world.outside)}
    rewrite_session(world.store, "evil", metadata=places, completed_at="2020-01-01T00:00:00Z")
    unchanged(world, ("finish", "evil"), *EVERY)


@pytest.mark.parametrize(
    "text",
    ["../../outside", "a\0b", "\ud83d", "x" * 1_000_000, 5, None, ["a"], {"a": {}}, "", "/etc"],
)
def test_ids_and_paths_of_no_use_are_named_or_passed_over(world: World, text: Any) -> None:
    original = session_file(world.store, "w1")
    for field in ("id", "job_id", "repo", "worktree_path", "repo_path", "branch", "base_commit"):
        fields = json.loads(json.dumps(original))
        (fields if field == "id" else fields["metadata"])[field] = text
        (world.store / "sessions/w1.json").write_text(json.dumps(fields))
        unchanged(
            world, ("sessions", "list"), ("status",), ("sessions", "show", "w1"), ("worktree", "ls"),
            ("clean", "--all", "--dry-run"), ("verify",), ("doctor",), ("explain", "w1"),
        )  # fmt: skip
    (world.store / "sessions/w1.json").write_text(json.dumps(original))
    mapping = world.store / "state/repo/mappings/session-to-job.json"
    mapping.write_text(json.dumps({"../../../outside": text, "w1": text}))
    unchanged(world, ("sessions", "list"), ("status",), ("verify",), ("doctor",), ("finish", "w1"))
