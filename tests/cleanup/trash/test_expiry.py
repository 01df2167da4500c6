"""What the trash lets go of: by retention, by limit, and never more than that."""

import os
import shutil

import pytest
from support_cli import new, ok, rewrite_session, session_file
from support_trash import DAY, make, salvage, state, work

from prodigy_git.cleanup.trash import emptying, entry, expiry
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock


@pytest.fixture
def expire(store, monkeypatch):
    """Take what is to go and delete it here; return what was taken."""

    def now(said=pytest.fail):
        taken = emptying.expire(expiry.plan(str(store), said), said)
        work(store)
        return [one.path for one in taken]

    monkeypatch.setattr(emptying, "start", lambda store: None)
    return now


def sessions(plan):
    return [one.session for one in plan.entries]


def test_retention_goes_by_what_the_entry_says_and_not_by_mtime(store, repo, git, expire):
    young = make(store, repo, git, "young", age=0)
    almost = make(store, repo, git, "almost", age=7 * DAY - 3600 * clock.SECOND)
    old = make(store, repo, git, "old", age=7 * DAY)
    assert expire() == [old.path]
    assert [state(e) for e in (young, almost, old)] == ["trashed", "trashed", "emptied"]
    assert os.listdir(old.path) == ["entry.json"]
    assert old.salvage_ref in salvage(git, repo)
    assert sorted(os.listdir(young.path)) == ["entry.json", "git", "worktree"]


@pytest.mark.parametrize(
    ("setting", "age", "goes"),
    [
        ("12h", DAY // 2, True),
        ("12h", DAY // 3, False),
        ("never", 900 * DAY, False),
        ("0s", 0, True),
    ],
)
@pytest.mark.parametrize("scope", ["--local", "--global"])
def test_the_setting_of_the_repository_or_the_users(store, repo, git, setting, age, goes, scope):
    git("config", scope, "prodigy.trashRetention", setting, cwd=repo)
    make(store, repo, git, age=age)
    assert sessions(expiry.plan(str(store), pytest.fail)) == ["w1"] * goes
    if scope == "--global":  # also where the repository is not there
        shutil.move(repo, repo.parent / "away")
        assert sessions(expiry.plan(str(store), pytest.fail)) == ["w1"] * goes


@pytest.mark.parametrize("setting", ["soon", "7", "-1d", "1e3d", "", "٧d"])
def test_a_setting_that_is_no_duration_keeps_everything_and_says_so_once(
    store, repo, git, setting, expire
):
    git("config", "prodigy.trashRetention", setting, cwd=repo)
    made = [make(store, repo, git, name, age=900 * DAY) for name in ("w1", "w2")]
    said = []
    assert expire(said.append) == []
    assert len(said) == 1
    assert "prodigy.trashRetention" in said[0]
    assert [state(one) for one in made] == ["trashed", "trashed"]


def test_the_limit_is_a_total_and_takes_the_oldest(store, repo, git, expire):
    made = [make(store, repo, git, f"w{n}", age=(9 - n) * 1000) for n in range(5)]
    size = expiry.measured(made[0])
    git("config", "prodigy.trashLimit", str(size * 4 + 1), cwd=repo)
    assert sessions(expiry.plan(str(store), pytest.fail)) == ["w0"]
    git("config", "prodigy.trashLimit", str(size), cwd=repo)
    plan = expiry.plan(str(store), pytest.fail)
    assert sessions(plan) == ["w0", "w1", "w2", "w3"]
    (words,) = plan.words
    assert words.startswith("the trash of repo takes ")
    assert "more than prodigy.trashLimit" in words
    assert "4 removed worktrees" in words
    git("config", "prodigy.trashLimit", "0", cwd=repo)
    assert len(expire()) == 5  # the limit is the limit


def test_what_goes_by_age_anyway_makes_room(store, repo, git):
    old = make(store, repo, git, "old", age=8 * DAY)
    young = make(store, repo, git, "young", age=DAY)
    git("config", "prodigy.trashLimit", str(expiry.measured(young)), cwd=repo)
    plan = expiry.plan(str(store), pytest.fail)
    assert [one.path for one in plan.entries] == [old.path]
    assert plan.words == []


@pytest.mark.parametrize(
    "change",
    [
        {"session_status": "Running"},
        {"session_status": "Paused"},
        {"session_status": None},
        {"left_out": ["big"]},  # uncommitted, and not in the salvage ref
        {"settled": False},
    ],
    ids=str,
)
def test_the_limit_leaves_what_had_not_ended_or_is_nowhere_else(store, repo, git, change):
    kept = make(store, repo, git, "kept", age=9000)
    vars(kept).update(change)
    entry.write(kept)
    make(store, repo, git, "goes", age=1000)
    git("config", "prodigy.trashLimit", "0", cwd=repo)
    plan = expiry.plan(str(store), pytest.fail)
    assert sessions(plan) == ["goes"]


def test_an_entry_that_names_what_is_not_its_own_stops_no_other(store, repo, git, tmp_path):
    odd = make(store, repo, git, "odd", age=9000)
    odd.folder = str(tmp_path)
    entry.write(odd)
    make(store, repo, git, "goes", age=1000)
    git("config", "prodigy.trashLimit", "1", cwd=repo)
    said = []
    assert sessions(expiry.plan(str(store), said.append)) == ["goes"]
    assert "names a place outside of the entry" in said[0]


def test_each_repository_has_a_limit_of_its_own(store, repo, git):
    make(store, repo, git, "mine", age=9000)
    make(store, repo, git, "other", age=9000, key="other")
    size = expiry.measured(make(store, repo, git, "mine2", age=1000))
    git("config", "prodigy.trashLimit", str(size), cwd=repo)
    assert sessions(expiry.plan(str(store), pytest.fail)) == ["mine"]
    assert sessions(expiry.plan(str(store), pytest.fail, "other")) == []


@pytest.mark.parametrize(("text", "count"), [("10k", 10240), ("3m", 3 << 20), ("2G", 2 << 30)])
def test_limits_are_written_as_gits_are(store, repo, git, text, count):
    git("config", "prodigy.trashLimit", text, cwd=repo)
    assert expiry.limit(str(repo / ".git")) == count
    git("config", "prodigy.trashLimit", "plenty", cwd=repo)
    with pytest.raises(ProdigyError, match="trashLimit"):
        expiry.limit(str(repo / ".git"))
    make(store, repo, git)
    said = []
    assert sessions(expiry.plan(str(store), said.append)) == []
    assert "trashLimit" in said[0]


def test_a_size_is_measured_once(store, repo, git):
    made = make(store, repo, git)
    plan = expiry.plan(str(store), pytest.fail)
    assert [one.path for one in plan.measured] == [made.path]
    assert entry.read(made.path).bytes is None  # it changes nothing
    expiry.note_sizes(plan.measured)
    assert entry.read(made.path).bytes == expiry.measured(made)
    assert expiry.plan(str(store), pytest.fail).measured == []


def test_git_is_asked_once_for_a_list_of_any_length(store, repo, git, monkeypatch):
    for number in range(5):
        make(store, repo, git, f"w{number}", age=8 * DAY)
    asked = []
    real = expiry.retention
    monkeypatch.setattr(expiry, "retention", lambda common: asked.append(common) or real(common))
    assert len(expiry.plan(str(store), pytest.fail).entries) == 5
    assert len(asked) == 1
    ok("trash", "list", cwd=repo)
    assert len(asked) == 2


@pytest.fixture
def big(repo, store, git):
    """Three finished sessions in the trash, each of a megabyte, and a limit for one."""
    for name in ("a", "b", "c"):
        made = new(repo, name)["worktree"]
        with open(f"{made}/big.ignored", "wb") as stream:
            stream.write(os.urandom(1 << 20))
        ok("finish", name, cwd=repo)
    with open(repo / ".git" / "info" / "exclude", "a") as stream:
        stream.write("*.ignored\n")
    for name in ("a", "b", "c"):  # named together they are moved at once, in any order
        ok("worktree", "clean", "-f", name, cwd=repo)
    git("config", "prodigy.trashLimit", "1500k", cwd=repo)
    return repo


def states(store):
    return {one.session: one.state for one in entry.entries(str(store), pytest.fail)}


@pytest.mark.parametrize("options", [(), ("--all",), ("--trash",), ("--worktrees",)])
def test_clean_expires_the_trash_and_says_why(big, store, options, expire):
    assert states(store) == dict.fromkeys("abc", "trashed")  # not with the command that moved them
    would = ok("clean", *options, "--dry-run", cwd=big)
    assert states(store) == dict.fromkeys("abc", "trashed")
    done = ok("clean", *options, "--yes", cwd=big)
    if options == ("--worktrees",):
        assert "trashLimit" not in would.err + done.err
        assert set(states(store)) == {"a", "b", "c"}
        return
    for said in (would, done):
        assert said.err.count("prodigy.trashLimit (1.5 MiB)") == 1
        assert "2 removed worktrees, 2.1 MiB" in said.err
    assert "would be deleted for good" in would.out
    verb = "being deleted for good" if options == () else "deleted for good"
    assert f"\t{verb}\n" in done.out
    work(store)
    assert states(store) == {"c": "trashed"}
    assert "trashLimit" not in ok("clean", *options, "--yes", cwd=big).err


def test_worktree_clean_expires_on_the_way_but_not_what_it_moves(big, store, expire):
    new(big, "d")
    rewrite_session(store, "d", started_at="2025-01-11T12:00:00Z")
    would = ok("worktree", "clean", "-f", "d", "--dry-run", cwd=big)
    assert "2 removed worktrees would be deleted for good" in would.err
    assert states(store) == dict.fromkeys("abc", "trashed")
    done = ok("worktree", "clean", "-f", "d", cwd=big)
    assert "prodigy.trashLimit" in done.err
    assert "2 removed worktrees being deleted for good" in done.err
    work(store)
    assert states(store) == {"c": "trashed", "d": "trashed"}
    assert session_file(store, "d")["status"] == "Cancelled"


def test_worktree_clean_from_elsewhere_says_nothing_of_the_trash(big, store, expire, tmp_path):
    new(big, "d")
    assert ok("worktree", "clean", "-f", "d", cwd=tmp_path).err == ""
    assert set(states(store).values()) == {"trashed"}


def test_a_dry_run_says_how_much_would_go(store, repo, git):
    make(store, repo, git, age=8 * DAY)
    (store / "state" / "repo").mkdir(parents=True)
    (entry,) = (store / "trash" / "repo" / "w1").iterdir()
    moved = [path for path in entry.rglob("*") if path.name != "entry.json"]
    blocks = sum(path.lstat().st_blocks for path in moved)
    assert blocks > 0
    for options in ((), ("--trash",)):
        done = ok("clean", *options, "--all-repos", "--dry-run", cwd=repo)
        assert f"trash\t1\t{blocks / 2:.1f} KiB\twould be deleted for good" in done.out
