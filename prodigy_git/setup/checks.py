"""What a merge is checked with: one's own setting, else what the target's commit says.

The target's, not that of what is merged: an agent that changes the check would be checked by its own.
"""

import shlex
from dataclasses import dataclass

from prodigy_git.errors import ProdigyError
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import templates, trust, what_runs
from prodigy_git.setup.foreign_files import VARIABLES
from prodigy_git.setup.plan import Approve, Part, Script


@dataclass(frozen=True)
class Check:
    """A text for sh, where it is from, and how many seconds it may take; None: as long as it wants."""

    text: str
    source: str
    timeout: float | None
    scripts: tuple[Script, ...] = ()
    """The repository's files that it names, as they were trusted: to be compared before it runs.

    None are where it is one's own.
    """


def of(store: str, repo: str, place: Place, commit: str, approve: Approve) -> Check | None:
    """Return what checks a merge into ``commit``; None where nothing says anything.

    ``approve`` is asked about what nobody has trusted. Raises `ProdigyError` where that is a no, or the
    file that counts cannot be followed.
    """
    plan = what_runs.plan(place, commit)
    found = [part for part in plan.parts if part.of("check")]
    own = [part for part in found if not part.given]
    if not found:
        return None
    part = (own or found)[0]
    if part.given and not trust.is_trusted(store, repo, place.common, plan):
        if not approve(plan):
            raise ProdigyError(
                f"the check of {part.source} is not trusted: a person allows it with "
                f"'{trust.how(commit)}', --no-check does without"
            )
        trust.trust(store, repo, place.common, plan)
    limit = part.limit("check")
    whole = None if limit is None else limit * len(part.of("check"))
    named = [what_runs.scripts_of(part, text) for text in part.of("check")]
    return Check(_text(part), part.source, whole, tuple(dict.fromkeys(sum(named, ()))))


def _text(part: Part) -> str:
    """Return one text of all commands, each in a shell of its own, that ends with the first failure."""
    lines = [f"export {name}={_word(text)}" for name, text in part.env.items()]
    lines += [f'export {name}="${{{ours}-}}"' for name, ours in VARIABLES[part.dialect].items()]
    if part.folder != ".":
        lines.append(f"cd {shlex.quote(part.folder)} || exit")
    commands = [templates.command(text, part.dialect) for text in part.of("check")]
    if not lines and len(commands) == 1:
        return commands[0]
    return "\n".join([*lines, *(f"(\n{text}\n) || exit" for text in commands)])


def _word(text: str) -> str:
    """Return a variable's value as one word of sh: what stands for its templates is no text there."""
    return "".join(
        f'"${{{piece}-}}"' if named else shlex.quote(piece)
        for named, piece in templates.pieces(text)
    )
