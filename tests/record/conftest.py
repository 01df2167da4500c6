"""What several files on recording begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support_background import Background, background
from support_record import Templates


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Repositories of each kind, made once for a file of tests; each test gets copies."""
    return Templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture
def it(
    sealed: Path, tmp_path: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Background]:
    """A main worktree in which nothing is waited for."""
    found = background("main", sealed, tmp_path, templates, monkeypatch)
    yield found
    found.end()


@pytest.fixture
def linked(
    sealed: Path, tmp_path: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Background]:
    """A linked worktree in which nothing is waited for, and a gate that is closed."""
    found = background("linked", sealed, tmp_path, templates, monkeypatch)
    found.close_gate()
    yield found
    found.end()
