"""What is remembered of a worktree that was set up: what tears it down, what runs in the background.

A file of the store for each session. While the set-up is under way it has another name, and says whose
process does it: whoever finds that process gone knows what was interrupted (`leftovers`). Teardown is
what the set-up's own commit said: what was not set up by it is not torn down by it.
"""

import contextlib
import os
from dataclasses import dataclass, field
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import liveness
from prodigy_git.record import files, jsonline, within
from prodigy_git.setup import plan as plans
from prodigy_git.setup.plan import Plan


@dataclass
class Note:
    """One worktree's; ``background`` are its start commands, each with its log and its process.

    Processes are as `liveness.described` has them. ``making``: it is the set-up of a worktree that is
    not handed over yet.

    ``step`` is the process of a command that is to end before it goes on; ``by`` the one of ours that
    waits for it. ``mark`` is what all of them carry (`groups.MARK`).
    """

    store: str
    session: str
    repo: str
    mark: str = field(default_factory=lambda: os.urandom(16).hex())
    plan: Plan = field(default_factory=Plan)
    background: list[dict[str, Any]] = field(default_factory=list)
    step: dict[str, Any] | None = None
    by: dict[str, Any] | None = None
    underway: bool = False
    making: bool = False

    @property
    def path(self) -> str:
        """Where it is, or will be."""
        return layout.setup(self.store, self.session, underway=self.underway)

    def write(self) -> None:
        """Write it. Raises `OSError`."""
        within.make_folder(self.store, layout.setups(self.store))
        fields = {
            "session_id": self.session, "repo": self.repo, "mark": self.mark,
            "parts": [part.as_json() for part in self.plan.parts], "background": self.background,
            "step": self.step, "by": self.by, "making": self.making,
        }  # fmt: skip
        files.replace(self.path, jsonline.line(fields))

    def begin_work(self) -> None:
        """Note that this process runs commands for the worktree, from now on. Raises `OSError`."""
        self.by, self.step = liveness.described(os.getpid()), None
        self.write()

    def begin_step(self, pid: int) -> None:
        """Note the process that the next command is. Raises `OSError`."""
        self.step = liveness.described(pid)
        self.write()

    def is_at_work(self) -> bool:
        """Whether somebody is setting the worktree up now, or may be, as far as can be told."""
        return self.by is not None and liveness.alive(self.store, self.by) is not False

    def settle(self) -> None:
        """Give it the name of one that is done, or drop it where nothing is to be remembered."""
        self.step, self.by, self.making = None, None, False
        if not self.background and not self.plan.has("start", "teardown"):
            self.drop()
            return
        self.write()
        if self.underway:
            before, self.underway = self.path, False
            os.rename(before, self.path)  # one of the two is there, at any moment

    def drop(self) -> None:
        """Forget it. Raises `OSError`."""
        drop(self.store, self.session)


def begin(store: str, repo: str, session: str, plan: Plan, *, making: bool) -> Note:
    """Note that a worktree is being set up, by this process. Raises `OSError`."""
    made = Note(store, session, repo, plan=plan, underway=True, making=making)
    made.begin_work()
    return made


def drop(store: str, session: str) -> None:
    """Forget what is remembered of a session's worktree. Raises `OSError`."""
    for underway in (False, True):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(layout.setup(store, session, underway=underway))


def read(store: str, session: str) -> Note | None:
    """Return what is remembered of a session's worktree; None: nothing. Raises `ProdigyError`."""
    for underway in (True, False):
        path = layout.setup(store, session, underway=underway)
        try:
            fields = jsonline.decode_object(files.read(path))
            return Note(
                store, session, str(fields["repo"]), str(fields["mark"]),
                plans.from_json(fields["parts"]), list(fields["background"]),
                fields["step"], fields["by"], underway, bool(fields["making"]),
            )  # fmt: skip
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise ProdigyError(f"{path} cannot be read ({why}): move it away") from None
    return None


def exists(store: str, session: str) -> bool:
    """Whether anything is remembered of a session's worktree."""
    return any(
        os.path.lexists(layout.setup(store, session, underway=underway))
        for underway in (False, True)
    )


def sessions(store: str) -> dict[str, bool]:
    """Return the sessions that something is remembered of, with whether that is under way."""
    try:
        found = os.listdir(layout.setups(store))
    except OSError:
        return {}
    known: dict[str, bool] = {}
    for name in found:
        done = name.removesuffix(".underway")
        stem = done.removesuffix(".json")
        if stem != done and names.is_safe(stem):
            known[stem] = known.get(stem, False) or done != name
    return known
