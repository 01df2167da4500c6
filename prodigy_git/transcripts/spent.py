"""Model, tokens and cost of sessions, of each and together."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from prodigy_git import names
from prodigy_git.transcripts import of_sessions
from prodigy_git.transcripts.of_sessions import Transcribed
from prodigy_git.transcripts.transcript_file import Broken

if TYPE_CHECKING:
    from prodigy_git.transcripts.prices import Prices
    from prodigy_git.transcripts.token_sums import Found

_KINDS = ("input", "output", "cache_read", "cache_write")


class Known(NamedTuple):
    """What is known of some sessions, by their ids; `usage` asks it."""

    sessions: dict[str, Transcribed]
    found: "dict[str, Found]"
    prices: "Prices"


def of_sessions_named(store: str, cwd: str | None, ids: Iterable[str], broken: Broken) -> Known:
    """Read what is new in the transcripts of some sessions. ``cwd`` is where prices are asked for."""
    safe = (one for one in dict.fromkeys(ids) if names.is_safe(one))
    some = (of_sessions.of_session(store, one) for one in safe)
    return _known(store, cwd, [one for one in some if one is not None], broken)


def of_repository(store: str, cwd: str | None, repo: str, broken: Broken) -> Known:
    """Do that for all sessions of a repository that have transcripts."""
    return _known(store, cwd, list(of_sessions.everyone(store, repo)), broken)


def _known(store: str, cwd: str | None, some: list[Transcribed], broken: Broken) -> Known:
    sessions = {one.id: one for one in some}
    if not sessions:
        return Known({}, {}, {})
    from prodigy_git.transcripts import prices, token_sums  # which most have no need of

    found = token_sums.of_files(store, (each for one in some for each in one.sources), broken)
    any_tokens = any(one.sums for one in found.values())
    given = prices.configured(cwd or "/", broken) if any_tokens else {}
    return Known(sessions, found, given)


def of_job(known: Known, job: str) -> dict[str, Any] | None:
    """Return what `usage` does, of the sessions of a job."""
    return usage(known, (one.id for one in known.sessions.values() if one.job == job))


def usage(known: Known, ids: Iterable[str]) -> dict[str, Any] | None:
    """Return model, tokens and cost of some sessions together; None where nothing is known.

    ``models``: for each ``model``, ``input_tokens`` (from no cache), ``output_tokens``,
    ``cache_read_tokens``, ``cache_write_tokens``, ``cost_usd``, ``cost_is_complete``; the same five
    numbers of all; ``cost_is_complete``, else it is at least that much; ``is_complete``, else something
    could not be read, and the tokens are at least so many. ``cost_usd`` is null where nothing has a
    price. A file that several sessions have counts once.
    """
    chosen = (known.sessions[one] for one in ids if one in known.sessions)
    paths = {each.path for one in chosen for each in one.sources}
    if not paths:
        return None
    from prodigy_git.transcripts import prices

    partial = any(known.found[one].partial for one in paths)
    told, all_told = _costs_told(known.found, paths)
    partial_cost = partial or not all_told
    models: dict[str, dict[str, Any]] = {}
    for path in sorted(paths):
        for one in known.found[path].sums:
            cost, whole = prices.cost(one, prices.of_model(known.prices, one.model))
            if (path, one.model) in told:
                cost, whole = told[path, one.model], True
            row = models.setdefault(one.model, {"model": one.model, **_nothing()})
            for kind in _KINDS:
                row[f"{kind}_tokens"] += getattr(one, kind)
            if cost is not None:
                row["cost_usd"] = (row["cost_usd"] or 0) + cost
            row["cost_is_complete"] &= whole
    if not models:
        return None
    rows = sorted(models.values(), key=lambda row: (-row["output_tokens"], row["model"]))
    total = _nothing()
    for row in rows:
        for kind in _KINDS:
            total[f"{kind}_tokens"] += row[f"{kind}_tokens"]
        if row["cost_usd"] is not None:
            row["cost_usd"] = round(row["cost_usd"], 6)
            total["cost_usd"] = round((total["cost_usd"] or 0) + row["cost_usd"], 6)
        total["cost_is_complete"] &= row["cost_is_complete"]
    total["cost_is_complete"] &= not partial_cost
    return {"models": rows, **total, "is_complete": not partial}


def _costs_told(
    found: "dict[str, Found]", paths: Iterable[str]
) -> tuple[dict[tuple[str, str], float], bool]:
    """Return what programs say that models have cost, by file and model; and whether we know of all.

    A program tells of a session as a whole, with its subagents and what it had copied. So it counts
    only where its tokens are exactly those that were summed; a subagent's is then part of its parent's.
    It may also have asked a model that no transcript has answers of.
    """
    costs: dict[tuple[str, str], float] = {}
    whole = True
    for path in paths:
        beside = f"{path.rpartition('.')[0]}/"
        family = [path, *(one for one in paths if one.startswith(beside))]
        for model, (*tokens, cost) in found[path].costs.items():
            mine = [
                (one, each) for one in family for each in found[one].sums if each.model == model
            ]
            summed = [sum(column) for column in zip(*(each[1:5] for _, each in mine), strict=True)]
            if summed == tokens and all(each.cost is None for _, each in mine):
                costs.update({(one, model): 0.0 for one, _ in mine})
                costs[mine[0][0], model] = cost / 1e6
            elif not mine and any(tokens):
                whole = False
    return costs, whole


def _nothing() -> dict[str, Any]:
    counts = {f"{kind}_tokens": 0 for kind in _KINDS}
    return {**counts, "cost_usd": None, "cost_is_complete": True}


def words(found: dict[str, Any]) -> str:
    """Return what `usage` has found, on a line for people."""
    least = "" if found["is_complete"] else "at least "
    cached = found["cache_read_tokens"] + found["cache_write_tokens"]
    parts = [f"{least}{_short(found['input_tokens'])} in, {_short(found['output_tokens'])} out"]
    if cached:
        parts.append(f"{_short(cached)} by the cache")
    if found["cost_usd"] is not None:
        parts.append(money(found))
    return f"{', '.join(parts)} ({', '.join(row['model'] for row in found['models'])})"


def money(found: dict[str, Any]) -> str:
    """Return the cost, which is known."""
    cost = found["cost_usd"]
    shown = f"${cost:.2f}" if cost >= 0.1 else f"${cost:.4f}"
    return shown if found["cost_is_complete"] else f"at least {shown}"


def _short(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
