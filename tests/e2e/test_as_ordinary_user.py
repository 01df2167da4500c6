"""Parts of this suite again, as an ordinary user, where root runs it: nothing stops root.

The main flow, the clean-up, and what is only to be seen by whom a folder's mode can stop.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_user import UID, become, environment, interpreter

TESTS = Path(__file__).parents[1]
PARTS = {
    "modes": (
        "cli/test_hostile_input.py::test_a_store_that_cannot_be_read",
        "lifecycle/test_new_worktree_undo.py::test_a_store_with_a_folder_that_cannot_be_written",
        "cleanup/folders/test_erasing.py::test_folders_that_their_owner_may_not_write_or_read",
        "setup/test_ignored_files.py::test_what_cannot_be_read_is_named_and_the_rest_is_copied",
        "setup/test_ignored_files.py::test_a_worktree_that_fails_takes_read_only_folders_with_it",
    ),
    "main flow": (
        "e2e/test_main_job.py", "test_verify.py", "test_doctor.py", "lifecycle/test_finish.py",
        "record/test_repositories.py", "record/test_between_commits.py",
    ),
    "clean-up": (
        "cleanup/test_worktree_clean.py", "cleanup/test_worktree_clean_which.py",
        "cleanup/test_worktree_clean_branches.py", "cleanup/test_worktree_clean_refused.py",
        "cleanup/drift/test_mending.py", "cli/test_clean_command.py",
        "cleanup/trash/test_unfinished.py",
    ),
}  # fmt: skip

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs all of it anyway")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder that the user can reach, and a home in it."""
    interpreter()
    made = Path(tempfile.mkdtemp(prefix="prodigy-user-", dir="/tmp"))
    try:
        (made / "home").mkdir()
        for path in (made, made / "home"):
            path.chmod(0o755)
            os.chown(path, UID, UID)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("part", PARTS)
def test_as_an_ordinary_user(part: str, folder: Path) -> None:
    done = subprocess.run(
        [
            *become(), interpreter(), "-m", "pytest", "-q", "-p", "no:cacheprovider",
            "-c", TESTS.parent / "pyproject.toml", "--rootdir", TESTS.parent,
            "--basetemp", folder / "base", *(TESTS / one for one in PARTS[part]),
        ],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert " passed" in done.stdout
    assert "root" not in done.stdout.partition("short test summary")[2], done.stdout
