"""What the hooks of agent programs say, in one form for all of them.

Each program has its own names for the same things, and other ones in another release: names are
compared without case, underscores and dots, and each thing is looked for under every name that a
program has used. What comes out is checked: ids are safe, paths absolute, texts short and without
control characters.
"""

from __future__ import annotations

import os

from prodigy_git import names
from prodigy_git.record import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROGRAMS = ("claude", "codex", "gemini", "cursor", "copilot", "opencode")
"""The agent programs whose hooks are understood."""
LONGEST_TEXT = 64 * 1024
"""How many characters of a prompt or a message are kept."""
LONGEST_WORD = 256
"""How many characters a name has at most: of an event, a tool, a model."""
LONGEST_PATH = 4096
MOST_FILES = 64
"""How many edited files one event names at most."""

KINDS = {
    "start": "sessionstart sessioncreated",
    "prompt": "userpromptsubmit userpromptsubmitted beforesubmitprompt beforeagent chatmessage",
    "working": (
        "pretooluse beforetool beforeshellexecution beforemcpexecution beforereadfile "
        "toolexecutebefore permissionreplied questionreplied questionrejected afteragentresponse"
    ),
    "tool": (
        "posttooluse posttoolusefailure aftertool aftershellexecution aftermcpexecution "
        "afterfileedit toolexecuteafter fileedited"
    ),
    "waiting": "permissionrequest permissionasked permissionupdated questionasked notification",
    "idle": (
        "stop stopfailure agentstop afteragent sessionidle sessionerror erroroccurred interrupt "
        "sessionstatus"
    ),
    "subagent_start": "subagentstart",
    "subagent_end": "subagentstop",
    "end": "sessionend sessiondeleted serverinstancedisposed",
    "worktree_create": "worktreecreate",
    "worktree_remove": "worktreeremove",
    "cwd": "cwdchanged",
}
"""The names of events, as `_plain` has them, by kind; every other event is ``seen``."""
_KIND = {name: kind for kind, known in KINDS.items() for name in known.split()}

_EDITS = frozenset(
    ("edit", "write", "multiedit", "notebookedit", "editnotebook", "create", "createfile",
     "strreplaceeditor", "strreplace", "replace", "writefile", "editfile",
     "searchreplace", "delete", "deletefile", "patch", "applypatch", "insert", "insertedit")
)  # fmt: skip
"""The tools that change the files they name, as `_plain` has them."""
_ASKS = {"askuserquestion": "question", "askuser": "question", "question": "question",
         "requestuserinput": "question", "exitplanmode": "permission"}  # fmt: skip
"""The tools that are a question to the person; for what is waited."""
_NOTICES = {
    "permissionprompt": "permission", "toolpermission": "permission", "idleprompt": "idle",
    "agentneedsinput": "question", "elicitationdialog": "question",
}  # fmt: skip
_NOBODYS = "<task-notification>"
"""What a prompt begins with by which Claude Code itself tells its agent that a subagent is done."""
_PATCHED = ("*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: ")
_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class Heard:
    """One event of an agent program, see the module; what is not known is None.

    ``kind`` is one of `KINDS`, or ``seen``; ``event`` the program's own name for it. The ids are the
    program's own: ``program_session`` for the session, ``subagent`` for the subagent whose event it is.
    ``reason`` is why the session ended, or for what is waited: ``permission``, ``question``, ``idle``.
    ``text`` is the person's in a ``prompt``, the agent's in ``idle``, ``working`` and
    ``subagent_end``, the program's in ``waiting``. A ``tool`` event without the name of a tool only
    says which ``files`` were edited. ``name`` and ``path`` are those of a worktree; ``path`` is also
    where a ``cwd`` event leads.
    """

    __slots__ = (
        "cwd", "event", "failed", "files", "kind", "model", "name", "path", "program",
        "program_session", "reason", "source", "subagent", "subagent_transcript", "subagent_type",
        "text", "tool", "tool_id", "transcript",
    )  # fmt: skip

    def __init__(self, program: str, kind: str, event: str | None) -> None:
        """Begin with nothing known."""
        self.program = program
        self.kind = kind
        self.event = event
        self.program_session: str | None = None
        self.source: str | None = None
        self.reason: str | None = None
        self.text: str | None = None
        self.tool: str | None = None
        self.tool_id: str | None = None
        self.failed: bool | None = None
        self.files: tuple[str, ...] | None = None
        self.subagent: str | None = None
        self.subagent_type: str | None = None
        self.transcript: str | None = None
        self.subagent_transcript: str | None = None
        self.cwd: str | None = None
        self.model: str | None = None
        self.name: str | None = None
        self.path: str | None = None


def normal(program: str, hint: str | None, raw: dict[str, Any]) -> Heard | None:
    """Return what ``raw``, the object that a program gave its hook, says; None: of no event.

    ``hint`` is the name of the event that the hook was installed for. The object's own goes before it:
    but some programs have none in it.
    """
    given = {_plain(name): value for name, value in reversed(raw.items())}
    if program == "opencode":
        given = _of_opencode(given)
    elif program == "claude" and "cursorversion" in given:
        program = "cursor"  # it runs the hooks of Claude Code's settings, too
    event = _word(_first(given, "hookeventname", "eventname", "type", "event")) or _word(hint)
    if event is None:
        return None
    plain = _plain(event)
    heard = Heard(program, _KIND.get(plain, "seen"), event)
    heard.program_session = identifier(
        _first(given, "conversationid", "sessionid")
        if program == "cursor"
        else _first(given, "sessionid", "conversationid", "threadid")
    )
    heard.cwd = _path(_first(given, "cwd", "directory"))
    if heard.cwd is None:
        roots = given.get("workspaceroots")
        heard.cwd = _path(roots[0]) if isinstance(roots, list) and roots else None
    heard.transcript = _path(given.get("transcriptpath"))
    heard.subagent_transcript = _path(given.get("agenttranscriptpath"))
    heard.subagent = identifier(_first(given, "agentid", "subagentid"))
    heard.subagent_type = _word(_first(given, "agenttype", "subagenttype", "agentname"))
    heard.model = _model(_first(given, "model", "modelid"))
    heard.source = _word(given.get("source"))
    _of_kind(heard, plain, given)
    return heard


def _of_kind(heard: Heard, plain: str, given: dict[str, Any]) -> None:
    """Fill in what only events of one kind have."""
    kind = heard.kind
    if kind in ("tool", "working", "waiting"):
        _tool(heard, plain, given)
    if kind == "waiting":
        _waiting(heard, plain, given)
    if kind == "prompt":
        heard.text = _text(_first(given, "prompt", "text", "message"))
        if heard.subagent is not None or (heard.text or "").startswith(_NOBODYS):
            heard.kind, heard.text = "working", None
    elif heard.kind == "idle":
        _idle(heard, plain, given)
    elif kind == "start":
        heard.text = _text(given.get("initialprompt"))
    elif kind == "subagent_end":
        heard.text = _text(_first(given, "lastassistantmessage", "response", "text"))
        heard.failed = given.get("status") in ("error", "aborted")
    elif kind == "end":
        heard.reason = _word(_first(given, "reason", "finalstatus"))
    elif kind in ("worktree_create", "worktree_remove"):
        heard.name = _line(_first(given, "name", "worktreename"), 1024)
        heard.path = _path(_first(given, "worktreepath", "path"))
    elif kind == "cwd":
        heard.path = _path(_first(given, "newcwd", "cwd"))
    elif plain == "afteragentresponse":
        heard.text = _text(_first(given, "text", "response"))


def _tool(heard: Heard, plain: str, given: dict[str, Any]) -> None:
    heard.tool = _word(_first(given, "toolname", "tool"))
    heard.tool_id = identifier(_first(given, "tooluseid", "toolcallid", "callid"))
    if heard.tool is None and plain.endswith("shellexecution"):
        heard.tool = "Shell"
    if heard.kind == "tool":
        heard.failed = plain == "posttoolusefailure" or _has_failed(
            _first(given, "toolresponse", "toolresult", "tooloutput", "output")
        )
        if plain in ("afterfileedit", "fileedited"):
            heard.tool = None
            heard.files = _paths([_first(given, "filepath", "file")], heard.cwd)
        elif heard.tool is not None and _plain(heard.tool) in _EDITS:
            heard.files = _edited(_first(given, "toolinput", "toolargs", "args"), heard.cwd)
    elif heard.kind == "working" and heard.tool is not None and plain.startswith(("pre", "before")):
        asked = _ASKS.get(_plain(heard.tool))
        if asked is not None:
            heard.kind, heard.reason = "waiting", asked


def _waiting(heard: Heard, plain: str, given: dict[str, Any]) -> None:
    heard.text = _text(_first(given, "message", "title"))
    if plain != "notification":
        asks = _ASKS.get(_plain(heard.tool or ""), "permission")
        heard.reason = "question" if plain.startswith("question") else asks
        return
    kind = given.get("notificationtype")
    said = (heard.text or "").lower()
    if isinstance(kind, str):
        heard.reason = _NOTICES.get(_plain(kind))
    elif "permission" in said:
        heard.reason = "permission"
    elif "waiting for your input" in said:
        heard.reason = "idle"
    if heard.reason is None:
        heard.kind = "seen"  # what is told, and asks for nothing


def _idle(heard: Heard, plain: str, given: dict[str, Any]) -> None:
    heard.text = _text(_first(given, "lastassistantmessage", "promptresponse", "response"))
    error = given.get("error")
    if plain in ("stopfailure", "sessionerror", "erroroccurred"):
        heard.failed = True
        if isinstance(error, dict):
            error = _first(error, "name", "message")
        heard.reason = _word(error)
        if given.get("recoverable") is True:
            heard.kind = "working"
    elif plain == "interrupt":
        heard.reason = plain
    elif plain == "sessionstatus":
        status = given.get("status")
        if isinstance(status, dict):
            status = status.get("type")
        if status != "idle":
            heard.kind = "working"
    elif given.get("status") in ("error", "aborted"):
        heard.failed = True
        heard.reason = _word(given.get("status"))


def _of_opencode(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event of OpenCode's bus, nested there, as other programs have them."""
    event = given.get("event")
    if isinstance(event, dict):
        given = {**given, **{_plain(name): value for name, value in event.items()}}
        del given["event"]
    properties = given.get("properties")
    if not isinstance(properties, dict):
        return given
    inner = {_plain(name): value for name, value in properties.items()}
    info = inner.get("info")
    if isinstance(info, dict):
        inner = {**{_plain(name): value for name, value in info.items()}, **inner}
        kind = _plain(str(given.get("type")))
        if kind.startswith("session") and isinstance(info.get("id"), str):
            inner["sessionid"] = info["id"]
            if isinstance(info.get("parentID"), str):
                inner["sessionid"], inner["agentid"] = info["parentID"], info["id"]
                if kind in ("sessioncreated", "sessiondeleted"):
                    ends = kind == "sessiondeleted"
                    inner["hookeventname"] = "SubagentStop" if ends else "SubagentStart"
    return {**inner, **given}


def _has_failed(answer: Any) -> bool:
    if not isinstance(answer, dict):
        return False
    if answer.get("error") or answer.get("is_error") is True or answer.get("isError") is True:
        return True
    if answer.get("success") is False:
        return True
    return answer.get("resultType") in ("failure", "rejected", "denied", "error")


def _edited(given: Any, cwd: str | None) -> tuple[str, ...] | None:
    """Return the files that a tool with this input edits."""
    if isinstance(given, str) and given[:1] == "{":
        from prodigy_git.record import jsonline

        try:
            given = jsonline.decode(given)  # Copilot's, which has it as a text
        except ValueError:
            return None
    if isinstance(given, str):
        return _paths(_patched(given), cwd)
    if not isinstance(given, dict):
        return None
    plain = {_plain(name): value for name, value in given.items()}
    found = _first(
        plain, "filepath", "absolutepath", "notebookpath", "targetfile", "targetnotebook", "path"
    )
    if found is not None:
        return _paths([found], cwd)
    patch = _first(plain, "patchtext", "patch", "input", "command")
    if isinstance(patch, list):
        patch = patch[-1] if patch else None
    return _paths(_patched(patch), cwd) if isinstance(patch, str) else None


def _patched(text: str) -> list[str]:
    """Return the files that a patch in the form of Codex names."""
    found = []
    for line in text.split("\n"):
        if line.startswith("*** "):
            found += [line.removeprefix(mark) for mark in _PATCHED if line.startswith(mark)]
    return found


def _plain(name: str) -> str:
    return name.replace("_", "").replace(".", "").replace("-", "").replace(" ", "").lower()


def _first(given: dict[str, Any], *wanted: str) -> Any:
    """Return the first of these fields that is there and is not null."""
    for name in wanted:
        value = given.get(name)
        if value is not None:
            return value
    return None


def identifier(value: Any) -> str | None:
    """Return an id from outside as a safe name: as it is, or where it is none, as a hash of it."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        return None
    if names.is_safe(value):
        return value
    return "x-" + files.sha1_hex(value.encode("utf-8", "surrogatepass"))[:32]


def _line(value: Any, most: int) -> str | None:
    """Return a text on one line, cut; None where it is none, or empty."""
    if not isinstance(value, str):
        return None
    value = value[:most]
    if not (value.isascii() and value.isprintable()):
        value = names.printable(value)
    return value.strip() or None


def _word(value: Any) -> str | None:
    return _line(value, LONGEST_WORD)


def _model(value: Any) -> str | None:
    if isinstance(value, dict):
        value = _first(value, "id", "modelID", "name")
    return _word(value)


def _text(value: Any) -> str | None:
    """Return a text, cut, without control characters but line breaks and tabs."""
    if isinstance(value, dict):
        value = _first(value, "content", "text", "message")
    if not isinstance(value, str):
        return None
    value = value[:LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8").translate(_CONTROL)
    return value or None


def _path(value: Any) -> str | None:
    """Return an absolute path, None for anything else."""
    if not isinstance(value, str) or not value.startswith("/") or len(value) > LONGEST_PATH:
        return None
    if not names.is_text(value) or not (value.isprintable() or _is_path(value)):
        return None
    # Behind a symlink, `..` is the target's parent.
    return value if "/.." in value else os.path.normpath(value)


def _is_path(value: str) -> bool:
    """Whether a text without control characters; what stands for bytes is not printable, but a path."""
    return value.translate(_CONTROL) == value and "\n" not in value and "\t" not in value


def _paths(values: list[Any], cwd: str | None) -> tuple[str, ...] | None:
    """Return the paths among some values, those that are relative put behind ``cwd``."""
    found: dict[str, None] = {}
    for value in values:
        if isinstance(value, str) and value and cwd is not None:
            value = os.path.join(cwd, value)
        path = _path(value)
        if path is not None:
            found[path] = None
        if len(found) == MOST_FILES:
            break
    return tuple(found) or None
