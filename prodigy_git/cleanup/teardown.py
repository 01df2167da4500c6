"""What comes before a worktree that was set up is removed: its teardown commands, its background ones.

They may change the worktree: whoever carries this out looks at it again before it is removed.
"""

from prodigy_git import layout
from prodigy_git.cleanup.account.evidence import Subject
from prodigy_git.errors import ProdigyError
from prodigy_git.record import within
from prodigy_git.setup import background, notes, stages, trust
from prodigy_git.setup.notes import Note
from prodigy_git.store.broken import Broken


def is_due(store: str, one: Subject) -> bool:
    """Whether anything was set up for a worktree, and is not torn down yet."""
    return one.session is not None and notes.exists(store, one.session.id)


def carry_out(store: str, one: Subject, broken: Broken, *, commands: bool) -> None:
    """Tear a worktree down, with its ``commands``, and end what runs in the background for it.

    Killed anywhere it begins again: what is remembered goes last. Raises `ProdigyError` where the
    worktree is to be kept: a command failed, is not trusted any more, or its set-up is under way.
    """
    assert one.session is not None
    remembered = notes.read(store, one.session.id)
    if remembered is None:
        return
    background.end_interrupted(remembered)
    if commands and remembered.plan.has("teardown") and one.place is not None:
        _run(store, one, remembered, broken)
    background.end(remembered, broken)
    remembered.drop()


def _run(store: str, one: Subject, remembered: Note, broken: Broken) -> None:
    assert one.session is not None
    assert one.place is not None
    anyway = f"'prodigy-git worktree clean --no-teardown {one.session.id}' cleans it without"
    plan, repo = remembered.plan, remembered.repo
    if plan.given("teardown") and not trust.is_trusted(store, repo, one.place.common, plan):
        raise ProdigyError(f"its teardown commands are not trusted any more: {anyway}")
    log = layout.setup_log(store, repo, one.session.job, one.session.id)
    try:
        within.refuse_links(store, log)
        where = stages.site(one.place, broken)
        remembered.begin_work()
        stages.run("teardown", plan, where, log, note=remembered)
        remembered.settle()
    except stages.Failed as failure:
        remembered.settle()
        for line in failure.last:
            broken(f"| {line}")
        raise ProdigyError(f"{failure}; {anyway}") from failure
    except (ProdigyError, OSError) as error:
        remembered.settle()
        raise ProdigyError(f"its teardown did not run ({error}): {anyway}") from error
