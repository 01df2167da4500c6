"""A repository's remotes: what they are called and where they are; pushing to one, fetching from one.

Nobody is there who could answer a question, or wait: git and what it starts have no terminal, a time
limit, and are ended with all that they have started.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence

from prodigy_git import gitenv
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import SILENCE, git_status, said

_CREDENTIALS = re.compile(r"(\w://)[^/\s'\"]*@")
_AT_ONCE = 500
"""How many refs one call of git is told: a server reads as many names as these without ado."""
_LINES = 5
"""How many lines of what the other side says are told."""
_FAR = re.compile("remote:").match
_GRACE = 2.0  # seconds between asking git to end and enforcing it


class Unreachable(ProdigyError):
    """A remote could not be spoken with, now: it may be tried again."""


def harmless(text: str) -> str:
    """Return a URL, or a text that has some, without users and passwords: for people and files."""
    return _CREDENTIALS.sub(r"\1", text)


def known(cwd: str) -> dict[str, list[str]]:
    """Return the remotes of a repository, each with its URLs: to fetch from, then to push to."""
    status, out, _ = git_status(cwd, "remote")
    found = {}
    for name in out.splitlines() if status == 0 else []:
        urls: list[str] = []
        for how in ((), ("--push",)):
            status, said_, _ = git_status(cwd, "remote", "get-url", "--all", *how, "--", name)
            urls += said_.splitlines() if status == 0 else []
        found[name] = list(dict.fromkeys(urls))
    return found


def url(cwd: str, remote: str) -> str:
    """Return where a remote is pushed to, without credentials. Raises `ProdigyError`: there is none."""
    status, out, err = git_status(cwd, "remote", "get-url", "--push", "--", remote)
    if status != 0:
        raise ProdigyError(f"there is no remote {remote}: 'git remote' names them ({said(err)})")
    return harmless(out.split("\n")[0])


def push(
    cwd: str, remote: str, wanted: Sequence[tuple[str, str]], patience: float
) -> dict[str, str | None]:
    """Push commits to refs (commit, full name), never forced; return why each was refused, or None.

    The repository's pre-push hook runs. Raises `Unreachable` where the remote cannot be spoken with
    within ``patience`` seconds; what was pushed until then is there. `ProdigyError`, `OSError`.
    """
    found: dict[str, str | None] = {}
    for begin in range(0, len(wanted), _AT_ONCE):
        specs = [f"{commit}:{ref}" for commit, ref in wanted[begin : begin + _AT_ONCE]]
        # --no-follow-tags and --recurse-submodules: settings push no more than what is said here.
        status, out, err = _run(
            cwd, patience, "push", "--porcelain", "--no-follow-tags", "--recurse-submodules=no", "--",
            remote, *specs,
        )  # fmt: skip
        told = _refs(out, err)
        if status != 0 and not told:
            raise Unreachable(_words(err, status))
        found |= told
    return {ref: found.get(ref, "git said nothing of it") for _, ref in wanted}


def _refs(out: str, err: str) -> dict[str, str | None]:
    """Return what `git push --porcelain` says of each ref: why it was refused, if it was."""
    lines = (line.removeprefix("remote:").strip() for line in err.splitlines() if _FAR(line))
    far = [line for line in lines if line][:_LINES]
    found: dict[str, str | None] = {}
    for line in out.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        if len(flag) == 1 and ":" in names:
            why = harmless("; ".join((summary, *far)))
            found[names.rpartition(":")[2]] = why if flag == "!" else None
    return found


def heads(cwd: str, remote: str, patience: float) -> dict[str, str]:
    """Return the branches that a remote has, by full names, and their commits. Raises as `push`."""
    status, out, err = _run(cwd, patience, "ls-remote", "--heads", "--", remote)
    if status != 0:
        raise Unreachable(_words(err, status))
    lines = [line.split("\t") for line in out.splitlines() if "\t" in line]
    return {ref: commit for commit, ref in lines}


def fetch(cwd: str, remote: str, refs: Sequence[str], patience: float) -> None:
    """Fetch branches, by full names that the remote has, to where `git fetch` keeps a remote's.

    Raises as `push`.
    """
    for begin in range(0, len(refs), _AT_ONCE):
        specs = [
            f"+{ref}:refs/remotes/{remote}/{ref.removeprefix('refs/heads/')}"
            for ref in refs[begin : begin + _AT_ONCE]
        ]
        status, _, err = _run(
            cwd, patience, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
            "--no-recurse-submodules", "--", remote, *specs,
        )  # fmt: skip
        if status != 0:
            raise Unreachable(_words(err, status))


def _words(err: str, status: int) -> str:
    return harmless(said(err, f"exit status {status}"))


def _run(cwd: str, patience: float, *arguments: str) -> tuple[int, str, str]:
    """Run git without a terminal and with a time limit; return exit status, output, error output."""
    # Files, no pipes: the master of a shared connection of ssh's goes on, and holds them open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            running = subprocess.Popen(
                ["git", *arguments], cwd=cwd, env=_environment(cwd), stdin=subprocess.DEVNULL,
                stdout=out, stderr=err,
                # No terminal that a password could be asked at; and a group, to be ended with it.
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ProdigyError(f"git could not be started in {cwd}") from error
        try:
            running.wait(patience)
        except subprocess.TimeoutExpired:
            _end(running)
            raise Unreachable(
                f"git {arguments[0]} took longer than {patience:g} seconds, and was ended"
            ) from None
        except BaseException:  # interrupted
            _end(running)
            raise
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(os.fsdecode(stream.read()))
    return running.returncode, texts[0], texts[1]


def _end(running: "subprocess.Popen[bytes]") -> None:
    """End git and all that it has started: ssh(1), a helper, a hook."""
    # It is not waited for before its group is ended: so its number is nobody else's.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGTERM)
    until = time.monotonic() + _GRACE
    while time.monotonic() < until and not _has_ended(running):
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _has_ended(running: "subprocess.Popen[bytes]") -> bool:
    if not hasattr(os, "waitid"):  # which macOS has of late only
        return running.poll() is not None
    asked = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, running.pid, asked) is not None


def _environment(cwd: str) -> dict[str, str]:
    env = dict(os.environ)
    gitenv.drop_local_variables(env)
    env |= {SILENCE: "1", "GIT_TERMINAL_PROMPT": "0", "LANGUAGE": "C", "LC_ALL": "C"}
    env.setdefault("SSH_ASKPASS_REQUIRE", "never")
    own = any(name in env for name in ("GIT_SSH", "GIT_SSH_COMMAND"))
    if not own and git_status(cwd, "config", "--get", "core.sshCommand")[0] != 0:
        env["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes"
    return env
