"""What other hosts made and pushed is fetched where it is merged; what they say is not believed."""

import json
import shutil
from pathlib import Path

import pytest
from support_hosts import Host

COMMIT = (
    'echo "$PRODIGY_ITEM_ID" > "$PRODIGY_ITEM_ID"; git add .; git commit -qm "$PRODIGY_ITEM_ID"'
)


class World:
    """Two hosts with a clone each; what `ada` says of the job ``j`` is carried to `ben` by hand."""

    def __init__(self, folder, repo, git):
        self.origin = folder / "origin.git"
        git("clone", "-q", "--bare", repo, self.origin, cwd=folder)
        self.ada, self.ben = (Host(folder, name, self.origin) for name in ("ada", "ben"))
        items = folder / "items"
        items.write_text('{"id": "x"}\n{"id": "y"}\n')
        for host in (self.ada, self.ben):
            host.run("job", "start", "j", "--items", items)

    def work(self, *options):
        done = self.ada.run(
            "run", "--job", "j", "--next", *options, "--", "sh", "-c", COMMIT, check=False
        )
        assert done.code == 0, done.err

    def told(self):
        (log,) = (self.ada.store / "events").glob("*/j/events-*.jsonl")
        return [json.loads(line) for line in log.read_text().splitlines()]

    def carry(self, change=lambda event: event):
        (there,) = (self.ben.store / "events").glob("*/j")
        with open(there / "events-20260101-0123456789ab.jsonl", "w") as stream:
            for event in self.told():
                stream.write(json.dumps(change(event)) + "\n")

    def merged(self, *options, code=0):
        done = self.ben.run("merge", "--job", "j", *options, "--json", check=False)
        assert done.code == code, done.err
        return {one["item_id"]: one["state"] for one in done.json["results"]}, done.err


@pytest.fixture
def world(tmp_path, repo, git):
    made = World(tmp_path, repo, git)
    yield made
    for host in (made.ada, made.ben):
        host.close()


def test_what_was_pushed_on_one_host_is_merged_on_another(world):
    world.work("--push", "origin")
    world.carry()
    before = world.ben.git("for-each-ref")
    looked, err = world.merged("--dry-run", code=1)
    assert looked == {"x": "not_ready", "y": "not_ready"}
    assert "2 results were made on other hosts, and pushed: 'git fetch origin' brings them" in err
    world.ben.run("conflicts", "--job", "j")
    world.ben.run("diff", "x", check=False)
    assert world.ben.git("for-each-ref") == before
    assert world.merged()[0] == {"x": "merged", "y": "merged"}
    assert (world.ben.clone / "x").read_text() == "x\n"
    # And once more nothing is to be done, or fetched.
    shutil.move(world.origin, f"{world.origin}.away")
    again, err = world.merged()
    assert (again, err) == ({"x": "already_merged", "y": "already_merged"}, "")
    # Its session is none of ben's: no file of it was made.
    assert list((world.ben.store / "sessions").glob("agent-*")) == []


def test_the_remote_is_found_by_its_url_or_by_its_name_or_asked_for_it(world):
    world.work("--push", "origin")
    world.carry(lambda event: event | ({"url": "ssh://elsewhere/x", "remote": "another"}))
    world.ben.git("remote", "rename", "origin", "mine")
    world.ben.git("remote", "add", "aaa", "/nonexistent")
    done, err = world.merged()
    assert done == {"x": "merged", "y": "merged"}
    assert "remote aaa cannot be fetched from" in err
    assert world.ben.git("for-each-ref", "refs/remotes/mine/prodigy") != ""


def test_where_nothing_was_pushed_it_is_said_that_it_is_not_here(world):
    world.work()
    world.carry()
    assert world.merged(code=1)[0] == {"x": "not_ready", "y": "not_ready"}


def test_where_it_is_gone_from_the_remote_it_is_said_where_it_was(world):
    world.work("--push", "origin")
    world.carry()
    for line in world.ben.git("ls-remote", "--heads", "origin").splitlines():
        ref = line.split("\t")[1]
        if "prodigy/" in ref:
            world.ben.git("push", "-q", "origin", f":{ref}")
    done, err = world.merged(code=1)
    assert done == {"x": "not_ready", "y": "not_ready"}
    assert "the commits of x are on no remote of this repository: they were pushed to origin" in err


@pytest.mark.parametrize(
    "lie",
    [
        {"ref": "--upload-pack=touch PWNED"},
        {"ref": "refs/heads/../../x"},
        {"ref": "+refs/heads/main:refs/heads/main"},
        {"ref": "refs/heads/main:refs/heads/main"},
        {"ref": "refs/heads/*"},
        {"ref": "refs/heads/x\ny"},
        {"ref": ["refs/heads/main"]},
        {"remote": "ext::sh -c 'touch PWNED'", "url": "ext::sh -c 'touch PWNED'"},
        {"remote": "--upload-pack=touch PWNED", "url": "-oProxyCommand=touch PWNED"},
        {"head": "HEAD"},
        {"head": "0" * 40},
        {"session_id": "../../x"},
    ],
    ids=str,
)
def test_what_another_host_says_moves_nothing_and_runs_nothing(world, lie):
    world.work("--push", "origin")
    world.carry(lambda event: event | (lie if event["type"] == "BranchPushed" else {}))
    world.ben.git("config", "protocol.ext.allow", "always")
    main = world.ben.git("rev-parse", "main")
    heads = world.ben.git("for-each-ref", "refs/heads", "refs/tags")
    looked = world.ben.run("conflicts", "--job", "j", check=False).err
    assert "PWNED" not in looked  # it is said what to give a shell
    done = world.ben.run("merge", "--job", "j", "--json", check=False)
    assert "Traceback" not in done.err
    assert list(world.ben.folder.rglob("PWNED")) == []
    states = {one["state"] for one in done.json["results"]}
    if states == {"merged"}:  # it lied of the remote alone, where the commits are all the same
        assert set(lie) == {"remote", "url"}
    else:
        assert world.ben.git("rev-parse", "main") == main
        assert world.ben.git("for-each-ref", "refs/heads", "refs/tags") == heads


@pytest.mark.parametrize("words", [("resume",), ("worktree", "restore")], ids=" ".join)
def test_what_another_hosts_session_has_pushed_gets_a_worktree_here(world, words):
    world.work("--push", "origin")
    world.carry()
    theirs = next(
        one["session_id"]
        for one in world.told()
        if (one["type"], one.get("item_id")) == ("BranchPushed", "x")
    )
    found = world.ben.run(*words, theirs, "--json").json
    top = found["worktree"] if "worktree" in found else found["worktrees"][0]
    assert Path(top, "x").read_text() == "x\n"
    branch = world.ben.git("branch", "--show-current", cwd=top)
    assert branch.endswith(f".{theirs}")
    assert world.ben.git("rev-parse", "--abbrev-ref", "@{upstream}", cwd=top) == f"origin/{branch}"
    (session,) = [found["session_id"]] if "session_id" in found else found["session_ids"]
    shown = world.ben.run("sessions", "show", session, "--json").json
    assert (shown["parent_session_id"], shown["job_id"]) == (theirs, "j")
    assert session != theirs
    # Once there is one, it says where.
    again = world.ben.run(*words, theirs, check=False)
    assert again.code == 1
    assert f"is checked out at {top}" in again.err


def test_a_session_that_nobody_has_is_told_as_ever(world):
    assert "no session and no job nobody" in world.ben.run("resume", "nobody", check=False).err
    told = world.ben.run("worktree", "restore", "nobody", check=False).err
    assert "nothing of nobody is in the trash" in told
