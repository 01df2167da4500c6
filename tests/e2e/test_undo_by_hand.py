"""docs/reference/by-hand.md says how to bring a worktree back from the trash; this does that."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "by-hand.md"


def _tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_worktree_comes_back_as_it_was(
    repo: Path, git: Callable[..., str], prodigy: Callable[..., Any], events: Callable[..., Any]
) -> None:
    prodigy("install", cwd=repo, check=True)
    made = prodigy("new-worktree", "one", "--job", "job", cwd=repo, check=True)
    worktree = Path(made.stdout.rstrip("\n"))
    (worktree / ".gitignore").write_text("*.env\n")
    git("add", ".gitignore", cwd=worktree)
    git("commit", "-q", "-m", "a", cwd=worktree)
    (worktree / "README").write_text("modified\n")
    (worktree / "untracked").write_text("untracked\n")
    (worktree / "secret.env").write_text("ignored\n")
    before = _tree(worktree)
    status = git("status", "--porcelain", "--ignored", cwd=worktree)
    prodigy("worktree", "clean", "-f", "one", cwd=repo, check=True)
    assert not worktree.exists()

    (entry,) = Path(os.environ["PRODIGY_HOME"]).glob("trash/repo/one/*")
    fields = json.loads((entry / "entry.json").read_text())
    (script,) = re.findall(r"```sh\n(entry=.*?)```", DOCS.read_text(), re.DOTALL)
    script = re.sub(r"entry=\S+", f"entry='{entry}'", script)
    script = script.replace("WORKTREE", fields["worktree"]).replace("PRIVATE", fields["private"])
    subprocess.run(["sh", "-e", "-c", script], check=True)

    assert _tree(worktree) == before
    assert git("status", "--porcelain", "--ignored", cwd=worktree) == status
    git("fsck", "--strict", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "b", cwd=worktree)
    subjects = [event["subject"] for event in events("job") if event["type"] == "CommitCreated"]
    assert subjects == ["a", "b"]
