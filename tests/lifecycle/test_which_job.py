"""Which job a command means that is given none; and what listings say of who works on what."""

import pytest
from support_cli import call, new, ok, refused


@pytest.fixture
def known(repo, git):
    ok("install", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "a person's own", cwd=repo)
    return repo


def meant(cwd):
    done = ok("job", "show", "--json", cwd=cwd)
    return done.json["job_id"], done.err


def test_the_only_job_under_way_is_meant_and_never_a_checkouts_own(known, monkeypatch):
    said = refused("job", "show", cwd=known)
    assert "none is under way here: 'prodigy-git job start' opens one" in said
    (own,) = ok("sessions", "list", "--json", cwd=known).json
    assert own["job_id"] == own["session_id"]
    ok("job", "start", "one", cwd=known)
    assert meant(known) == (
        "one", "prodigy-git: no job is named: this is one, the only one under way here\n",
    )  # fmt: skip
    ok("job", "start", "two", cwd=known)
    assert "2 jobs are under way" in refused("dlq", "list", cwd=known)
    assert refused("job", "show", cwd=known).endswith("PRODIGY_JOB_ID: one, two\n")
    ok("job", "cancel", "one", cwd=known)
    assert meant(known)[0] == "two"
    monkeypatch.setenv("PRODIGY_JOB_ID", "one")
    assert meant(known) == ("one", "")


def test_a_session_that_is_called_as_its_job_is_of_that_job(known):
    for name in ("one", "two"):
        ok("job", "start", name, cwd=known)
    made = new(known, "two", "--job", "two")["worktree"]
    assert meant(made) == ("two", "")


def test_what_a_session_records_is_its_own(known):
    ok("job", "start", "one", cwd=known)
    made = new(known, "alone")["worktree"]
    assert ok("event", "add", "--type", "Mark", "--json", cwd=made).json["job_id"] == "alone"
    assert meant(made)[0] == "one"


def test_listings_name_item_branch_and_error(known):
    new(known, "w1", "--job", "j", "--agent", "ann", "--item", "i-1")
    ok("finish", "w1", "--failed", "--error", "no\nspace", cwd=known)
    rows = [line.split("\t") for line in ok("sessions", "list", cwd=known).out.splitlines()]
    (row,) = [one for one in rows if one[0] == "w1"]
    assert row[1:6] == ["Failed", "j", "ann", "i-1", "0"]
    assert row[7:] == ["prodigy/j/i-1", "no"]
    rows = [line.split("\t") for line in ok("worktree", "ls", cwd=known).out.splitlines()]
    (row,) = [one for one in rows if one[0] == "w1"]
    assert row[1:6] == ["Failed", "j", "ann", "i-1", "prodigy/j/i-1"]
    assert call("worktree", "ls", cwd=known).err == ""
