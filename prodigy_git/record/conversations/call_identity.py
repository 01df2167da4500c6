"""What one call of an agent program's hook is known by, so that the same one is known again."""

from __future__ import annotations

from prodigy_git.record import clock, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.conversations.normal_form import Heard

DIGITS = 10
"""Hexadecimal digits by which a call is remembered."""
_AGAIN = ("resume", "compact")
"""The sources of a start that a session of a program may have again and again."""
FIRST = ("startup", "new", None)
"""The sources of a start that nothing of a session of a program was before; OpenCode names none."""

STRAY = 10 * clock.SECOND
"""For how long after its end what a program still says is late, and no new beginning."""


def call_of(heard: Heard) -> str:
    """Return what a call is known by, in `DIGITS` digits, with a ``!`` where it has one of its own."""
    once = _of_its_own(heard)
    if heard.kind == "tool" and heard.tool_id is not None:
        said: tuple[object, ...] = (heard.tool_id,)
    else:
        said = (
            heard.mark, heard.tool, heard.tool_id, heard.files, heard.failed, heard.source,
            heard.reason, heard.text,
        )  # fmt: skip
    whole = repr((heard.kind, heard.subagent, *said))
    digest = files.sha1_hex(whole.encode("utf-8", "surrogatepass"))[:DIGITS]
    return f"{digest}!" if once else digest


def _of_its_own(heard: Heard) -> bool:
    """Whether a call bears something that no other call of its kind has."""
    if heard.kind == "tool" and heard.tool_id is not None:
        return True
    if heard.kind == "start":
        return heard.source not in _AGAIN or heard.mark is not None
    # A turn asks, and a conversation ends, more than once in the same words.
    return heard.mark is not None and (
        heard.mark.startswith("at:") or heard.kind not in ("waiting", "tool", "end")
    )
