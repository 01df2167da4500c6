"""Who wrote a file of a commit: a person or an agent, with which model, in which conversation."""

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

from prodigy_git import layout
from prodigy_git.attribution.history import History, Made, Run
from prodigy_git.record import clock, files, jsonline
from prodigy_git.store import briefs
from prodigy_git.store.briefs import Brief
from prodigy_git.transcripts import of_sessions, token_sums

_PROVIDERS = (
    ("claude", "anthropic"), ("gpt", "openai"), ("codex", "openai"), ("chatgpt", "openai"),
    ("o1", "openai"), ("o3", "openai"), ("o4", "openai"), ("gemini", "google"), ("gemma", "google"),
    ("grok", "xai"), ("deepseek", "deepseek"), ("mistral", "mistral"), ("codestral", "mistral"),
    ("kimi", "moonshotai"), ("glm", "zai"), ("qwen", "alibaba"), ("llama", "meta"),
)  # fmt: skip
"""How models' names begin, and whose they are: Agent Trace writes both, as models.dev does."""
_LONGEST = 250  # characters of a model's name, by Agent Trace's schema
_MOST_READ = 64 << 20  # bytes of an activity file, from its end


class Contributor(NamedTuple):
    """Who wrote lines. ``kind`` is Agent Trace's: human, ai, mixed, unknown.

    ``transcript`` is the path of the conversation, on the machine where it was held.
    """

    kind: str
    model: str | None = None
    program: str | None = None
    program_session: str | None = None
    transcript: str | None = None
    session: str | None = None
    agent: str | None = None
    item: str | None = None
    job: str | None = None


class _Edit(NamedTuple):
    moment: int
    program: str
    program_session: str
    model: str | None
    files: tuple[str, ...]


class Known:
    """What is known of the sessions of a repository, each looked up once, when it is asked for."""

    def __init__(
        self, store: str, repo: str, history: History, broken: Callable[[str], None]
    ) -> None:
        """Look into ``store`` for sessions of the repository ``repo``; tell ``broken`` of what is."""
        self._store, self._repo, self._history, self._broken = store, repo, history, broken
        self._briefs: dict[str, Brief | None] = {}
        self._edits: dict[str, list[_Edit]] = {}
        self._models: dict[str, dict[str, str]] = {}

    def of(self, made: Made, path: str) -> Contributor:
        """Return who wrote what the commit brought to the file ``path``."""
        if made.session is None:
            return Contributor("unknown")
        who = Contributor(
            "ai", None, None, None, None, made.session, made.agent, made.item, made.job
        )
        brief = self._brief(made.session)
        edit = self._edit(made, path)
        if brief is not None and brief.persons:
            if edit is None:
                return who._replace(kind="human")
            return self._with(who._replace(kind="mixed"), made, edit)
        run = self._run(made)
        if edit is not None or run is not None:
            return self._with(who, made, edit)
        agents = made.agent or (
            brief is not None
            and (brief.agent or brief.created_by == "new-worktree" or brief.program)
        )
        return who if agents else who._replace(kind="unknown")

    def _brief(self, session: str) -> Brief | None:
        if session not in self._briefs:
            found = briefs.read_some(self._store, [session])
            self._briefs[session] = found[0] if found else None
        return self._briefs[session]

    def _with(self, who: Contributor, made: Made, edit: _Edit | None) -> Contributor:
        """Add the program's session that edited the file, or else that ran when it was committed."""
        run = self._run(made, edit)
        assert made.session is not None
        if edit is not None:
            program, name, model = edit.program, edit.program_session, edit.model
        else:
            assert run is not None
            program, name, model = run.program, run.program_session, None
        transcript = None if run is None else run.transcript
        model = model or (None if run is None else run.model)
        if model is None and transcript is not None:
            model = self._model_of(made.session, transcript)
        return who._replace(
            model=_named(model), program=program, program_session=name, transcript=transcript
        )

    def _run(self, made: Made, edit: _Edit | None = None) -> Run | None:
        """Return the run of a program in which a commit was made; of the one that edited, if told."""
        runs = [
            one
            for one in self._history.runs.get(made.session or "", ())
            if one.start <= made.moment
        ]
        if edit is not None:
            key = edit.program, edit.program_session
            runs = [one for one in runs if (one.program, one.program_session) == key]
            return runs[-1] if runs else None
        return next(
            (one for one in reversed(runs) if one.end is None or one.end >= made.moment), None
        )

    def _edit(self, made: Made, path: str) -> _Edit | None:
        """Return the last edit of a file that a program told of before it was committed."""
        assert made.session is not None
        if made.session not in self._edits:
            self._edits[made.session] = list(self._read(made.session))
        inside = f"/{path}"
        found = None
        for one in self._edits[made.session]:
            if made.since <= one.moment <= made.moment and any(
                file.endswith(inside) for file in one.files
            ):
                found = one
        return found

    def _read(self, session: str) -> Iterable[_Edit]:
        path = layout.activity(self._store, self._repo, session)
        try:
            descriptor, about = files.opened(path)
            try:
                data = os.pread(descriptor, _MOST_READ, max(0, about.st_size - _MOST_READ))
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return
        except OSError as error:
            self._broken(f"{path} cannot be read ({error.strerror})")
            return
        models: dict[tuple[str, str], str] = {}
        for text in data.split(b"\n"):
            if b'"model"' not in text and b'"files"' not in text:
                continue
            try:
                line = jsonline.decode_object(text)
            except ValueError:
                continue
            edit = _edit_of(line, models)
            if edit is not None:
                yield edit

    def _model_of(self, session: str, transcript: str) -> str | None:
        """Return the model that wrote most of a transcript."""
        if session not in self._models:
            self._models[session] = self._most(session)
        return self._models[session].get(os.path.basename(transcript))

    def _most(self, session: str) -> dict[str, str]:
        there = of_sessions.of_session(self._store, session)
        if there is None:
            return {}
        found = token_sums.of_files(self._store, there.sources, self._broken)
        return {
            os.path.basename(path): max(one.sums, key=lambda each: each.output).model
            for path, one in found.items()
            if one.sums
        }


def _edit_of(line: dict[str, Any], models: dict[tuple[str, str], str]) -> _Edit | None:
    program, name, model = line.get("program"), line.get("program_session"), line.get("model")
    moment, paths = clock.parse(str(line.get("at"))), line.get("files")
    if not isinstance(program, str) or not isinstance(name, str) or moment is None:
        return None
    if isinstance(model, str) and not line.get("subagent"):
        models[program, name] = model
    if not isinstance(paths, list) or line.get("failed"):
        return None
    edited = tuple(one for one in paths if isinstance(one, str))
    return _Edit(moment, program, name, models.get((program, name)), edited) if edited else None


def _named(model: str | None) -> str | None:
    """Return a model's name as models.dev has it: ``provider/model``, where it is known whose it is."""
    if not model or model == "unknown" or len(model) > _LONGEST - 20:
        return None
    if "/" in model:
        return model
    lower = model.lower()
    whose = next((name for begin, name in _PROVIDERS if lower.startswith(begin)), None)
    return model if whose is None else f"{whose}/{model}"


def url_of(transcript: str) -> str:
    """Return the address of a transcript on this machine."""
    return "file://" + quote(os.fsencode(transcript))
