"""A commit that the installed hook has to record, where nothing else of anybody's runs or changes.

It is made in a repository of its own in the temporary folder, with that one hook, a store that is
thrown away, and none of the user's git configuration: no other hook, filter, signature or editor can
have a part in it, and the user's repository and store are not touched. What runs is the installed file
itself, so it proves that the file can be run where it is, and that its interpreter and package record a
commit. That git calls the file is not proved so, but told by where it is and what the files around it
say: see `hookstate`.
"""

import contextlib
import os
import signal
import subprocess
import tempfile

from prodigy_git import hookfiles
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import SILENCE, git_status, said
from prodigy_git.store import events

PATIENCE = 60.0
"""Seconds that all of it may take: a broken interpreter or filesystem may hang."""

_GIT = (
    "-c", "user.name=prodigy-git doctor", "-c", "user.email=doctor@localhost",
    "-c", "init.defaultBranch=trial", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
)  # fmt: skip


def record(cwd: str, hook: str) -> str | None:
    """Make a commit with the post-commit hook at the path ``hook``; return why it is not recorded.

    None: it is. The repository has the formats of the one around ``cwd``. Raises `ProdigyError` where
    the trial could not be made, `OSError`.
    """
    found = hookfiles.look(hook)
    if found is None or found.kind != "ours" or found.edited or not found.heeds_alone():
        raise ProdigyError("the hook is another version's: 'prodigy-git install' writes it anew")
    with tempfile.TemporaryDirectory(prefix="prodigy-doctor-", ignore_cleanup_errors=True) as top:
        top = os.path.realpath(top)
        for folder in ("hooks", "none"):
            os.mkdir(f"{top}/{folder}")
        # A link to the installed file, not a copy: git looks at whether the file itself may be run.
        os.symlink(os.path.abspath(hook), f"{top}/hooks/post-commit")
        environ = _environment(top)
        main, tree = f"{top}/repository", f"{top}/worktree"
        nothing = ("-c", f"core.hooksPath={top}/none")
        for arguments in (
            (*nothing, "init", "--quiet", "--template=", *_formats(cwd), main),
            (*nothing, "-C", main, "commit", "--quiet", "--allow-empty", "--message=Start"),
            (*nothing, "-C", main, "worktree", "add", "--quiet", "--no-checkout", tree),
        ):
            status, text = _run(["git", *_GIT, *arguments], top, environ)
            if status != 0:
                raise ProdigyError(f"git {arguments[-2]}: {said(text, f'exit status {status}')}")
        status, text = _run(
            ["git", *_GIT, "-c", f"core.hooksPath={top}/hooks", "commit", "--quiet",
             "--allow-empty", "--message=prodigy-git doctor"],
            tree, environ,
        )  # fmt: skip
        if status != 0:
            raise ProdigyError(f"git commit: {said(text, f'exit status {status}')}")
        store = f"{top}/store"
        seen = sum(
            event.type == "CommitCreated"
            for key, job in events.jobs(store)
            for event in events.read_job(store, key, job, lambda _: None)
        )
    if seen == 1:
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "the hook said nothing"


def _environment(top: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "PRODIGY_")) or name == "GIT_EXEC_PATH"
    }
    return kept | {
        "HOME": top,
        "PRODIGY_HOME": f"{top}/store",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        hookfiles.ALONE: "1",
        "PRODIGY_RECORD": "wait",
        "LC_ALL": "C",
    }


def _formats(cwd: str) -> list[str]:
    """Return what `git init` needs to make a repository of the same formats as the one here."""
    options = []
    for question, option in (
        ("--show-object-format", "--object-format"),
        ("--show-ref-format", "--ref-format"),  # git 2.45 and newer; others print the question
    ):
        status, out, _ = git_status(cwd, "rev-parse", question, env={SILENCE: "1"})
        if status == 0 and out.strip().isalnum():
            options.append(f"{option}={out.strip()}")
    return options


def _run(command: list[str], cwd: str, environ: dict[str, str]) -> tuple[int, str]:
    """Run a command away from every terminal; return its status and what it said.

    Raises `ProdigyError` where it takes too long; then all that it started is ended.
    """
    # A session of its own: who reads from the terminal by its name gets an error, not an answer.
    with subprocess.Popen(
        command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True,
    ) as running:  # fmt: skip
        try:
            _, err = running.communicate(timeout=PATIENCE)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ProdigyError(f"it took longer than {PATIENCE:g} seconds") from error
            raise
    return running.returncode, err.decode("utf-8", "replace")
