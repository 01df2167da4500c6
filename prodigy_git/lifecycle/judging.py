"""What the end of a command says of its attempt: it did well, it failed, or it was interrupted."""

from typing import Any

from prodigy_git.lifecycle import reporting, stop_requests
from prodigy_git.lifecycle.process import Ran
from prodigy_git.lifecycle.reporting import Verdict
from prodigy_git.store.events import Broken


def verdict(
    store: str, session: str, ran: Ran, stopped: str | None, result: Any, *,
    timeout: float | None, commit_required: bool, lost: str | None = None, broken: Broken,
) -> Verdict:  # fmt: skip
    """Return what a session's command has come to; ``timeout`` is in seconds.

    ``stopped`` is how it was asked to be stopped (`stop_requests.take`): what it exits with says
    nothing then. ``lost`` is why its lease was, if it was.
    """
    said = f": {ran.last}" if ran.last else ""
    if stopped == stop_requests.FAIL:
        return Verdict("Failed", "Unknown", stop_requests.WORDS)
    if stopped is not None:
        return Verdict("Cancelled", None, stop_requests.WORDS)
    if lost is not None:
        return Verdict("Cancelled", None, lost)
    if ran.timed_out:
        return Verdict("Failed", "Timeout", f"Timeout after {timeout:g} seconds")
    if ran.status != 0 and ran.interrupted is not None:
        return Verdict("Cancelled", None, f"interrupted by signal {ran.interrupted}")
    if ran.status < 0:
        text = f"signal {-ran.status}{said}"
        text = text if said else f"the command died by signal {-ran.status}"
        return Verdict("Failed", "CommandFailed", text)
    if ran.status > 0:
        text = f"exit status {ran.status}{said}"
        text = text if said else f"the command exited with status {ran.status}"
        return Verdict("Failed", "CommandFailed", text)
    if commit_required and not reporting.has_commits(store, session, broken):
        if ran.interrupted is not None:
            return Verdict("Cancelled", None, f"interrupted by signal {ran.interrupted}")
        return Verdict("Failed", "CommitValidationFailed", "the command made no commit")
    return Verdict("Completed", result=result)
