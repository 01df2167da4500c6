"""Moving a worktree to the trash: whole, whatever else runs meanwhile and however it was made."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support_cli import new, session_file, snapshot, write_hooks
from support_removal import (
    STATES,
    collect_garbage,
    commit,
    enrolled,
    existing,
    git,
    named_by,
    place_of,
    private_refs,
    salvaged,
    staged_twice,
)

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.salvage import named_objects, salvage
from prodigy_git.cleanup.trash import entry, intent, removal
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock, enrolment, session
from prodigy_git.record.enrolment import Enrolment


def inside(folder: Path | str) -> dict[str, object]:
    return {
        os.path.relpath(path, folder).replace(entry.DISABLED, ".git"): state
        for path, state in snapshot(Path(folder)).items()
        if not path.endswith(("/prodigy-cursor", "/locked"))
    }


def never(text: str) -> None:
    raise AssertionError(text)


def remove(store, tree, *, branch: str | None = None, reasons=("dirty",)) -> entry.Entry:
    place, there = enrolled(tree)
    return removal.remove(
        str(store),
        place,
        there,
        reasons=list(reasons),
        touched=bool(reasons),
        delete_branch=branch,
        broken=never,
    )


@pytest.mark.parametrize("state", STATES, ids=lambda one: one.__name__)
def test_garbage_is_collected_between_any_two_steps(state, tree, repo, store):
    """At each return of a function of the removal: nothing is lost, and nothing fails afterwards."""
    git("config", "gc.reflogExpire", "never", cwd=repo)
    git("config", "gc.reflogExpireUnreachable", "never", cwd=repo)
    state(tree)
    (tree / "untracked").write_text("u\n")
    collect_garbage(repo)  # what a pseudo-ref alone names is not safe while the worktree is there
    place = place_of(tree)
    named = named_by(place)
    folder, private = inside(tree), inside(place.private)
    collected = 0

    def after(frame, event, _):
        nonlocal collected
        ours = ("removal.py", "moving.py", "settling.py", "salvage.py", "entry.py")
        if event == "return" and frame.f_code.co_filename.endswith(ours):
            sys.setprofile(None)
            if frame.f_code.co_name[0] not in "<(" and "genexpr" not in frame.f_code.co_name:
                collected += 1
                git("prune", "--expire=now", cwd=repo)
                if collected % 8 == 0:
                    collect_garbage(repo)
                git("worktree", "prune", cwd=repo)
            sys.setprofile(after)

    sys.setprofile(after)
    try:
        found = remove(store, tree)
    finally:
        sys.setprofile(None)
    assert collected > 20
    collect_garbage(repo)
    assert existing(repo, named, found.salvage_ref) == named
    assert inside(found.folder) == folder
    assert inside(found.git) == private
    assert not os.path.lexists(tree)
    assert not os.path.lexists(place.private)
    assert git("fsck", "--full", "--no-dangling", cwd=repo) == ""
    assert entry.read(found.path) == found


def test_the_entry_says_everything(tree, repo, store, events):
    commit(tree, "mine", "x\n")
    private_refs(tree)
    staged_twice(tree)
    place, there = enrolled(tree)
    git("worktree", "lock", "--reason", "mine", tree, cwd=repo)
    status = session_file(store, "w1")["status"]
    before = os.lstat(tree).st_mtime_ns
    found = remove(store, tree, reasons=["1 staged"])
    assert found == entry.read(found.path)
    assert (found.state, found.settled, found.reasons) == ("trashed", True, ["1 staged"])
    assert (found.repo, found.session) == ("repo", "w1")
    assert (found.worktree, found.private, found.common) == (
        str(tree), place.private, place.common,
    )  # fmt: skip
    assert found.head == git("rev-parse", found.branch, cwd=repo)
    assert (found.locked, found.root_mtime_ns) == ("mine\n", before)
    assert Path(found.git, "locked").read_text() == "mine\n"
    assert found.session_status == status
    assert enrolment.read(found.git).nonce == there.nonce
    assert found.enrolment == Path(found.git, "prodigy").read_text()
    assert found.cursor == Path(found.git, "prodigy-cursor").read_text()
    sha, more = salvaged(repo, found.salvage_ref)
    assert git("show", f"{sha}:README", cwd=repo, **more) == "in the working tree"
    fields = session_file(store, "w1")
    assert fields["metadata"]["trash_path"] == found.path
    assert fields["metadata"]["salvage_ref"] == found.salvage_ref
    (cleaned,) = [one for one in events("j") if one["type"] == "WorktreeCleaned"]
    assert cleaned["worktree_name"] == "w1"
    assert cleaned["trash_path"] == found.path
    assert {os.stat(found.path).st_mode & 0o777, os.stat(store / "trash").st_mode & 0o777} == {
        0o700
    }


def test_a_second_removal_of_the_same_is_refused(tree, store):
    place, there = enrolled(tree)
    results = []

    def one() -> None:
        try:
            results.append(
                removal.remove(
                    str(store),
                    place,
                    there,
                    reasons=["x"],
                    touched=True,
                    delete_branch=None,
                    broken=never,
                )
            )
        except ProdigyError as error:
            results.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [result for result in results if isinstance(result, entry.Entry)]
    assert len(done) == 1
    assert all("no worktree" in text for text in results if isinstance(text, str))
    assert len(entry.entries(str(store), never)) == 1


def test_two_entries_of_the_same_microsecond(tree, repo, store, monkeypatch):
    moment = clock.now()
    monkeypatch.setattr(intent.clock, "now", lambda: moment)
    first = remove(store, tree)
    git("worktree", "add", "-q", tree, "prodigy-w1", cwd=repo)
    Path(place_of(tree).private, "prodigy").write_text(first.enrolment)
    second = remove(store, tree)
    assert first.path < second.path
    assert first.salvage_ref != second.salvage_ref
    assert entry.entries(str(store), never, "repo", "w1") == [first, second]


def test_commits_made_meanwhile_are_recorded_once(tree, repo, store, events, sealed):
    """A process commits in a loop, its hooks recording, until the worktree is gone."""
    git("config", "core.hooksPath", sealed / "hooks", cwd=repo)
    write_hooks(sealed / "hooks")
    script = 'i=0; echo go; while git commit -q --allow-empty -m "$i"; do i=$((i+1)); done'
    with subprocess.Popen(
        ["sh", "-c", script], cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        try:
            while True:
                try:
                    found = remove(store, tree)
                    break
                except ProdigyError:
                    pass  # git was at work, and all is as it was
        finally:
            busy.terminate()
    made = [
        line.split()[1] for line in Path(found.git, "logs", "HEAD").read_text().splitlines()[1:]
    ]
    made = [sha for sha in made if sha != git("rev-parse", "main", cwd=repo)]
    recorded = [one["commit"] for one in events("j") if one["type"] == "CommitCreated"]
    assert recorded == made
    assert found.head == (made or [git("rev-parse", "main", cwd=repo)])[-1]


def test_a_lock_of_gits_goes_while_it_is_looked_at(tree, store, monkeypatch):
    sources = named_objects.sources
    monkeypatch.setattr(
        named_objects, "sources", lambda private: [*sources(private), f"{private}/gone.lock"]
    )
    assert remove(store, tree).git
    assert not tree.exists()


def test_a_branch_goes_by_compare_and_swap(tree, repo, store, monkeypatch):
    head = git("rev-parse", "HEAD", cwd=tree)
    other = commit(repo, "x", "x\n")
    anchor = salvage.anchor

    def moved(*arguments, **options):
        made = anchor(*arguments, **options)
        git("update-ref", "refs/heads/victim", other, cwd=repo)
        return made

    git("branch", "victim", head, cwd=repo)
    monkeypatch.setattr(salvage, "anchor", moved)
    assert remove(store, tree, branch="victim").branch_deleted is None
    assert git("rev-parse", "victim", cwd=repo) == other


def test_a_branch_that_somebody_needs_stays(repo, store):
    for name, use in {
        "a": lambda branch: git("worktree", "add", "-q", "-f", repo.parent / "other", branch, cwd=repo),
        "b": lambda branch: (Path(place_of(repo.parent / "other").private, "BISECT_START")
                             .write_text(f"{branch}\n")),
        "c": lambda branch: git("checkout", "-q", "--ignore-other-worktrees", branch, cwd=repo),
    }.items():  # fmt: skip
        tree = Path(new(repo, name, "--job", "j")["worktree"])
        use(f"prodigy-{name}")
        assert remove(store, tree, branch=f"prodigy-{name}").branch_deleted is None
        assert git("rev-parse", f"prodigy-{name}", cwd=repo)
    git("checkout", "-q", "main", cwd=repo)
    tree = Path(new(repo, "d", "--job", "j")["worktree"])
    assert remove(store, tree, branch="prodigy-d").branch_deleted == "prodigy-d"
    assert git("for-each-ref", "refs/heads/prodigy-d", cwd=repo) == ""


def elsewhere(repo: Path, store: Path, path: Path) -> tuple[Path, Enrolment]:
    """Make a worktree outside of the store, with an enrolment of its own."""
    git("worktree", "add", "-q", "-b", path.name, path, cwd=repo)
    made = Enrolment(
        store=str(store), repo="repo", session=path.name, job="j", nonce="n", worktree=path.name
    )
    metadata = {"repo": "repo", "job_id": "j", session.NONCE: "n", "worktree_path": str(path)}
    session.reserve(str(store), session.document(path.name, "j", path.name, metadata))
    enrolment.write(place_of(path).private, made)
    return path, made


def test_a_folder_that_its_owner_may_not_write(tree, store):
    tree.chmod(0o555)
    found = remove(store, tree)
    assert os.stat(found.folder).st_mode & 0o7777 == 0o555
    assert os.path.lexists(f"{found.folder}/{entry.DISABLED}")


def test_private_directory_of_another_name_and_relative_paths(repo, store, tmp_path):
    (tmp_path / "one").mkdir()
    git("worktree", "add", "-q", "-b", "first", tmp_path / "one" / "w", cwd=repo)
    tree, _ = elsewhere(repo, store, tmp_path / "w")
    place = place_of(tree)
    assert place.private.endswith("/w1")
    # As git from 2.48 on writes it with worktree.useRelativePaths.
    (tree / ".git").write_text("gitdir: ../w/../repo/.git/worktrees/w1\n")
    Path(place.private, "gitdir").write_text("../../../../w/.git\n")
    found = remove(store, tree)
    assert found.private == place.private
    assert Path(found.folder, entry.DISABLED).read_text().startswith("gitdir: ../w/")
    assert git("status", "--porcelain", cwd=tmp_path / "one" / "w") == ""


def test_refused_ones_stay(repo, store, tree):
    place, there = enrolled(tree)
    main = place_of(repo)
    enrolment.write(main.private, there)
    with pytest.raises(ProdigyError, match="main worktree"):
        removal.remove(
            str(store), main, there, reasons=[], touched=False, delete_branch=None, broken=never
        )
    (repo / ".git" / "refs" / "prodigy").mkdir(exist_ok=True)
    (repo / ".git" / "refs" / "prodigy" / "salvage").write_text("in the way\n")
    before = inside(tree), inside(place.private)
    with pytest.raises(ProdigyError):
        remove(store, tree)
    assert (inside(tree), inside(place.private)) == before
    assert not os.path.exists(f"{place.private}/locked")
    assert (repo / ".git").is_dir()


def test_take_up_says_nothing_where_there_is_nothing(tree, store, repo):
    before = snapshot(store)
    assert interrupted.take_up(str(store), "repo", never) == []
    assert interrupted.take_up(str(store), "no-such", never) == []
    assert snapshot(store) == before


def test_take_up_goes_past_a_damaged_entry(tree, store):
    found = remove(store, tree)
    Path(found.path, "entry.json").write_text("{}")
    said = []
    (store / "trash" / "repo" / "w1" / "20260111T120000.123456Z").mkdir()
    assert interrupted.take_up(str(store), "repo", said.append) == []
    assert len(said) == 1
    assert "entry.json is damaged" in said[0]
    assert not (store / "trash" / "repo" / "w1" / "20260111T120000.123456Z").exists()
    assert Path(found.folder).is_dir()


@pytest.mark.parametrize(
    "change",
    [
        {"session": "../../x"}, {"state": "gone"}, {"worktree": "relative"}, {"version": 2},
        {"tag_refs": [1]}, {"settled": "yes"}, {"root_mtime_ns": True}, {"common": None},
        {"repo": "other"}, {"restoring": []},
    ],
    ids=str,
)  # fmt: skip
def test_a_document_that_cannot_be_trusted(tree, store, change):
    found = remove(store, tree)
    for name, value in change.items():
        if name == "version":
            text = Path(found.path, "entry.json").read_text().replace('"version":1', '"version":2')
            Path(found.path, "entry.json").write_text(text)
        else:
            setattr(found, name, value)
            entry.write(found)
    with pytest.raises(ProdigyError, match=r"entry\.json is damaged"):
        entry.read(found.path)


def test_a_document_keeps_what_it_does_not_know(tree, store):
    found = remove(store, tree)
    found.more["later"] = {"field": [1, "\udcff"]}
    found.worktree += "\udcff\n"
    entry.write(found)
    assert entry.read(found.path) == found
