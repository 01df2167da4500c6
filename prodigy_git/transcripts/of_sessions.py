"""Which transcripts belong to which session of ours, and where they are now."""

import glob
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from prodigy_git import layout, names
from prodigy_git.record import clock, files, jsonline
from prodigy_git.record.conversations import activity
from prodigy_git.transcripts.plain import Source, digest

_MARKS = (b'"program_sessions"', b'"json_log_location"')
_REPO = re.compile(rb'"repo": ?"([A-Za-z0-9][A-Za-z0-9._-]{0,127})"')
_MOST = 1000
"""Files of a session that are looked at."""
_ENDINGS = (".jsonl", ".json")


class Transcribed(NamedTuple):
    """A session whose file names transcripts; ``sources`` are those, of its subagents too.

    First those that its file names, in its order. One that is gone is among them.
    """

    id: str
    repo: str | None
    job: str
    item: str | None
    agent: str | None
    sources: tuple[Source, ...]


def of_session(store: str, session: str) -> Transcribed | None:
    """Return a session with its transcripts; None where its file names none, or cannot be read."""
    try:
        data = files.read(layout.session(store, session))
    except OSError:
        return None
    return _of(store, session, data)


def everyone(store: str, repo: str) -> Iterator[Transcribed]:
    """Yield the sessions of a repository that have transcripts.

    Most files of sessions are not decoded: they have none.
    """
    try:
        listed = sorted(os.listdir(f"{store}/sessions"))
    except (FileNotFoundError, NotADirectoryError):
        return
    for file in listed:
        name = file.removesuffix(".json")
        if name != file and names.is_safe(name):
            found = of_session(store, name)
            if found is not None and found.repo == repo:
                yield found


def _of(store: str, session: str, data: bytes) -> Transcribed | None:
    if not any(mark in data for mark in _MARKS) and not _may_have_more(store, session, data):
        return None
    try:
        document = jsonline.decode_object(data)
    except ValueError:
        return None  # which the commands that show sessions say
    metadata, work = document.get("metadata"), document.get("mapreduce_data")
    if not isinstance(metadata, dict):
        return None
    repo, item, agent = (_id(metadata.get(one)) for one in ("repo", "item_id", "agent_id"))
    given = work.get("job_id") if isinstance(work, dict) else metadata.get("job_id")
    job = _id(given) or session
    began = clock.parse(str(document.get("started_at"))) or 0
    copies = set(kept(store, repo, job, session)) if repo is not None else set()
    sources: dict[str, Source] = {}
    heard = [] if repo is None else list(_heard(layout.activity(store, repo, session), began))
    for path, program, at in (*_named(metadata, began), *heard):
        first = _now(path, metadata)
        for there in (first, *_of_subagents(first)):
            copy = layout.kept_transcript(store, repo or "", job, session, name_of_copy(there))
            if copy in copies:
                copies.discard(copy)
                if not os.path.lexists(there):
                    there = copy
            sources.setdefault(there, Source(there, program, at))
    # Of subagents' whose folder is gone, and of what the session's file has no room for any more.
    for copy in sorted(copies):
        sources.setdefault(copy, Source(copy, None, began))
    if not sources:
        return None
    return Transcribed(session, repo, job, item, agent, tuple(sources.values())[:_MOST])


def _named(metadata: dict[str, Any], began: int) -> Iterator[tuple[str, str | None, int]]:
    """Yield the transcripts that a session's file names, the oldest first, and since when."""
    runs = metadata.get("program_sessions")
    for run in runs if isinstance(runs, list) else []:
        if isinstance(run, dict) and (path := _path(run.get("transcript"))) is not None:
            program = run.get("program")
            at = clock.parse(str(run.get("started_at"))) or began
            yield path, program if isinstance(program, str) else None, at
    if (path := _path(metadata.get("json_log_location"))) is not None:
        program = metadata.get("agent_program")
        yield path, program if isinstance(program, str) else None, began


def _may_have_more(store: str, session: str, data: bytes) -> bool:
    """Whether there is an activity file, or a copy, of a session whose file names no transcript."""
    found = _REPO.search(data)
    if found is None:
        return False
    repo = found[1].decode()
    return os.path.exists(layout.activity(store, repo, session))


def _heard(path: str, began: int) -> Iterator[tuple[str, str | None, int]]:
    """Yield the transcripts that an activity file names at its end, of subagents, too.

    A session's file has them late, and not those of subagents that lie elsewhere (Codex).
    """
    try:
        with files.stream(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, size - activity.READ))
            lines = stream.read(activity.READ).split(b"\n")
    except OSError:
        return
    for line in lines:
        if b'transcript":' not in line:
            continue
        try:
            said = jsonline.decode_object(line)
        except ValueError:
            continue  # the end of a line
        program = said.get("program")
        for name in ("transcript", "subagent_transcript"):
            if (found := _path(said.get(name))) is not None:
                yield found, program if isinstance(program, str) else None, began


def _path(value: Any) -> str | None:
    good = isinstance(value, str) and value.startswith("/") and names.is_text(value)
    # What Prodigy and `run` name there is a command's output, no transcript.
    return os.path.normpath(value) if good and value.endswith(_ENDINGS) else None


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) and names.is_safe(value) else None


def _of_subagents(path: str) -> list[str]:
    """Return subagents' transcripts beside one, where Claude Code and Gemini CLI put them."""
    folder, name = os.path.split(path)
    stem = glob.escape(f"{folder}/{os.path.splitext(name)[0]}")
    # One folder further in at most: the path is what somebody has said, a link there leads anywhere.
    found = glob.glob(f"{stem}/subagents/agent-*.jsonl")
    found += glob.glob(f"{stem}/subagents/*/agent-*.jsonl")
    if "/chats/" in path and name.startswith("session-"):
        # Gemini's are in a folder by the whole id of the session, whose file has its beginning.
        short = os.path.splitext(name)[0].rpartition("-")[2]
        found += glob.glob(f"{glob.escape(folder)}/{glob.escape(short)}*/*.jsonl")
    return sorted(found)[:_MOST]


def _now(path: str, metadata: dict[str, Any]) -> str:
    """Return where a transcript is that lay in a worktree, and went to the trash with it."""
    worktree, trash = (_text(metadata.get(one)) for one in ("worktree_path", "trash_path"))
    if worktree is None or trash is None or not path.startswith(f"{worktree}/"):
        return path
    there = f"{trash}/worktree{path.removeprefix(worktree)}"
    return there if os.path.lexists(there) and not os.path.lexists(path) else path


def name_of_copy(path: str) -> str:
    """Return what tells the copy of a transcript from a session's others, by where that was."""
    return digest(path.encode("utf-8", "surrogatepass"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value and names.is_text(value) else None


def kept(store: str, repo: str, job: str, session: str) -> list[str]:
    """Return the paths of the copies of a session's transcripts that `logs --keep` has made."""
    any_name = layout.kept_transcript(glob.escape(store), repo, job, session, "*")
    return sorted(glob.glob(any_name))
