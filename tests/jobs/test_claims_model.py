"""Claims and their ends, in random sequences, against a model."""

import os

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support_claims import HOUR, claim, complete, fail, quiet

from prodigy_git import layout
from prodigy_git.jobs import (
    books,
    claims,
    course,
    index,
    replay,
)
from prodigy_git.jobs import requeue as requeues
from prodigy_git.record import log


class Job(RuleBasedStateMachine):
    """Random steps, with the index thrown away now and then, against what each is meant to do."""

    def __init__(self):
        super().__init__()
        from tempfile import TemporaryDirectory

        self.folder = TemporaryDirectory()
        self.store = self.folder.name
        given = [(f"i{n}", n) for n in range(4)]
        course.start(self.store, "r", "j", given=given, max_attempts=2, broken=quiet)
        self.state = dict.fromkeys((f"i{n}" for n in range(4)), "pending")
        self.tried = dict.fromkeys(self.state, 0)
        self.attempt = dict.fromkeys(self.state, 0)
        self.held = {}

    def teardown(self):
        self.folder.cleanup()

    @rule(agent=st.sampled_from(["a", "b", "c"]), dead=st.booleans())
    def claim(self, agent, dead):
        self.give_up_the_dead()
        made = claim(self.store, agent, lease=-1 if dead else HOUR)
        pending = [name for name, state in self.state.items() if state == "pending"]
        if not pending:
            assert made is None
            return
        assert made.item_id in pending
        name = made.item_id
        self.attempt[name] += 1
        self.tried[name] += 1
        assert made.attempt == self.attempt[name]
        self.state[name] = "in_progress"
        self.held[name] = (made, dead)

    def give_up_the_dead(self):
        for name, (_, dead) in list(self.held.items()):
            if dead:
                self.failed(name)

    def failed(self, name):
        del self.held[name]
        self.state[name] = "dead" if self.tried[name] >= 2 else "pending"

    @precondition(lambda self: self.held)
    @rule(data=st.data(), good=st.booleans())
    def end(self, data, good):
        name = data.draw(st.sampled_from(sorted(self.held)))
        made, dead = self.held[name]
        self.give_up_the_dead()
        if good:
            ended = complete(self.store, made)
            if not dead:
                del self.held[name]
                self.state[name] = "completed"
            elif self.state[name] == "pending":
                self.state[name] = "completed"
            else:
                assert ended.late
        else:
            ended = fail(self.store, made)
            if not dead:
                self.failed(name)
            else:
                assert ended.late
        assert ended.state == self.state[name]

    @precondition(lambda self: "dead" in self.state.values())
    @rule(every=st.booleans(), clear=st.booleans())
    def empty_the_queue(self, every, clear):
        self.give_up_the_dead()
        dead = sorted(name for name, state in self.state.items() if state == "dead")
        chosen = dead if every else dead[:1]
        function = requeues.clear if clear else requeues.requeue
        assert function(self.store, "r", "j", None if every else chosen, quiet) == chosen
        for name in chosen:
            self.state[name] = "failed" if clear else "pending"
            self.tried[name] = 0

    @rule(what=st.sampled_from(["index", "checkpoints", "queue"]))
    def lose(self, what):
        folder = f"{self.store}/state/r/mapreduce/jobs/j"
        for name in os.listdir(folder):
            if name.startswith("index") if what == "index" else "checkpoint" in name:
                os.unlink(f"{folder}/{name}")
        if what == "queue" and os.path.exists(layout.dead_letters(self.store, "r", "j")):
            os.unlink(layout.dead_letters(self.store, "r", "j"))

    @rule()
    def another_writer(self):
        log.append(self.store, "r", "j", [{"id": "x" * 36, "type": "ClaudeMessage"}])

    @invariant()
    def the_books_balance(self):
        self.give_up_the_dead()
        with claims.step(self.store, "r", "j", quiet) as opened:
            known = {name: books.view(opened.item(name)).state for name in self.state}
            assert known == self.state
            assert opened.count("in_progress") == len(self.held)
        whole = replay.whole(self.store, "r", "j", quiet)
        for name, item in whole.items.items():
            assert books.view(item).state == self.state[name]
            with index.opened(self.store, "r", "j", quiet) as opened:
                there = opened.item(name)
            assert msgspec.json.encode(there, order="deterministic") == msgspec.json.encode(
                item, order="deterministic"
            )


Job.TestCase.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
TestJob = Job.TestCase
