"""What is written into the commits that merging makes: message, author, trailers."""

import os

from prodigy_git.git.ask import git, git_status

_MOST = 100
"""So many commits are listed in a squashed one's message."""


def merged(cwd: str, head: str, branch: str | None, into: str) -> str:
    """Return the message of a merge, as git writes it (``merge.log`` and its like are heeded)."""
    what = f"branch '{branch}' of ." if branch is not None else f"'{head[:12]}' of ."
    asked = f"{head}\t\t{what}\n".encode("utf-8", "surrogateescape")
    status, out, _ = git_status(cwd, "fmt-merge-msg", "--into-name", into, stdin=asked)
    if status == 0 and out.strip():
        return out
    return f"Merge {what.removesuffix(' of .')} into {into}\n"


def squashed(cwd: str, onto: str, head: str, name: str) -> str:
    """Return the message for all commits of a branch in one: that of the only one, else their subjects.

    Who else wrote some of it, and what trailers they bear, stands at its end.
    """
    shas = git(cwd, "rev-list", "--reverse", "--no-merges", f"{onto}..{head}").split()
    if len(shas) == 1:
        return git(cwd, "log", "-1", "--format=%B", shas[0]).strip() + "\n"
    subjects = git(cwd, "log", "--reverse", "--no-merges", "--format=%s", f"{onto}..{head}").split(
        "\n"
    )[:-1]
    if not subjects:
        return f"{name}\n"
    listed = [f"* {one}" for one in subjects[:_MOST]]
    if len(subjects) > _MOST:
        listed.append(f"* and {len(subjects) - _MOST} more")
    ends = _trailers(cwd, onto, head)
    return "\n".join([f"{name}: {subjects[0]}", "", *listed, *([""] if ends else []), *ends]) + "\n"


def author(cwd: str, onto: str, head: str) -> str | None:
    """Return who wrote the first commit of a branch, as ``--author`` takes it; None: nobody."""
    shown = git(
        cwd, "log", "--reverse", "--no-merges", "--format=%an <%ae>", f"{onto}..{head}"
    ).split("\n")[:-1]
    return shown[0] if shown else None


def _trailers(cwd: str, onto: str, head: str) -> list[str]:
    """Return the trailers of a branch's commits, each once, and its other authors."""
    authors = git(
        cwd, "log", "--reverse", "--no-merges", "--format=%an <%ae>", f"{onto}..{head}"
    ).split("\n")[:-1]
    others = [one for one in dict.fromkeys(authors) if one != authors[0]]
    theirs = git(
        cwd,
        "log",
        "--reverse",
        "--no-merges",
        "--format=%(trailers:only,unfold)",
        f"{onto}..{head}",
    ).split("\n")[:-1]
    found = [line for line in theirs if line.strip()]
    return list(dict.fromkeys([*found, *(f"Co-authored-by: {one}" for one in others)]))


def with_trailers(cwd: str, text: str, trailers: tuple[str, ...]) -> str:
    """Return a message with trailers at its end, those that it has already left out."""
    if not trailers:
        return text
    given = [word for one in trailers for word in ("--trailer", one)]
    status, out, _ = git_status(
        cwd, "interpret-trailers", "--if-exists", "addIfDifferent", *given,
        stdin=os.fsencode(text),
    )  # fmt: skip
    return out if status == 0 else text
