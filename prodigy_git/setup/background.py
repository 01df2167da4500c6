"""Commands that run on after a worktree was handed over: they survive the terminal, and end with it."""

import os
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import liveness
from prodigy_git.record import files, within
from prodigy_git.setup import groups, stages
from prodigy_git.setup.notes import Note
from prodigy_git.setup.stages import Site
from prodigy_git.store.broken import Broken


def log_path(store: str, repo: str, job: str, session: str, number: int) -> str:
    """Return where the output of one start command goes; they are counted from 1."""
    return f"{layout.run_logs(store, repo, job)}/{session}.start-{number}.log"


def start(note: Note, where: Site, job: str, broken: Broken) -> int:
    """Start the commands of a worktree's note; return how many run.

    The note says each before it can be lost: it is known by its mark, should we be killed before its
    number is written. What cannot be started is told to ``broken``: the worktree has been handed over.
    """
    started = number = 0
    for part in note.plan.parts:
        for text in part.of("start"):
            number += 1
            path = log_path(note.store, note.repo, job, note.session, number)
            entry: dict[str, Any] = {"command": text, "log": path, "process": None}
            note.background.append(entry)
            try:
                note.write()
                within.refuse_links(note.store, path)
                files.make_private(os.path.dirname(path))
                descriptor = files.create(path, os.O_WRONLY | os.O_APPEND)
                try:
                    stages.check_scripts(part, text, where)
                    with groups.signals_held_back():
                        child = stages.start(part, text, where, descriptor, note)
                        entry["process"] = liveness.described(child.pid)
                        note.write()
                    child.returncode = 0  # nobody waits for it: it outlives us
                finally:
                    os.close(descriptor)
                started += 1
            except (ProdigyError, OSError) as error:
                broken(f"not started: {' '.join(text.split())} ({error})")
    return started


def end(note: Note, broken: Broken) -> int:
    """End what was started for a worktree, and all that still belongs to it; return how many processes.

    What cannot be told from here (another machine's) is left, and said. Afterwards nothing is recorded.
    """
    ended = 0
    lost = False
    for entry in note.background:
        known = entry.get("process")
        if known is None:
            lost = True  # we were killed just there, or it could not be started
            continue
        count, certain = groups.end_recorded(note.store, known, note.mark)
        ended += count
        if certain and liveness.alive(note.store, known):
            broken(
                f"{note.session}: process {known.get('pid')} does not end: is it another user's?"
            )
        if not certain:
            broken(
                f"{note.session}: whether process {known.get('pid')} on {known.get('host')} still "
                "runs cannot be told from here; it was started for its worktree"
            )
    if lost:
        ended += sum(map(groups.end_group, groups.marked_leaders(note.mark)))
    note.background.clear()
    return ended


def is_of(note: Note, pid: int) -> bool:
    """Whether a process belongs to what was started for a worktree, or to a step that was killed."""
    import psutil

    try:
        group, process = os.getpgid(pid), psutil.Process(pid)
    except (OSError, psutil.Error):
        return False
    for entry in note.background:
        known = entry.get("process")
        if isinstance(known, dict) and known.get("pid") == group:
            # The group's number says something only as long as its first process is there.
            return liveness.alive(note.store, known) is True or groups.is_marked(process, note.mark)
    interrupted = note.by is not None and not note.is_at_work()
    return interrupted and groups.is_marked(process, note.mark)


def end_interrupted(note: Note) -> int:
    """End the command of a set-up, or teardown, whose waiting process was killed; return how many.

    Raises `ProdigyError` where that process may be there still.
    """
    if note.is_at_work():
        raise ProdigyError(f"the set-up of {note.session} is under way: wait for it")
    if note.by is None:
        return 0
    ended = 0
    if note.step is not None:
        ended, _ = groups.end_recorded(note.store, note.step, note.mark)
    else:
        # Killed before its number was written: by the mark, which else only those have that run on.
        kept = {(entry.get("process") or {}).get("pid") for entry in note.background}
        marked = [group for group in groups.marked_leaders(note.mark) if group not in kept]
        ended = sum(map(groups.end_group, marked))
    note.step = note.by = None
    return ended
