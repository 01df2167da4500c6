"""A job whose items are done, as those who merge its results find it."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support_cli import call, new, ok


def sh(cwd: Path | str, script: str) -> str:
    done = subprocess.run(
        ["sh", "-ec", script], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout.rstrip("\n")


class Team:
    """A repository, a store, and a job ``j`` with some items; ``f`` has thirty lines."""

    def __init__(self, repo: Path, store: Path, items: str = "abcd") -> None:
        self.repo, self.store = repo, store
        sh(repo, "seq 1 30 >f; git add f; git commit -qm lines")
        path = repo.parent / "items"
        path.write_text("".join(json.dumps({"id": name}) + "\n" for name in items))
        ok("job", "start", "j", "--items", path, cwd=repo)

    def work(self, item: str, script: str, *, end: tuple[str, ...] | None = ()) -> dict[str, Any]:
        """Have an agent do an item by a shell script, commit what it leaves, and finish."""
        name = f"{item}-{os.urandom(2).hex()}"
        made = new(self.repo, name, "--job", "j", "--agent", f"agent-{name}", "--item", item)
        sh(made["worktree"], f"{script}\ngit add -A; git commit -qm 'work on {item}'")
        if end is not None:
            ok("finish", name, *end, cwd=self.repo)
        return {**made, "head": sh(made["worktree"], "git rev-parse HEAD")}

    def each(self, scripts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        return {item: self.work(item, script) for item, script in scripts.items()}

    def merge(self, *options: str | Path, code: int = 0) -> Any:
        done = call("merge", *options, "--json", cwd=self.repo)
        assert done.code == code, done
        return done.json

    def states(self, *options: str | Path, code: int = 0) -> dict[str, str]:
        found = self.merge("--job", "j", *options, code=code)
        return {one["item_id"] or one["session_id"]: one["state"] for one in found["results"]}

    def events(self, *types: str) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self.store / "events" / "repo").glob("*/*.jsonl")):
            found += [json.loads(line) for line in path.read_text().splitlines()]
        return [one for one in found if one["type"] in types]

    def tip(self, branch: str = "main") -> str:
        return sh(self.repo, f"git rev-parse {branch}")

    def files(self, revision: str = "main") -> list[str]:
        return sh(self.repo, f"git ls-tree -r --name-only {revision}").split("\n")

    def is_clean(self) -> bool:
        return sh(self.repo, "git status --porcelain") == ""

    def left(self) -> list[Path]:
        """What merging has left in the store that should be gone."""
        return list((self.store / "merging").glob("*/*/*"))


def line(number: int, text: str) -> str:
    return f"sed -i '{number}s/.*/{text}/' f"
