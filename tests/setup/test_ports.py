"""A block of ten ports for each worktree: its own, stable, nobody's who listens, free again."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_cli import call, new, ok, start


@pytest.fixture(autouse=True)
def base(git, sealed) -> int:
    """Give each test's store a range of its own, without listeners: the first port of it."""
    for first in range(47000 + os.getpid() % 50 * 100, 60000, 100):
        if not any(map(_is_used, range(first, first + 100))):
            git("config", "--global", "prodigy.portBase", f"{first}-{first + 99}", cwd=sealed)
            return first
    raise AssertionError("no port is free")


def _is_used(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def port(name: str, cwd: Path) -> int | None:
    found = ok("worktree", "env", name, "--json", cwd=cwd).json.get("PRODIGY_PORT")
    return None if found is None else int(found)


@pytest.fixture
def another(tmp_path: Path, repo: Path) -> Path:
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", repo, other], check=True)
    return other


def test_each_worktree_of_a_store_has_its_own_in_all_commands(repo, another, base, git):
    new(repo, "w1"), new(repo, "w2"), new(another, "w3")
    assert [port("w1", repo), port("w2", repo), port("w3", another)] == [base, base + 10, base + 20]
    shown = ok("worktree", "env", "w2", "--json", cwd=repo).json
    ports = ["PRODIGY_PORT", *(f"PRODIGY_PORT_{n}" for n in range(1, 10))]
    assert [int(shown[name]) for name in ports] == list(range(base + 10, base + 20))
    for command in ("worktree", "sessions"):
        assert ok(command, "show", "w2", "--json", cwd=repo).json["port"] == base + 10
        assert f"{base + 10}-{base + 19}" in ok(command, "show", "w2", cwd=repo).out


def test_a_shell_can_evaluate_the_environment(repo, base):
    made = new(repo, "w1", "--agent", "a", "--item", "i", "--branch", "it's")
    printed = ok("worktree", "env", cwd=made["worktree"]).out
    script = f'{printed}\nprintf "%s\\n" "$PRODIGY_BRANCH" "$PRODIGY_ITEM_ID" "$PRODIGY_PORT_9"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["it's", "i", str(base + 9)]


def test_the_first_who_asks_leases_it_whichever_command_it_is(repo, store, base):
    new(repo, "old"), new(repo, "w1")
    assert not (store / "ports.json").exists()
    assert ok("sessions", "show", "old", "--json", cwd=repo).json["port"] == base
    assert ok("worktree", "show", "w1", "--json", cwd=repo).json["port"] == base + 10
    assert port("old", repo) == base


def test_run_gives_them_and_passes_on_nobody_elses(repo, base, monkeypatch, tmp_path):
    items = tmp_path / "items.jsonl"
    items.write_text('{"id": "i1", "data": 1}\n')
    ok("job", "start", "j", "--items", items, cwd=repo)
    monkeypatch.setenv("PRODIGY_PORT", "1")
    monkeypatch.setenv("PRODIGY_PORT_3", "4")
    script = 'echo "$PRODIGY_PORT $PRODIGY_PORT_3 $PRODIGY_BRANCH $PRODIGY_REPO_ROOT" > "$OUT"'
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    child = start("run", "--job", "j", "--", "sh", "-c", script, cwd=repo)
    _, err = child.communicate()
    assert child.returncode == 0, err
    first, fourth, branch, root = (tmp_path / "out").read_text().split()
    assert (int(first), int(fourth), root) == (base, base + 3, str(repo))
    assert branch.startswith("prodigy")


@pytest.fixture(
    params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6), ("::", socket.AF_INET6)]
)
def listener(request, base) -> Iterator[int]:
    """Listen in the middle of the second block."""
    address, family = request.param
    with socket.socket(family) as one:
        try:
            one.bind((address, base + 17))
        except OSError:
            pytest.skip("no IPv6 here")
        one.listen()
        yield base + 17


def test_a_block_in_which_somebody_listens_is_left_out(repo, base, listener):
    new(repo, "w1"), new(repo, "w2")
    assert [port("w1", repo), port("w2", repo)] == [base, base + 20]


def test_it_stays_while_the_worktree_lives_whoever_listens_there(repo, base):
    new(repo, "w1"), new(repo, "w2")
    assert port("w1", repo) == base
    with socket.create_server(("127.0.0.1", base)):
        assert port("w1", repo) == base
        assert port("w2", repo) == base + 10


def test_blocks_that_would_overlap_are_not_given(repo, another, base, git):
    new(repo, "w1"), new(another, "w2")
    assert port("w1", repo) == base
    git("config", "prodigy.portBase", f"{base + 5}", cwd=another)
    assert port("w2", another) == base + 15


def _clean(repo: Path, path: Path, git: Any) -> None:
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "w1", "--force", cwd=repo)


def _remove(repo: Path, path: Path, git: Any) -> None:
    git("worktree", "remove", "--force", path, cwd=repo)


def _delete(repo: Path, path: Path, git: Any) -> None:
    shutil.rmtree(path)
    git("worktree", "prune", cwd=repo)


@pytest.mark.parametrize("gone", [_clean, _remove, _delete])
def test_it_is_free_once_the_worktree_is_gone(repo, git, base, gone):
    git("config", "prodigy.portBase", f"{base}-{base + 9}", cwd=repo)
    path = Path(new(repo, "w1")["worktree"])
    new(repo, "w2")
    assert port("w1", repo) == base
    done = ok("worktree", "env", "w2", "--json", cwd=repo)
    assert "PRODIGY_PORT" not in done.json
    assert done.err.count("\n") == 1
    assert f"all of {base}-{base + 9} are leased or in use" in done.err
    assert "git config prodigy.portBase" in done.err
    gone(repo, path, git)
    assert port("w2", repo) == base


def test_moved_worktrees_and_repositories_keep_theirs(repo, git, base, tmp_path):
    git("config", "prodigy.portBase", f"{base}-{base + 19}", cwd=repo)
    for name in ("w1", "w2", "w3"):
        new(repo, name)
    assert [port("w1", repo), port("w2", repo)] == [base, base + 10]
    git(
        "worktree",
        "move",
        ok("worktree", "path", "w1", cwd=repo).out[:-1],
        tmp_path / "moved",
        cwd=repo,
    )
    assert port("w1", repo) == base
    after = tmp_path / "after"
    repo.rename(after)
    git("worktree", "repair", cwd=after)
    assert port("w3", after) is None
    assert [port("w1", after), port("w2", after)] == [base, base + 10]


def test_a_worktree_that_is_out_of_sight_keeps_its_own(repo, git, base, tmp_path):
    """Its disk may not be mounted now; git still knows it."""
    git("config", "prodigy.portBase", f"{base}-{base + 9}", cwd=repo)
    path = Path(new(repo, "w1")["worktree"])
    new(repo, "w2")
    assert port("w1", repo) == base
    path.rename(tmp_path / "away")
    assert port("w2", repo) is None
    (tmp_path / "away").rename(path)
    assert port("w1", repo) == base


def test_restored_it_has_its_own_again(repo, base, git):
    path = Path(new(repo, "w1")["worktree"])
    assert port("w1", repo) == base
    _clean(repo, path, git)
    done = ok("worktree", "restore", "w1", cwd=repo)
    assert "ports" not in done.err
    assert port("w1", repo) == base


def test_restored_it_has_others_where_its_own_are_taken_and_that_is_said(repo, base, git):
    path = Path(new(repo, "w1")["worktree"])
    assert port("w1", repo) == base
    _clean(repo, path, git)
    new(repo, "w2")
    assert port("w2", repo) == base
    said = ok("worktree", "restore", "w1", cwd=repo).err
    assert f"its ports {base}-{base + 9} are w2's now: it has {base + 10}-{base + 19}" in said
    assert [port("w1", repo), port("w2", repo)] == [base + 10, base]


def test_restored_it_has_others_where_somebody_listens_now(repo, base, git):
    path = Path(new(repo, "w1")["worktree"])
    assert port("w1", repo) == base
    _clean(repo, path, git)
    with socket.create_server(("127.0.0.1", base + 4)):
        said = ok("worktree", "restore", "w1", cwd=repo).err
    assert f"are in use by another program: it has {base + 10}-{base + 19}" in said
    assert port("w1", repo) == base + 10


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"blocks": []}', '{"blocks": {"x": {}}}', '{"blocks": {"99999": {}}}',
     '{"blocks": {"20000": {"session_id": "w1", "repo": "repo", "git_dir": 3, "before": []}}}'],
)  # fmt: skip
def test_damaged_leases_are_named_and_stop_nobody(repo, store, text):
    new(repo, "w1")
    (store / "ports.json").write_text(text)
    for command in (
        ("worktree", "show", "w1"),
        ("sessions", "show", "w1"),
        ("worktree", "env", "w1"),
    ):
        done = ok(*command, "--json", cwd=repo)
        assert done.json.get("port") is None
        assert "ports.json cannot be read (it is damaged): move it away" in done.err
        assert done.err.count("\n") == 1
    assert (store / "ports.json").read_text() == text


@pytest.mark.parametrize(
    "value", ["x", "0", "65530", "30000-30008", "40000-70000", "-5", "", "٣٠٠٠٠"]
)
def test_a_range_that_is_none_is_named(repo, git, value):
    new(repo, "w1")
    git("config", "prodigy.portBase", value, cwd=repo)
    done = ok("worktree", "env", "w1", cwd=repo)
    assert "git config prodigy.portBase is" in done.err
    assert "PRODIGY_PORT" not in done.out


def test_many_who_ask_at_once_get_different_ones(repo, base):
    for number in range(8):
        new(repo, f"w{number}")
    asking = [start("worktree", "env", f"w{n}", "--json", cwd=repo) for n in range(8)]
    found = [json.loads(child.communicate()[0])["PRODIGY_PORT"] for child in asking]
    assert sorted(found) == [str(base + 10 * n) for n in range(8)]
    assert [str(port(f"w{n}", repo)) for n in range(8)] == found


def test_stores_begin_at_different_ports_where_nothing_is_set(
    repo, git, sealed, monkeypatch, tmp_path
):
    git("config", "--global", "--unset", "prodigy.portBase", cwd=sealed)
    found = set()
    for number in range(3):
        monkeypatch.setenv("PRODIGY_HOME", str(tmp_path / f"store{number}"))
        new(repo, f"w{number}")
        first = port(f"w{number}", repo)
        assert first in range(20000, 29991, 10)
        found.add(first)
    assert len(found) > 1


def test_without_a_session_there_is_none(repo, git, tmp_path):
    git("worktree", "add", "-q", tmp_path / "plain", cwd=repo)
    done = call("worktree", "env", cwd=tmp_path / "plain")
    assert (done.code, done.err) == (0, "")
    assert "PRODIGY_PORT" not in done.out
