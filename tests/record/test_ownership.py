"""What root makes in somebody's folder is given to that folder's owner, and nothing else is."""

import contextlib
import os
from pathlib import Path

import pytest

from prodigy_git.record import files, locks, ownership

UID = 1234

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, UID, UID)
    return folder


def owners(folder: Path) -> dict[str, int]:
    return {path.name: path.lstat().st_uid for path in sorted(folder.rglob("*"))}


def test_new_files_and_folders_belong_to_the_owner_of_the_folder_above(theirs: Path) -> None:
    files.make_private(f"{theirs}/a/b")
    os.close(files.create(f"{theirs}/a/b/new", os.O_WRONLY))
    files.replace(f"{theirs}/c/replaced", b"x")
    os.close(locks.take(f"{theirs}/locks/lock"))
    assert owners(theirs) == dict.fromkeys(("a", "b", "new", "c", "replaced", "locks", "lock"), UID)


def test_what_root_left_there_earlier_is_the_owners_when_it_is_opened_again(theirs: Path) -> None:
    (theirs / "log").write_text("")
    os.close(files.create(f"{theirs}/log", os.O_WRONLY | os.O_APPEND))
    assert owners(theirs) == {"log": UID}


def test_in_a_folder_of_roots_all_stays_roots(tmp_path: Path) -> None:
    files.replace(f"{tmp_path}/store/file", b"x")
    ownership.hand_over_tree(f"{tmp_path}/store")
    assert owners(tmp_path / "store") == {"file": 0}


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_no_file_of_roots_elsewhere_is_given_away_through_a_link(
    link: str, theirs: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's own")
    if link == "hard":
        os.link(secret, theirs / "lock")
    else:
        (theirs / "lock").symlink_to(secret)
    with contextlib.suppress(files.NotRegular):
        os.close(files.create(f"{theirs}/lock", os.O_RDWR))
    ownership.hand_over(f"{theirs}/lock")
    ownership.hand_over_tree(str(theirs))
    assert secret.stat().st_uid == 0
    assert secret.read_text() == "root's own"


def test_a_tree_is_handed_over_whole_and_no_link_is_followed(theirs: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    kept = theirs / "prodigy-trash" / "worktree"
    kept.mkdir(parents=True)
    (kept / "of-a-container").write_text("")
    (theirs / "objects" / "ab").mkdir(parents=True)
    (theirs / "objects" / "ab" / "cd").write_text("")
    (theirs / "link").symlink_to(outside)
    os.mkfifo(theirs / "pipe")
    ownership.hand_over_tree(str(theirs), beside=ownership.KEPT)
    found = owners(theirs)
    assert {name for name, uid in found.items() if uid == 0} == {
        "of-a-container", "worktree", "pipe",
    }  # fmt: skip
    assert owners(outside) == {"folder": 0}


def test_what_has_not_changed_since_is_left_as_it_is(theirs: Path) -> None:
    (theirs / "earlier").write_text("")
    since = (theirs / "earlier").stat().st_ctime + 1
    ownership.hand_over_tree(str(theirs), since=since)
    assert owners(theirs) == {"earlier": 0}
