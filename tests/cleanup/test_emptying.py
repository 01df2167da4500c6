"""Emptying the trash: what goes, when, and that nothing outside of an entry is ever touched."""

import errno
import fcntl
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support_cli import PACKAGE_PARENT, call, ok, refused, snapshot

from prodigy_git.cleanup import emptying, entry, erasing, removal
from prodigy_git.record import clock

DAY = 86400 * clock.SECOND


@pytest.fixture
def started(monkeypatch):
    """Each background process that a call in this process starts: `finish` waits for them."""
    real, made = emptying.start, []

    def start(store):
        process = real(store)
        if process is not None:
            made.append(process)
        return process

    def finish():
        assert [process.wait(timeout=60) for process in made] == [0] * len(made)

    monkeypatch.setattr(emptying, "start", start)
    made_and_finish = type("Started", (), {"processes": made, "finish": staticmethod(finish)})
    yield made_and_finish
    finish()


def make(store, repo, git, session="w1", *, age=0, state="trashed", alone=True, key="repo"):
    """Put an entry of the given age (microseconds) into the trash, with a salvage ref.

    ``alone``: the ref holds a commit that nothing else does.
    """
    created = clock.now() - age
    moment = clock.stamp(created).replace("-", "").replace(":", "")
    path = store / "trash" / key / session / moment
    (path / "worktree" / "sub").mkdir(parents=True)
    (path / "worktree" / "sub" / "file").write_text("x" * 5000)
    (path / "git").mkdir()
    (path / "git" / "HEAD").write_text("ref: refs/heads/main\n")
    head = git("rev-parse", "HEAD", cwd=repo)
    salvage = head
    if alone:
        salvage = git("commit-tree", "-p", head, "-m", session + moment, "HEAD^{tree}", cwd=repo)
    ref = f"refs/prodigy/salvage/{session}/{moment.replace('.', '-')}"
    git("update-ref", ref, salvage, cwd=repo)
    made = entry.Entry(
        path=str(path), state=state, repo=key, session=session, settled=True,
        worktree=str(store / "worktrees" / key / session), common=str(repo / ".git"),
        private=str(repo / ".git" / "worktrees" / session), created_at=clock.stamp(created),
        folder=str(path / "worktree"), git=str(path / "git"), head=head, branch="main",
        salvage_ref=ref,
    )  # fmt: skip
    entry.write(made)
    # Age is what the document says; every file here is as old as can be, or new.
    for file in (path, path / "entry.json", path / "worktree"):
        os.utime(file, (1, 1) if age == 0 else None)
    return made


def state(made):
    return entry.read(made.path).state


def salvage(git, repo):
    return git("for-each-ref", "--format=%(refname)", "refs/prodigy", cwd=repo).split()


def work(store):
    """Do the background process's work here."""
    waiting = os.open(os.devnull, os.O_RDONLY)
    emptying._step_back, step = (lambda: None), emptying._step_back
    try:
        emptying.work(str(store), waiting)
    finally:
        emptying._step_back = step


def test_retention_goes_by_what_the_entry_says_and_not_by_mtime(store, repo, git, started):
    young = make(store, repo, git, "young", age=0)
    almost = make(store, repo, git, "almost", age=7 * DAY - 3600 * clock.SECOND)
    old = make(store, repo, git, "old", age=7 * DAY)
    assert [e.session for e in emptying.expire(str(store), pytest.fail)] == ["old"]
    started.finish()
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
def test_the_setting_of_the_repository_or_the_users(
    store, repo, git, started, setting, age, goes, scope
):
    git("config", scope, "prodigy.trashRetention", setting, cwd=repo)
    made = make(store, repo, git, age=age)
    assert [e.path for e in emptying.due(str(store), pytest.fail)] == [made.path] * goes
    if scope == "--global":  # also where the repository is not there
        shutil.move(repo, repo.parent / "away")
        assert bool(emptying.due(str(store), pytest.fail)) is goes


@pytest.mark.parametrize("setting", ["soon", "7", "-1d", "1e3d", "", "٧d"])
def test_a_setting_that_is_no_duration_keeps_everything_and_says_so(
    store, repo, git, setting, started
):
    git("config", "prodigy.trashRetention", setting, cwd=repo)
    make(store, repo, git, age=900 * DAY)
    said = []
    assert emptying.expire(str(store), said.append) == []
    assert "prodigy.trashRetention" in said[0]
    assert started.processes == []


def test_the_limit_takes_the_oldest_and_never_a_sessions_newest(store, repo, git, started):
    made = [
        make(store, repo, git, name, age=age * 1000)
        for name, age in (("a", 9), ("b", 8), ("a", 7), ("b", 6), ("a", 5))
    ]
    a1, b1, a2, b2, a3 = made
    size = emptying.measured(a1)
    git("config", "prodigy.trashLimit", str(size * 4 + 1), cwd=repo)
    assert [e.path for e in emptying.over_limit(str(store), pytest.fail)] == [a1.path]
    git("config", "prodigy.trashLimit", "1", cwd=repo)
    taken = emptying.expire(str(store), pytest.fail)
    assert [e.path for e in taken] == [a1.path, b1.path, a2.path]
    started.finish()
    assert [state(e) for e in (b2, a3)] == ["trashed", "trashed"]


@pytest.mark.parametrize(("text", "count"), [("10k", 10240), ("3m", 3 << 20), ("2G", 2 << 30)])
def test_limits_are_written_as_gits_are(repo, git, text, count):
    git("config", "prodigy.trashLimit", text, cwd=repo)
    assert emptying.limit(str(repo / ".git")) == count
    git("config", "prodigy.trashLimit", "plenty", cwd=repo)
    with pytest.raises(emptying.ProdigyError, match="trashLimit"):
        emptying.limit(str(repo / ".git"))


@pytest.mark.parametrize("other", [s for s in entry.STATES if s not in ("trashed", "emptying")])
def test_what_is_under_way_is_not_touched(store, repo, git, started, other):
    made = make(store, repo, git, age=900 * DAY, state=other)
    before = snapshot(store / "trash")
    assert emptying.expire(str(store), pytest.fail) == []
    assert emptying.empty_now(made, pytest.fail) == []
    if other != "emptied":
        work(store)
    assert snapshot(store / "trash") == before


def test_a_removal_that_is_not_settled_is_not_touched(store, repo, git, started):
    made = make(store, repo, git, age=900 * DAY)
    made.settled = False
    entry.write(made)
    assert emptying.expire(str(store), pytest.fail) == []
    assert state(made) == "trashed"


def test_the_salvage_ref_goes_where_it_holds_nothing_of_its_own(store, repo, git):
    needless = make(store, repo, git, "w1", state="emptying", alone=False)
    alone = make(store, repo, git, "w2", state="emptying")
    tagged = make(store, repo, git, "w3", state="emptying", alone=False)
    git("tag", "-a", "-m", "x", "t", cwd=repo)
    tagged.tag_refs = [f"{tagged.salvage_ref}-tag-1"]
    git("update-ref", tagged.tag_refs[0], "refs/tags/t", cwd=repo)
    git("tag", "-d", "t", cwd=repo)
    entry.write(tagged)
    work(store)
    kept = [alone.salvage_ref, tagged.salvage_ref, *tagged.tag_refs]
    assert salvage(git, repo) == sorted(kept)
    assert not os.path.exists(os.path.dirname(needless.path))
    assert [state(alone), state(tagged)] == ["emptied", "emptied"]
    # Once a branch has it, the next run lets go of it.
    git("branch", "saved", alone.salvage_ref, cwd=repo)
    work(store)
    assert alone.salvage_ref not in salvage(git, repo)
    assert os.listdir(store / "trash" / "repo") == ["w3"]


def test_entries_that_name_what_is_not_theirs_delete_nothing(store, repo, git, tmp_path, started):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    for number, change in enumerate(
        (
            {"folder": str(precious)},
            {"git": str(precious)},
            {"folder": f"{repo}/.git/../../precious"},
        )
    ):
        made = make(store, repo, git, f"w{number}", age=900 * DAY)
        vars(made).update(change)
        entry.write(made)
        said = []
        assert emptying.empty_now(made, said.append) == []
        assert "not in the trash" in said[0]
        made.state = "emptying"
        entry.write(made)
    branch = make(store, repo, git, "w9", state="emptying", alone=False)
    branch.salvage_ref = "refs/heads/main"
    entry.write(branch)
    work(store)
    assert (precious / "file").read_text() == "mine"
    assert git("rev-parse", "refs/heads/main", cwd=repo)
    assert (store / "logs" / "hook-errors.log").read_text().count("emptying the trash") == 4


def hostile(folder: Path, outside: Path) -> None:
    """Fill a folder with what makes deleting go wrong."""
    (folder / "link").symlink_to(outside)
    (folder / "into").symlink_to(outside / "file")
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "fifo")
    os.link(outside / "file", folder / "hard")
    with socket.socket(socket.AF_UNIX) as plug:
        before = os.getcwd()
        os.chdir(folder)
        plug.bind("socket")
        os.chdir(before)
    for name in (b"\xff\n", b"-rf", b"*", b" ", b"\\"):
        os.mkdir(os.path.join(os.fsencode(folder), name))
    (folder / "shut" / "in").mkdir(parents=True)
    (folder / "shut" / "in" / "file").write_text("x")
    (folder / "shut" / "in" / "file").chmod(0)
    (folder / "shut" / "in").chmod(0o500)
    (folder / "shut").chmod(0)


UNPRIVILEGED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from prodigy_git.cleanup.erasing import erase
top = Path(sys.argv[2])
if os.getuid() == 0:  # modes bind everybody else
    os.chown(top, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
folder = top / "entry" / "worktree"
for mode, name in ((0o500, "a"), (0, "b"), (0o300, "c"), (0o600, "d")):
    (folder / name / "sub").mkdir(parents=True)
    (folder / name / "sub" / "file").write_text("x")
    (folder / name / "sub").chmod(mode)
    (folder / name).chmod(mode)
print(erase(str(folder)), os.listdir(folder.parent))
"""


def test_links_modes_and_names_of_every_kind(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "entry" / "worktree"
    outside.mkdir()
    folder.mkdir(parents=True)
    (outside / "file").write_text("kept")
    hostile(folder, outside)
    before = snapshot(outside)
    assert erasing.erase(str(folder)) == []
    assert os.listdir(tmp_path / "entry") == []
    assert snapshot(outside) == before
    assert erasing.erase(str(folder)) == []  # a second time
    (tmp_path / "entry" / "worktree").symlink_to(outside)
    assert erasing.erase(str(folder)) == []
    assert snapshot(outside) == before


def test_folders_that_their_owner_may_not_write_or_read():
    with tempfile.TemporaryDirectory(prefix="prodigy-erase-") as top:  # others may enter /tmp
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, PACKAGE_PARENT, top],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("[] []\n", "")


def test_a_tree_deeper_than_a_path_can_be_long(tmp_path):
    (tmp_path / "entry" / "worktree").mkdir(parents=True)
    depth = 3000
    at = os.open(tmp_path / "entry" / "worktree", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("directory", dir_fd=at)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        below = os.open("directory", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        assert erasing.erase(str(tmp_path / "entry" / "worktree")) == []
        assert os.listdir(tmp_path / "entry") == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        # pytest, removing the folders of older runs, would recurse too deep.
        subprocess.run(["rm", "-rf", tmp_path / "entry"], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="NOT TESTED: immutable files; that takes root")
def test_an_immutable_file_stays_and_is_reported(store, repo, git):
    made = make(store, repo, git, state="emptying")
    stuck = Path(made.folder) / "sub" / "stuck"
    stuck.write_text("x")
    if subprocess.run(["chattr", "+i", stuck], capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT TESTED: immutable files; this filesystem has none")
    try:
        work(store)
        assert state(made) == "emptying"
        assert stuck.read_text() == "x"
        assert os.listdir(made.folder) == ["sub"]
        assert str(stuck) in (store / "logs" / "hook-errors.log").read_text()
    finally:
        subprocess.run(["chattr", "-i", stuck], check=True)
    work(store)
    assert state(made) == "emptied"


@pytest.mark.parametrize("kind", ["bind", "tmpfs", "file"])
def test_a_mount_inside_is_not_entered(tmp_path, kind):
    """Also one of the same filesystem, whose device number is the same."""
    precious, folder = tmp_path / "precious", tmp_path / "entry" / "worktree"
    precious.mkdir()
    (folder / "sub" / "mounted").mkdir(parents=True)
    (folder / "sub" / "mounted-file").touch()
    (precious / "file").write_text("kept")
    mount = {
        "bind": f"mount --bind {precious} {folder}/sub/mounted",
        "tmpfs": f"mount -t tmpfs none {folder}/sub/mounted && touch {folder}/sub/mounted/file",
        "file": f"mount --bind {precious}/file {folder}/sub/mounted-file",
    }[kind]
    erase = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from prodigy_git.cleanup.erasing import erase; print(*erase(sys.argv[2]), sep='\\n')"
    )
    done = subprocess.run(
        [
            "unshare", "--mount", "sh", "-c",
            f'{mount} && "$1" -c "$2" "$3" "$4" && ls {folder}/sub/*',
            "sh", sys.executable, erase, PACKAGE_PARENT, folder,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"NOT TESTED: mounts in an entry ({done.stderr.strip()})")
    assert "mounted" in done.stdout
    assert done.stdout.rstrip().endswith("file")
    assert (precious / "file").read_text() == "kept"
    assert erasing.erase(str(folder)) == []
    assert (precious / "file").read_text() == "kept"


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from prodigy_git.cleanup import emptying
left = int(sys.argv[3])
def counted(call):
    def made(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return call(*arguments, **named)
    return made
for name in ("unlink", "rmdir", "rename", "fchmod", "close", "write"):
    setattr(os, name, counted(getattr(os, name)))
emptying.work(sys.argv[2], os.open(os.devnull, os.O_RDONLY))
"""


def test_killed_anywhere_the_next_process_goes_on(store, repo, git, tmp_path):
    """SIGKILL before each call that changes something; what is not being emptied stays whole."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("kept")
    other = make(store, repo, git, "other")
    calls = 0
    while True:
        made = make(store, repo, git, "w1", state="emptying", alone=calls % 2 == 0)
        hostile(Path(made.folder), tmp_path / "outside")
        whole = snapshot(
            store / "trash" / "repo" / "other",
            tmp_path / "outside",
            repo / ".git" / "refs" / "heads",
        )
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, PACKAGE_PARENT, store, str(calls)], check=False
        )
        if os.path.lexists(made.path):
            # Or its document has just gone, and its folder not yet.
            assert os.listdir(made.path) == [] or state(made) in ("emptying", "emptied")
        work(store)
        removal.take_up(str(store), "repo", pytest.fail)
        if calls % 2 == 0:
            assert state(made) == "emptied"
            assert os.listdir(made.path) == ["entry.json"]
            assert made.salvage_ref in salvage(git, repo)
            shutil.rmtree(made.path)
            git("update-ref", "-d", made.salvage_ref, cwd=repo)
        else:
            assert not os.path.lexists(made.path)
            assert salvage(git, repo) == [other.salvage_ref]
        assert (
            snapshot(
                store / "trash" / "repo" / "other",
                tmp_path / "outside",
                repo / ".git" / "refs" / "heads",
            )
            == whole
        )
        if killed.returncode == 0:
            break
        assert killed.returncode == -9
        calls += 3  # odd and even in turn
    assert calls > 20


def waits_for_a_lock(pid):
    """As proc(5), locks, says: ``1: -> FLOCK ADVISORY WRITE pid ...``."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any(line.split()[1:3] == ["->", "FLOCK"] and str(pid) in line.split() for line in lines)


def test_the_process_has_a_session_of_its_own_and_there_is_one_at_a_time(store, repo, git, started):
    (store / "locks").mkdir(parents=True)
    turn = os.open(store / "locks" / "emptying.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(turn, fcntl.LOCK_EX)  # somebody is at it
    first, second = make(store, repo, git, "w1"), make(store, repo, git, "w2")
    emptying.empty_now(first, pytest.fail)
    emptying.empty_now(second, pytest.fail)
    assert removal.take_up(str(store), first.repo, pytest.fail) == []
    (process,) = started.processes  # the others would do nothing that this one will not do
    assert os.getsid(process.pid) == process.pid
    while not waits_for_a_lock(process.pid):
        assert process.poll() is None, "it did not wait"
    assert state(second) == "emptying"
    assert os.path.isdir(first.folder)
    os.close(turn)
    started.finish()
    assert [state(first), state(second)] == ["emptied", "emptied"]


def test_a_process_that_cannot_be_started_leaves_the_intent(store, repo, git, monkeypatch, started):
    made = make(store, repo, git)

    def refuse(*_, **__):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", refuse)
        with pytest.raises(OSError, match="temporarily"):
            emptying.empty_now(made, pytest.fail)
    assert state(made) == "emptying"
    emptying.expire(str(store), pytest.fail)
    started.finish()
    assert state(made) == "emptied"


def test_sizes_are_what_the_disk_gives_back(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "a" / "one", tmp_path / "a" / "two")
    with open(tmp_path / "a" / "sparse", "wb") as stream:
        stream.truncate(1 << 30)
    (tmp_path / "a" / "link").symlink_to("/")
    assert 100_000 <= erasing.allocated(str(tmp_path / "a")) < 130_000
    assert erasing.allocated(str(tmp_path / "nothing")) == 0


def test_list_and_empty_on_the_command_line(store, repo, git, started):
    assert "the trash is empty" in ok("trash", "list", cwd=repo).err
    assert ok("trash", "list", "--json", cwd=repo).json == []
    assert ok("trash", "empty", "--yes", cwd=repo).code == 0
    made = make(store, repo, git, "w1", age=2 * DAY)
    make(store, repo, git, "w2", age=1000)
    (one, two) = ok("trash", "list", "--json", cwd=repo).json
    assert (one["session"], two["session"]) == ("w1", "w2")
    assert one["age_seconds"] // 3600 == 48
    assert clock.parse(one["expires_at"]) == clock.parse(made.created_at) + 7 * DAY
    assert one["bytes"] is None
    (one, _) = ok("trash", "list", "--json", "--sizes", cwd=repo).json
    assert one["bytes"] > 5000
    assert ok("trash", "list", cwd=repo).out.startswith("w1\t")

    elsewhere = repo.parent / "second"
    git("clone", "-q", repo, elsewhere, cwd=repo.parent)
    assert ok("trash", "list", "--json", cwd=elsewhere).json == []
    assert len(ok("trash", "list", "--json", "--all-repos", cwd=elsewhere).json) == 2
    assert "--all-repos" in refused("trash", "list", cwd=repo.parent)
    assert "--yes" in refused("trash", "empty", cwd=repo, code=2)
    assert state(made) == "trashed"

    done = ok("trash", "empty", "--older-than", "1d", "--yes", "--json", cwd=repo)
    assert [row["session"] for row in done.json] == ["w1"]
    done = call("trash", "empty", "nobody", "w2", "--yes", cwd=repo.parent)
    assert done.code == 1
    assert "nobody has nothing in the trash" in done.err
    assert "w2: is being deleted" in done.out
    started.finish()
    assert {r["state"] for r in ok("trash", "list", "--json", cwd=repo).json} == {"emptied"}
    assert len(salvage(git, repo)) == 2


def test_dry_run_changes_nothing(store, repo, git, started):
    make(store, repo, git, age=900 * DAY)
    before = snapshot(store, repo)
    done = ok("trash", "empty", "--dry-run", cwd=repo)
    assert "w1: would be deleted" in done.out
    ok("trash", "list", "--sizes", cwd=repo)
    assert emptying.due(str(store), pytest.fail)
    assert snapshot(store, repo) == before
    assert started.processes == []
