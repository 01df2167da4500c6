"""A job whose files the tests look at."""

import json

from prodigy_git.jobs import claims, course
from prodigy_git.record import clock, log, mapping, register, session

LEASE = 3600 * clock.SECOND


def fail_on(text):
    raise AssertionError(text)


class Job:
    """A job of some items in a store, taken through its course step by step."""

    def __init__(self, store, count=3, name="j", **how):
        self.store, self.name = str(store), name
        self.where = (self.store, "r", name)
        self.folder = store / "state" / "r" / "mapreduce" / "jobs" / name
        given = [(f"i{n}", {"n": n}) for n in range(count)]
        course.start(*self.where, given=given, max_attempts=1, broken=fail_on, **how)

    def names(self, pattern="*checkpoint*"):
        return sorted(path.name for path in self.folder.glob(pattern))

    def newest(self, pattern):
        return json.loads((self.folder / self.names(pattern)[-1]).read_text())

    def claim(self, **how):
        made = claims.claim(*self.where, agent="a", lease=LEASE, broken=fail_on, **how)
        assert made is not None
        return made

    def work(self, count=1):
        for _ in range(count):
            claims.complete(*self.where, self.claim(), commits=[], broken=fail_on)

    def fail(self):
        claims.fail(*self.where, self.claim(), error="boom", broken=fail_on)

    def phase(self, phase, **outputs):
        course.set_phase(*self.where, phase, fail_on, outputs)

    def finish(self):
        course.finish(*self.where, broken=fail_on)

    def session(self, name):
        """Make a session's file, as of one that works on the job."""
        metadata = {"repo": "r", "agent_id": "a", "created_by": "test"}
        assert register.reserve(self.store, "r", name, self.name, metadata, name) == name
        mapping.put(self.store, "r", name, self.name)
        started = {
            "id": log.event_id(self.name, name), "timestamp": "", "type": "SessionStarted",
            "event_type": "SessionStarted", "job_id": self.name, "session_id": name,
        }  # fmt: skip
        log.append(*self.where, [started])
        return lambda: session.read(self.store, name)["mapreduce_data"]
