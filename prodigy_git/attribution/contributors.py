"""Who wrote a file of a commit: a person or an agent, with which model, in which conversation."""

import os
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import quote

from prodigy_git.attribution import told_edits
from prodigy_git.attribution.history import History, Made, Run
from prodigy_git.attribution.told_edits import Edit
from prodigy_git.store import briefs, other_sessions
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


class Known:
    """What is known of the sessions of a repository, each looked up once, when it is asked for."""

    def __init__(
        self,
        store: str,
        repo: str,
        history: History,
        touched: Callable[[list[str]], Iterable[tuple[str, Iterable[str]]]],
        broken: Callable[[str], None],
    ) -> None:
        """Look into ``store`` for sessions of the repository ``repo``; tell ``broken`` of what is.

        ``touched`` says which files some commits touched.
        """
        self._store, self._repo, self._history, self._broken = store, repo, history, broken
        self._touched = touched
        self._briefs: dict[str, Brief | None] = {}
        self._theirs: frozenset[str] | None = None
        self._edits: dict[str, dict[str, list[Edit]]] = {}
        self._commits: dict[str, dict[str, list[int]]] = {}
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

    def _elsewhere(self) -> frozenset[str]:
        """Return the sessions that are other hosts' alone."""
        if self._theirs is None:
            theirs = other_sessions.ids(self._store, self._repo)
            self._theirs = frozenset(one for one in theirs if self._brief(one) is None)
        return self._theirs

    def _with(self, who: Contributor, made: Made, edit: Edit | None) -> Contributor:
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
        if transcript is not None and made.session in self._elsewhere():
            transcript = None  # a path on another host
        return who._replace(
            model=_named(model), program=program, program_session=name, transcript=transcript
        )

    def _run(self, made: Made, edit: Edit | None = None) -> Run | None:
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

    def _edit(self, made: Made, path: str) -> Edit | None:
        """Return the last edit of a file that a program told of, if no commit before took it.

        Somebody may commit in parts what was edited at once.
        """
        session = made.session
        assert session is not None
        if session not in self._edits:
            self._edits[session] = self._told(session)
        before = [one for one in self._edits[session].get(path, ()) if one.moment <= made.moment]
        if not before:
            return None
        taken = [one for one in self._taken(session).get(path, ()) if one < made.moment]
        return before[-1] if not taken or before[-1].moment >= taken[-1] else None

    def _told(self, session: str) -> dict[str, list[Edit]]:
        brief = self._brief(session)
        if brief is None or brief.worktree is None:
            return {}
        return told_edits.of_session(self._store, self._repo, session, brief.worktree, self._broken)

    def _taken(self, session: str) -> dict[str, list[int]]:
        """Return when a session committed its files."""
        if session not in self._commits:
            found = self._commits[session] = {}
            for commit, paths in self._touched(self._history.of_session.get(session, [])):
                for path in paths:
                    found.setdefault(path, []).append(self._history.made[commit].moment)
        return self._commits[session]

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
