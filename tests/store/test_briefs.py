"""Sessions in brief: what the whole file says, and only what is damaged left out."""

from support_cli import foreign_session, new, rewrite_session

from prodigy_git.errors import ProdigyError
from prodigy_git.model import session as model
from prodigy_git.store import briefs, sessions


def read(store, cache=None):
    wrong = []
    return briefs.read_all(str(store), wrong.append, cache), wrong


def test_the_states_are_those_of_the_model():
    assert set(model.Status.__args__) == briefs.STATUSES
    assert briefs.ENDED == model.ENDED


def test_it_says_what_the_session_says(repo, store):
    new(repo, "one", "--job", "j", "--agent", "a", "--item", "i")
    new(repo, "two")
    rewrite_session(store, "two", status="Failed", error="why", completed_at="2025-01-11T12:00:00Z")
    foreign_session(store, "theirs", mapreduce_data={"job_id": "mr", "total_items": 3})
    found, wrong = read(store)
    assert wrong == []
    assert [one.id for one in found] == ["one", "theirs", "two"]
    for brief in found:
        whole = sessions.load(str(store), brief.id)
        assert (brief.job, brief.status, brief.over) == (whole.job, whole.status, whole.ended)
        assert brief.ended == whole.ended_at
        for name in ("repo", "branch", "base_branch", "base_commit"):
            assert getattr(brief, name) == whole.text(name)
        assert brief.worktree == whole.text("worktree_path")
        assert (brief.agent, brief.item) == (whole.text("agent_id"), whole.text("item_id"))
    assert found[2].error == "why"


def test_damage_is_named_and_passed_over(repo, store):
    new(repo, "good")
    for name, text in {
        "torn": '{"id":"torn"', "other": '{"id":"another","status":"Running"}', "list": "[]",
        "odd": '{"id":"odd","status":"Dancing"}', "bytes": "\xff",
        "up": '{"id":"up","status":"Running","metadata":{"job_id":"../../etc"}}',
        "repo": '{"id":"repo","status":"Running","metadata":{"repo":"a/b"}}',
    }.items():  # fmt: skip
        (store / "sessions" / f"{name}.json").write_bytes(text.encode("latin-1"))
    (store / "sessions" / "folder.json").mkdir()
    # Of another type than it should be is as good as missing.
    foreign_session(store, "loose", metadata={"agent_id": 3, "branch": [], "pid": "x"}, error={})
    found, wrong = read(store)
    assert [one.id for one in found] == ["good", "loose"]
    assert (found[1].agent, found[1].branch, found[1].error, found[1].process) == (None,) * 4
    assert len(wrong) == 8
    assert all("repair it or move it away" in line for line in wrong)


def test_only_what_has_changed_is_read_again(repo, store, monkeypatch):
    for name in ("one", "two", "three"):
        new(repo, name)
    cache = {}
    read(store, cache)
    rewrite_session(store, "two", status="Paused", error="so that it is longer")
    (store / "sessions" / "three.json").unlink()
    looked = []
    brief = briefs._brief
    monkeypatch.setattr(
        briefs, "_brief", lambda name, data: looked.append(name) or brief(name, data)
    )
    found, _ = read(store, cache)
    assert [(one.id, one.status) for one in found] == [("one", "Running"), ("two", "Paused")]
    assert looked == ["two"]
    assert cache.keys() == {"one", "two"}
    # Those of a second look, too.
    rewrite_session(store, "one", status="Failed")
    looked.clear()
    some = briefs.read_some(str(store), ["one", "two", "none"], cache)
    assert [(one.id, one.status) for one in some] == [("one", "Failed"), ("two", "Paused")]
    assert looked == ["one"]


ODD = {
    "texts of other types": {"metadata": {"branch": 3, "agent_id": [], "repo": None, "job_id": {}}},
    "half a character": {"metadata": {"branch": "\ud800", "worktree_path": "/\udce4"}},
    "a NUL": {"metadata": {"branch": "a\0b", "agent_id": ""}},
    "unknown fields": {"later": {"a": 1}, "metadata": {"later": [1], "job_id": "j"}},
    "no metadata": {"metadata": {}},
    "a job of both": {"mapreduce_data": {"job_id": "mr"}, "metadata": {"job_id": "own"}},
    "another's id": {"id": "somebody"},
    "an unknown state": {"status": "Dancing"},
    "a state of another type": {"status": 1},
    "a job that leads away": {"metadata": {"job_id": "../up"}},
    "a key that leads away": {"metadata": {"repo": "a/b"}},
}


def test_both_readers_say_the_same_of_odd_files(store):
    for number, (what, fields) in enumerate(ODD.items()):
        foreign_session(store, f"odd-{number}", **fields)
        brief, _ = read(store)
        mine = next((one for one in brief if one.id == f"odd-{number}"), None)
        try:
            whole = sessions.load(str(store), f"odd-{number}")
        except ProdigyError:
            whole = None
        assert (mine is None) == (whole is None), what
        if mine is None or whole is None:
            continue
        names = ("repo", "branch", "base_branch", "base_commit", "last_commit")
        said = [whole.text(name) for name in (*names, "worktree_path", "agent_id", "item_id")]
        short = [getattr(mine, name) for name in (*names, "worktree", "agent", "item")]
        assert short == said, what
        assert (mine.job, mine.status, mine.over) == (whole.job, whole.status, whole.ended), what
