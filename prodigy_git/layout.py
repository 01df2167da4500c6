"""Every path of the store, in one place (DESIGN, section 6). Standard library only: hooks use it.

Paths are plain strings, joined from parts that `names.checked` has passed. A store's path may hold
bytes that are not UTF-8; they stand in it as Python's surrogate escapes.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # not imported from typing, which would cost every hook a millisecond
if TYPE_CHECKING:
    from collections.abc import Mapping

ENROLMENT = "prodigy"
"""The enrolment's file name inside a worktree's private git directory."""
CURSOR = "prodigy-cursor"
"""The cursor's file name, beside the enrolment. A second user's are ``prodigy.{uid}`` and
``prodigy-cursor.{uid}``."""
FIRST = "prodigy-first"
"""The file, at the same place, that says where a session begins that could not be registered yet."""
WAKE = "prodigy-wake"
"""The note beside them by which a hook's shell part knows that it may leave git's way."""
UNRECORDED = "prodigy-unrecorded"
"""The file in a private git directory of ours that keeps hooks from giving it a session."""


class NoStore(ValueError):
    """The environment names no place that could be the store; the text says what to do."""


def store_from(environ: Mapping[str, str]) -> str:
    """Return the store's path without links: ``$PRODIGY_HOME``, else ``~/.prodigy``.

    Resolved here, once: git names worktrees by such paths, and what is told by a path's beginning
    (does it lie in the store?) must not depend on how the store was called. Raises `NoStore` where
    the path is not absolute: a hook's current directory is somebody's worktree.
    """
    named = environ.get("PRODIGY_HOME")
    path = named or "~/.prodigy"
    if path.startswith("~"):
        # A shell expands no tilde in quotes, and nobody expands one in a `.env` or a unit file.
        path = _expanded(path, environ)
    if path.startswith("/"):
        return os.path.realpath(path)
    if not named:
        raise NoStore("HOME is not usable: set PRODIGY_HOME, or HOME, to an absolute path")
    raise NoStore(f"PRODIGY_HOME is {named!r}: set it to an absolute path")


def _expanded(path: str, environ: Mapping[str, str]) -> str:
    """Return ``path`` with its tilde expanded; as it is where nobody knows that home."""
    user, slash, rest = path[1:].partition("/")
    home = "" if user else environ.get("HOME", "")
    if not home:
        # HOME may be missing under cron and systemd; and a container's user from this database.
        import pwd

        try:
            home = (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
        except (KeyError, ValueError):
            home = ""
    return f"{home.rstrip('/')}{slash}{rest}" or "/" if home else path


def job_log(store: str, repo: str, job: str) -> str:
    """Return the folder of one job's event log."""
    return f"{store}/events/{repo}/{job}"


def dead_letters(store: str, repo: str, job: str) -> str:
    """Return the path of one job's dead letter queue."""
    return f"{store}/dlq/{repo}/{job}/dlq-items.json"


def state(store: str, repo: str) -> str:
    """Return the folder of a repository's state."""
    return f"{store}/state/{repo}"


def repository(store: str, repo: str) -> str:
    """Return the path of the document that says which repository owns the key ``repo``."""
    return f"{store}/state/{repo}/repository.json"


def halves(store: str, repo: str) -> str:
    """Return the path of what cleans remember of worktrees that they saw whole, or half."""
    return f"{store}/state/{repo}/halves.json"


def known_merges(store: str, repo: str) -> str:
    """Return the path of what came of merges that were tried: derived from git, made anew at need."""
    return f"{store}/state/{repo}/known-merges.json"


def job_state(store: str, repo: str, job: str) -> str:
    """Return the folder of a job's checkpoints and ``job-state.json``."""
    return f"{store}/state/{repo}/mapreduce/jobs/{job}"


def cleaned_events(store: str, repo: str, job: str) -> str:
    """Return the path of the note that says up to when a job's events have been cleaned away."""
    return f"{store}/state/{repo}/mapreduce/jobs/{job}/events-cleaned.json"


def items(store: str, repo: str, job: str) -> str:
    """Return the path of a job's work items, one ``{"id", "data"}`` per line."""
    return f"{store}/state/{repo}/mapreduce/jobs/{job}/items.jsonl"


def items_added(store: str, repo: str, job: str, digest: str) -> str:
    """Return the path of work items that a job was given later, by the SHA-256 of that file."""
    return f"{store}/state/{repo}/mapreduce/jobs/{job}/items-{digest[:16]}.jsonl"


def index(store: str, repo: str, job: str) -> str:
    """Return the path of the index of a job's items: derived from the log, made anew at need."""
    return f"{store}/state/{repo}/mapreduce/jobs/{job}/index.sqlite"


def session_to_job(store: str, repo: str) -> str:
    """Return the path of the mapping from session id to job id."""
    return f"{store}/state/{repo}/mappings/session-to-job.json"


def job_to_session(store: str, repo: str) -> str:
    """Return the path of the mapping from job id to the id of the session that opened the job."""
    return f"{store}/state/{repo}/mappings/job-to-session.json"


def session(store: str, session_id: str) -> str:
    """Return the path of a session's file."""
    return f"{store}/sessions/{session_id}.json"


def activity(store: str, repo: str, session_id: str) -> str:
    """Return the path of what agent programs do in a session's worktree, a line per event."""
    return f"{activities(store)}/{repo}/{session_id}.jsonl"


def activities(store: str) -> str:
    """Return the folder of what agent programs do, which is there once one has told anything."""
    return f"{store}/activity"


def activity_cursor(store: str, repo: str, session_id: str) -> str:
    """Return the path of what says how far a session's activity has been told to its job's log."""
    return f"{store}/activity/{repo}/{session_id}.cursor"


def program_ends(store: str) -> str:
    """Return the folder of the notes on conversations of agent programs that have just ended."""
    return f"{store}/agents/ended"


def program_session(store: str, program: str, digest: str) -> str:
    """Return the path of the note which session a program's session belongs to, by its id's SHA-1."""
    return f"{store}/agents/{program}/{digest}.json"


def temporary(path: str) -> str:
    """Return where a process writes what is to be at ``path``, which no lock guards.

    One that is killed leaves it behind: `clean` knows it by its name.
    """
    folder, name = os.path.split(path)
    return f"{folder}/.{name}.{os.getpid()}.new"


def ports(store: str) -> str:
    """Return the path of the document that says which worktree has which ports."""
    return f"{store}/ports.json"


def tokens(store: str) -> str:
    """Return the path of the sums of what transcripts tell of tokens: derived, made anew at need."""
    return f"{store}/tokens.sqlite"


def kept_transcript(store: str, repo: str, job: str, session_id: str, name: str) -> str:
    """Return the path of the copy of a session's transcript; it goes with its job's output."""
    return f"{run_logs(store, repo, job)}/{session_id}.{name}.transcript.jsonl"


def setups(store: str) -> str:
    """Return the folder of what is remembered of worktrees that were set up: ``{session}.json``."""
    return f"{store}/setup"


def setup(store: str, session_id: str, *, underway: bool = False) -> str:
    """Return the path of that for one session; while its set-up is under way it has another name."""
    return f"{store}/setup/{session_id}.json{'.underway' if underway else ''}"


def setup_log(store: str, repo: str, job: str, session_id: str) -> str:
    """Return the path of what the set-up and teardown commands of a session's worktree have said."""
    return f"{run_logs(store, repo, job)}/{session_id}.setup.log"


def trusted(store: str, repo: str) -> str:
    """Return the path of the hashes of set-up commands that a person has trusted in a repository."""
    return f"{store}/state/{repo}/trusted.json"


def worktrees(store: str, repo: str) -> str:
    """Return the folder that holds the worktrees which prodigy-git makes for a repository."""
    return f"{store}/worktrees/{repo}"


def worktree_state(store: str, repo: str, name: str) -> str:
    """Return the path of what Prodigy is told of a worktree there: its WorktreeState."""
    return f"{store}/worktrees/{repo}/.metadata/{name}.json"


def worktree_now(store: str, repo: str, path: str) -> str:
    """Return where a worktree is to be that was at ``path``: in this store, if it was in a store.

    A store may have been moved since: its old place is not made anew.
    """
    name = os.path.basename(path)
    return (
        f"{worktrees(store, repo)}/{name}" if path.endswith(f"/worktrees/{repo}/{name}") else path
    )


def agent_settings(store: str, key: str) -> str:
    """Return the path of the note on what was put into one settings file of an agent program."""
    return f"{store}/agents/settings/{key}.json"


def trash(store: str, repo: str, session_id: str) -> str:
    """Return the folder where one session's removed worktrees wait."""
    return f"{store}/trash/{repo}/{session_id}"


def hook_errors(store: str) -> str:
    """Return the path of the file that hooks write their troubles to."""
    return f"{store}/logs/hook-errors.log"


def run_logs(store: str, repo: str, job: str) -> str:
    """Return the folder of what the commands that `run` started for a job were given and have said."""
    return f"{store}/logs/{repo}/{job}"


def recorders(store: str) -> str:
    """Return the folder of the marks of recorders under way: ``{session}+{process id}``, empty."""
    return f"{store}/recorders"


def run_log(store: str, repo: str, job: str, session_id: str) -> str:
    """Return the path of the output of the command that `run` started for a session."""
    return f"{run_logs(store, repo, job)}/{session_id}.log"


def check_log(store: str, repo: str, job: str, session: str) -> str:
    """Return the path of the output of the checks that a session's work has had as it was merged."""
    return f"{store}/logs/{repo}/{job}/{session}.check.log"


def conflict(store: str, repo: str, job: str, item: str) -> str:
    """Return the path of what kept an item's last result from being merged, for its next attempt."""
    return f"{store}/state/{repo}/mapreduce/jobs/{job}/conflicts/{item}.json"


def pushed(store: str, repo: str) -> str:
    """Return the path of the note on what was pushed from here, and where."""
    return f"{store}/state/{repo}/pushed.json"


def merging(store: str, repo: str, target: str) -> str:
    """Return the folder of the worktrees in which is merged into a branch; ``target`` is its key."""
    return f"{store}/merging/{repo}/{target}"


def merges(store: str, repo: str, target: str) -> str:
    """Return the path of the ledger of what was merged into a branch; ``target`` is its key."""
    return f"{store}/state/{repo}/merges/{target}.jsonl"


def merge_lock(store: str, repo: str, target: str) -> str:
    """Return the lock under which is merged into a branch; ``target`` is its key."""
    return f"{store}/locks/merge-{repo}-{target}.lock"


def hub_host(store: str) -> str:
    """Return the path of what says which host this store is to a hub."""
    return f"{store}/hub/host.json"


def hub_hosts(store: str) -> str:
    """Return the path of what the hub said last of its hosts."""
    return f"{store}/hub/hosts.json"


def hub_job(store: str, repo: str, job: str) -> str:
    """Return the path of the note that makes a job one of a hub: how far it was pulled."""
    return f"{store}/state/{repo}/mapreduce/jobs/{job}/hub.json"


def hub_lock(store: str) -> str:
    """Return the lock under which is written what a store notes of itself as a host."""
    return f"{store}/locks/hub.lock"


def session_lock(store: str, session_id: str) -> str:
    """Return the lock of a session: its journal's cursor and its file."""
    return f"{store}/locks/session-{session_id}.lock"


def log_lock(store: str, repo: str, job: str) -> str:
    """Return the lock of a job's event log."""
    return f"{store}/locks/log-{repo}-{job}.lock"


def program_end_lock(store: str, session_id: str) -> str:
    """Return the lock under which is done what the end of a program in a session asks for."""
    return f"{store}/locks/program-end-{session_id}.lock"


def to_push(store: str, repo: str) -> str:
    """Return the path of the note on what `run --push` has still to push, and where to."""
    return f"{store}/state/{repo}/to-push.json"


def push_lock(store: str, repo: str) -> str:
    """Return the lock of who pushes what others could not (`to_push`)."""
    return f"{store}/locks/push-{repo}.lock"


def state_lock(store: str, repo: str) -> str:
    """Return the lock of a repository's ``repository.json`` and mappings."""
    return f"{store}/locks/state-{repo}.lock"


def repository_lock(store: str, repo: str) -> str:
    """Return the lock under which a repository's worktrees are made and removed."""
    return f"{store}/locks/repository-{repo}.lock"


def job_lock(store: str, repo: str, job: str) -> str:
    """Return the lock of a job's state, checkpoints and dead letter queue."""
    return f"{store}/locks/job-{repo}-{job}.lock"


def claims_lock(store: str, repo: str, job: str) -> str:
    """Return the lock under which a job's items are claimed and ended, and its index is written."""
    return f"{store}/locks/claims-{repo}-{job}.lock"


def owner_lock(store: str, repo: str, job: str, slot: int) -> str:
    """Return a lock that the processes working on one of a job's items hold, all of them together."""
    return f"{store}/locks/owner-{repo}-{job}-{slot}.lock"


def resume_lock(store: str, repo: str, job: str) -> str:
    """Return the lock of a job's resume; the file says who holds it."""
    return f"{store}/locks/resume-{repo}-{job}.lock"


def setup_lock(store: str, session_id: str) -> str:
    """Return the lock of who sets up a worktree that is there already."""
    return f"{store}/locks/setup-{session_id}.lock"


def known_merges_lock(store: str, repo: str) -> str:
    """Return the lock under which what came of merges that were tried is written down."""
    return f"{store}/locks/known-merges-{repo}.lock"


def register_lock(store: str, repo: str) -> str:
    """Return the lock under which a worktree that is there already is given a session."""
    return f"{store}/locks/register-{repo}.lock"


def ports_lock(store: str) -> str:
    """Return the lock under which ports are leased."""
    return f"{store}/locks/ports.lock"


def agent_settings_lock(store: str) -> str:
    """Return the lock under which settings files of agent programs are changed."""
    return f"{store}/locks/agent-settings.lock"


def emptying_lock(store: str) -> str:
    """Return the lock of the process that deletes what has been taken from the trash."""
    return f"{store}/locks/emptying.lock"


def emptying_next_lock(store: str) -> str:
    """Return the lock of the one process that waits for `emptying_lock`."""
    return f"{store}/locks/emptying-next.lock"
