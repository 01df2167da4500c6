"""Make prodigy_git/redaction/gitleaks_rules.json from gitleaks' own rules (MIT): see `convert`.

Example:
    python tools/gitleaks_rules.py gitleaks/config/gitleaks.toml v8.30.0
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "prodigy_git" / "redaction" / "gitleaks_rules.json"
_LEFT_OUT = {
    "generic-api-key": "takes a cache key for a secret; our own rules of assignments are narrower",
    "freemius-secret-key": "only in PHP files",
    "kubernetes-secret-yaml": "is about whole files",
    "nuget-config-password": "only in nuget.config",
    "pkcs12-file": "is about a file's name",
    "private-key": "our own rule takes one without an end, too",
    "curl-auth-header": "our own rule of the header finds it, whatever program sends it",
}


def python_pattern(pattern: str) -> str:
    """Return RE2's ``pattern`` as `re` takes it.

    RE2's ``(?i)`` may stand anywhere and holds to the end of its group; `re` takes it as a group only.
    RE2's ``\\z`` is ``\\Z``. A ``[`` within a class is a plain one, unless it begins ``[:alnum:]``.
    Raises `ValueError` for another such class.
    """
    pattern = pattern.replace("[:alnum:]", "A-Za-z0-9")
    if re.search(r"\[:\^?\w+:\]", pattern):
        raise ValueError(f"a class that is not known here: {pattern}")
    out: list[str] = []
    folded = [False]  # for each open group, whether a wrapping (?i: is open in it
    at = 0
    while at < len(pattern):
        if pattern.startswith("(?i)", at):
            if not folded[-1]:
                out.append("(?i:")
                folded[-1] = True
            at += 4
        elif pattern[at] == "\\":
            out.append("\\Z" if pattern[at + 1] == "z" else pattern[at : at + 2])
            at += 2
        elif pattern[at] == "[":
            end = _class_end(pattern, at)
            out.append("[" + re.sub(r"(?<!\\)\[", r"\\[", pattern[at + 1 : end]))
            at = end
        elif pattern[at] == "(":
            folded.append(False)
            out.append("(")
            at += 1
        elif pattern[at] == ")":
            out.append("))" if folded.pop() else ")")
            at += 1
        elif pattern[at] == "|":
            out.append(")|(?i:" if folded[-1] else "|")
            at += 1
        else:
            out.append(pattern[at])
            at += 1
    return "".join(out) + (")" if folded[0] else "")


def _class_end(pattern: str, at: int) -> int:
    """Return where the ``]`` is that ends the class which begins at ``at``."""
    at += 2 if pattern[at + 1] == "^" else 1
    if pattern[at] == "]":
        at += 1
    while pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at


def convert(rules: list[dict[str, Any]]) -> list[list[Any]]:
    """Return ``[id, keywords, pattern, group or 0, least entropy or 0]`` of each rule that we use."""
    out = []
    for rule in rules:
        if rule["id"] in _LEFT_OUT or "path" in rule:
            continue
        pattern = python_pattern(rule["regex"])
        re.compile(pattern)
        keywords = sorted(word.lower() for word in rule["keywords"])
        out.append(
            [rule["id"], keywords, pattern, rule.get("secretGroup", 0), rule.get("entropy", 0)]
        )
    return out


if __name__ == "__main__":
    source, version = sys.argv[1:]
    rules = convert(tomllib.loads(Path(source).read_text())["rules"])
    licence = "MIT License, Copyright (c) 2019 Zachary Rice, https://github.com/gitleaks/gitleaks"
    lines = ",\n".join(json.dumps(rule) for rule in rules)
    TARGET.write_text(
        f'{{"source": "gitleaks {version}", "license": "{licence}", "rules": [\n{lines}\n]}}\n'
    )
    print(f"{TARGET.name}: {len(rules)} rules")
