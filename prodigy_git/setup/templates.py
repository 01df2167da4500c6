"""``{{ branch }}`` and the like in commands: values of a worktree that never become shell.

A value is not put into a command's text. What is put there is the variable that has it, in double
quotes: whatever a branch is called, the shell takes it for one word. So a template has to stand outside
of quotes; within them it would be a part of a text that may be code for another shell.
"""

import re

from prodigy_git.errors import ProdigyError

_VARIABLES = {
    "worktree": "PRODIGY_WORKTREE", "branch": "PRODIGY_BRANCH", "root": "PRODIGY_REPO_ROOT",
    "session": "PRODIGY_SESSION_ID", "name": "PRODIGY_SESSION_ID", "job": "PRODIGY_JOB_ID",
    "agent": "PRODIGY_AGENT_ID", "item": "PRODIGY_ITEM_ID", "port": "PRODIGY_PORT",
    **{f"port_{number}": f"PRODIGY_PORT_{number}" for number in range(1, 10)},
}  # fmt: skip
WORKTRUNK = {
    "branch": "PRODIGY_BRANCH", "worktree_path": "PRODIGY_WORKTREE",
    "worktree": "PRODIGY_WORKTREE", "worktree_name": "PRODIGY_SESSION_ID",
    "repo_path": "PRODIGY_REPO_ROOT", "repo_root": "PRODIGY_REPO_ROOT",
    "primary_worktree_path": "PRODIGY_REPO_ROOT", "main_worktree_path": "PRODIGY_REPO_ROOT",
}  # fmt: skip
"""What ``.config/wt.toml`` calls them."""
_NAMES = {"prodigy": _VARIABLES, "worktrunk": WORKTRUNK}
# Other programs have braces of their own, as `docker ps --format '{{.Names}}'`: not a plain word.
_TEMPLATE = re.compile(r"\{\{-?\s*([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}")
_FILTERED = re.compile(r"\{\{[^{}]*\|[^{}]*\}\}|\{%")


def check(text: str, dialect: str) -> None:
    """Raise `ProdigyError` where a command has a template that cannot be followed."""
    command(text, dialect)


def command(text: str, dialect: str) -> str:
    """Return a command with its templates as variables. Raises `ProdigyError`."""
    names = _NAMES.get(dialect)
    if names is None:
        return text
    if dialect == "worktrunk" and (found := _FILTERED.search(text)):
        raise ProdigyError(f"{found[0]} is worktrunk's own")
    parts, end = [], 0
    for found in _TEMPLATE.finditer(text):
        variable = _variable(found, names)
        if _is_quoted(text[: found.start()]):
            raise ProdigyError(
                f'{found[0]} stands within quotes: write it outside of them, or "${variable}"'
            )
        parts += [text[end : found.start()], f'"${{{variable}-}}"']
        end = found.end()
    return "".join([*parts, text[end:]])


def value(text: str, values: dict[str, str]) -> str:
    """Return an environment variable's value with its templates replaced; no shell sees it."""
    return "".join(values.get(piece, "") if named else piece for named, piece in pieces(text))


def pieces(text: str) -> list[tuple[bool, str]]:
    """Return what a value consists of: its own text, and with True the variables of templates."""
    found, end = [], 0
    for one in _TEMPLATE.finditer(text):
        found += [(False, text[end : one.start()]), (True, _variable(one, _VARIABLES))]
        end = one.end()
    return [*found, (False, text[end:])]


def _variable(found: re.Match[str], names: dict[str, str]) -> str:
    try:
        return names[found[1]]
    except KeyError:
        known = ", ".join(name for name in names if not name.startswith("port_"))
        raise ProdigyError(f"{found[0]} is not known: there are {known}") from None


def _is_quoted(before: str) -> bool:
    """Whether what follows stands within quotes, of sh.

    A wrong answer (here-documents have no quotes) is an error too many, or a word that is taken apart:
    the value stays in its variable.
    """
    quote, word, at = "", False, 0
    while at < len(before):
        character = before[at]
        if quote == "'":
            quote = "" if character == "'" else quote
        elif character == "\\":
            at += 1
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        elif character == "#" and not word:
            at = before.find("\n", at)
            if at < 0:
                return False
        word = not character.isspace() and character not in ";&|("
        at += 1
    return bool(quote)
