"""The documentation: every link leads somewhere, and the site loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BESIDE = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "bench/README.md"]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
LOADED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site, strictly; return its folder."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site):
    found = []
    for page in site.rglob("*.html"):
        text = page.read_text()
        found += [tag for tag in LOADED.findall(text) if re.search(r"=[\"']?(https?:)?//", tag)]
        # The theme would fetch a library for diagrams as soon as a page has one.
        found += re.findall(r'class="mermaid"', text)
    for style in site.rglob("*.css"):
        found += re.findall(r"(?:url\(|@import)[\s\"']*(?:https?:)?//[^)\s]*", style.read_text())
    assert found == []
    assert (site / "tutorial").is_dir() or (site / "guides").is_dir()


def test_each_page_is_in_the_site(site):
    made = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert {path.relative_to(ROOT / "docs") for path in PAGES} <= made


def anchors(text):
    """Return the anchors that GitHub gives a page's headings."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", [*BESIDE, *(str(p.relative_to(ROOT)) for p in PAGES)])
def test_links_lead_somewhere(name):
    """As GitHub follows them: also those of the files beside the site, and out of it."""
    page = ROOT / name
    broken = []
    for target, anchor in LINK.findall(page.read_text()):
        there = page.parent / target if target else page
        if not there.exists() or (anchor and anchor not in anchors(there.read_text())):
            broken.append(f"{target}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/reasons/what-is-proven.md"])
def test_the_files_that_are_named_are_there(name):
    text = (ROOT / name).read_text()
    named = re.findall(r"`((?:tests|prodigy_git|docs|bench)/[\w/.-]*)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", [str(p.relative_to(ROOT)) for p in PAGES])
def test_pages_are_short(name):
    lines = len((ROOT / name).read_text().splitlines())
    assert lines <= 250
