"""What a new worktree is called: its session, its branch, its place.

A session's id is used once, ever. A name that a user gives may be used again, once what bore it is
gone: the session is called ``login-2`` then, and its file says which name it bears. A name with a
stroke is a branch's: ``feature/login`` is the branch, and the session is called ``feature-login``.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import branch_names, repository
from prodigy_git.git.ask import look
from prodigy_git.record import files, gitdir, prodigys
from prodigy_git.record.gitdir import Place


class NameInUse(ProdigyError):
    """A name, or the branch or the folder that goes with it, is another's: another name helps."""


FORMAT = "prodigy/{job}/{item}"
"""What the branch of a worktree for an item is called, unless git config prodigy.branchFormat says."""
WITHOUT_ITEM = "prodigy-{name}"
"""What a branch is called where the format names something that the worktree has not."""
_FIELDS = ("job", "item", "agent", "name")
_TRIES = 1000
_STEM = 100  # characters; a number goes behind it
_GITS = (
    "hooks", "info", "logs", "modules", "objects", "prodigy-hooks", "prodigy-reserve",
    "prodigy-salvage", "prodigy-trash", "refs", "reftable", "worktrees",
)  # fmt: skip


def stem(text: str) -> str | None:
    """Return a safe session id made of a branch's or a folder's name; None where nothing is left."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    found = re.sub(r"\.{2,}", ".", found).strip("._-")
    found = re.sub(r"\.lock\Z", "-lock", found)
    return _cut(found, _STEM) or None


def ids(stem: str) -> Iterator[str]:
    """Yield the ids that a session may have that is to be called ``stem``: with numbers, at last."""
    yield stem
    for number in range(2, _TRIES):
        yield f"{stem}-{number}"
    raise ProdigyError(f"the name {stem} has been used {_TRIES} times: choose another")


def bearer(store: str, repo: str, session: str, name: str) -> str | None:
    """Return why a session keeps others from bearing ``name``; None where it does not (any more).

    It does while it has not ended, or its worktree is there; not from the trash, from which it comes
    back under the name that is its own alone, its id.
    """
    path = layout.session(store, session)
    if not os.path.lexists(path):
        return None  # cleaned: only the id is remembered
    from prodigy_git.store import sessions  # only for a name that was used before

    try:
        found = sessions.load(store, session)
    except (ProdigyError, OSError) as error:
        return f"session {session} cannot be read ({error})"
    if prodigys.wrote(found.metadata):
        return f"session {session} is Prodigy's"
    if found.text("repo") != repo or (found.text("name") or found.id) != name:
        return None
    trashed = found.text("trash_path") is not None
    if trashed and not sessions.has_half(store, found):
        return None
    there = sessions.has_half(store, found)
    if found.ended:
        puts_away = f"'prodigy-git worktree clean {session}' puts it away"
        return f"the worktree of session {session} is there still, {puts_away}" if there else None
    # Whoever made it was killed, or its worktree was removed by others.
    unless = "unless it is being made just now, " if found.status == "Initializing" else ""
    puts_end = f"{unless}'prodigy-git finish {session}' ends it"
    ends = "" if there else f" and has no worktree, {puts_end}"
    return f"session {session} is {found.status}{ends}"


class Known(NamedTuple):
    """What a branch is called after; None where the worktree has no such thing."""

    job: str | None
    item: str | None
    agent: str | None
    name: str


def branches(
    place: Place, known: Known, form: str | None, attempt: int | None, *, ignore_case: bool
) -> Iterator[str]:
    """Yield the free names for the branch of a worktree that was given none, the best first.

    ``form`` is what git config prodigy.branchFormat says. An attempt after the first has its number
    behind an ``@``, which no id has in it; so has what is taken already. Raises `ProdigyError` for a
    form that no branch's name comes of.
    """
    wanted = _filled(FORMAT if form is None else form, known)
    if wanted is None:
        # A name that somebody chose is that of one branch.
        plain = WITHOUT_ITEM.format(name=known.name)
        taken = branch_names.in_the_way(place, plain, ignore_case=ignore_case)
        if taken is not None:
            raise NameInUse(_exists(place, plain, taken))
        yield plain
        return
    if form is not None and not branch_names.is_possible(place.common, wanted):
        raise ProdigyError(
            f"git config prodigy.branchFormat is {form!r}, and {wanted!r} cannot be a branch: change it"
        )
    first = attempt or 1
    for number in range(first, first + _TRIES):
        name = wanted if number == 1 else f"{wanted}@{number}"
        taken = branch_names.in_the_way(place, name, ignore_case=ignore_case)
        tried: dict[int, int] = {}
        while taken is not None and _is_above(taken, name, ignore_case=ignore_case):
            # A branch `prodigy` leaves no room for `prodigy/job/item`: it is `prodigy@2/job/item`.
            part = taken.count("/")
            tried[part] = tried.get(part, 1) + 1
            parts = name.split("/")
            parts[part] = f"{wanted.split('/')[part]}@{tried[part]}"
            name = "/".join(parts)
            taken = branch_names.in_the_way(place, name, ignore_case=ignore_case)
        if taken is None:
            yield name
    raise ProdigyError(f"there are {_TRIES} branches {wanted} already: choose one with --branch")


def _is_above(taken: str, name: str, *, ignore_case: bool) -> bool:
    if ignore_case:
        taken, name = taken.casefold(), name.casefold()
    return name.startswith(f"{taken}/")


def _exists(place: Place, wanted: str, taken: str) -> str:
    if taken == wanted:
        where = repository.checked_out_where(place.common, wanted)
        if where is not None:
            return f"{where}, or choose another NAME"
        return (
            f"the branch {wanted} exists already: --branch {wanted} checks it out, or choose another "
            "NAME"
        )
    return f"the branch {taken} leaves no room for {wanted}: choose another NAME or --branch"


def refuse_taken(place: Place, branch: str, *, ignore_case: bool, pull: bool) -> None:
    """Raise `ProdigyError` where a new branch cannot be called ``branch``, since another is.

    ``pull`` says that it is a request's, which no NAME is a name for.
    """
    taken = branch_names.in_the_way(place, branch, ignore_case=ignore_case)
    if taken is not None and pull:
        there = "" if taken == branch else f", which leaves no room for {branch}"
        raise ProdigyError(
            f"there is a branch {taken}{there}: choose another one for the request with --branch"
        )
    if taken is not None:
        raise NameInUse(_exists(place, branch, taken))


def _filled(form: str, known: Known) -> str | None:
    """Return a form with its fields filled in; None where the worktree has not all of them."""
    values = known._asdict()
    for field in re.findall(r"\{([^{}]*)\}", form):
        if field not in _FIELDS:
            have = ", ".join("{" + one + "}" for one in _FIELDS)
            raise ProdigyError(
                f"git config prodigy.branchFormat has {{{field}}} in it: there is only {have}"
            )
        if values[field] is None:
            return None
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", form)):
        raise ProdigyError(f"git config prodigy.branchFormat is {form!r}: a brace is alone in it")
    made = re.sub(r"\{([^{}]*)\}", lambda found: _part(values[found[1]]), form)
    return "/".join(_cut(part, branch_names.LONGEST) for part in made.split("/"))


def _part(value: str) -> str:
    """Return an id as a part of a branch's name: what no ref may have in it is replaced, uniquely."""
    if names.fits_into_ref(value):
        return value
    made = re.sub(r"\.{2,}", ".", value).rstrip(".")
    made = re.sub(r"\.lock\Z", "-lock", made)
    return f"{made}-{_digest(value)}"


def _cut(text: str, most: int) -> str:
    """Return a name of at most ``most`` bytes that is another for another text."""
    data = os.fsencode(text)
    if len(data) <= most:
        return text
    return f"{data[: most - 7].decode('utf-8', 'ignore')}-{_digest(text)}"


def _digest(text: str) -> str:
    return files.sha1_hex(os.fsencode(text))[:6]


class Spot(NamedTuple):
    """Where a user wants a worktree: an empty folder may be there already."""

    path: str
    above: str
    """The lowest folder above it that was there before."""


def spot(store: str, place: Place, cwd: str, path: str) -> Spot:
    """Return where ``--path`` says, without links. Raises `ProdigyError` where nothing may be made."""
    whole = os.path.join(cwd, path)
    top = os.path.realpath(whole)
    refuse_filled(top)
    if os.path.ismount(top):
        # It could be neither moved nor removed.
        raise ProdigyError(f"{top} is where something is mounted: choose a folder in it as --path")
    inside = [os.path.realpath(store)]
    # A bare repository may well have its worktrees inside it, beside what is git's.
    common = os.path.realpath(place.common)
    inside += [f"{common}/{name}" for name in _GITS]
    if os.path.basename(common) == ".git":
        inside.append(common)
    for one in inside:
        if f"{top}/".startswith(f"{one}/"):
            raise ProdigyError(f"{top} lies inside {one}: choose another --path")
    above = os.path.dirname(top)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise ProdigyError(f"{above} is not a folder: choose another --path")
    return Spot(top, above)


def refuse_filled(top: str) -> None:
    """Raise `ProdigyError` where something is at a place for a worktree that is no empty folder."""
    if os.path.lexists(top) and not (os.path.isdir(top) and not os.listdir(top)):
        raise ProdigyError(f"{top} is there and is no empty folder: choose another --path")


def shown_as_new(path: str) -> str | None:
    """Return the worktree around a worktree that takes it for new files of its own; None: none does."""
    around = gitdir.find(os.path.dirname(path), {})
    if around is None:
        return None
    return around.top if look(around, "check-ignore", "--quiet", "--", path)[0] == 1 else None
