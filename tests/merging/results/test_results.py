"""Which branch is the result of which item: attempts, sessions, branches that are gone."""

import json
import shutil

import pytest
from support_cli import foreign_session, new, ok
from support_prodigy import FAILED_JOB, INTERRUPTED_JOB, prodigy_store

from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle import finish
from prodigy_git.merging import of_items
from prodigy_git.merging.results import results
from prodigy_git.record import log


@pytest.fixture
def job(repo, tmp_path):
    """Start the job ``j`` with three items, and stand in its repository."""
    path = tmp_path / "items"
    path.write_text("".join(json.dumps({"id": name}) + "\n" for name in ("b", "a", "c")))
    ok("job", "start", "j", "--items", path, cwd=repo)
    return repo


def key(store):
    return next((store / "state").iterdir()).name


def of_job(store, name="j"):
    return results.of_job(str(store), key(store), name, pytest.fail)


def named(store, *names, job=None):
    return results.named(str(store), key(store), names, job=job, broken=pytest.fail)


def one(store, session):
    (found,) = [one for one in of_job(store) if one.session_id == session]
    return found


def ended(repo, name, *how):
    if how == ("cancelled",):  # as 'run' does where it is interrupted
        finish.finish(str(repo.parent / "store"), name, cancelled=True, broken=pytest.fail)
    else:
        ok("finish", name, *how, cwd=repo)


def worked(git, repo, name, item, *options, commits=1, **settings):
    """Make a worktree for an item, commit there, and end it unless told otherwise."""
    made = new(repo, name, "--job", "j", "--agent", f"agent-{name}", "--item", item, *options)
    for number in range(commits):
        path = f"{made['worktree']}/{name}.{number}"
        with open(path, "w") as stream:
            stream.write(name)
        git("add", ".", cwd=made["worktree"])
        git("commit", "-qm", f"{name} {number}", cwd=made["worktree"])
    if settings.get("end", True):
        ended(repo, name, *settings.get("how", ()))
    return {**made, "head": git("rev-parse", "HEAD", cwd=made["worktree"])}


def gone(git, repo, made, *, branch=False):
    """Remove a worktree, and its branch, behind our back."""
    git("worktree", "remove", "--force", made["worktree"], cwd=repo)
    if branch:
        git("branch", "-D", made["branch"], cwd=repo)


def test_the_attempt_that_succeeded_counts(job, store, git):
    failed = worked(git, job, "first", "a", how=("--failed", "--error", "no key"))
    done = worked(git, job, "second", "a")
    other = worked(git, job, "third", "b", end=False, commits=0)
    found = of_job(store)
    assert [(one.item_id, one.attempt, one.session_id, one.state, one.counts) for one in found] == [
        ("b", 1, "third", "working", False),
        ("a", 1, "first", "failed", False),
        ("a", 2, "second", "succeeded", True),
    ]
    assert [one.head for one in found] == [other["base_commit"], failed["head"], done["head"]]
    assert [one.branch for one in found] == [one["branch"] for one in (other, failed, done)]
    assert [one.error for one in found] == [None, "no key", None]
    assert {one.base for one in found} == {done["base_commit"]}
    assert {one.base_branch for one in found} == {"main"}
    assert [one.completed_at is None for one in found] == [True, False, False]


def test_one_agent_tries_twice_and_every_attempt_has_its_branch(job, store, git):
    for name in ("first", "second", "third"):
        made = new(job, name, "--job", "j", "--agent", "ada", "--item", "a")
        assert made["item_id"] == "a"
        ok("finish", name, *(() if name == "third" else ("--failed", "--error", name)), cwd=job)
    assert [(one.attempt, one.session_id, one.state, one.counts) for one in of_job(store)] == [
        (1, "first", "failed", False), (2, "second", "failed", False), (3, "third", "succeeded", True),
    ]  # fmt: skip


def test_what_is_there_now_is_asked_of_git(job, store, git):
    made = worked(git, job, "first", "a")
    git("commit", "-q", "--allow-empty", "-m", "later", cwd=made["worktree"])
    assert one(store, "first").head == git("rev-parse", "HEAD", cwd=made["worktree"])
    git("switch", "-qc", "renamed", cwd=made["worktree"])
    assert one(store, "first").branch == "renamed"
    git("switch", "-q", "--detach", cwd=made["worktree"])
    assert (one(store, "first").branch, one(store, "first").worktree) == (None, made["worktree"])
    git("worktree", "move", made["worktree"], store / "elsewhere", cwd=job)
    assert one(store, "first").worktree == str(store / "elsewhere")


def test_a_worktree_that_is_gone_has_left_its_branch(job, store, git):
    made = worked(git, job, "first", "a")
    gone(git, job, made)
    found = one(store, "first")
    assert (found.worktree, found.branch, found.head) == (None, made["branch"], made["head"])
    git("branch", "-D", made["branch"], cwd=job)
    found = one(store, "first")
    assert (found.branch, found.head) == (None, made["head"])  # git still has the commit
    git("reflog", "expire", "--expire=now", "--all", cwd=job)
    git("gc", "-q", "--prune=now", cwd=job)
    found = one(store, "first")
    assert (found.head, found.counts) == (None, True)


def test_a_branchs_name_that_was_used_again_is_the_later_sessions(job, store, git):
    made = worked(git, job, "first", "a", "--branch", "topic")
    gone(git, job, made, branch=True)
    again = worked(git, job, "second", "b", "--branch", "topic")
    assert (one(store, "first").branch, one(store, "first").head) == (None, made["head"])
    assert (one(store, "second").branch, one(store, "second").head) == ("topic", again["head"])
    # The same, when neither has a worktree any more.
    gone(git, job, again)
    assert (one(store, "first").branch, one(store, "second").branch) == (None, "topic")


def test_a_branch_that_was_moved_from_elsewhere_is_still_its_own(job, store, git):
    made = worked(git, job, "first", "a")
    gone(git, job, made)
    git("branch", "-f", made["branch"], "main", cwd=job)
    assert (one(store, "first").branch, one(store, "first").head) == (
        made["branch"], git("rev-parse", "main", cwd=job),
    )  # fmt: skip


def test_an_item_that_is_to_be_done_again_has_no_result(job, store, git):
    for name in ("x", "y", "z"):
        worked(git, job, name, "a", how=("--failed", "--error", "no"))
    assert [one.counts for one in of_job(store)] == [False] * 3
    ok("dlq", "retry", "a", "--job", "j", cwd=job)
    worked(git, job, "again", "a")
    assert [(one.session_id, one.counts) for one in of_job(store)][-1] == ("again", True)
    assert [one.attempt for one in of_job(store)] == [1, 2, 3, 4]
    # Put back though it was done, as a result that conflicts is.
    event = {"id": "x", "type": "DLQItemsReprocessed", "job_id": "j", "items": {"a": 4}}
    log.append(str(store), key(store), "j", [event])
    assert [one.counts for one in of_job(store)] == [False] * 4


def test_an_interruption_is_no_failure(job, store, git):
    worked(git, job, "first", "a", how=("cancelled",))
    worked(git, job, "second", "a")
    assert [(one.session_id, one.state, one.counts) for one in of_job(store)] == [
        ("first", "released", False), ("second", "succeeded", True),
    ]  # fmt: skip


def test_an_item_without_a_worktree_has_the_commit_that_it_names(job, store, git):
    head = git("rev-parse", "HEAD", cwd=job)
    ok("job", "next", "j", "--item", "c", "--agent", "bot", cwd=job)
    ok("job", "done", "j", "c", "--commit", head, cwd=job)
    (found,) = of_job(store)
    assert (found.session_id, found.branch, found.head, found.counts) == (None, None, head, True)
    assert named(store, "c") == named(store, "bot") == [found]


def test_sessions_without_an_item_count_when_they_ended_well(repo, store, git):
    for name, how in (("good", ()), ("bad", ("--failed",)), ("off", ("cancelled",)), ("on", None)):
        new(repo, name, "--job", "j")
        if how is not None:
            ended(repo, name, *how)
    assert [(one.name, one.state, one.counts) for one in of_job(store)] == [
        ("good", "succeeded", True), ("bad", "failed", False), ("off", "released", False),
        ("on", "open", False),
    ]  # fmt: skip


def test_items_that_only_files_know_have_one_result_each(repo, store, git):
    for name, how in (("old", ()), ("new", ()), ("bad", ("--failed",))):
        new(repo, name, "--job", "j", "--item", "a")
        ok("finish", name, *how, cwd=repo)
    assert [(one.name, one.session_id, one.counts) for one in of_job(store)] == [
        ("a", "old", False), ("a", "new", True), ("a", "bad", False),
    ]  # fmt: skip


def test_a_log_that_was_cleaned_leaves_what_the_files_say(job, store, git):
    made = worked(git, job, "first", "a")
    shutil.rmtree(store / "events")
    shutil.rmtree(store / "state" / key(store) / "mapreduce")
    (found,) = of_job(store)
    assert (found.item_id, found.counts, found.head) == ("a", True, made["head"])
    with pytest.raises(ProdigyError, match="no job other"):
        of_job(store, "other")


def test_a_repository_that_is_out_of_sight_is_not_asked(job, store, git):
    worked(git, job, "first", "a")
    job.rename(job.parent / "moved")
    (found,) = of_job(store)
    assert (found.item_id, found.counts, found.head, found.branch) == ("a", True, None, None)


def test_names(job, store, git):
    worked(git, job, "first", "a", how=("--failed", "--error", "no"))
    worked(git, job, "second", "a", "--branch", "topic/a")
    worked(git, job, "third", "b", how=("--failed", "--error", "no"))
    alone = new(job, "alone")

    def sessions(*asked, **where):
        return [one.session_id for one in named(store, *asked, **where)]

    assert sessions("a") == ["second"]
    assert sessions("first", "a", "second") == ["first", "second"]
    assert sessions("b", "agent-first") == ["third", "first"]
    assert sessions("topic/a", alone["branch"]) == ["second", "alone"]
    assert sessions("alone") == ["alone"]
    with pytest.raises(ProdigyError, match="no session, item, agent or branch c "):
        named(store, "c")
    with pytest.raises(ProdigyError, match="alone in job j "):
        named(store, "alone", job="j")
    ok("job", "start", "k", "--items", job.parent / "items", cwd=job)
    new(job, "other", "--job", "k", "--agent", "x", "--item", "a")
    with pytest.raises(ProdigyError, match="item a is in the jobs j, k: give --job"):
        named(store, "a")
    assert sessions("a", job="k") == ["other"]


def test_a_session_of_prodigys_alone_is_no_hindrance(job, store, git):
    worked(git, job, "first", "a")
    foreign_session(store, "theirs", metadata={"job_id": "j"})
    (store / "sessions" / "damaged.json").write_text("{")
    assert [one.session_id for one in of_job(store)] == ["first"]
    assert [one.session_id for one in named(store, "a")] == ["first"]


def test_what_prodigys_agents_left(repo, store, git, monkeypatch):
    store.mkdir()
    monkeypatch.chdir(repo)
    whole = prodigy_store(store, repo)
    found = {
        one.item_id: one for one in results.of_job(str(store), "repo", FAILED_JOB, pytest.fail)
    }
    assert {name: (one.state, one.counts) for name, one in found.items()} == {
        "item_0": ("succeeded", True), "item_1": ("succeeded", True), "item_2": ("failed", False),
        "item_3": ("succeeded", True),
    }  # fmt: skip
    for name, commits in whole.failed.commits.items():
        assert found[name].head == commits[-1]
    assert found["item_2"].worktree == str(whole.failed.agents["item_2"])
    found = {
        one.item_id: one for one in results.of_job(str(store), "repo", INTERRUPTED_JOB, pytest.fail)
    }
    assert found["item_3"].worktree == str(whole.interrupted.agents["item_3"])
    assert found["item_3"].state == "working"
    rows = {
        one.item_id: one for one in of_items.of_job(str(store), "repo", FAILED_JOB, pytest.fail)
    }
    ((done, change),) = rows["item_0"].results
    assert (rows["item_0"].state, done.counts, change.target) == ("completed", True, "main")
    assert change.commits == len(whole.failed.commits["item_0"])
    (named,) = results.named(
        str(store), "repo", ["item_3"], job=INTERRUPTED_JOB, broken=pytest.fail
    )
    assert named == found["item_3"]
