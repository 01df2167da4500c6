"""What a pull request is called, and what it says: made from the item, the commits and the checks."""

import json
from typing import Any

from prodigy_git import encoding
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git
from prodigy_git.jobs import peek
from prodigy_git.merging.results.results import Result
from prodigy_git.store import events
from prodigy_git.store.events import Broken

_TITLES = ("title", "name", "summary", "subject")
_TEXTS = ("description", "body", "text", "prompt", "task", "details")
_LONGEST = 100
_MOST = 50
_DATA = 2000
_WHOLE = 60_000  # characters; GitHub takes 65,536, and one argument has up to 131,071 bytes
_CHECKS = frozenset(("WorktreeMerged", "MergeConflict", "MergeCheckFailed"))


def title_and_body(
    store: str, repo: str, cwd: str, base: str, one: Result, broken: Broken
) -> tuple[str, str]:
    """Return the title and the body, in Markdown. Raises `ProdigyError` where git fails."""
    data = _data(store, repo, one, broken)
    commits = [
        line.partition("\0")
        for line in git(
            cwd, "log", "--reverse", "--no-merges", "--format=%h%x00%s", f"{base}..{one.head}"
        ).split("\n")[:-1]
    ]
    said = _message(cwd, base, one) if len(commits) == 1 else ""
    title = _title(one, data, [subject for _, _, subject in commits])
    parts = [part for part in (_about(data), said) if part]
    if len(commits) > 1:
        lines = [f"- {sha} {subject}" for sha, _, subject in commits[:_MOST]]
        if len(commits) > _MOST:
            lines.append(f"- and {len(commits) - _MOST} more")
        parts.append("\n".join(["### Commits", "", *lines]))
    checks = _checks(store, repo, one, broken)
    if checks:
        parts.append("\n".join(["### Checks", "", *checks]))
    whose = [f"job {one.job_id}"] if one.item_id is not None else []
    whose += [
        f"{word} {name}" for word, name in (("item", one.item_id), ("agent", one.agent_id)) if name
    ]
    if whose:
        parts.append(", ".join(whose))
    body = _valid("\n\n".join(parts))[:_WHOLE]
    return _valid(title), body.encode()[: 2 * _WHOLE].decode(errors="ignore") + "\n"


def _valid(text: str) -> str:
    """Return a text that can be an argument: no byte of it is NUL, or half a character."""
    return encoding.valid(text).replace("\0", "\ufffd")


def _title(one: Result, data: Any, subjects: list[str]) -> str:
    given = [data.get(name) for name in _TITLES] if isinstance(data, dict) else []
    found = next((text for text in given if isinstance(text, str) and text.strip()), None)
    if found is None:
        found = (
            subjects[0] if len(subjects) == 1 else f"{one.name}: {subjects[0]}" if subjects else ""
        )
    line = " ".join((found or one.name).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _about(data: Any) -> str:
    """Return what the work item says."""
    if isinstance(data, str):
        return data.strip()
    if isinstance(data, dict):
        for name in _TEXTS:
            text = data.get(name)
            if isinstance(text, str) and text.strip():
                return text.strip()
        data = {
            name: value for name, value in data.items() if name not in ("id", "item_id", *_TITLES)
        }
    if not data:
        return ""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    # A fence that is longer than any in it.
    return f"````json\n{text}\n````" if len(text) <= _DATA and "````" not in text else ""


def _message(cwd: str, base: str, one: Result) -> str:
    """Return what the only commit's message says below its subject."""
    return git(cwd, "log", "--no-merges", "--format=%b", f"{base}..{one.head}").strip()


def _data(store: str, repo: str, one: Result, broken: Broken) -> Any:
    if one.item_id is None:
        return None
    try:
        with peek.opened(store, repo, one.job_id, broken) as index:
            return index.data(one.item_id)
    except (ProdigyError, OSError, ValueError):
        return None  # a job that was given no items, or that is cleaned


def _checks(store: str, repo: str, one: Result, broken: Broken) -> list[str]:
    """Return a line for each try to merge this very commit."""
    if one.session_id is None:
        return []
    found = []
    name = one.session_id
    # Whoever merges it may be on another host than who made it.
    for event in events.of_session(store, repo, one.job_id, name, None, broken, anybodys=True):
        own = event.own() if event.type in _CHECKS else {}
        if own.get("head") != one.head:
            continue
        target = own.get("target_branch")
        if event.type == "WorktreeMerged":
            found.append(f"- merged into {target}")
        elif event.type == "MergeConflict":
            paths = [path for path in own.get("files") or [] if isinstance(path, str)]
            found.append(f"- conflicts with {target} in {', '.join(paths[:10])}")
        else:
            found.append(f"- the check failed on the merge into {target}: {own.get('error')}")
    return list(dict.fromkeys(found))
