"""Make the plugins that this repository offers to agent programs, from what `agents install` writes.

Example:
    python tools/plugins.py
"""

import json
from pathlib import Path
from typing import Any

import prodigy_git
from prodigy_git.agents import entries, plugin_file, programs

TOP = Path(__file__).parents[1]
NAME = "prodigy-git"
ABOUT = "Tells prodigy-git what agents do: who works, who waits for an answer, who is done."


def files() -> dict[str, str]:
    """Return the text of each file, by its path in the repository."""
    version = prodigy_git.__version__
    owner = {"name": "The prodigy-git maintainers"}
    plugin = {
        "name": NAME, "version": version, "description": ABOUT, "author": owner,
        "license": "MIT", "keywords": ["git", "worktree", "agents"],
    }  # fmt: skip
    local = {"source": "local", "path": "./plugins/codex"}
    policy = {"installation": "AVAILABLE", "authentication": "ON_INSTALL"}
    shown = {"displayName": NAME, "shortDescription": ABOUT, "category": "Productivity"}
    made: dict[str, Any] = {
        # The whole repository is Claude Code's plugin, and the marketplace that has it.
        ".claude-plugin/marketplace.json": {
            "name": NAME, "owner": owner, "metadata": {"description": ABOUT},
            "plugins": [{"name": NAME, "source": "./", "description": ABOUT}],
        },
        ".claude-plugin/plugin.json": plugin,
        "hooks/hooks.json": _hooks(programs.CLAUDE),
        ".agents/plugins/marketplace.json": {
            "name": NAME, "interface": {"displayName": NAME},
            "plugins": [{"name": NAME, "source": local, "policy": policy, "category": "Productivity"}],
        },
        "plugins/codex/.codex-plugin/plugin.json": {
            **plugin, "hooks": "./hooks/hooks.json", "interface": shown,
        },
        "plugins/codex/hooks/hooks.json": _hooks(programs.CODEX),
        "plugins/gemini/gemini-extension.json": {
            "name": NAME, "version": version, "description": ABOUT,
        },
        "plugins/gemini/hooks/hooks.json": _hooks(programs.GEMINI),
    }  # fmt: skip
    texts = {path: json.dumps(value, indent=2) + "\n" for path, value in made.items()}
    return {**texts, "plugins/opencode/prodigy-git.js": plugin_file.text("project")}


def _hooks(program: programs.Program) -> dict[str, Any]:
    hooks = entries.hooks_of(program, "project")
    return {"hooks": {hook.event: [entries.wanted(program, hook, "project")] for hook in hooks}}


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        target = TOP / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
