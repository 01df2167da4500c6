"""Which files several items changed, in commits that still stand and are to be merged. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from prodigy_git.jobs.attempts import Attempt
from prodigy_git.views.trouble import Outcome

_SHOWN = 300
_NAMES_SHOWN = 20  # of items in one row
AT_WORK = ("running", "waiting", "idle", "stuck", "dead")


def shared_files(
    attempts: Sequence[Attempt],
    outcomes: Mapping[int, Outcome],
    changed: Mapping[str, list[str]] | str,
    merged: Collection[str] = (),
) -> dict[str, Any]:
    """Return the files that several items changed; ``changed`` has the paths of each commit.

    A text is why these are not known. An item is one, however many attempts it took: failed ones do not
    count, since nobody merges them; work without an item counts for itself. ``merged`` are the sessions
    whose work the target has.
    """
    if isinstance(changed, str):
        return {"unknown": changed, "count": 0, "commits": 0, "missing": 0, "shown": []}
    items: dict[str, dict[str, bool]] = defaultdict(dict)  # file: {item: whether it is worked on}
    commits: Counter[str] = Counter()
    seen = missing = 0
    for one in attempts:
        outcome = outcomes[id(one)]
        if outcome not in (*AT_WORK, "completed") or one.session_id in merged:
            continue
        name = one.item_id or one.lane
        for commit in one.commits:
            if commit.replaced is not None:
                continue
            seen += 1
            missing += commit.sha not in changed
            for path in changed.get(commit.sha, ()):
                commits[path] += 1
                items[path][name] = outcome in AT_WORK or items[path].get(name, False)
    several = [path for path, names in items.items() if len(names) > 1]
    several.sort(key=lambda path: (-len(items[path]), -commits[path], path))
    return {
        "unknown": None,
        "count": len(several),
        "commits": seen,
        "missing": missing,
        "shown": [
            {
                "path": path,
                "items": list(items[path])[:_NAMES_SHOWN],
                "item_count": len(items[path]),
                "working": sum(items[path].values()),
                "commits": commits[path],
            }
            for path in several[:_SHOWN]
        ],
    }
