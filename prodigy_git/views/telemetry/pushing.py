"""Bringing what the logs tell to an OTLP endpoint: once, or as long as somebody wants it.

Nothing is kept for an endpoint that is away but which attempts it has not had: the rest is in the log.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from prodigy_git.store.follow import Follower, Jobs
from prodigy_git.views.telemetry.otlp import Refused, Sender
from prodigy_git.views.telemetry.signals import Metric, Span, batches, merged
from prodigy_git.views.telemetry.stories import Wish, look_at_items, spans_of
from prodigy_git.views.telemetry.story import Story, is_meant

Say = Callable[[str], None]

_PATIENCE = (0.5, 1.0, 2.0)
"""Seconds between the tries of a single push,"""
_ENOUGH = 10.0
"""which are not begun after so many."""
_LONGEST = 60.0
"""Seconds at most between the tries of one that follows."""
_LOOKING = 0.05
"""The part of the time that may go into how items stand: what has no index is read anew each time."""
_METRICS_OF = 1000
"""Jobs whose metrics go out together."""


@dataclass
class Sent:
    """What has been accepted."""

    jobs: int = 0
    spans: int = 0
    points: int = 0


def once(sender: Sender, stories: Iterable[Story], wish: Wish) -> Sent:
    """Send all there is; return what was accepted. Raises `Refused`."""
    sent = Sent()
    metrics: dict[str, list[Metric]] = {}
    gathered = 0

    def flush() -> None:
        found = {repo: merged(of_repo) for repo, of_repo in metrics.items()}
        _patiently(partial(sender.metrics, found, time.time_ns()))
        sent.points += sum(len(one.points) for of_repo in found.values() for one in of_repo)
        metrics.clear()

    def told() -> Iterator[Span]:
        nonlocal gathered
        for story in stories:
            sent.jobs += 1
            if "metrics" in wish.signals:
                metrics.setdefault(story.repo, []).extend(story.metrics())
                gathered += 1
                if gathered % _METRICS_OF == 0:
                    flush()
            if "traces" in wish.signals:
                yield from spans_of(story, wish)

    for batch in batches(told()):
        _patiently(partial(sender.spans, batch))
        sent.spans += len(batch)
    flush()
    return sent


def _patiently(send: Callable[[], None]) -> None:
    begin = time.monotonic()
    for pause in _PATIENCE:
        try:
            return send()
        except Refused as refused:
            wait = max(pause, refused.after or 0)
            if not refused.again or time.monotonic() + wait > begin + _ENOUGH:
                raise
            time.sleep(wait)
    return send()


class _Way:
    """How it stands with one signal's endpoint."""

    def __init__(self, say: Say, troubles: Counter[str]) -> None:
        self._say = say
        self._troubles = troubles
        """What stands in the way of how many signals: most often the same of both, to be said once."""
        self._trouble = ""
        self._delay = 0.0
        self.due = 0.0
        """When, by the monotonic clock, it may be tried again."""
        self.lost = 0

    @property
    def away(self) -> bool:
        """Whether what was sent last was refused."""
        return self._delay > 0

    def send(self, send: Callable[[], None], size: int) -> bool:
        """Try; return whether it is done with: accepted, or never to be. Says when that changes."""
        try:
            send()
        except Refused as refused:
            if refused.fault:
                self._say(f"{refused}: {size} given up")
                self.lost += size
                return True
            self._note(str(refused))
            self._delay = min(max(1.0, 2 * self._delay), _LONGEST)
            self.due = time.monotonic() + max(self._delay, min(refused.after or 0, 3600))
            return False
        if self.away:
            self._delay = 0.0
            self._note("")
            if not self._troubles.total():
                self._say("the endpoint accepts again")
        return True

    def _note(self, trouble: str) -> None:
        if trouble == self._trouble:
            return
        if self._trouble:
            self._troubles[self._trouble] -= 1
        self._trouble = trouble
        if trouble:
            if not self._troubles[trouble]:
                self._say(f"{trouble}: nothing is lost, it is tried again until it answers")
            self._troubles[trouble] += 1


def follow(
    sender: Sender, store: str, jobs: Jobs, wish: Wish, interval: float, stop: threading.Event,
    say: Say,
) -> int:  # fmt: skip
    """Send all there is, then what comes, every ``interval`` seconds until ``stop`` is set.

    What has ended since goes out once more then. Returns how many spans could not be sent at the end.
    """
    with contextlib.closing(_Following(sender, store, wish, say)) as following:
        follower = Follower(store, jobs, None, say)
        for repo, job, event in follower.before():
            if stop.is_set():  # before all is read, counts would be wrong
                return 0
            following.story(repo, job).add(event)
        next_metrics = 0.0
        while True:
            last = stop.is_set()
            for found in follower.new():
                for repo, job, event in found:
                    following.story(repo, job).add(event)
            now = time.monotonic()
            if "traces" not in wish.signals:
                following.drop_spans()
            elif last or now >= following.traces.due:
                following.push_spans()
            if "metrics" in wish.signals and (last or now >= next_metrics):
                following.push_metrics()
                next_metrics = max(now + interval, following.metrics.due)
            if last:
                return following.unsent()
            # While the endpoint is away it is looked for at its own pace.
            wait = interval
            if following.traces.away:
                wait = min(wait, max(0.05, following.traces.due - time.monotonic()))
            stop.wait(wait)


class _Following:
    """The jobs that are followed, and how far their telling has come."""

    def __init__(self, sender: Sender, store: str, wish: Wish, say: Say) -> None:
        self._sender, self._store, self._wish, self._say = sender, store, wish, say
        self._stories: dict[tuple[str, str], Story] = {}
        self._touched: set[tuple[str, str]] = set()
        self._untold: set[tuple[str, str]] = set()
        """Jobs with events whose metrics have not been accepted yet."""
        self._roots: dict[tuple[str, str], Span] = {}
        self._look_again: dict[tuple[str, str], float] = {}
        troubles: Counter[str] = Counter()
        self.traces, self.metrics = _Way(say, troubles), _Way(say, troubles)

    def story(self, repo: str, job: str) -> Story:
        """Return a job's story, which is about to go on."""
        key = (repo, job)
        if key not in self._stories:
            self._stories[key] = Story(repo, job)
        self._touched.add(key)
        self._untold.add(key)
        return self._stories[key]

    def drop_spans(self) -> None:
        """Forget what has ended, where nobody wants spans."""
        for key in self._touched:
            self._stories[key].due.clear()
            self._stories[key].forget()
        self._touched.clear()

    def push_spans(self) -> None:
        """Send the spans of what has ended; keep what is not accepted."""
        keys = sorted(self._touched)
        owners: dict[int, tuple[str, str]] = {}

        def told() -> Iterator[Span]:
            for key in keys:
                for span in self._ended(key):
                    owners[span.span_id] = key
                    yield span

        for batch in batches(told()):
            if not self.traces.send(partial(self._sender.spans, batch), len(batch)):
                return
            for span in batch:
                key = owners.pop(span.span_id)
                if span.span_id == self._stories[key].root_id:
                    self._roots[key] = span
                else:
                    self._stories[key].due.pop(span.span_id, None)
        for key in keys:
            self._stories[key].forget()
        self._touched.clear()

    def _ended(self, key: tuple[str, str]) -> Iterator[Span]:
        """Yield the spans of a job's attempts that are due; its own, too, if it has ended."""
        story, selection = self._stories[key], self._wish.selection
        meant = []
        for kept in list(story.due.values()):
            if is_meant(kept, selection):
                meant.append(kept)
            else:
                del story.due[kept.span_id]
        yield from story.spans(meant)
        if story.over and (meant or key in self._roots or not self._wish.narrowed):
            root = story.root()
            if root != self._roots.get(key):
                yield root

    def push_metrics(self) -> None:
        """Send the metrics of the jobs that are under way, or have changed since it was done."""
        keys = sorted(k for k, s in self._stories.items() if k in self._untold or not s.over)
        for begin in range(0, len(keys), _METRICS_OF):
            part = keys[begin : begin + _METRICS_OF]
            found: dict[str, list[Metric]] = {}
            told = []
            for key in part:
                story = self._stories[key]
                if key not in self._untold or self._look(key, story):
                    told.append(key)
                found.setdefault(key[0], []).extend(story.metrics())
            whole = {repo: merged(metrics) for repo, metrics in found.items()}
            size = sum(len(one.points) for metrics in whole.values() for one in metrics)
            if not self.metrics.send(partial(self._sender.metrics, whole, time.time_ns()), size):
                return
            self._untold.difference_update(told)

    def _look(self, key: tuple[str, str], story: Story) -> bool:
        """Bring up how a job's items stand; return whether it was time to."""
        begin = time.monotonic()
        if begin < self._look_again.get(key, 0):
            return False
        look_at_items(self._store, story, lambda _: None)  # who follows has told what is damaged
        end = time.monotonic()
        self._look_again[key] = end + (end - begin) / _LOOKING
        return True

    def unsent(self) -> int:
        """Return how many spans have not been accepted."""
        return self.traces.lost + sum(len(story.due) for story in self._stories.values())

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()
