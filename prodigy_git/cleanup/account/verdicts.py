"""Whether a worktree goes: what its account says, and what was asked for."""

from dataclasses import dataclass

from prodigy_git import duration
from prodigy_git.cleanup.account import evidence, gathering, heartbeat
from prodigy_git.cleanup.account.evidence import Evidence
from prodigy_git.record import clock


@dataclass(frozen=True)
class Options:
    """What to clean; lengths of time are in microseconds.

    ``every`` says that the worktrees were not named one by one: then young ones that are unused, or
    whose session has not ended, are left alone (``min_age``), forced or not. ``job`` and ``older_than``
    narrow down what is taken, ``merged_only`` to branches that are integrated. ``force`` goes past
    doubts, ``unlock`` past git's lock. ``delete_branch``: also a branch that the session did not make,
    with ``force`` also one that is not integrated. ``purge``: not through the trash's retention.
    Without ``teardown`` its teardown commands are passed over.
    """

    every: bool = False
    all_repos: bool = False
    force: bool = False
    merged_only: bool = False
    older_than: int | None = None
    job: str | None = None
    min_age: int = gathering.DAY
    unlock: bool = False
    delete_branch: bool = False
    purge: bool = False
    dry_run: bool = False
    teardown: bool = True


def verdict(e: Evidence, options: Options) -> tuple[bool, list[str]]:
    """Return whether a worktree may be removed, and why not, or what was gone past."""
    doubts = evidence.doubts(e)
    stirred = _stirred(e, options)
    never = evidence.forbids(e, unlock=options.unlock)
    if not never and e.session_id is None:
        never = [f"it has no session, 'prodigy-git worktree adopt {e.path}' gives it one"]
    if not never and e.prodigy_session is not None and e.prodigy_session == e.session_id:
        never = [
            f"it is Prodigy's: 'prodigy worktree clean {e.session_id}' removes it for good; after "
            f"'prodigy-git worktree adopt {e.path}' it can go to the trash"
        ]
    if e.alone and options.every:
        never = [*never, "taken by its name only"]
    left = _left_alone(e, options)
    if options.every:
        until = _until(options)
        left += [f"{one}, left alone {until}" for one in stirred]
    if never or left or (doubts and not options.force):
        return False, [*never, *left, *([] if options.force else doubts)]
    return True, [*doubts, *stirred]


def _stirred(e: Evidence, options: Options) -> list[str]:
    """Return, in words, why somebody who cannot be seen may be at work in a worktree."""
    if not e.unseen or e.last_sign is None or not heartbeat.after_end(e):
        return []
    age = clock.now() - e.last_sign
    # One that was named goes in any case; that its session has not ended is a doubt of its own.
    if age >= options.min_age or not (e.ended or options.every):
        return []
    since = "after its session's end" if e.ended else f"its session is {e.status}"
    unseen = ", ".join(e.unseen)
    return [f"{e.last_sign_of} {duration.text(age)} ago, {since}, and there is no seeing {unseen}"]


def _left_alone(e: Evidence, options: Options) -> list[str]:
    """Return why a worktree is not among those that ``options`` ask for."""
    reasons = []
    if options.job not in (None, e.job):
        reasons.append(f"it is of job {e.job}")
    since = e.ended_at if e.ended else e.last_activity
    age = None if since is None else clock.now() - since
    when = "its age is not known" if age is None else f"{duration.text(age)} old"
    if options.older_than is not None and (age is None or age < options.older_than):
        reasons.append(when)
    kind = e.integration.kind
    if options.merged_only and kind != "integrated":
        reasons.append(f"not merged: {describe(e)}")
    if options.every and (age is None or age < options.min_age):
        if kind == "unused" and not options.merged_only:
            reasons.append(f"unused and {when}, left alone {_until(options)}")
        elif options.force and not e.ended:
            reasons.append(f"its session is {e.status} and {when}, left alone {_until(options)}")
    return reasons


def _until(options: Options) -> str:
    return f"until it is {duration.text(options.min_age)} old"


def describe(e: Evidence) -> str:
    """Return in words whether a worktree's commits are integrated, and by what sign."""
    kind, how, into = e.integration.kind, e.integration.how, e.integration.into
    if kind == "integrated":
        return f"integrated into {into} ({how})"
    if kind == "unused":
        return f"unused ({how})"
    return f"{how} ahead of {into}" if kind == "ahead" else how
