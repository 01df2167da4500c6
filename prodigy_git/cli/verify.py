"""verify: does the log hold what git knows."""

from typing import TYPE_CHECKING

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.errors import ProdigyError
from prodigy_git.store import home, host_files

if TYPE_CHECKING:
    from prodigy_git.verify import BrokenLine, Verdict


@click.command()
@click.option("--job", help="The sessions of this job.", shell_complete=completing.jobs)
@click.option("--session", "name", help="This session.", shell_complete=completing.sessions)
@click.option("--all", "every", is_flag=True, help="All sessions of the store.")
@click.option("--fix", is_flag=True, help="Append what is missing, quarantine broken lines.")
@click.option("--verbose", "-v", is_flag=True, help="Name what is unclear, too.")
@output.json_option
def verify(
    job: str | None, name: str | None, every: bool, fix: bool, verbose: bool, as_json: bool
) -> int:
    """Compare the log with git's own records. [default: the sessions of this repository]

    Exits 1 where they differ, and where it could not look. Evidence is the HEAD reflog of each
    session's worktree, in the trash too, or its branch. What is unclear is counted: commits that came
    to a worktree, but perhaps were not made in it.

    \b
    Example:
      prodigy-git verify --job review --fix
    """
    from prodigy_git import out_of_reach
    from prodigy_git import verify as verifying
    from prodigy_git.cleanup.trash import unfinished
    from prodigy_git.git import repository
    from prodigy_git.record import repokey
    from prodigy_git.store import sessions

    if sum((job is not None, name is not None, every)) > 1:
        raise click.UsageError("Give one of --job, --session and --all.")
    store = home.here()
    unseen: list[str] = []

    def broken(text: str) -> None:
        unseen.append(text)
        output.note(text)

    if name is not None:
        chosen = [sessions.load(store, name)]
    else:
        try:
            chosen = sessions.load_all(store, broken, output.note)
        except OSError as error:  # another user's store
            chosen = []
            broken(f"{store}: not verified ({error.strerror})")
        if job is not None:
            chosen = [one for one in chosen if one.job == job]
            if not chosen:
                raise ProdigyError(f"no session of a job {job}: 'sessions list' shows the jobs")
        elif not every:
            common = repository.find(gitenv.here()).common
            key = repokey.known(store, common)
            chosen = [one for one in chosen if key is not None and one.text("repo") == key]
            for text in out_of_reach.out_of_reach(common):
                broken(text)
    verdicts, lines = verifying.verify(store, chosen, fix=fix, broken=broken, note=output.note)
    ids = {one.id for one in chosen}
    halves = [one for one in unfinished.find(store, broken) if one.session in ids]
    if as_json:
        output.emit_json(
            {
                "sessions": [one.as_json() for one in verdicts],
                "broken_lines": [vars(one) for one in lines],
                "not_verified": unseen,
                "half_way": [one.as_json() for one in halves],
            }
        )
    else:
        _show(verdicts, lines, verbose=verbose)
        for half in halves:
            output.note(half.text())
    wrong = any(one.differs() for one in verdicts) or any(one.quarantine is None for one in lines)
    # What could not be looked at may be anything.
    return 1 if wrong or unseen else 0


def _show(verdicts: "list[Verdict]", lines: "list[BrokenLine]", *, verbose: bool) -> None:
    headings = (
        "SESSION", "JOB", "EVIDENCE", "RECORDED", "MISSING", "DUPLICATED", "FOREIGN", "UNCLEAR",
    )  # fmt: skip
    output.table(
        headings,
        (
            (
                one.session_id,
                one.job_id,
                one.evidence,
                one.recorded,
                len(one.missing),
                len(one.duplicated),
                len(one.foreign),
                len(one.unclear),
            )
            for one in verdicts
        ),
        ("JOB", "EVIDENCE"),
        empty="no sessions: there is nothing to compare",
    )
    for one in verdicts:
        for word in ("missing", "duplicated", "foreign", *(("unclear",) if verbose else ())):
            for sha in getattr(one, word):
                mended = " (appended now)" if word == "missing" and sha in one.fixed else ""
                output.note(f"{one.session_id}: {word} {sha}{mended}")
    if any(one.foreign for one in verdicts):
        output.note(
            "foreign commits were made elsewhere, in a copy or in a state of the repository that is "
            "gone: 'prodigy-git doctor --fix' in it notes those of which that can be told"
        )
    for line in lines:
        mend = ", --fix quarantines it"
        if host_files.tag_in(line.file) is not None:
            mend = (
                ", and came from a hub: delete the file, and 'prodigy-git hub sync' brings it anew"
            )
        done = f", moved to {line.quarantine}" if line.quarantine else mend
        what = "torn: its end is missing" if line.torn else "not an event"
        output.note(f"{line.file}:{line.number}: {what}{done}")
