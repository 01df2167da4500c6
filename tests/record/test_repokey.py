"""Which key a repository has: by what moves with it, not by what its path is called."""

import json
import os
import shutil
from pathlib import Path

import pytest

from prodigy_git.record import files, repokey


@pytest.fixture
def common(repo: Path) -> Path:
    return repo / ".git"


def document(store: Path, key: str) -> dict[str, object]:
    found = json.loads((store / "state" / key / "repository.json").read_text())
    assert isinstance(found, dict)
    return found


def test_moved_repository_keeps_its_key(store: Path, repo: Path, common: Path) -> None:
    assert repokey.take(str(store), str(common)) == "repo"
    moved = repo.rename(repo.parent / "other")
    assert repokey.known(str(store), str(moved / ".git")) == "repo"
    assert repokey.take(str(store), str(moved / ".git")) == "repo"
    assert repokey.common_of(str(store), "repo") == str(moved / ".git")
    assert os.listdir(store / "state") == ["repo"]
    # And back again; nothing is remembered twice.
    moved.rename(repo)
    assert repokey.take(str(store), str(common)) == "repo"
    assert repokey.common_of(str(store), "repo") == str(common)


def test_copy_gets_a_key_and_an_id_of_its_own(store: Path, repo: Path, common: Path) -> None:
    repokey.take(str(store), str(common))
    copy = Path(shutil.copytree(repo, repo.parent / "copies" / "repo", symlinks=True))
    key = repokey.take(str(store), str(copy / ".git"))
    assert key.startswith("repo-")
    assert repokey.take(str(store), str(common)) == "repo"
    assert document(store, key)["id"] != document(store, "repo")["id"]
    # The copy stays what it is, also when the first one moves away.
    repo.rename(repo.parent / "away")
    assert repokey.take(str(store), str(copy / ".git")) == key
    assert repokey.take(str(store), str(repo.parent / "away" / ".git")) == "repo"


def test_cloned_anew_at_the_same_path_keeps_the_key(store: Path, repo: Path, common: Path) -> None:
    repokey.take(str(store), str(common))
    first = document(store, "repo")["id"]
    shutil.copytree(repo, repo.parent / "fresh", symlinks=True)
    (repo.parent / "fresh" / ".git" / repokey.MARK).unlink()
    shutil.rmtree(repo)
    (repo.parent / "fresh").rename(repo)
    assert repokey.take(str(store), str(common)) == "repo"
    assert document(store, "repo")["id"] != first
    assert files.read(f"{common}/{repokey.MARK}").decode().strip() == document(store, "repo")["id"]


def test_link_is_the_same_repository(store: Path, repo: Path, common: Path) -> None:
    repokey.take(str(store), str(common))
    link = repo.parent / "link"
    link.symlink_to(repo)
    assert repokey.take(str(store), str(link / ".git")) == "repo"
    assert repokey.known(str(store), str(link / ".git")) == "repo"


def test_two_paths_in_turn_as_of_host_and_container(store: Path, repo: Path, common: Path) -> None:
    repokey.take(str(store), str(common))
    elsewhere = repo.parent / "workspace"
    for _ in range(3):
        repo.rename(elsewhere)
        assert repokey.take(str(store), str(elsewhere / ".git")) == "repo"
        elsewhere.rename(repo)
        # Asked without standing in it, as from cron.
        assert repokey.common_of(str(store), "repo") == str(common)


def test_document_of_before_the_marks(store: Path, repo: Path, common: Path) -> None:
    folder = store / "state" / "repo"
    folder.mkdir(parents=True)
    (folder / "repository.json").write_text(json.dumps({"key": "repo", "common_dir": str(common)}))
    assert repokey.known(str(store), str(common)) == "repo"
    assert repokey.take(str(store), str(common)) == "repo"
    assert repokey.take(str(store), str(repo.rename(repo.parent / "x") / ".git")) == "repo"


@pytest.mark.parametrize("text", ["", "zz", "a" * 31, "A" * 32, "\0" * 32, "é" * 16])
def test_damaged_mark_is_none(store: Path, common: Path, text: str) -> None:
    (common / repokey.MARK).write_text(text)
    assert repokey.take(str(store), str(common)) == "repo"
    assert len((common / repokey.MARK).read_text()) == 33


def test_unwritable_repository_has_its_place_alone(store: Path, common: Path) -> None:
    (common / repokey.MARK).mkdir()  # also for root, whom modes do not stop
    assert repokey.take(str(store), str(common)) == "repo"
    assert repokey.take(str(store), str(common)) == "repo"


def test_damaged_document_is_refused(store: Path, common: Path) -> None:
    repokey.take(str(store), str(common))
    (store / "state" / "repo" / "repository.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        repokey.take(str(store), str(common))
    assert repokey.known(str(store), str(common)) is None
