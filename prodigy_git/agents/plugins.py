"""Whether a program has our hooks as a plugin: then its settings need none."""

import os
from typing import Any

from prodigy_git.agents import codex_trust, jsonc, programs, settings_file
from prodigy_git.agents.entries import NAME
from prodigy_git.agents.plugging import Site
from prodigy_git.agents.programs import Program
from prodigy_git.errors import ProdigyError


def place(site: Site, program: Program) -> str | None:
    """Return the file or folder that says that our plugin is in a program; None where none does."""
    if program is programs.CLAUDE:
        return _of_claude(site)
    if program is programs.CODEX:
        home = programs.home(program, site.environ)
        plugins = codex_trust.config(home).get("plugins")
        return f"{home}/config.toml" if _enabled(plugins) else None
    if program is programs.GEMINI:
        folder = f"{programs.home(program, site.environ)}/extensions/{NAME}"
        return folder if os.path.isfile(f"{folder}/gemini-extension.json") else None
    return None


def _of_claude(site: Site) -> str | None:
    found = None
    for scope in programs.SCOPES:  # the later one counts
        try:
            path = programs.settings_file(programs.CLAUDE, scope, site.top, site.environ)
            value = jsonc.parse(settings_file.look(path).text()).value()
        except (ProdigyError, jsonc.Broken):
            continue
        plugins = value.get("enabledPlugins") if isinstance(value, dict) else None
        if isinstance(plugins, dict) and any(_is_ours(name) for name in plugins):
            found = path if _enabled(plugins) else None
    return found


def _enabled(plugins: Any) -> bool:
    """Whether ours is among plugins and switched on: true, or a table that does not say otherwise."""
    return isinstance(plugins, dict) and any(
        one is True or (isinstance(one, dict) and one.get("enabled") is not False)
        for name, one in plugins.items()
        if _is_ours(name)
    )


def _is_ours(name: object) -> bool:
    # NAME@MARKETPLACE: whoever offers the repository under another name offers the same.
    return isinstance(name, str) and name.partition("@")[0] == NAME
