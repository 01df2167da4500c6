"""Whether the agent programs that are here tell us what happens."""

import functools
import os
from collections.abc import Iterator

from prodigy_git.agents import plugging, programs, survey
from prodigy_git.doctor.finding import Finding, mended
from prodigy_git.record import gitdir


def examine(store: str, cwd: str, *, fix: bool) -> Iterator[Finding]:
    """Say of each program that is plugged in whether it is in effect; and which ones are not.

    Hooks of the user that are out of date are brought up to date where that is wanted; not those of a
    file that others share.
    """
    place = gitdir.find(cwd, {})
    site = plugging.Site(store, None if place is None else place.top, os.environ)
    good, bare = [], []
    for one in survey.survey(site, programs.ALL):
        name = one.program.name
        for there in one.places:
            again = f"prodigy-git agents install {name} --{there.scope}"
            what = f"agents {name}"
            if there.state == "outdated":
                finding = Finding(
                    what, "warning", f"the hooks in {there.path} are out of date", again
                )
                again_now = functools.partial(plugging.install, site, one.program, "user")
                yield mended(finding, fix and there.scope == "user", again_now)
            for obstacle in there.obstacles:
                why, _, remedy = (
                    obstacle.rpartition(": ") if ": " in obstacle else (obstacle, "", "")
                )
                yield Finding(what, "warning", f"not in effect, {why}", remedy or again)
        if one.in_effect:
            good.append(name)
        elif one.found and not one.places:
            bare.append(name)
    words = [f"plugged in: {', '.join(good)}"] if good else []
    words += [f"not plugged in: {', '.join(bare)}"] if bare else []
    yield Finding(
        "agents", "ok", "; ".join(words) or "none that tells us what happens",
        f"prodigy-git agents install {bare[0]}" if bare else "",
    )  # fmt: skip
