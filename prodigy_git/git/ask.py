"""Running git, with our own hooks silenced and without another repository's variables."""

import os
import subprocess

from prodigy_git import gitenv
from prodigy_git.errors import ProdigyError
from prodigy_git.gitenv import LOCAL_VARIABLES
from prodigy_git.record import files, gitdir, ownership
from prodigy_git.record.gitdir import Place

SILENCE = "PRODIGY_GIT_SILENCE"
"""The variable that the hooks' guard honours: our own git calls must not wait for our own locks."""

OLDEST = (2, 36)
"""The oldest git that we work with: it has `git hook run`."""

_DUBIOUS = "dubious ownership"
# Under it git puts lines of its own before those of a format that it was asked for.
_PLAIN = ("-c", "log.showSignature=false")
# Settings under which git does not look at a file, or would write (a monitor's socket, an index).
_UNSWAYED = (
    *_PLAIN,
    "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "-c", "core.splitIndex=false",
    "-c", "core.checkStat=default", "-c", "core.trustctime=true", "-c", "core.quotePath=false",
    "-c", "maintenance.auto=false", "-c", "gc.auto=0",
)  # fmt: skip


def git(
    cwd: str | os.PathLike[str],
    *arguments: str,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """Run ``git arguments…`` in ``cwd`` and return its output, the last newline included.

    Bytes that are not UTF-8 come back as surrogate escapes. Raises `ProdigyError` with the last line
    of what git said where git fails or is missing.
    """
    status, out, err = git_status(cwd, *arguments, stdin=stdin, env=env)
    if status != 0:
        raise ProdigyError(f"git {arguments[0]}: {said(err, f'exit status {status}')}")
    return out


def version() -> tuple[int, ...]:
    """Return the numbers of git's version, two of them. Raises `ProdigyError` as `git`."""
    return tuple(int(part) for part in git("/", "version").split()[2].split(".")[:2])


def said(err: str, otherwise: str = "no reason given") -> str:
    """Return what git says is wrong, whole, on one line, with what to do where that is known.

    A message of git's may have several lines: those that follow the first are indented. ``otherwise``
    stands where git said nothing.
    """
    lines = [line for line in err.splitlines() if line.strip()]
    begins = [n for n, line in enumerate(lines) if line.startswith(("fatal:", "error:"))]
    begin = begins[0] if begins else len(lines) - 1
    message = lines[begin : begin + 1]
    for line in lines[begin + 1 :]:
        if not line[:1].isspace():
            break
        message.append(line.strip())
    text = " ".join(message).strip() or otherwise
    if _DUBIOUS in text:
        where = text.partition(" repository at ")[2].strip("'") or "PATH"
        return (
            f"git does not trust {where}, since it belongs to another user: work as that user, or "
            f"'git config --global --add safe.directory {where}' allows it"
        )
    if "safe.bareRepository" in text:
        return f"{text}: change into one of its worktrees, or set that to 'all'"
    if "unknown repository extension" in text or "Expected git repo version" in text:
        return f"{text}: a newer git made it so, update this one"
    return text


def git_status(
    cwd: str | os.PathLike[str],
    *arguments: str,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
) -> tuple[int, str, str]:
    """Run ``git arguments…`` in ``cwd``; return its exit status, output and error output.

    Raises `ProdigyError` where git cannot be started, and where it does not trust the repository,
    since that is another user's (git-config(1), safe.directory).
    """
    _note(cwd, env)
    where = os.fspath(cwd)
    if not os.access(where, os.X_OK):  # else it is said of git that it is missing
        gone = gitenv.gone() if where == gitenv.NOWHERE else None
        raise ProdigyError(gone or f"git could not be started in {where}")
    # git's messages are looked into for words, which are to be English.
    own = {"LANGUAGE": "C", "LC_ALL": "C", SILENCE: "1", "GIT_OPTIONAL_LOCKS": "0"}
    # Only there: a setting that is given so reaches the hooks, too.
    plain = _PLAIN if arguments[0] in ("log", "show") else ()
    try:
        running = subprocess.Popen(
            ["git", *plain, *_known(where), *arguments],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=where, env={**os.environ, **own, **(env or {})},
        )  # fmt: skip
        out, err = map(os.fsdecode, gitdir.waited(running, _common(where, env), stdin))
    except files.Unusable as error:
        raise ProdigyError(f"{error}: move it away") from None
    except OSError as error:
        raise ProdigyError(f"git could not be started in {where}") from error
    status = running.returncode
    if status != 0 and _DUBIOUS in err:
        folder, name = os.path.split(where)
        if name == ".git":  # what users trust is the folder around it
            return git_status(folder, *arguments, stdin=stdin, env=env)
        # Whatever was asked: that git refuses to look is no answer to it.
        raise ProdigyError(said(err))
    return status, out, err.removesuffix("\n")


def _common(cwd: str, env: dict[str, str] | None) -> str:
    named = (env or {}).get("GIT_COMMON_DIR")
    place = None if named else gitdir.find(cwd, {})
    return named or (cwd if place is None else place.common)


def _note(cwd: str | os.PathLike[str], env: dict[str, str] | None) -> None:
    """Remember where git, run by root, may write: it is not asked whose repository that is."""
    if not files.ROOT:
        return
    place = gitdir.find(os.fspath(cwd), {})
    if place is not None:
        ownership.note(place.common)
    ownership.note(*((env or {}).get(name, "") for name in ("GIT_DIR", "GIT_COMMON_DIR")))


def _known(cwd: str) -> tuple[str, ...]:
    """Return what lets git work in a git directory that a worktree has led us to.

    With ``safe.bareRepository=explicit`` (git-config(1)) it refuses one that it comes upon, before 2.45
    also a worktree's ``.git``. Meant are bare repositories that a clone brings along: where the user
    stands in one, it still does.
    """
    if not (os.path.isfile(f"{cwd}/HEAD") and os.path.isdir(f"{cwd}/objects")):
        return ()
    return () if files.same(cwd, ".") and "/.git" not in cwd else ("-c", "safe.bareRepository=all")


def look(
    place: Place,
    *arguments: str,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    patience: float | None = None,
) -> tuple[int, bytes, str]:
    """Run git on a worktree, only to look; return its exit status, output and error output.

    Cheap enough to be run hundreds of times at once, from threads. Nothing is written, no network is
    used, whatever the configuration says: a partial clone would otherwise fetch what it lacks. The
    git directory and the worktree are said, so that git does not search for a repository: one whose
    ``.git`` is damaged would be taken for a part of the repository around it. Raises `ProdigyError`
    where git cannot be started, or takes longer than ``patience`` seconds.
    """
    try:
        running = subprocess.Popen(
            ["git", *_UNSWAYED, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=_folder(place), env=_looking(place, env),
        )  # fmt: skip
        out, err = gitdir.waited(running, place.common, stdin, patience)
    except files.Unusable as error:
        raise ProdigyError(f"{error}: move it away") from None
    except TimeoutError as error:
        raise ProdigyError(f"git {arguments[0]} took longer than {patience:g} s") from error
    except OSError as error:
        raise ProdigyError(f"git could not be started in {place.top}") from error
    return running.returncode, out, os.fsdecode(err)


def look_at_most(place: Place, limit: int, *arguments: str) -> tuple[bytes, bool]:
    """Run git as `look` does; return the first ``limit`` bytes of its output, and whether that is all.

    Raises `ProdigyError` where git fails, or cannot be started.
    """
    try:
        with subprocess.Popen(
            ["git", *_UNSWAYED, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=_folder(place), env=_looking(place, None),
        ) as running:  # fmt: skip
            assert running.stdout is not None
            out = running.stdout.read(limit + 1)
            if len(out) > limit:
                running.kill()
                return out[:limit], False
    except OSError as error:
        raise ProdigyError(f"git could not be started in {place.top}") from error
    if running.returncode != 0:
        raise ProdigyError(f"git {arguments[0]} failed with {running.returncode}")
    return out, True


def _folder(place: Place) -> str:
    # Said to git what it is about; but in a folder that is gone nothing can be started.
    return next(path for path in (place.top, place.common, "/") if os.path.isdir(path))


def _looking(place: Place, more: dict[str, str] | None) -> dict[str, str]:
    environ = {name: os.environ[name] for name in os.environ.keys() - LOCAL_VARIABLES}
    ownership.note(place.private, place.common)
    return environ | {
        "GIT_DIR": place.private,
        "GIT_COMMON_DIR": place.common,
        "GIT_WORK_TREE": place.top,
        SILENCE: "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",  # before 2.45 nothing else keeps git from fetching lazily
        "LC_ALL": "C",
        **(more or {}),
    }
