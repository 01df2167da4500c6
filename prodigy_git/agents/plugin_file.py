"""The plugin of OpenCode: a program of ours in a file of its own, for a program without hooks."""

import json
import os
import re

from prodigy_git import digest
from prodigy_git.agents import calls
from prodigy_git.agents.programs import OPENCODE, Hook, Scope

_HEAD = "// A prodigy-git plugin: `prodigy-git agents uninstall opencode` removes it.\n"
_HASH = re.compile(r"// sha256 of the lines below: ([0-9a-f]{64})\n")


def text(scope: Scope) -> str:
    """Return the plugin's text for a scope. Raises as `calls.text`."""
    command = calls.text(OPENCODE, Hook("EVENT"), scope)
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "opencode_plugin.js")
    with open(source, encoding="utf-8") as stream:
        body = stream.read().replace('"COMMAND"', json.dumps(command))
    return _sealed(body)


def as_here(found: str) -> str:
    """Return an unedited plugin of ours as `calls.as_here` does."""
    hashed = _HASH.match(found, len(_HEAD))
    return found if hashed is None else _sealed(calls.as_here(found[hashed.end() :]))


def _sealed(body: str) -> str:
    own = digest.sha256_hex(body.encode())
    return f"{_HEAD}// sha256 of the lines below: {own}\n{body}"


def is_ours(found: str) -> bool:
    """Whether a file's text is a plugin of ours, of this version or another, edited or not."""
    return found.startswith(_HEAD)


def is_edited(found: str) -> bool:
    """Whether somebody has changed a plugin of ours."""
    hashed = _HASH.match(found, len(_HEAD))
    return hashed is None or digest.sha256_hex(found[hashed.end() :].encode()) != hashed[1]
