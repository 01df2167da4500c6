"""A session's file that is empty: Prodigy's, which empties it before it writes, or damage to ours."""

import pytest
from support_cli import call, new, ok


@pytest.fixture
def session(repo):
    return new(repo, "mine")["session_id"]


def test_what_prodigy_was_interrupted_in_writing_is_told_and_no_fault_of_ours(repo, session, store):
    name = "session-11111111-1111-4111-8111-111111111111"
    (store / "sessions" / f"{name}.json").touch()
    done = ok("verify", "--json", cwd=repo)
    assert done.json["not_verified"] == []
    assert f"{name}.json is empty: Prodigy was interrupted as it wrote it" in done.err
    assert f"{name}.json is empty" in ok("sessions", "list", cwd=repo).err


@pytest.mark.parametrize("text", ["", "{"])
def test_one_of_ours_that_is_empty_is_damaged(repo, session, store, text):
    (store / "sessions" / f"{session}.json").write_text(text)
    done = call("verify", cwd=repo)
    assert done.code == 1
    assert f"{session}.json is damaged" in done.err
