"""Random stores, cleaned with random flags, against a model of what may go.

The model knows of each file how old what it says is, and whether its job is at rest; it reads nothing.
To run more: PRODIGY_TEST_EXAMPLES=1000 pytest tests/cleanup/records/test_by_age_property.py
"""

import gzip
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_cli import foreign_session, snapshot

from prodigy_git.cleanup.records import by_age
from prodigy_git.record import clock
from prodigy_git.store import events

EXAMPLES = int(os.environ.get("PRODIGY_TEST_EXAMPLES", "150"))
DAY = 86400 * clock.SECOND
NOW = clock.now()
ACTIVE, ENDED = ("Initializing", "Running", "Paused"), ("Completed", "Failed", "Cancelled")

# Days ago; None says no time, "" something that is none.
days = st.sampled_from([0.5, 3, 20, 400, 400, 400, -9])
times = st.one_of(days, days, days, st.sampled_from([None, ""]))


def stamp(ago):
    return ago if ago in (None, "", "{") else clock.stamp(NOW - int(ago * DAY))


def fields(ago, name="timestamp"):
    return {} if ago is None else {name: stamp(ago)}


DIALECTS = (
    lambda own: {"type": "X", **own},
    lambda own: {"event_type": "agent_completed", **own},
    lambda own: {"id": "i", **own, "event": {"event_type": "agent_failed"}},
    lambda own: {"AgentStarted": own},
)


@dataclass
class Job:
    """What is on disk of a job; ages in days, None or "" where a file does not say; "{": broken."""

    sessions: list
    logs: list
    checkpoints: list
    letters: list
    running: bool
    foreign: bool


lines = st.tuples(st.one_of(times, days, days, st.just("{")), st.integers(0, 3))


def job_of(age, line):
    """Draw a job whose files have the ages ``age``, and whose logs have lines ``line``."""
    return st.builds(
        Job,
        sessions=st.lists(st.tuples(st.sampled_from((*ENDED, *ENDED, *ACTIVE)), age), max_size=2),
        logs=st.lists(st.lists(line, max_size=3), max_size=3),
        checkpoints=st.lists(age, max_size=3),
        letters=st.lists(age, max_size=3),
        running=st.sampled_from([False, False, False, True]),
        foreign=st.booleans(),
    )


broken = st.just("{")
# Mostly old, or the mixture would leave hardly a job of which anything may go.
aged = job_of(st.just(400), st.tuples(st.just(400), st.integers(0, 3)))
mixed = job_of(st.one_of(days, times), lines)
damaged = job_of(st.one_of(days, times, broken), lines)
jobs = st.one_of(aged, aged, aged, mixed, damaged)
ALL = ("sessions", "events", "checkpoints", "dlq")
kinds = st.one_of(st.just(set(ALL)), st.sets(st.sampled_from(ALL)))
limits = st.sampled_from([1, 7, 30, 30, 30, 999])


def old(ages, limit):
    """Whether there are ages, and each of them says more than ``limit`` days."""
    return bool(ages) and all(isinstance(age, (int, float)) and age > limit for age in ages)


def write(store, repo, name, job):
    """Write a job; return {path: (kind, ages)}, sessions each on their own."""
    found = {}
    for number, (status, ago) in enumerate(job.sessions):
        session = f"{repo}-{name}-{number}"
        own = {} if job.foreign else {"repo": repo}
        foreign_session(
            store, session, status=status, metadata={**own, "job_id": name},
            completed_at=stamp(ago), updated_at="" if ago is None else stamp(ago),
        )  # fmt: skip
        ages = [ago] if status in ENDED else ["runs"]
        found[store / "sessions" / f"{session}.json"] = ("sessions", ages)
    for number, log in enumerate(job.logs):
        path = store / "events" / repo / name / f"events-2025011{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = ["{" if a == "{" else json.dumps(DIALECTS[d](fields(a))) for a, d in log]
        path.write_text("".join(f"{text}\n" for text in texts))
        found[path] = ("events", [age for age, _ in log])
    folder = store / "state" / repo / "mapreduce" / "jobs" / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, ago in enumerate(job.checkpoints):
        path = folder / (
            "setup-checkpoint.json" if number == 0 else f"map-checkpoint-{number}.json"
        )
        path.write_text("{" if ago == "{" else json.dumps(fields(ago)))
        found[path] = ("checkpoints", job.checkpoints)
    if job.running:
        path = folder / "job-state.json"
        path.write_text(json.dumps({"in_progress_items": {"i": {}}, "updated_at": stamp(400)}))
        found[path] = ("checkpoints", job.checkpoints)
    path = store / "dlq" / repo / name / "dlq-items.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    items = [{"item_id": "i", **fields(ago, "last_attempt")} for ago in job.letters if ago != "{"]
    path.write_text("{" if "{" in job.letters else json.dumps({"items": items}))
    found[path] = ("dlq", list(job.letters))
    return found


@settings(
    max_examples=EXAMPLES,
    derandomize="PRODIGY_TEST_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    known=st.dictionaries(
        st.tuples(st.sampled_from("rs"), st.sampled_from("jk")), jobs, min_size=1, max_size=3
    ),
    wanted=kinds,
    limit=limits,
    repo=st.sampled_from([None, "r"]),
    archiving=st.booleans(),
)
def test_what_goes_is_old_and_at_rest_and_the_dry_run_told_it(
    tmp_path, known, wanted, limit, repo, archiving
):
    store = Path(tempfile.mkdtemp(dir=tmp_path))
    on_disk = {}
    running = set()
    for (key, name), job in known.items():
        found = write(store, key, name, job)
        on_disk |= {path: (key, name, *rest) for path, rest in found.items()}
        runs = job.running or any(status in ACTIVE for status, _ in job.sessions)
        if runs:
            running.add((key, name))
        if runs and job.foreign and not job.running:
            # A session that names no repository may be of a job of that name in any.
            running |= {(one, name) for one in "rs"}
        elif job.foreign and any(status in ACTIVE for status, _ in job.sessions):
            running |= {(one, name) for one in "rs"}
    expected = set()
    for path, (key, name, kind, ages) in on_disk.items():
        names_it = kind != "sessions" or not known[key, name].foreign
        here = repo is None or (repo == key and names_it)
        rests = kind == "sessions" or (key, name) not in running
        if kind in wanted and here and rests and old(ages, limit):
            expected.add(path)

    before = snapshot(store)
    texts = {path: path.read_bytes() for path in expected}
    troubles: list[str] = []
    wanted_limits = dict.fromkeys(wanted, NOW - limit * DAY)
    found = by_age.find(str(store), wanted_limits, troubles.append, repo=repo, archiving=archiving)
    assert snapshot(store) == before
    assert {Path(one.path) for one in found} == expected
    done = by_age.carry_out(str(store), found, troubles.append)

    packed = {one.path for one in done if one.archive_path is not None}
    assert packed == {str(path) for path in expected if archiving and on_disk[path][2] == "events"}
    for one, told in zip(done, found, strict=True):
        assert (one.path, one.trash_path, one.bytes, one.error) == (
            told.path, told.trash_path, told.bytes, None,
        )  # fmt: skip
        went = Path(one.trash_path or one.archive_path or "").read_bytes()
        assert (gzip.decompress(went) if one.archive_path else went) == texts[Path(one.path)]
    # Nothing else has changed.
    after = snapshot(store)
    for path in on_disk:
        assert path.exists() is (path not in expected)
        if path not in expected:
            assert after[str(path)] == before[str(path)]
    # What was kept although its time cannot be told is said, each time.
    again: list[str] = []
    assert (
        by_age.find(str(store), wanted_limits, again.append, repo=repo, archiving=archiving) == []
    )
    for path, (key, name, kind, ages) in on_disk.items():
        doubtful = [age for age in ages if age in (None, "", "{")]
        others = [age for age in ages if age not in (None, "", "{")]
        here = repo is None or (
            repo == key and (kind != "sessions" or not known[key, name].foreign)
        )
        looked_at = kind == "events" and kind in wanted and here and (key, name) not in running
        if looked_at and doubtful and all(age > limit for age in others):
            assert any(str(path) in text for text in again), (path, again)
    for key, name in known:
        list(events.read_job(str(store), key, name, lambda _: None))
