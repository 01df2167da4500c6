"""How it stands with each agent program: is it here, has it our hooks, do they run, was it heard."""

import dataclasses
import glob
import os

from prodigy_git.agents import in_effect, plugging, plugins, programs
from prodigy_git.agents.plugging import Site, Standing
from prodigy_git.agents.programs import Program
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock
from prodigy_git.record.conversations import activity

_FILES = 64
"""How many files of activity are looked into for the last event, the newest first."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Our hooks in one file of a program: how they stand there, and what keeps them from running.

    ``scope`` is whose file it is, or ``plugin``.
    """

    scope: str
    path: str
    state: Standing
    obstacles: tuple[str, ...]

    @property
    def in_effect(self) -> bool:
        """Whether the program runs them, as far as files tell."""
        return self.state == "installed" and not self.obstacles


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """One program: where it is called from, None where it is not; ``found`` also by its settings."""

    program: Program
    found: bool
    binary: str | None
    version: str | None
    places: tuple[Place, ...]
    last_event: str | None

    @property
    def in_effect(self) -> bool:
        """Whether the program tells us of its sessions."""
        return any(one.in_effect for one in self.places)


def survey(site: Site, which: tuple[Program, ...]) -> list[Surveyed]:
    """Return how it stands with some programs; a place that our hooks are not in is left out."""
    last = _last_events(site.store)
    found = []
    for program in which:
        binary = programs.binary(program, site.environ)
        found.append(
            Surveyed(
                program,
                programs.is_found(program, site.environ),
                binary,
                programs.version(program, site.environ),
                tuple(_places(site, program)),
                last.get(program.name),
            )
        )
    return found


def _places(site: Site, program: Program) -> list[Place]:
    found = []
    for scope in programs.SCOPES:
        try:
            path = plugging.place(site, program, scope)
        except ProdigyError:
            continue  # it has no such file, or we stand in no repository
        state, why = plugging.state(site, program, scope)
        if state == "absent":
            continue
        obstacles = [why] if why else in_effect.obstacles(site, program, scope, path)
        found.append(Place(scope, path, state, tuple(obstacles)))
    plugin = plugins.place(site, program)
    if plugin is not None:
        obstacles = in_effect.of_plugins(site, program, plugin)
        found.append(Place("plugin", plugin, "installed", tuple(obstacles)))
    return found


def _last_events(store: str) -> dict[str, str]:
    """Return when each program was last heard of, by its name."""
    dated = []
    for path in glob.glob(f"{glob.escape(store)}/activity/*/*.jsonl"):
        try:
            dated.append((os.stat(path).st_mtime, path))
        except OSError:
            continue  # cleaned away just now
    found: dict[str, int] = {}
    for _, path in sorted(dated, reverse=True)[:_FILES]:
        folder, name = os.path.split(path)
        for state in activity.tail(store, os.path.basename(folder), name.removesuffix(".jsonl")):
            found[state.program] = max(found.get(state.program, 0), state.seen)
    return {program: clock.stamp(at) for program, at in found.items() if at}
