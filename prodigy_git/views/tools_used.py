"""What the events of agent programs say, in a few words: for lists of events."""

from typing import Any

_MOST = 5
_TEXTS = ("agent_program", "source", "model", "reason", "message", "subagent_type")


def words(kind: str, own: dict[str, Any]) -> list[str]:
    """Return what an event of ``kind`` says in its ``own`` fields; nothing where it is none of those.

    A message says its own.
    """
    if not isinstance(own.get("agent_program"), str) or kind == "ClaudeMessage":
        return []
    if kind == "ToolsUsed":
        return [tools(own)]
    return [own[name] for name in _TEXTS if isinstance(own.get(name), str) and own[name]]


def tools(own: dict[str, Any]) -> str:
    """Return which ``tools`` were used how often, how many ``failed``, and of how many ``files``."""
    used, files, failed = own.get("tools"), own.get("files"), own.get("failed")
    counts = used.items() if isinstance(used, dict) else ()
    most_first = sorted((-count, str(name)) for name, count in counts if isinstance(count, int))
    said = [f"{-count} {name}" for count, name in most_first]
    if len(said) > _MOST:
        said[_MOST:] = [f"and {len(said) - _MOST} more"]
    if isinstance(failed, int) and failed:
        said.append(f"{failed} failed")
    if isinstance(files, list) and files:
        said.append(f"{len(files)} file{'s' if len(files) > 1 else ''} edited")
    return ", ".join(said)
