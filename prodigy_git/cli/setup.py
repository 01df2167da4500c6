"""setup: what would run in a new worktree, whether it may, and running it later."""

from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.errors import ProdigyError
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.record.gitdir import Place
    from prodigy_git.setup.plan import Plan

_BASE = click.option(
    "--base",
    metavar="REF",
    shell_complete=completing.refs,
    help="The commit that says it. [default: HEAD]",
)


@click.group()
def setup() -> None:
    """Set-up commands: what would run in a new worktree, and whether a person has allowed it.

    \b
    Example:
      prodigy-git setup show
      prodigy-git setup trust
    """


def _plan(base: str | None) -> "tuple[Place, str, Plan]":
    from prodigy_git.git import repository
    from prodigy_git.setup import what_runs

    place = repository.find(gitenv.here())
    commit = repository.commit_of(place.top, base or "HEAD")
    return place, commit, what_runs.plan(place, commit)


@setup.command()
@_BASE
@output.json_option
def show(base: str | None, as_json: bool) -> None:
    """Show what would run in a new worktree, and which file says so.

    The file is read from the commit that the worktree would begin at, not from the folder you stand in.

    \b
    Example:
      prodigy-git setup show --base origin/main
    """
    from prodigy_git.cli import trusting
    from prodigy_git.record import repokey
    from prodigy_git.setup import trust

    place, commit, plan = _plan(base)
    store = home.here()
    key = repokey.known(store, place.common)
    trusted = plan.hash is None or (
        key is not None and trust.is_trusted(store, key, place.common, plan)
    )
    if as_json:
        output.emit_json(_as_json(plan, commit, trusted=trusted))
        return
    for part in plan.parts:
        for line in trusting.lines(part):
            output.line(line)
    if not plan.parts and output.on_terminal():
        output.note("nothing would run: no file of the repository, and no setting, says anything")
    for path in plan.unread:
        output.note(f"{path} is not read: {plan.parts[0].source} goes before it")
    if plan.hash is not None:
        output.line(f"{'trusted' if trusted else 'not trusted'}: {plan.hash}")
    if not trusted:
        output.note(f"a person allows these commands with '{trust.how(commit)}'")
    if base is None and (other := _uncommitted(place, commit)) is not None:
        output.note(f"{other} here is not as in HEAD: what is committed counts")


def _as_json(plan: "Plan", commit: str, *, trusted: bool) -> dict[str, Any]:
    return {
        "commit": commit,
        "hash": plan.hash,
        "trusted": trusted,
        "parts": [part.as_json() for part in plan.parts],
        "unread": list(plan.unread),
    }


def _uncommitted(place: "Place", commit: str) -> str | None:
    """Return the file of ours that is another one in the folder than in a commit; None: none is."""
    import os

    from prodigy_git.setup import what_runs
    from prodigy_git.setup.plan import OURS

    blob = what_runs.blob_of(place, commit, OURS)
    if blob is None:
        return OURS if os.path.lexists(f"{place.top}/{OURS}") else None
    return what_runs.differing(place.top, (blob,))


@setup.command()
@_BASE
@click.option("--hash", "expected", metavar="HASH", help="Do not ask, if 'setup show' says this.")
@click.option("--revoke", is_flag=True, help="Forget all that was trusted in this repository.")
@output.json_option
def trust(base: str | None, expected: str | None, revoke: bool, as_json: bool) -> None:
    """Show the commands that the repository brings, and ask whether they may run.

    Once per content: another command, another variable or another script asks again. It is kept in the
    store; nothing in a repository can say it. --hash is for a machine at which nobody can be asked.

    \b
    Example:
      prodigy-git setup trust
      prodigy-git setup trust --revoke
    """
    from prodigy_git.git import repository
    from prodigy_git.record import repokey
    from prodigy_git.setup import trust as trusted

    store = home.here()
    if revoke:
        if expected is not None or base is not None:
            raise click.UsageError("--revoke goes alone: it is about all that was trusted.")
        key = repokey.known(store, repository.find(gitenv.here()).common)
        count = 0 if key is None else trusted.revoke(store, key)
        if as_json:
            output.emit_json({"revoked": count})
        else:
            output.prose(f"{count} {'hash' if count == 1 else 'hashes'} forgotten")
        return
    place, commit, plan = _plan(base)
    key = repokey.take(store, place.common)
    if plan.hash is None:
        raise ProdigyError("this repository brings no commands: there is nothing to trust")
    if not trusted.is_trusted(store, key, place.common, plan):
        _ask(plan, expected)
        trusted.trust(store, key, place.common, plan)
    if as_json:
        output.emit_json({"commit": commit, "hash": plan.hash, "trusted": True})
    else:
        output.prose(f"trusted: {plan.hash}")


def _ask(plan: "Plan", expected: str | None) -> None:
    """Ask a person, or compare with what one has read. Raises `ProdigyError` where that is no yes."""
    from prodigy_git.cli import trusting

    if expected is not None:
        if expected != plan.hash:
            raise ProdigyError(
                f"nothing is trusted: 'prodigy-git setup show' says another hash, {plan.hash}"
            )
        return
    if not trusting.somebody_is_there():
        raise click.UsageError(
            "There is no terminal to ask at: a person calls this, or gives --hash."
        )
    if not trusting.approve(plan):
        raise ProdigyError("nothing is trusted")


@setup.command()
@click.argument("name", required=False, shell_complete=completing.sessions)
@output.json_option
def run(name: str | None, as_json: bool) -> None:
    """Set up a worktree that is there already: the one you stand in, or NAME.

    For one that was made without, or whose set-up is to be done again: what its commit says runs in it.

    \b
    Example:
      prodigy-git setup run login
    """
    from prodigy_git.cli import trusting
    from prodigy_git.lifecycle import finish, preparing
    from prodigy_git.store import by_name

    cwd, store = gitenv.here(), home.here()
    session = finish.session_here(cwd) if name is None else by_name.session(store, cwd, name)
    done = preparing.again(
        store, session, approve=trusting.approve, say=output.note, broken=output.note
    )
    if as_json:
        output.emit_json({"session_id": session, "setup": done})
    elif done == "none":
        output.note(f"{session} needs no set-up: nothing says so")
