"""Taking secrets out of what a command said, before it is recorded where many can read it.

Only what is plainly one: a key of a known form, a password in an address, a value beside a word that
says what it is, and the values of variables that have such a word in their name.
"""

import re
from collections.abc import Mapping

HIDDEN = "***"
_SHORTEST = 8
"""Characters of a variable's value: a shorter one may be any word."""
_WORD = r"(?:(?:api|access|private)[_-]?key|secret|token|passw(?:or)?d|passphrase|credential)s?"
_OF_VARIABLES = re.compile(rf"{_WORD}$|(?:^|_)(?:key|auth|pat|pass)$", re.IGNORECASE)
_FORMS = re.compile(
    r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"  # GitHub, GitLab
    r"|\bsk-[A-Za-z0-9_-]{16,}|\b[sr]k_(?:live|test)_\w{16,}|\bxox[abeoprs]-[\w-]{10,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}"  # AWS, Google
    r"|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w-]{40,}|\bhf_[A-Za-z0-9]{30,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JSON web token
)
_IN_ADDRESS = re.compile(r"(\w+://[^\s/:@]*:)[^\s/@]+(?=@)")
_ALONE_IN_ADDRESS = re.compile(r"(\w+://)[^\s/:@]{20,}(?=@)")
_BEARER = re.compile(r"\b(Bearer|Basic)(\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_QUOTED = r"\"[^\"]{3,}\"|'[^']{3,}'"
# "Unexpected token: identifier" says no secret: behind a colon it has to look like one.
_ASSIGNED = re.compile(
    rf"(\b[\w-]*{_WORD}[\"']?\s*=\s*)({_QUOTED}|[^\s\"',;&]{{3,}})"
    rf"|(\b[\w-]*{_WORD}[\"']?\s*:\s*)({_QUOTED}|(?=\S*\d)[^\s\"',;&]{{8,}})",
    re.IGNORECASE,
)


def redact(text: str, env: Mapping[str, str]) -> str:
    """Return a text with its secrets as ``***``; ``env`` is the environment of who said it."""
    known = {
        value for name, value in env.items()
        if len(value) >= _SHORTEST and _OF_VARIABLES.search(name)
    }  # fmt: skip
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = _IN_ADDRESS.sub(rf"\1{HIDDEN}", text)
    text = _ALONE_IN_ADDRESS.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    text = _ASSIGNED.sub(lambda found: (found[1] or found[3]) + HIDDEN, text)
    return _FORMS.sub(HIDDEN, text)
