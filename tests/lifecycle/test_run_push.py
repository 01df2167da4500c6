"""run --push: the commits of each attempt are pushed, and the log says where they are."""

import json
import signal

import pytest
from support_cli import call, ok
from support_run import done, run, shown, started, until

COMMIT = 'git commit -q --allow-empty -m "$PRODIGY_ITEM_ID"'


@pytest.fixture
def remote(repo, tmp_path, git):
    """Make an empty repository that is the remote ``origin``."""
    path = tmp_path / "origin.git"
    git("init", "-q", "--bare", path, cwd=tmp_path)
    git("remote", "add", "origin", path, cwd=repo)
    return path


def heads(git, remote):
    """Return the branches of a remote, and their commits."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", cwd=remote)
    return dict(line.split() for line in lines.splitlines())


def of_type(events, *wanted):
    return [one for one in events("j") if one["type"] in wanted]


def test_what_was_committed_is_pushed_also_of_an_attempt_that_failed(
    repo, remote, tmp_path, git, events
):
    cwd = started(
        repo, tmp_path, {"id": "well"}, {"id": "badly"}, {"id": "nothing"}, max_attempts=1
    )
    script = f'[ $PRODIGY_ITEM_ID = nothing ] || {COMMIT}; [ "$PRODIGY_ITEM_ID" != badly ]'
    status, out, err = done(
        cwd, "--next", "--push", "origin", "--json", "--", "sh", "-c", script
    )  # fmt: skip
    assert status == 1, err
    there = heads(git, remote)
    told = of_type(events, "BranchPushed", "BranchNotPushed")
    assert {one["ref"]: one["head"] for one in told} == there
    assert [one["type"] for one in told] == ["BranchPushed"] * 2
    for one in told:
        assert (one["remote"], one["url"]) == ("origin", str(remote))
        assert one["ref"].endswith(f"/{one['item_id']}.{one['session_id']}")
        assert git("log", "-1", "--format=%s", one["head"], cwd=remote) == one["item_id"]
    ended = {one["item_id"]: one["pushed"] for one in map(json.loads, out.splitlines())}
    assert len(ended) == 3
    assert {name for name, one in ended.items() if one is not None} == {
        one["item_id"] for one in told
    }
    for one in told:
        assert ended[one["item_id"]]["ref"] == one["ref"]
        assert ended[one["item_id"]]["error"] is None


def test_two_hosts_with_a_branch_of_one_name_are_not_in_each_others_way(
    repo, remote, tmp_path, git, events, monkeypatch
):
    cwd = started(repo, tmp_path, {"id": "x"})
    assert done(cwd, "--push", "origin", "--", "sh", "-c", COMMIT)[0] == 0
    other = tmp_path / "other"
    git("clone", "-q", repo, other, cwd=tmp_path)
    git("remote", "set-url", "origin", remote, cwd=other)
    monkeypatch.setenv("PRODIGY_HOME", str(tmp_path / "their-store"))
    git("switch", "-q", "-C", "elsewhere", cwd=other)
    git("commit", "-q", "--allow-empty", "-m", "Before", cwd=other)
    started(other, tmp_path, {"id": "x"})
    assert done(other, "--push", "origin", "--", "sh", "-c", COMMIT)[0] == 0
    there = heads(git, remote)
    assert len(there) == len(set(there.values())) == 2


def test_what_is_refused_is_told_and_the_attempt_stands(repo, remote, tmp_path, git, events):
    hook = remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    cwd = started(repo, tmp_path, {"id": "x"})
    status, _, err = done(cwd, "--next", "--push", "origin", "--", "sh", "-c", COMMIT)
    assert status == 0
    assert "item x: its commits are not pushed to origin (" in err
    (told,) = of_type(events, "BranchPushed", "BranchNotPushed")
    assert told["type"] == "BranchNotPushed"
    assert "declined" in told["error"]
    assert "not today" in told["error"]
    assert shown(cwd)["completed"] == 1
    hook.unlink()
    # It would not be asked for once more by itself: the branch is here.
    done(cwd, "--next", "--push", "origin", "--", "true")
    assert heads(git, remote) == {}


def test_what_a_remote_missed_while_it_was_away_it_gets_later(repo, remote, tmp_path, git, events):
    away = remote.rename(tmp_path / "away")
    cwd = started(repo, tmp_path, {"id": "x"}, {"id": "y"})
    status, _, err = done(cwd, "--next", "--push", "origin", "--", "sh", "-c", COMMIT)
    assert status == 0
    assert "item x: its commits are not pushed to origin (" in err
    assert "item y: its commits are not pushed to origin (origin was away a moment ago)" in err
    assert "2 branches are not pushed to origin yet" in err
    away.rename(remote)
    done(cwd, "--next", "--push", "origin", "--", "true")
    pushed = of_type(events, "BranchPushed")
    assert sorted(one["item_id"] for one in pushed) == ["x", "y"]
    assert {one["ref"]: one["head"] for one in pushed} == heads(git, remote)
    # Once, and no more.
    done(cwd, "--next", "--push", "origin", "--", "true")
    assert of_type(events, "BranchPushed") == pushed


def test_a_remote_that_answers_nothing_stalls_nobody(repo, remote, tmp_path, git, events):
    hook = repo / ".git/hooks/pre-push"
    hook.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid; exec sleep 600\n")
    hook.chmod(0o755)
    git("config", "prodigy.pushTimeout", "1s", cwd=repo)
    cwd = started(repo, tmp_path, {"id": "x"})
    status, _, err = done(cwd, "--next", "--push", "origin", "--", "sh", "-c", COMMIT)
    assert status == 0
    assert "(git push took longer than 1 seconds, and was ended)" in err
    assert shown(cwd)["completed"] == 1
    pid = int((tmp_path / "pid").read_text())
    until(lambda: call("job", "show", "j", cwd=cwd).code == 0 and not _runs(pid))


def _runs(pid):
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_is_ended_while_pushing_has_it_pushed_later(
    repo, remote, tmp_path, git, events, number
):
    hook = repo / ".git/hooks/pre-push"
    hook.write_text(f"#!/bin/sh\necho > {tmp_path}/up; exec sleep 600\n")
    hook.chmod(0o755)
    cwd = started(repo, tmp_path, {"id": "x"})
    child = run(cwd, "--next", "--push", "origin", "--", "sh", "-c", COMMIT)
    until((tmp_path / "up").exists)
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode == (143 if number == signal.SIGTERM else -9)
    assert shown(cwd)["completed"] == 1
    hook.unlink()
    assert heads(git, remote) == {}
    done(cwd, "--next", "--push", "origin", "--", "true")
    (told,) = of_type(events, "BranchPushed")
    assert heads(git, remote) == {told["ref"]: told["head"]}


def test_a_password_in_the_remotes_url_is_written_nowhere(repo, tmp_path, git, events):
    git("remote", "add", "origin", "http://ada:geheim@127.0.0.1:1/x.git", cwd=repo)
    cwd = started(repo, tmp_path, {"id": "x"})
    status, out, err = done(cwd, "--next", "--push", "origin", "--json", "--", "sh", "-c", COMMIT)
    assert status == 0
    (told,) = of_type(events, "BranchNotPushed")
    assert told["url"] == "http://127.0.0.1:1/x.git"
    assert "geheim" not in f"{out}{err}{events('j')}"


def test_a_remote_that_there_is_not_is_told_before_anything_is_claimed(repo, tmp_path, git, events):
    cwd = started(repo, tmp_path, {"id": "x"})
    told = call("run", "--job", "j", "--push", "nowhere", "--", "true", cwd=cwd)
    assert told.code == 1
    assert "there is no remote nowhere: 'git remote' names them" in told.err
    git("remote", "add", "origin", "..", cwd=repo)
    git("config", "prodigy.pushTimeout", "soon", cwd=repo)
    told = call("run", "--job", "j", "--push", "origin", "--", "true", cwd=cwd)
    assert "prodigy.pushTimeout 'soon' is no duration" in told.err
    assert of_type(events, "AgentStarted") == []
    assert ok("job", "show", "j", "--json", cwd=cwd).json["pending"] == 1
