"""Commands that only look: they leave no trace, and work where nothing can be written."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import support_filled
from support_cli import call
from support_mounts import needs_mounts
from support_sealed import GIT_CONFIG
from support_user import become, environment, interpreter

from prodigy_git.cli import cli

READS = """\
job list
job list --all-repos
job show review
job show
dlq list
dlq list --all-jobs
dlq show i3
dlq stats --all-jobs
dlq export --all-jobs
dlq retry i3 --dry-run
dlq clear i3 --dry-run
sessions list
sessions show w1
sessions show w5
sessions clean --dry-run --older-than 0s
worktree ls
worktree ls --all-repos
worktree list
worktree show w1
worktree show w5
worktree path w1
worktree env w1
setup show
worktree clean --dry-run w2
status
status --all --dirty
diff i6
diff i6 --json
diff w1 --stat
logs
logs w1
context w1
context --brief w1
explain w1
explain i3
explain i1 --job review
explain HEAD
conflicts --job review
report --job review --json
report --job review -o -
events ls
events ls --all-repos
events ls --session w1
events stats --by agent
events search hello
events export
events query 'SELECT count(*) FROM events'
events clean --dry-run --older-than 0s
trash list --sizes
trash empty --dry-run
hooks
agents list
verify
hub status
doctor
statusline
clean --dry-run --older-than 0s
clean --dry-run --all --older-than 0s
otel push --dry-run
import --dry-run
shell-init bash
completion bash
sync""".splitlines()
TELLS = ("hooks", "doctor", "verify")
"""Their exit status says how things stand. So does that of `hub status`, which is 1 without a hub."""
WRITES = set(
    """\
install
uninstall
agents install
agents uninstall
new-worktree
setup trust
setup run
finish
run
stop
resume
event add
job start
job add
job next
job renew
job done
job phase
job pause
job resume
job finish
job cancel
job reopen
worktree restore
worktree adopt
worktree forget
merge
publish
agent-hook
hub init
hub sync
hub verify
hub leave
""".splitlines()
)
ENDLESS = {"top", "events follow"}
"""They look until they are interrupted."""
_ALL = """
import json, sys
sys.path[:0] = [sys.argv[1]]
from support_cli import call
print(json.dumps([call(*words) for words in json.load(sys.stdin)]))
"""


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """Make a folder that every user can reach: a home, a repository, a store with much in it."""
    folder = Path(tempfile.mkdtemp(prefix="prodigy-reads-", dir="/tmp"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            _build(folder, patch)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environ(folder: Path) -> dict[str, str]:
    """Return what another user's world has, too: all may look at this one's."""
    return environment(folder) | {"GIT_CONFIG_GLOBAL": f"{folder}/home/.gitconfig"}


def _build(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "home").mkdir()
    (folder / "home" / ".gitconfig").write_text(GIT_CONFIG)
    for name in list(os.environ):
        if name.startswith(("GIT_", "PRODIGY_")):
            patch.delenv(name)
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    for name, value in (_environ(folder) | {"PATH": path}).items():
        patch.setenv(name, value)
    repo, store = folder / "repo", folder / "store"
    subprocess.run(["git", "init", "-q", repo], check=True)
    long_ago = {**os.environ, "GIT_COMMITTER_DATE": "2025-01-11T12:00:00+00:00"}
    (repo / "README").write_text("a repository\n")
    subprocess.run(["git", "add", "README"], cwd=repo, check=True)
    subprocess.run(["git", "commit", "-qm", "Start"], cwd=repo, check=True, env=long_ago)
    support_filled.work(repo, store, patch)
    assert call("sync", cwd=repo).code == 0
    assert call("job", "show", "review", cwd=repo).code == 0  # reads what is new in transcripts
    (repo / "README").touch()  # git would write down that it has looked at it
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))


def _tree(folder: Path) -> dict[str, Any]:
    found = {}
    for top, folders, names in os.walk(folder):
        for name in (".", *folders, *names):
            about = os.lstat(f"{top}/{name}")
            kept = about.st_mode, about.st_size, about.st_mtime_ns, about.st_ino
            found[os.path.relpath(f"{top}/{name}", folder)] = kept
    return found


def _changed(folder: Path, before: dict[str, Any]) -> list[str]:
    after = _tree(folder)
    return sorted(name for name in before.keys() | after if before.get(name) != after.get(name))


def _at_once(
    folder: Path, lines: list[str], *, begin: tuple[str, ...], python: str = sys.executable
) -> list[list[Any]]:
    """Return code, stdout and stderr of each command, in one process that ``begin`` starts."""
    command = [*begin, python, "-c", _ALL, str(Path(__file__).parents[1])]
    done = subprocess.run(
        command, cwd=folder / "repo", env=_environ(folder), check=False, capture_output=True,
        text=True, input=json.dumps([shlex.split(line) for line in lines]),
    )  # fmt: skip
    assert done.returncode == 0, done
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def _of_a_group(group: click.Group, before: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _of_a_group(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_each_command_writes_or_is_looked_at_here() -> None:
    every = set(_of_a_group(cli))
    looked_at = {one for one in every if any(f"{line} ".startswith(f"{one} ") for line in READS)}
    assert every - looked_at == WRITES | ENDLESS
    assert not WRITES & looked_at


def test_a_store_at_rest_is_left_as_it_was(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _environ(built).items():
        monkeypatch.setenv(name, value)
    wrote = {}
    for line in READS:
        before = _tree(built)
        done = call(*shlex.split(line), cwd=built / "repo")
        assert done.code == 0 or line in (*TELLS, "hub status"), (line, done)
        wrote[line] = _changed(built, before)
    assert {line: names for line, names in wrote.items() if names} == {}


@pytest.mark.parametrize("there", ["no store", "an empty store"])
def test_nothing_is_made_where_there_was_nothing(there: str, repo: Path, store: Path) -> None:
    if there == "an empty store":
        store.mkdir(mode=0o700)
    before = _tree(repo.parent)
    wrote = {}
    for line in READS:
        call(*shlex.split(line), cwd=repo)
        wrote[line] = _changed(repo.parent, before)
    assert {line: names for line, names in wrote.items() if names} == {}


def _pending(built: Path) -> None:
    """Leave a commit that no hook has recorded."""
    subprocess.run(
        ["git", "-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", "unseen"],
        cwd=built / "store" / "worktrees" / "repo" / "w5", env=_environ(built), check=True,
    )  # fmt: skip


def _on_a_mount(folder: Path) -> tuple[str, ...]:
    needs_mounts()
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return "unshare", "--mount", "sh", "-c", script, str(folder)


@pytest.mark.parametrize("way", ["mount", "user"])
def test_what_cannot_be_written_can_be_looked_at(built: Path, way: str) -> None:
    if way == "mount":
        begin, python = _on_a_mount(built), sys.executable
    elif os.geteuid() == 0:
        begin, python = tuple(become()), interpreter()
    else:
        pytest.skip("takes root, to be another user")
    before = _tree(built)
    # What they say of the rights is what they are for.
    lines = [line for line in READS if line not in ("hooks", "doctor")]
    for line, (code, _, said) in zip(
        lines, _at_once(built, lines, begin=begin, python=python), strict=True
    ):
        known = [
            one for one in said.splitlines()
            if "would go" not in one and "processes of other users" not in one
        ]  # fmt: skip
        assert (code, known) == (0, []) or line in ("verify", "hub status"), (line, code, said)
    assert _changed(built, before) == []


def test_what_cannot_be_recorded_from_here_is_said_once(built: Path) -> None:
    begin = _on_a_mount(built)
    _pending(built)
    lines = ["sessions list", "events ls", "worktree ls", "sync", "sessions show w1"]
    answers = _at_once(built, lines, begin=begin)
    word = "what hooks noted last may be missing: it cannot be recorded from here"
    for line, (code, out, said) in zip(lines[:3], answers, strict=False):
        assert (code, said.count("\n"), word in said) == (0, 1, True), (line, said)
        assert out
    assert answers[3][0] == 1  # to record is all that it is for
    assert answers[4][2] == ""  # this session lacks nothing
