"""What a page shows is what happens: its blocks are run in order, and what they print is compared.

The pages of the commands, which are their help, are compared in `test_reference`.
"""

import re
import runpy
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPLAY = runpy.run_path(str(ROOT / "docs" / "replay.py"))
DOCS = ROOT / "docs"
TUTORIAL = [DOCS / "tutorial" / f"{name}.md" for name in ("first-job", "merge-and-tidy-up")]
SHOWN = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if page.parent.name != "commands"
    and any(REPLAY["shows"](block) for block in REPLAY["blocks"](page.read_text()))
]

# What each run has otherwise: moments, ids, how long it took. What is cut for room depends on these.
MASKS = [
    (r"exit status 1:[^\n]*…", "NOTE"),
    (r"\S*…\S*", "…"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z|\d{8}T\d{6}[.-]\d{6}Z?", "MOMENT"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b(agent|session)-[a-z0-9]{8}\b", r"\1-ID"),
    (r"\b[0-9a-f]{10,40}\b", "SHA"),
    (r"\b\d+(h|m|s)( \d\dm| \d\ds)?\b", "LONG"),
    (r"[\d.]+( items)? a minute", "RATE"),
    (r"\d+ events|events: \d+", "EVENTS"),
    (r"version \S+", "VERSION"),
    (r", recorded by a command, not by a hook", ""),  # whether the recorder was first
]


def words(text, home):
    """Return what is the same in each run, in one order: agents take turns as they like."""
    text = text.replace(str(home), "/home/you")
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return sorted(text.split())


@pytest.fixture
def home():
    # As long a path as any run's: it decides where lines are broken.
    folder = Path(tempfile.mkdtemp(prefix="you-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # a recorder may be writing still


def compare(pages, home):
    env, place = REPLAY["world"](home), REPLAY["begin"](home)
    for page in pages:
        for step, said in REPLAY["replay"](page.read_text(), place, env):
            if step.output is None:
                assert said == "", step.command
            else:
                assert words(said, home) == words(step.output, home), f"$ {step.command}\n{said}"


def test_the_tutorial_is_what_happens(home):
    compare(TUTORIAL, home)


@pytest.mark.parametrize(
    "page", [one for one in SHOWN if one not in TUTORIAL], ids=lambda page: page.stem
)
def test_what_is_shown_is_what_happens(page, home):
    assert "\n<!-- sh\n" in page.read_text(), "what is shown there is prepared by nothing"
    compare([page], home)


def test_the_first_day_of_the_readme_goes_as_it_says(home):
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 120, "it fits on three screens"
    _, first_day, _ = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    lines = first_day.splitlines()
    assert len(lines) == 10
    begin = (
        "set -e; git init -q clone; cd clone; touch a b c d; git add .; git commit -q -m Start; "
    )
    script = f"{begin} prodigy-git install\n{first_day}\necho all of it"
    ((_, said),) = REPLAY["replay"](
        f"```sh\n{script}\n```", REPLAY["begin"](home), REPLAY["world"](home)
    )
    assert said.endswith("all of it\n"), said
    for line in (
        "3 completed",
        "item        item-1, job review",
        "main: 3 merged",
        "login: cleaned",
    ):
        assert line in said, said
