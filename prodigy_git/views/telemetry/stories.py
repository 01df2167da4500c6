"""What is to be told of the jobs in the store: which of their spans, and how their items stand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import peek, summary
from prodigy_git.model.selection import Selection
from prodigy_git.store import events
from prodigy_git.store.events import Broken
from prodigy_git.views.telemetry.signals import Signal, Span
from prodigy_git.views.telemetry.story import ITEM_STATES, Story, is_meant


@dataclass(frozen=True)
class Wish:
    """What is to be sent: of which attempts, and of what kind."""

    selection: Selection
    signals: tuple[Signal, ...] = ("traces", "metrics")

    @property
    def narrowed(self) -> bool:
        """Whether not all attempts are meant."""
        return self.selection != Selection()


def read(store: str, jobs: Iterable[tuple[str, str]], broken: Broken) -> Iterator[Story]:
    """Yield the jobs that have events, one after the other, each with all there is of it."""
    for repo, job in jobs:
        story = Story(repo, job)
        for event in events.read_job(store, repo, job, broken):
            story.add(event)
        if story.last is not None or story.due:
            look_at_items(store, story, broken)
            yield story


def look_at_items(store: str, story: Story, broken: Broken) -> None:
    """Bring up how many of a job's items are in each state; as it was where that cannot be read."""
    try:
        with peek.opened(store, story.repo, story.job, broken) as index:
            head = summary.head(index)
    except (ProdigyError, OSError) as error:
        broken(f"{story.job}: {error}")
        return
    story.items = {state: head[state] for state in ITEM_STATES} if head["total_items"] else {}


def spans_of(story: Story, wish: Wish) -> Iterator[Span]:
    """Yield the spans of a story's attempts that are wished for, and that of the job around them."""
    meant = [kept for kept in story.due.values() if is_meant(kept, wish.selection)]
    if meant or not wish.narrowed:
        yield story.root()
        yield from story.spans(meant)
