"""What keeps a program from running the hooks that stand in its settings, as far as files tell.

Each reason is a sentence that says what to do. Where it is from: ``docs/reference/agents.md``.
"""

import glob
import json
import os
from collections.abc import Iterator
from typing import Any

from prodigy_git.agents import codex_trust, jsonc, programs, settings_file
from prodigy_git.agents.entries import NAME
from prodigy_git.agents.plugging import Site
from prodigy_git.agents.programs import Program, Scope
from prodigy_git.errors import ProdigyError

CLAUDE_POLICY = "/etc/claude-code"
CODEX_POLICY = "/etc/codex/requirements.toml"
GEMINI_POLICY = "/etc/gemini-cli/settings.json"
"""Where who administers a machine has settings that a user cannot change."""


def obstacles(site: Site, program: Program, scope: Scope, path: str) -> list[str]:
    """Return what keeps the hooks in a file from being run; nothing where nothing is known to."""
    found = {
        "claude": _claude, "codex": _codex, "gemini": _gemini, "copilot": _copilot,
    }.get(program.name)  # fmt: skip
    return [] if found is None else list(found(site, scope, path))


def of_plugins(site: Site, program: Program, path: str) -> list[str]:
    """Return what keeps the hooks of a plugin of ours from being run, see `plugins.place`."""
    if program is programs.CLAUDE:
        return list(_claude(site, "user", path))
    if program is programs.CODEX:
        home = programs.home(program, site.environ)
        off = list(_codex_switches(home))
        return (
            off
            if codex_trust.knows_plugin(home)
            else [*off, f"nobody has trusted its hooks in Codex: {codex_trust.HOW}"]
        )
    return list(_gemini(site, "user", path)) if program is programs.GEMINI else []


def _claude(site: Site, _: Scope, path: str) -> Iterator[str]:
    if old := programs.outgrown(programs.CLAUDE, site.environ, path):
        yield old
    yield from _not_plain(path, "Claude Code")
    policies = [
        f"{CLAUDE_POLICY}/managed-settings.json",
        *sorted(glob.glob(f"{CLAUDE_POLICY}/managed-settings.d/*.json")),
    ]
    for policy in policies:
        for name in ("disableAllHooks", "allowManagedHooksOnly"):
            if _settings(policy).get(name) is True:
                yield f"{policy} has {name}: only who administers this machine can allow hooks"
    value, where = None, ""
    for scope in programs.SCOPES:  # the later one counts
        file = _file(site, programs.CLAUDE, scope)
        if file is not None and isinstance(_settings(file).get("disableAllHooks"), bool):
            value, where = _settings(file)["disableAllHooks"], file
    if value:
        yield f"{where} has disableAllHooks: take it out"
    for name in ("CLAUDE_CODE_SIMPLE", "CLAUDE_CODE_SAFE_MODE"):
        if site.environ.get(name) in ("1", "true"):
            yield f"{name} is set, which turns all hooks off: unset it"


def _codex(site: Site, scope: Scope, path: str) -> Iterator[str]:
    home = programs.home(programs.CODEX, site.environ)
    if path.endswith(".json"):
        yield from _not_plain(path, "Codex", mark=False)
        document = _plain(path)
        others = sorted(set(document) - {"hooks", "description"})
        if others:
            yield f"Codex reads no hooks from {path}, where {others[0]!r} is, too: take that out"
        hooks = document.get("hooks")
    else:
        hooks = codex_trust.config(os.path.dirname(path)).get("hooks")
    yield from _codex_switches(home)
    config = codex_trust.config(home)
    if scope == "project" and site.top is not None:
        known = config.get("projects")
        project = known.get(os.path.realpath(site.top)) if isinstance(known, dict) else None
        if not isinstance(project, dict) or project.get("trust_level") != "trusted":
            yield f"Codex does not trust {site.top}: start codex there, and say that it may"
    fresh, changed, off = codex_trust.unheeded(home, path, hooks)
    if fresh:
        yield f"nobody has trusted {_listed(fresh)} in Codex: {codex_trust.HOW}"
    if changed:
        yield f"{_listed(changed)} changed since they were trusted in Codex: {codex_trust.HOW}"
    if off:
        yield f"{_listed(off)} switched off in Codex: start codex, type /hooks, and switch them on"


def _codex_switches(home: str) -> Iterator[str]:
    """Say so where hooks are switched off as a whole."""
    features = codex_trust.config(home).get("features")
    if isinstance(features, dict):
        # `codex_hooks` is the older name; the newer one goes before it.
        name = "hooks" if "hooks" in features else "codex_hooks"
        if features.get(name) is False:
            yield f"{home}/config.toml has {name} = false under [features]: take it out"
    policy = codex_trust.toml(CODEX_POLICY)
    forced = policy.get("features")
    if policy.get("allow_managed_hooks_only") is True or (
        isinstance(forced, dict) and forced.get("hooks") is False
    ):
        yield f"{CODEX_POLICY} forbids them: only who administers this machine can allow hooks"


def _gemini(site: Site, scope: Scope, path: str) -> Iterator[str]:
    files = [_file(site, programs.GEMINI, "user"), path, GEMINI_POLICY]
    for file in dict.fromkeys(filter(None, files)):
        if _has_trailing_comma(file):
            yield f"Gemini CLI cannot read {file}, which has a comma before a bracket: take that out"
        document = _settings(file)
        config = document.get("hooksConfig")
        hooks = document.get("hooks")
        for part, name in ((config, "hooksConfig"), (hooks, "hooks")):
            if not isinstance(part, dict):
                continue
            if part.get("enabled") is False:
                yield f"{file} has {name}.enabled false: take it out"
            disabled = part.get("disabled")
            if isinstance(disabled, list) and NAME in disabled:
                yield f"{file} has {NAME!r} in {name}.disabled: type '/hooks enable {NAME}' in gemini"
    if scope == "project" and site.top is not None and not _gemini_trusts(site, site.top):
        yield f"Gemini CLI may not trust {site.top}: start gemini there, and say that it may"


def _gemini_trusts(site: Site, top: str) -> bool:
    """Whether a folder is trusted, or trust is not asked for."""
    home = programs.home(programs.GEMINI, site.environ)
    security = _settings(f"{home}/settings.json").get("security")
    trust = security.get("folderTrust") if isinstance(security, dict) else None
    if isinstance(trust, dict) and trust.get("enabled") is False:
        return True
    if site.environ.get("GEMINI_CLI_TRUST_WORKSPACE") == "true":
        return True
    named = site.environ.get("GEMINI_CLI_TRUSTED_FOLDERS_PATH") or f"{home}/trustedFolders.json"
    return any(
        _is_below(top, os.path.dirname(folder) if said == "TRUST_PARENT" else folder)
        for folder, said in _settings(named).items()
        if said in ("TRUST_FOLDER", "TRUST_PARENT")
    )


def _is_below(top: str, folder: str) -> bool:
    return f"{os.path.realpath(top)}/".startswith(f"{os.path.realpath(folder).rstrip('/')}/")


def _has_trailing_comma(path: str) -> bool:
    """Whether a file is JSON but for that: Gemini CLI takes comments away, and reads plain JSON."""
    try:
        nodes = [jsonc.parse(settings_file.look(path).text())]
    except (ProdigyError, jsonc.Broken):
        return False
    while nodes:
        node = nodes.pop()
        if node.elements and node.elements[-1].comma is not None:
            return True
        nodes += [one.node for one in node.elements]
    return False


def _copilot(site: Site, scope: Scope, path: str) -> Iterator[str]:
    if scope != "local":  # a file of hooks, not of settings, which may have comments
        yield from _not_plain(path, "Copilot CLI")
    files = [path, f"{programs.home(programs.COPILOT, site.environ)}/settings.json"]
    if site.top is not None:
        files += [
            f"{site.top}/.github/copilot/{name}"
            for name in ("settings.json", "settings.local.json")
        ]
    for file in dict.fromkeys(files):
        if _settings(file).get("disableAllHooks") is True:
            yield f"{file} has disableAllHooks: take it out"
    if scope != "user" and site.top is not None:
        yield from _copilot_trust(site, site.top)


def _copilot_trust(site: Site, top: str) -> Iterator[str]:
    """Say so where Copilot CLI does not know a folder as one that it may trust."""
    config = _settings(f"{programs.home(programs.COPILOT, site.environ)}/config.json")
    known = [
        one
        for name in ("trustedFolders", "trusted_folders")  # the older name
        for one in config.get(name, ())
        if isinstance(one, str)
    ]
    if site.environ.get("COPILOT_ALLOW_ALL") == "true":
        return
    if not any(_is_below(top, one) for one in known):
        yield f"Copilot CLI may not trust {top}: start copilot there, and say that it may"


def _not_plain(path: str, title: str, *, mark: bool = True) -> Iterator[str]:
    """Say so where a program that reads plain JSON alone gets something else; ``mark``: but a BOM."""
    try:
        text = settings_file.look(path).text()
        json.loads(text.removeprefix("\ufeff") if mark else text)
    except ProdigyError as error:
        yield str(error)
    except ValueError as error:
        yield f"{title} cannot read {path}, and runs none of its hooks ({error}): it takes plain JSON"


def _plain(path: str) -> dict[str, Any]:
    """Return what a file of plain JSON says, numbers as numbers; empty where it cannot be read."""
    try:
        value = json.loads(settings_file.look(path).text())
    except (ProdigyError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _settings(path: str) -> dict[str, Any]:
    """Return what a settings file says; empty where there is none, or where it cannot be read."""
    try:
        value = jsonc.parse(settings_file.look(path).text()).value()
    except (ProdigyError, jsonc.Broken):
        return {}
    return value if isinstance(value, dict) else {}


def _file(site: Site, program: Program, scope: Scope) -> str | None:
    try:
        return programs.settings_file(program, scope, site.top, site.environ)
    except ProdigyError:
        return None


def _listed(events: list[str]) -> str:
    return f"the hook {events[0]}" if len(events) == 1 else f"{len(events)} hooks"
