"""What the other hosts of a hub are told of a session; and what is believed of what they tell.

No more than they need: no path, no process, nothing of what the file has besides. Texts go through the
secrets' gate on their way out, and are looked at as all foreign input on their way in.
"""

import os
from collections.abc import Mapping
from typing import Any

from prodigy_git import encoding, names
from prodigy_git.record import clock, jsonline, persons
from prodigy_git.redaction.gate import redact
from prodigy_git.store.briefs import ENDED, STATUSES
from prodigy_git.store.other_sessions import NUMBERS, TEXTS

LONGEST = 16 << 10
"""Bytes that what is told of a session has at most."""
_LONGEST_TEXT = 1000  # characters
_IDS = ("job_id", "agent_id", "item_id")
_TIMES = ("started_at", "updated_at", "completed_at")
_COMMITS = ("base_commit", "last_commit")
_OF_METADATA = (
    "agent_id", "item_id", "branch", "base_branch", "base_commit", "last_commit", "name",
    "created_by", "agent_program",
)  # fmt: skip
_LARGEST = 1 << 53


def out(fields: Mapping[str, Any], env: Mapping[str, str] | None = None) -> str | None:
    """Return what others are told of a session, from its file's fields; None: there is nothing to tell.

    ``env`` is the environment whose secrets are to be taken out; None: this process's.
    """
    own = fields.get("metadata")
    own = own if isinstance(own, dict) else {}
    of_job = fields.get("mapreduce_data")
    job = of_job.get("job_id") if isinstance(of_job, dict) else own.get("job_id")
    name = fields.get("id")
    if not isinstance(name, str) or not names.is_safe(name) or not _is_status(fields.get("status")):
        return None
    path = own.get("worktree_path")
    told: dict[str, Any] = {
        "job_id": job or name,
        "worktree": os.path.basename(path) if isinstance(path, str) else None,
        **{one: own.get(one) for one in _OF_METADATA},
        **{one: fields.get(one) for one in ("error", *_TIMES)},
    }
    found: dict[str, Any] = {"id": name, "status": fields["status"]}
    for one in TEXTS:
        value = told[one]
        if isinstance(value, str) and value:
            text = encoding.valid(value)
            if one not in (*_IDS, *_TIMES, *_COMMITS):
                # Before it is shortened: of half a secret nobody would know that it is one.
                text = redact(text, os.environ if env is None else env)[:_LONGEST_TEXT]
                text = _harmless(text, lines=one == "error")
            if _fault(one, text) is None:
                found[one] = text
    if "job_id" not in found:
        return None
    for one in NUMBERS:
        value = own.get(one)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST:
            found[one] = value
    if persons.is_persons(own):
        found["persons"] = True
    return jsonline.encode(found)


def taken_in(name: str, text: str | None) -> dict[str, Any]:
    """Return what another host tells of its session ``name``, as far as it is known here.

    ``text`` None is one that is too long. Raises `ValueError`, which says what is wrong with it.
    """
    if text is None or len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} bytes")
    if not names.is_safe(name):
        raise ValueError("its id is not a safe name")
    try:
        fields = jsonline.decode_object(text.encode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON object") from None
    if fields.get("id") != name:
        raise ValueError("it is about another session")
    if not _is_status(fields.get("status")):
        raise ValueError("it has no status that is one")
    found: dict[str, Any] = {"id": name, "status": fields["status"]}
    for one in TEXTS:
        value = fields.get(one)
        if value is not None:
            fault = _fault(one, value)
            if fault is not None:
                raise ValueError(f"its {one} {fault}")
            found[one] = value
    if "job_id" not in found:
        raise ValueError("it has no job_id")
    for one in NUMBERS:
        value = fields.get(one)
        if value is not None:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
                raise ValueError(f"its {one} is no number of any")
            found[one] = value
    if fields.get("persons") is True:
        found["persons"] = True
    return found


def is_over(told: Mapping[str, Any]) -> bool:
    """Whether a session that was told of has come to its end."""
    return told["status"] in ENDED


def _is_status(value: Any) -> bool:
    return isinstance(value, str) and value in STATUSES


def _fault(one: str, value: Any) -> str | None:
    """Return what is wrong with a text; None where nothing is."""
    if not isinstance(value, str):
        return "is no text"
    if len(value) > _LONGEST_TEXT:
        return "is too long"
    if one in _IDS and not names.is_safe(value):
        return "is not a safe name"
    if one in _TIMES and clock.parse(value) is None:
        return "is no time"
    if one in _COMMITS and (not 4 <= len(value) <= 64 or value.strip("0123456789abcdef")):
        return "is no commit"
    if not names.is_text(value) or _harmless(value, lines=one == "error") != value:
        return "has characters in it that do something to a terminal"
    return None


def _harmless(text: str, *, lines: bool) -> str:
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else "?" for c in text)
