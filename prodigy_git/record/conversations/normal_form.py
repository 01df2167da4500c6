"""What the hooks of agent programs say, in one form for all of them.

Each program has its own names for the same things, and other ones in another release: names are
compared without case, underscores and dots, and each thing is looked for under every name that a
program has used. What comes out is checked: ids are safe, paths absolute, texts short and without
control characters.
"""

from __future__ import annotations

from prodigy_git.record.conversations.foreign_values import (
    as_id,
    as_line,
    as_model,
    as_path,
    as_paths,
    as_text,
    as_word,
    bare,
    first_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROGRAMS = ("claude", "codex", "gemini", "cursor", "copilot", "opencode")
"""The agent programs whose hooks are understood."""
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
"""The names of events, as `bare` has them, by kind; every other event is ``seen``."""
_KIND = {name: kind for kind, known in KINDS.items() for name in known.split()}

_EDITS = frozenset(
    ("edit", "write", "multiedit", "notebookedit", "editnotebook", "create", "createfile",
     "strreplaceeditor", "strreplace", "replace", "writefile", "editfile",
     "searchreplace", "delete", "deletefile", "patch", "applypatch", "insert", "insertedit")
)  # fmt: skip
"""The tools that change the files they name, as `bare` has them."""
_ASKS = {"askuserquestion": "question", "askuser": "question", "question": "question",
         "requestuserinput": "question", "exitplanmode": "permission"}  # fmt: skip
"""The tools that are a question to the person; for what is waited."""
_NOTICES = {
    "permissionprompt": "permission", "toolpermission": "permission", "idleprompt": "idle",
    "agentneedsinput": "question", "elicitationdialog": "question",
}  # fmt: skip
_LONGEST_ASKED = 500
"""How many characters of what a person is asked are kept."""
_NOBODYS = "<task-notification>"
"""What a prompt begins with by which Claude Code itself tells its agent that a subagent is done."""
_PATCHED = ("*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: ")


class Heard:
    """One event of an agent program, see the module; what is not known is None.

    ``kind`` is one of `KINDS`, or ``seen``; ``event`` the program's own name for it. The ids are the
    program's own: ``program_session`` for the session, ``subagent`` for the subagent whose event it is.
    ``reason`` is why the session ended, or for what is waited: ``permission``, ``question``, ``idle``.
    ``text`` is the person's in a ``prompt``, the agent's in ``idle``, ``working`` and
    ``subagent_end``, the program's in ``waiting``. A ``tool`` event without the name of a tool only
    says which ``files`` were edited. ``name`` and ``path`` are those of a worktree; ``path`` is also
    where a ``cwd`` event leads. ``mark`` tells it from others that say the same: its time, behind
    ``at:``, or the turn it is of. ``process`` is the program's, for the caller to say.
    """

    __slots__ = (
        "cwd", "event", "failed", "files", "kind", "mark", "model", "name", "path", "process",
        "program", "program_session", "reason", "source", "subagent", "subagent_transcript",
        "subagent_type", "text", "tool", "tool_id", "transcript",
    )  # fmt: skip

    def __init__(self, program: str, kind: str, event: str | None) -> None:
        """Begin with nothing known."""
        self.program = program
        self.kind = kind
        self.event = event
        self.program_session: str | None = None
        self.mark: str | None = None
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
        self.process: int | None = None


def normal(program: str, hint: str | None, raw: dict[str, Any]) -> Heard | None:
    """Return what ``raw``, the object that a program gave its hook, says; None: of no event.

    ``hint`` is the name of the event that the hook was installed for. The object's own goes before it:
    but some programs have none in it.
    """
    given = {bare(name): value for name, value in reversed(raw.items())}
    if program == "opencode":
        given = _of_opencode(given)
    elif program == "claude" and "cursorversion" in given:
        program = "cursor"  # it runs the hooks of Claude Code's settings, too
    event = as_word(first_of(given, "hookeventname", "eventname", "type", "event")) or as_word(hint)
    if event is None:
        return None
    plain = bare(event)
    heard = Heard(program, _KIND.get(plain, "seen"), event)
    heard.program_session = as_id(
        first_of(given, "conversationid", "sessionid")
        if program == "cursor"
        else first_of(given, "sessionid", "conversationid", "threadid")
    )
    heard.mark = _mark(given)
    heard.cwd = as_path(first_of(given, "cwd", "directory"))
    if heard.cwd is None:
        roots = given.get("workspaceroots")
        heard.cwd = as_path(roots[0]) if isinstance(roots, list) and roots else None
    heard.transcript = as_path(given.get("transcriptpath"))
    heard.subagent_transcript = as_path(given.get("agenttranscriptpath"))
    heard.subagent = as_id(first_of(given, "agentid", "subagentid"))
    parent = as_id(given.get("parentagentid"))
    if (
        heard.subagent is not None
        and heard.subagent == heard.program_session
        and parent is not None
    ):
        heard.program_session = parent  # Copilot's, which calls a subagent's part a session
    heard.subagent_type = as_word(first_of(given, "agenttype", "subagenttype", "agentname"))
    heard.model = as_model(first_of(given, "model", "modelid"))
    heard.source = as_word(given.get("source"))
    _of_kind(heard, plain, given)
    return heard


def _mark(given: dict[str, Any]) -> str | None:
    """Return what tells a call from others that say the same, see `Heard`."""
    at = given.get("timestamp")
    if isinstance(at, str | int | float) and at:
        return as_word(f"at:{at}")
    return as_id(first_of(given, "promptid", "turnid", "generationid", "messageid", "eventid"))


def _of_kind(heard: Heard, plain: str, given: dict[str, Any]) -> None:
    """Fill in what only events of one kind have."""
    kind = heard.kind
    if kind in ("tool", "working", "waiting"):
        _tool(heard, plain, given)
    if kind == "waiting" and heard.program == "copilot" and plain == "permissionrequest":
        heard.kind = "working"  # it comes before each tool, also where nobody has to be asked
    elif kind == "waiting":
        _waiting(heard, plain, given)
    if kind == "prompt":
        heard.text = as_text(first_of(given, "prompt", "text", "message"))
        if heard.subagent is not None or (heard.text or "").startswith(_NOBODYS):
            heard.kind, heard.text = "working", None
    elif heard.kind == "idle":
        _idle(heard, plain, given)
    elif kind == "start":
        heard.text = as_text(given.get("initialprompt"))
    elif kind == "subagent_end":
        heard.text = as_text(first_of(given, "lastassistantmessage", "response", "text"))
        heard.failed = given.get("status") in ("error", "aborted")
    elif kind == "end":
        heard.reason = as_word(first_of(given, "reason", "finalstatus"))
    elif kind in ("worktree_create", "worktree_remove"):
        heard.name = as_line(first_of(given, "name", "worktreename"), 1024)
        heard.path = as_path(first_of(given, "worktreepath", "path"))
    elif kind == "cwd":
        heard.path = as_path(first_of(given, "newcwd", "cwd"))
    elif plain == "afteragentresponse":
        heard.text = as_text(first_of(given, "text", "response"))


def _tool(heard: Heard, plain: str, given: dict[str, Any]) -> None:
    heard.tool = as_word(first_of(given, "toolname", "tool"))
    heard.tool_id = as_id(first_of(given, "tooluseid", "toolcallid", "callid"))
    if heard.tool is None and plain.endswith("shellexecution"):
        heard.tool = "Shell"
    if heard.kind == "tool":
        heard.failed = plain == "posttoolusefailure" or _has_failed(
            first_of(given, "toolresponse", "toolresult", "tooloutput", "output")
        )
        if plain in ("afterfileedit", "fileedited"):
            heard.tool = None
            heard.files = as_paths([first_of(given, "filepath", "file")], heard.cwd)
        elif heard.tool is not None and bare(heard.tool) in _EDITS:
            heard.files = _edited(first_of(given, "toolinput", "toolargs", "args"), heard.cwd)
    elif heard.kind == "working" and heard.tool is not None and plain.startswith(("pre", "before")):
        asked = _ASKS.get(bare(heard.tool))
        if asked is not None:
            heard.kind, heard.reason, heard.text = "waiting", asked, _asked(heard, given)


def _asked(heard: Heard, given: dict[str, Any]) -> str | None:
    """Return what a person is asked, in short: a question, or a tool and what it is to do."""
    fields = _fields(first_of(given, "toolinput", "toolargs", "args"))
    several = fields.get("questions")
    if isinstance(several, list) and several:
        fields = _fields(several[0])
    question = _in_short(fields.get("question"))
    if question is not None or heard.tool is None:
        return question
    what = _in_short(first_of(fields, "command", "filepath", "path", "url", "query"))
    return heard.tool if what is None else f"{heard.tool}: {what}"


def _in_short(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return as_line(" ".join(value[:_LONGEST_ASKED].split()), _LONGEST_ASKED)


def _waiting(heard: Heard, plain: str, given: dict[str, Any]) -> None:
    heard.text = as_text(first_of(given, "message", "title")) or _asked(heard, given)
    if plain != "notification":
        asks = _ASKS.get(bare(heard.tool or ""), "permission")
        heard.reason = "question" if plain.startswith("question") else asks
        return
    kind = given.get("notificationtype")
    said = (heard.text or "").lower()
    if isinstance(kind, str):
        heard.reason = _NOTICES.get(bare(kind))
    elif "permission" in said:
        heard.reason = "permission"
    elif "waiting for your input" in said:
        heard.reason = "idle"
    if heard.reason is None:
        heard.kind = "seen"  # what is told, and asks for nothing


def _idle(heard: Heard, plain: str, given: dict[str, Any]) -> None:
    heard.text = as_text(first_of(given, "lastassistantmessage", "promptresponse", "response"))
    if heard.subagent is not None:
        heard.kind = "seen"  # a subagent's turn, not the session's
        return
    error = given.get("error")
    if plain in ("stopfailure", "sessionerror", "erroroccurred"):
        heard.failed = True
        if isinstance(error, dict):
            error = first_of(error, "name", "message")
        heard.reason = as_word(error)
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
        heard.reason = as_word(given.get("status"))


def _of_opencode(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event of OpenCode's bus, nested there, as other programs have them."""
    event = given.get("event")
    if isinstance(event, dict):
        given = {**given, **{bare(name): value for name, value in event.items()}}
        del given["event"]
    given.setdefault("eventid", given.get("id"))
    properties = given.get("properties")
    if not isinstance(properties, dict):
        return given
    inner = {bare(name): value for name, value in properties.items()}
    info = inner.get("info")
    if isinstance(info, dict):
        inner = {**{bare(name): value for name, value in info.items()}, **inner}
        kind = bare(str(given.get("type")))
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
    if isinstance(given, str) and given[:1] != "{":
        return as_paths(_patched(given), cwd)
    plain = _fields(given)
    found = first_of(
        plain, "filepath", "absolutepath", "notebookpath", "targetfile", "targetnotebook", "path"
    )
    if found is not None:
        return as_paths([found], cwd)
    patch = first_of(plain, "patchtext", "patch", "input", "command")
    if isinstance(patch, list):
        patch = patch[-1] if patch else None
    return as_paths(_patched(patch), cwd) if isinstance(patch, str) else None


def _fields(given: Any) -> dict[str, Any]:
    """Return a tool's input by `bare` names; empty where it is no object."""
    if isinstance(given, str) and given[:1] == "{":
        from prodigy_git.record import jsonline

        try:
            given = jsonline.decode(given)  # Copilot's, which has it as a text
        except ValueError:
            return {}
    return {bare(name): value for name, value in given.items()} if isinstance(given, dict) else {}


def _patched(text: str) -> list[str]:
    """Return the files that a patch in the form of Codex names."""
    found = []
    for line in text.split("\n"):
        if line.startswith("*** "):
            found += [line.removeprefix(mark) for mark in _PATCHED if line.startswith(mark)]
    return found
