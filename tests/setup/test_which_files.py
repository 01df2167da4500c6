"""What .worktreeinclude matches and git ignores, and nothing else: git's own answer is the measure."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prodigy_git.record.gitdir import Place
from prodigy_git.setup import which_files
from prodigy_git.setup.which_files import Lists

NAMES = st.sampled_from(["a", "b", "c.log", "é", "a b", "[x]", "#d", "!e", "build", ".env"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(
    st.one_of(
        st.sampled_from(["*", "*/", "/*", "**/b", "a/**", "!a", "!*/", "!*.log", "*.log", "# word", "",
                         "a/*", "!a/b", "build/", "/build", "\\#d", "\\!e", "[[]x]", "*\\ b"]),
        PATHS, PATHS.map("!{}".format), PATHS.map("/{}/".format),
    ),
    max_size=6,
).map("\n".join)  # fmt: skip


def _listed(top: Path, *how: str) -> set[str]:
    out = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--ignored", *how],
        cwd=top, capture_output=True, check=True,
    ).stdout  # fmt: skip
    return {os.fsdecode(path) for path in out.split(b"\0") if path}


def _files(top: Path, entries: list[str]) -> set[str]:
    """Return the files that entries stand for: those below a whole folder, and single ones."""
    found = set()
    for entry in entries:
        if not entry.endswith("/"):
            found.add(entry)
            continue
        for folder, _, names in os.walk(top / entry):
            found.update(os.path.relpath(f"{folder}/{name}", top) for name in names)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    paths=st.sets(PATHS, min_size=1, max_size=14),
    tracked=st.sets(st.integers(0, 13), max_size=4),
    ignore=PATTERNS,
    include=PATTERNS,
    below=PATTERNS,
)
def test_it_is_what_git_lists_for_both(tmp_path_factory, paths, tracked, ignore, include, below):
    top = tmp_path_factory.mktemp("repo", numbered=True)
    subprocess.run(["git", "init", "-q", top], check=True)
    for path in sorted(paths):
        try:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).touch()
        except OSError:
            continue  # a file is where a folder would have to be
    there = [path for path in sorted(paths) if (top / path).is_file()]
    chosen = [there[number] for number in tracked if number < len(there)]
    if chosen:
        subprocess.run(
            ["git", "--literal-pathspecs", "add", "-f", "--", *chosen], cwd=top, check=True
        )
    (top / ".gitignore").write_text(ignore)
    if (top / "a").is_dir():
        (top / "a" / ".gitignore").write_text(below)
    (top / "list").write_text(include)
    place = Place(f"{top}/.git", f"{top}/.git", str(top))
    found = which_files.wanted(place, Lists(include=f"{top}/list"))
    both = _listed(top, f"--exclude-from={top}/list") & _listed(top, "--exclude-standard")
    assert _files(top, found.copied) == both
    assert found.linked == []


@pytest.mark.parametrize(
    ("some", "others", "both"),
    [
        ([], ["a"], []),
        (["a/"], ["a/"], ["a/"]),
        (["a/"], ["a/b", "a/c/"], ["a/b", "a/c/"]),
        (["a/b/c"], ["a/"], ["a/b/c"]),
        (["a", "ab"], ["a/", "a"], ["a"]),
        (["a/", "b"], ["a/x/", "b", "c"], ["a/x/", "b"]),
    ],
)
def test_of_nested_ones_the_inner_is_in_both(some, others, both):
    assert which_files.both(some, others) == which_files.both(others, some) == both
