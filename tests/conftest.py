"""A sealed world for every test: real git and real processes, in a HOME and a store of its own.

Nothing of the machine's git configuration, of a surrounding repository or of the user's store can
reach a test, and nothing that a test does can reach them.
"""

import contextlib
import functools
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import support_host_name
import support_memory
import support_postgres
from support_copied_repo import copy_repo
from support_forkserver import run_forked
from support_sealed import GIT_CONFIG

TESTS = Path(__file__).parent


# What could lead a child out of the sealed world. PIP_*, UV_* and certificates stay: pre-commit and
# prek build environments with them.
FOREIGN = (
    "GIT_", "PRODIGY_", "XDG_", "PRE_COMMIT", "PREK_", "LEFTHOOK", "HUSKY", "SSH_", "EDITOR", "PG",
)  # fmt: skip
# What says who started the tests: nobody is asked under CI, and an agent's hooks would speak for it.
STARTED_BY = (
    "CI", "CONTINUOUS_INTEGRATION", "GITHUB_", "GITLAB_", "CLAUDE", "CODEX_", "GEMINI_", "CURSOR_",
    "COPILOT_", "OPENCODE", "AGENT",
)  # fmt: skip

GIT_OF_SEALED = {
    "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_CEILING_DIRECTORIES", "GIT_TERMINAL_PROMPT",
    "GIT_EDITOR",
}  # fmt: skip

LONG_AGO = "2025-01-11T12:00:00+00:00"

Run = Callable[..., subprocess.CompletedProcess[str]]


ON_DISK = re.compile(
    r"cleanup/(test_crossing|trash/test_removal\.|restore/test_restore(_faults)?\.)"
    r"|cleanup/salvage/test_unpublished_places"
    r"|e2e/test_(main_job|undo_by_hand)|record/test_(log|protocol)"
)
"""Tests that meet two filesystems, and some of each kind, for a disk is what users have.

A loop of commits in memory is so quick that a removal beside it hardly finds a moment between two.
`pytest --on-disk` has all of them there. A test that asks for the fixture `disk` is one of the first.
"""

LONGEST = re.compile(
    r"e2e/test_(as_ordinary_user|damaged_files|job_stress|pre_commit_repo)\.|agents/test_plugins\."
    r"|cleanup/(test_crossing_faults|drift/test_missed_for_a_day)\.|docs/test_guides\."
    r"|record/test_(faults|property|recorder_faults)\."
    r"|hub/test_(events_property|hosts_processes|hosts_property|run_lease)\."
)
"""Files with tests that take 10 seconds or more beside three others. They come first: one that begins
when there is nothing else left keeps one processor, and the other ones wait for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--on-disk`: nothing in memory, where each sync takes as long as the disk does."""
    parser.addoption("--on-disk", action="store_true", help="have no test's files in memory")


def pytest_configure() -> None:
    """Let what tests start hear the signals that are ignored here: under nohup, behind a '&'.

    A signal that is ignored stays so in what is executed; one that has a handler does not (execve(2)).
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from here on, without all that was made until now: that stays to the end.

    Half of a collection of tests was the looking through ever more of them, in each process.
    """
    gc.enable()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the `LONGEST`; all else keeps its order."""
    items.sort(key=lambda item: not LONGEST.match(str(item.path.relative_to(TESTS))))


@pytest.fixture(scope="session", autouse=True)
def nobodys_home() -> Iterator[None]:
    """Seal what runs before a test is: a fixture of several tests writes neither setting nor store.

    Where it has no HOME of its own it fails here, instead of changing the ones of who runs the tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("GIT_", "PRODIGY_", "PG")):
                patch.delenv(name)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("PRODIGY_HOME", f"{os.devnull}/store")
        yield


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give an empty folder; in memory, where syncing costs nothing, but for `ON_DISK`.

    Of a test that fails it is kept, in pytest's own folder.
    """
    yield from _in_memory(tmp_path, request, on_disk="disk" in request.fixturenames)


@pytest.fixture(scope="module")
def scratch(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """Give an empty folder that the tests of a file share; where each one's `tmp_path` is."""
    yield from _in_memory(tmp_path_factory.mktemp("scratch"), request)


def _in_memory(
    plain: Path, request: pytest.FixtureRequest, *, on_disk: bool = False
) -> Iterator[Path]:
    on_disk = on_disk or request.config.getoption("--on-disk")
    if on_disk or ON_DISK.match(str(request.path.relative_to(TESTS))):
        memory = None
    else:
        memory = support_memory.folder()
    if memory is None:
        yield plain
        return
    failed = request.session.testsfailed
    folder = Path(tempfile.mkdtemp(prefix=f"{plain.name}-", dir=memory))
    yield folder
    if request.session.testsfailed > failed:
        shutil.copytree(folder, plain, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def sealed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Seal the environment, work in ``tmp_path``; return the new HOME."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(GIT_CONFIG)
    for name in os.environ:
        if name.startswith((*FOREIGN, *STARTED_BY)) or name in ("VISUAL", "PAGER", "SKIP", "EMAIL"):
            monkeypatch.delenv(name)
    sealed = {
        "HOME": str(home),
        "PRODIGY_HOME": str(tmp_path / "store"),
        # Tests look at the log right behind git's command. Those of the recorder in the background take
        # this away, see `support_background`.
        "PRODIGY_RECORD": "wait",
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        # A temporary folder inside a repository must not make every test run inside that one.
        "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # Where libpq looks for services that the machine knows.
        "PGSYSCONFDIR": str(home),
        # The console programs beside this interpreter: prodigy-git, pre-commit, prek, lefthook.
        "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"],
        # Downloads are shared by the tests of one run: the same few packages, dozens of times.
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(_shared(tmp_path_factory, "pip"))),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(_shared(tmp_path_factory, "uv"))),
    }
    for name, value in sealed.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return home


def _shared(factory: pytest.TempPathFactory, name: str) -> Path:
    base = factory.getbasetemp()
    # Under xdist each worker has a folder inside the run's.
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"cache-{name}"


@pytest.fixture
def fixed_dates(monkeypatch: pytest.MonkeyPatch) -> str:
    """Give every commit the same date, so that equal content has an equal SHA; return the date."""
    monkeypatch.setenv("GIT_AUTHOR_DATE", LONG_AGO)
    monkeypatch.setenv("GIT_COMMITTER_DATE", LONG_AGO)
    return LONG_AGO


def _run(
    command: list[str],
    cwd: Path | str | None,
    env: Mapping[str, str] | None,
    input: str | None,
) -> subprocess.CompletedProcess[str]:
    how: dict[str, Any] = {
        "cwd": cwd,
        "env": {**os.environ, **(env or {})},
        "stdin": subprocess.DEVNULL if input is None else None,
        "encoding": "utf-8",
        "errors": "surrogateescape",
    }
    if command[0] == sys.executable:
        return run_forked(command, input=input, **how)
    return subprocess.run(command, input=input, capture_output=True, check=False, **how)


def run_git(
    *args: str | Path,
    cwd: Path | str,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
) -> str:
    done = _run(["git", *map(str, args)], cwd, env, input)
    if check and done.returncode != 0:
        pytest.fail(f"{done.args} in {cwd}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.rstrip("\n")


@pytest.fixture
def git() -> Callable[..., str]:
    """``git(*args, cwd, check=True, env=None, input=None)``: return its stdout, stripped."""
    return run_git


@pytest.fixture
def prodigy() -> Run:
    """``prodigy(*args, cwd=None, check=False, env=None, input=None)``: run the console program."""

    def run(
        *args: str | Path,
        cwd: Path | str | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prodigy_git", *map(str, args)]
        done = _run(command, cwd, env, input)
        if check and done.returncode != 0:
            pytest.fail(f"{done.args} in {cwd}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    return run


@pytest.fixture
def repo(
    tmp_path: Path, sealed: Path, git: Callable[..., str], repo_of_all: Callable[..., Path]
) -> Path:
    """Make a repository, ``tmp_path/repo``, with one commit on ``main``."""
    folder = tmp_path / "repo"
    # What a test says of how git makes one, in settings or in the environment, is for git to hear.
    said = {name for name in os.environ if name.startswith("GIT_")} - GIT_OF_SEALED
    if said or (sealed / ".gitconfig").read_text() != GIT_CONFIG:
        _make_repo(folder, git)
    else:
        copy_repo(repo_of_all(), folder)
    return folder


def _make_repo(folder: Path, git: Callable[..., str]) -> None:
    git("init", "-q", folder, cwd=folder.parent)
    (folder / "README").write_text("a repository\n")
    git("add", "README", cwd=folder)
    # Git's journal has whole seconds: a commit made in the very second of `install` would be taken
    # for one that came after it, and the outcome would depend on how the second falls.
    git("commit", "-q", "-m", "Start", cwd=folder, env={"GIT_COMMITTER_DATE": LONG_AGO})


@pytest.fixture(scope="session")
def repo_of_all(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return what gives the repository that `repo` copies: made within the first test that asks."""

    @functools.cache
    def made() -> Path:
        folder = tmp_path_factory.mktemp("repo-of-all") / "repo"
        _make_repo(folder, run_git)
        return folder

    return made


@pytest.fixture
def all_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every process in sight, as root has outside of containers, and none in any worktree.

    For tests that date a session's end back: its files are younger, which counts where not all is seen.
    """
    from prodigy_git.cleanup.account import presence

    monkeypatch.setattr(presence, "scan", presence.Sight)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return the path of the sealed store, ``$PRODIGY_HOME``; whoever writes first makes it."""
    return tmp_path / "store"


@pytest.fixture
def events(store: Path) -> Callable[[str], list[dict[str, Any]]]:
    """``events(job)``: each line of the job's logs, in file order, under any repo key."""

    def read(job: str) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for file in sorted((store / "events").glob(f"*/{job}/*.jsonl"))
            for line in file.read_text(encoding="utf-8").splitlines()
        ]

    return read


@pytest.fixture(scope="session")
def postgres_of_all() -> Iterator[support_postgres.Server]:
    """Start the PostgreSQL server of this process's tests; skip them where there is none."""
    if reason := support_postgres.why_not():
        pytest.skip(reason)
    with support_postgres.Server() as server:
        yield server


@pytest.fixture
def postgres(postgres_of_all: support_postgres.Server) -> Iterator[support_postgres.Server]:
    """Give a running PostgreSQL server, which the test may stop and kill as it likes.

    What the test makes there is removed behind it.
    """
    postgres_of_all.start()
    yield postgres_of_all
    postgres_of_all.start()
    postgres_of_all.clean()


@pytest.fixture
def hub_url(postgres: support_postgres.Server) -> str:
    """Return the address of an empty database. Its owner is no superuser, and needs no password."""
    return postgres.url(postgres.database())


@pytest.fixture
def pgbouncer(postgres: support_postgres.Server, hub_url: str) -> Iterator[str]:
    """Return the address of `hub_url`'s database by way of PgBouncer, in transaction mode."""
    if reason := support_postgres.why_no_bouncer():
        pytest.skip(reason)
    with postgres.bouncer() as port:
        yield hub_url.replace(f":{postgres.port}/", f":{port}/")


@pytest.fixture
def new_host(tmp_path: Path, repo: Path) -> Iterator[Callable[..., Any]]:
    """``new_host(name, to=None)``: a `support_hosts.Host` with a clone of `repo`; else skip.

    ``to`` is the port of the server that it reaches by a wire of its own.
    """
    if reason := support_host_name.why_not():
        pytest.skip(reason)
    from support_hosts import Host

    with contextlib.ExitStack() as ends:

        def make(name: str, to: int | None = None) -> Host:
            host = Host(tmp_path / "hosts", name, repo, to)
            ends.callback(host.close)
            return host

        yield make
