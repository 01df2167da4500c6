"""A world without the machine's own agent programs, and without who administers it."""

import os
from pathlib import Path

import pytest

VARIABLES = (
    "CLAUDE_", "CODEX_", "GEMINI_", "CURSOR_", "COPILOT_", "OPENCODE_",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take what is installed here out of sight; return the folder for programs of a test's own."""
    from prodigy_git.agents import in_effect

    for name in list(os.environ):
        if name.startswith(VARIABLES):
            monkeypatch.delenv(name)
    binaries = tmp_path / "programs"
    binaries.mkdir()
    kept = [
        folder for folder in os.environ["PATH"].split(os.pathsep)
        if not any(
            os.path.exists(f"{folder}/{name}")
            for name in ("claude", "codex", "gemini", "cursor", "cursor-agent", "copilot", "opencode")
        )
    ]  # fmt: skip
    monkeypatch.setenv("PATH", os.pathsep.join([str(binaries), *kept]))
    for name in ("CLAUDE_POLICY", "CODEX_POLICY", "GEMINI_POLICY"):
        monkeypatch.setattr(in_effect, name, f"{tmp_path}/policy/{name}")
    return binaries


@pytest.fixture
def home(sealed):
    """Return the sealed HOME."""
    return sealed
