"""new-worktree, finish, worktree ls; and where the other commands on worktrees are."""

import importlib
from typing import Any

import click

from prodigy_git import duration, gitenv
from prodigy_git.cli import completing, output
from prodigy_git.cli.lazy import LazyGroup
from prodigy_git.errors import ProdigyError
from prodigy_git.store import home


@click.command("new-worktree")
@click.argument("name", required=False)
@click.option(
    "--job",
    help="The job to work on. [default: $PRODIGY_JOB_ID, git config prodigy.job]",
    shell_complete=completing.jobs,
)
@click.option("--agent", help="The agent that will work here.", shell_complete=completing.agents)
@click.option(
    "--item",
    help="The work item it will work on.",
    shell_complete=completing.items(completing.PENDING),
)
@click.option(
    "--base",
    metavar="REF",
    shell_complete=completing.refs,
    help="Where the branch begins. [default: HEAD]",
)
@click.option(
    "--branch", metavar="B", shell_complete=completing.refs,
    help="A new branch; or one that is there, or that a remote has: that is checked out. "
    "[default: prodigy/JOB/ITEM, git config prodigy.branchFormat; prodigy-NAME without an item]",
)  # fmt: skip
@click.option(
    "--pr", "pull", type=click.IntRange(1), metavar="N",
    help="Fetch pull request (or merge request) N, and check it out on a new branch pr-N.",
)  # fmt: skip
@click.option(
    "--path", metavar="PATH", shell_complete=completing.folder_names,
    help="Where the worktree is to be: where nothing is, or an empty folder. [default: in the store]",
)  # fmt: skip
@click.option("--no-setup", is_flag=True, help="Without its set-up commands.")
@click.option("--keep-failed", is_flag=True, help="Keep a worktree whose set-up fails.")
@output.json_option
def new_worktree(
    name: str | None,
    job: str | None,
    agent: str | None,
    item: str | None,
    base: str | None,
    branch: str | None,
    pull: int | None,
    path: str | None,
    no_setup: bool,
    keep_failed: bool,
    as_json: bool,
) -> None:
    """Make a worktree with a branch and a session of its own, and print its path.

    A NAME with a slash in it is the new branch's. What .worktreeinclude matches and git ignores is
    copied from the main worktree, what .worktreelink matches is linked. Then set-up commands run in it
    ('prodigy-git setup show'): one's own, and those of the repository that a person has trusted. If any
    step fails, nothing remains.

    \b
    Example:
      cd "$(prodigy-git new-worktree login --agent ada)"
      prodigy-git new-worktree feature/login
      prodigy-git new-worktree --pr 12
    """
    from prodigy_git.cli import trusting
    from prodigy_git.cli.progress import progress_bar
    from prodigy_git.lifecycle.new_worktree import new_worktree as make

    in_effect: list[bool] = []
    with progress_bar("copying what git ignores") as progress:
        made = make(
            gitenv.here(), name=name, job=job, agent=agent, item=item, base=base, branch=branch,
            path=path, pull=pull, setup=not no_setup, approve=trusting.approve,
            keep_failed=keep_failed, say=output.note, broken=output.note,
            progress=progress or (lambda _, __: None),
            meanwhile=lambda path: in_effect.append(_hooks_in_effect(path)),
        )  # fmt: skip
    if made.setup == "untrusted":
        from prodigy_git.setup import trust

        output.note(
            f"{made.session_id} is made without the repository's set-up commands: a person allows them "
            f"with '{trust.how(made.base_commit)}', then 'prodigy-git setup run {made.session_id}'"
        )
    if as_json:
        output.emit_json(made.as_json())
    else:
        output.path(made.worktree)
    # If not, the files that git wrote since, or the repository's own hook, may have changed that.
    if True not in in_effect:
        from prodigy_git.cli import hooks

        hooks.note_if_not_in_effect(made.worktree)
    if path is not None:
        _note_if_inside(made.worktree)


def _note_if_inside(path: str) -> None:
    """Say where a worktree lies in another one that takes it for new files of its own."""
    from prodigy_git.lifecycle import naming

    around = naming.shown_as_new(path)
    if around is not None:
        output.note(
            f"{around} shows it as untracked: a line for it in .git/info/exclude there mends that"
        )


def _hooks_in_effect(worktree: str) -> bool:
    from prodigy_git.cli import hooks

    return hooks.in_effect(worktree)


@click.command()
@click.argument("name", required=False, shell_complete=completing.sessions)
@click.option("--failed", is_flag=True, help="The work failed.")
@click.option("--error", "reason", metavar="TEXT", help="Why; only with --failed.")
@click.option(
    "--result", metavar="JSON|@FILE", help="What its item yielded: it is kept with the item's end."
)
@click.option(
    "--log",
    "log_path",
    metavar="PATH",
    shell_complete=completing.file_names,
    help="The agent's own log, to be found again.",
)
@output.json_option
def finish(
    name: str | None,
    failed: bool,
    reason: str | None,
    result: str | None,
    log_path: str | None,
    as_json: bool,
) -> None:
    """End a session: of the worktree you stand in, or NAME.

    Records what is not recorded yet, then that the agent and the session are done. The worktree stays
    until it is cleaned. A person's own checkout is ended by its NAME alone.

    \b
    Example:
      prodigy-git finish --result '{"verdict": "fine"}'
      prodigy-git finish login --failed --error 'no such API'
    """
    from prodigy_git.cli import at_work, item_options
    from prodigy_git.lifecycle import finish as ending
    from prodigy_git.store import by_name

    if reason is not None and not failed:
        raise click.UsageError("--error goes with --failed")
    if result is not None and failed:
        raise click.UsageError("--result goes with work that was done well, not with --failed")
    yielded = item_options.read(result)
    store = home.here()
    if name is None:
        session = ending.agents_session_here(gitenv.here())
    else:
        session = by_name.session(store, gitenv.here(), name)
    goes_on = at_work.of_session(store, session, by_run=not failed)
    done = ending.finish(
        store, session, failed=failed, error=reason, result=yielded, log_path=log_path,
        broken=output.note,
    )  # fmt: skip
    for text in goes_on:
        output.note(text)
    if as_json:
        output.emit_json(done.as_json())
    else:
        commits = f"{len(done.commits)} {'commit' if len(done.commits) == 1 else 'commits'}"
        took = duration.seconds(done.duration["secs"])
        output.prose(f"{done.session_id}: {done.status}, {commits}, {took}")


_ELSEWHERE = {
    "show": "prodigy_git.cli.worktree_show:show",
    "clean": "prodigy_git.cli.worktree_clean:clean",
    "restore": "prodigy_git.cli.restore:restore",
    "adopt": "prodigy_git.cli.adopt:adopt",
    "forget": "prodigy_git.cli.forget:forget",
    "path": "prodigy_git.cli.shell:path",
    "env": "prodigy_git.cli.worktree_env:env",
}
_SHORT = {
    "show": "Say what would be lost if a worktree's folder vanished, who is in it, "
    "what clean would do.",
    "clean": "Move worktrees to the trash, whole; 'worktree restore' brings them back.",
    "restore": "Bring back the worktree NAME that was cleaned, as it was, and print its path.",
    "adopt": "Give the worktree at PATH (default: where you stand) a session, whoever made it.",
    "forget": "Stop recording the worktree at PATH (default: where you stand); what is recorded stays.",
    "path": "Print the path of the worktree NAME: a folder's name, or a session.",
    "env": "Print what a command in a worktree finds in its environment, for a shell to evaluate.",
}


@click.group(cls=LazyGroup, where=_ELSEWHERE, short=_SHORT)
def worktree() -> None:
    """Worktrees and their sessions: list them, look into them, clean them, bring them back.

    \b
    Example:
      prodigy-git worktree list
      prodigy-git worktree clean --all --dry-run
    """


@worktree.command("ls")
@click.option("--all-repos", is_flag=True, help="Those of all repositories in the store.")
@output.json_option
def ls(all_repos: bool, as_json: bool) -> None:
    """List the worktrees of this repository with their sessions.

    \b
    Example:
      prodigy-git worktree list --all-repos
    """
    from prodigy_git.cli.sessions import PERSON
    from prodigy_git.lifecycle import listing
    from prodigy_git.lifecycle.meanwhile import done_meanwhile

    try:
        with done_meanwhile(_ahead_of_rows):
            rows = (
                listing.of_store(home.here(), output.note)
                if all_repos
                else listing.of_repository(gitenv.here(), output.note)
            )
    except ProdigyError as error:
        raise ProdigyError(f"{error}, or give --all-repos") from error
    halves = _add_half_way(rows, all_repos=all_repos)
    elsewhere = _add_elsewhere(rows, all_repos=all_repos)
    if as_json:
        output.emit_json(rows)
        return
    headings: tuple[str, ...] = (
        "NAME", "STATUS", "JOB", "AGENT", "ITEM", "BRANCH", "COMMITS", "PATH",
    )  # fmt: skip
    keys: tuple[str, ...] = (
        "name", "status", "job_id", "agent_id", "item_id", "branch", "commits", "worktree",
    )  # fmt: skip
    if elsewhere:
        headings, keys = ("NAME", "HOST", *headings[1:]), ("name", "host", *keys[1:])
    named = ({**row, "agent_id": PERSON} if row["persons"] else row for row in rows)
    shown = ([row[k] if row[k] is not None else "-" for k in keys] for row in named)
    output.table(headings, shown, ("COMMITS", "JOB", "AGENT", "ITEM", "BRANCH"),
                 empty="no worktrees: 'prodigy-git new-worktree' makes one")  # fmt: skip
    for row in rows:
        if row["worktree"] and not row["exists"] and row["half_way"] is None:
            output.note(
                f"{row['name']}: its folder is gone: 'prodigy-git clean --dry-run' says what helps"
            )
    for text in halves:
        output.note(text)


def _ahead_of_rows() -> None:
    """Import what `_add_half_way` needs, for git is asked first."""
    for name in ("prodigy_git.cleanup.trash.unfinished", "prodigy_git.lifecycle.locate"):
        importlib.import_module(name)


def _add_half_way(rows: list[dict[str, Any]], *, all_repos: bool) -> list[str]:
    """Note in the rows which removals and restores are half-way; return a line about each.

    Such a worktree gets a row of its own where git does not know it.
    """
    from prodigy_git.cleanup.trash import unfinished
    from prodigy_git.lifecycle import listing, locate
    from prodigy_git.store import sessions

    store, repo = home.here(), None
    if not all_repos:
        store, _, repo = locate.around(gitenv.here())
        if repo is None:
            return []
    texts = []
    for one in unfinished.find(store, output.note, repo):
        mine = [row for row in rows if row["session_id"] == one.session]
        if not mine:
            try:
                found = sessions.load(store, one.session)
            except ProdigyError:
                found = None
            mine = [listing.row(one.worktree, found, None)]
            rows += mine
        for row in mine:
            row["half_way"] = one.as_json()
        texts.append(one.text())
    return texts


def _add_elsewhere(rows: list[dict[str, Any]], *, all_repos: bool) -> bool:
    """Add the worktrees that other hosts told of, and each one's host; whether there are any.

    Without their paths, which mean nothing here. Where there is no other host nothing is added.
    """
    from prodigy_git.store import other_hosts

    store = home.here()
    hosts = other_hosts.known(store)
    if not hosts.several():
        return False
    from prodigy_git.lifecycle import listing, locate
    from prodigy_git.model.session import Session
    from prodigy_git.store import other_sessions

    for row in rows:
        row |= {"host": hosts.named(None), "host_id": None}
    repo = None
    if not all_repos:
        store, _, repo = locate.around(gitenv.here())
        if repo is None:
            return False
    there = [one for one in other_sessions.read(store, repo, ended=False) if not one.persons]
    for one in there:
        row = listing.row(one.id, Session.of(other_sessions.document(one)), None)
        host = {"host": hosts.named(one.other_host), "host_id": one.other_host}
        rows.append({**row, "worktree": None, "exists": False, **host})
    return bool(there)


worktree.add_command(ls, "list")
