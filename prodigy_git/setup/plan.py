"""What would run in a worktree, as data: who says so, which commands, where, with what, how long.

A plan has parts. A part that a repository brings (``given``) runs only once a person has trusted it;
what is in one's own git configuration needs no trust. The hash is over all that is given.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

OURS = ".prodigy/worktree.toml"
FOREIGN = (
    ".cursor/worktrees.json", "conductor.json", ".config/wt.toml", ".gtrconfig", ".workmux.yaml",
)  # fmt: skip
"""Those of other tools, in the order in which they are looked for."""
STAGES = ("run", "start", "teardown", "check")
"""Before a worktree is handed over, in the background after; before it is cleaned; before a merge."""
LIMITS = {"run": 900.0, "teardown": 300.0, "check": 1800.0}
"""Seconds that one command may take, where nothing else is said; 0 stands for no limit."""
_FORM = 1  # of what is hashed: a change of it asks everybody again


@dataclass(frozen=True)
class Script:
    """A file of the repository that a command names: its content is trusted with the command."""

    name: str
    """Its path, relative to the worktree's top."""
    blob: str


@dataclass(frozen=True)
class Part:
    """What one source says: a file of the repository, or git's configuration.

    ``folder`` is relative to the worktree's top. ``dialect`` says which variables of another tool
    the commands find. ``left_out`` has, in words, what of the source is not followed.
    """

    source: str
    given: bool
    commands: dict[str, tuple[str, ...]]
    """By stage: texts for sh, with templates (`templates`)."""
    env: dict[str, str] = field(default_factory=dict)
    folder: str = "."
    limits: dict[str, float] = field(default_factory=dict)
    dialect: str = "prodigy"
    scripts: tuple[Script, ...] = ()
    left_out: tuple[str, ...] = ()

    def of(self, stage: str) -> tuple[str, ...]:
        """Return the commands of one stage."""
        return self.commands.get(stage, ())

    def limit(self, stage: str) -> float | None:
        """Return how many seconds a command of a stage may take; None: as long as it wants."""
        return self.limits.get(stage, LIMITS.get(stage, 0.0)) or None

    def as_json(self) -> dict[str, Any]:
        """Return the part as ``setup show --json`` prints it, and as `from_json` takes it."""
        fields = asdict(self)
        del fields["commands"]
        fields["stages"] = {stage: list(self.of(stage)) for stage in STAGES if self.of(stage)}
        fields["limits"] = {
            stage: self.limits.get(stage, LIMITS[stage]) for stage in LIMITS if self.of(stage)
        }
        return fields


@dataclass(frozen=True)
class Plan:
    """All that would run in a worktree of one commit; ``unread`` are files that another one hides.

    ``commit`` is None where it is no longer known.
    """

    parts: tuple[Part, ...] = ()
    unread: tuple[str, ...] = ()
    commit: str | None = None

    def has(self, *stages: str) -> bool:
        """Whether anything is to be done in one of the stages."""
        return any(part.of(stage) for part in self.parts for stage in stages)

    def given(self, *stages: str) -> bool:
        """Whether anything of that comes from the repository."""
        return any(part.given and part.of(stage) for part in self.parts for stage in stages)

    @property
    def hash(self) -> str | None:
        """The hash over all that a person would trust, in hex; None where nothing is given."""
        given = [part for part in self.parts if part.given and any(map(part.of, STAGES))]
        if not given:
            return None
        import hashlib  # not where there is nothing to be trusted

        # What is left out never runs: a note about it is nothing to be asked about again.
        shown = [{**part.as_json(), "left_out": None} for part in given]
        text = json.dumps([_FORM, shown], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


Approve = Callable[[Plan], bool]
"""Asked about a plan that nobody has trusted: whether a person has, just now."""


def from_json(parts: Iterable[dict[str, Any]]) -> Plan:
    """Return a plan of what `Part.as_json` gave. Raises `ValueError`, `KeyError` or `TypeError`."""
    made = []
    for fields in parts:
        commands = {stage: tuple(map(str, fields["stages"].get(stage, ()))) for stage in STAGES}
        made.append(
            Part(
                source=str(fields["source"]), given=bool(fields["given"]),
                commands={stage: texts for stage, texts in commands.items() if texts},
                env={str(name): str(value) for name, value in fields["env"].items()},
                folder=str(fields["folder"]),
                limits={stage: float(limit) for stage, limit in fields["limits"].items()},
                dialect=str(fields["dialect"]),
                scripts=tuple(Script(one["name"], one["blob"]) for one in fields["scripts"]),
            )
        )  # fmt: skip
    return Plan(tuple(made))
