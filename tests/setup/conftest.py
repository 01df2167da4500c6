"""What the tests on setting up begin with."""

from pathlib import Path
from typing import Any

import pytest
from support_ignored_files import IGNORED


@pytest.fixture
def rich(repo: Path, git: Any) -> Path:
    """Return a repository that ignores much, and has it."""
    (repo / ".gitignore").write_text(IGNORED)
    (repo / "src").mkdir()
    (repo / "src" / "code").write_text("code")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "More", cwd=repo)
    (repo / ".env").write_text("SECRET=1\n")
    (repo / "node_modules" / "a" / "b").mkdir(parents=True)
    (repo / "node_modules" / "a" / "b" / "f").write_text("f")
    (repo / "build").mkdir()
    (repo / "build" / "out").write_text("out")
    (repo / "src" / "x.log").write_text("log")
    return repo
