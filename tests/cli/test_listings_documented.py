"""docs/reference/listings.md has the columns of each listing, and which of them go first."""

from pathlib import Path

import pytest
from support_cli import ok

from prodigy_git.cli import output

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reference" / "listings.md").read_text()
ROWS = {
    words: (columns.split(", "), first.split(", "))
    for line in DOCUMENT.splitlines()
    if line.startswith("| `")
    for words, columns, first in [[cell.strip(" `") for cell in line.strip("| ").split(" | ")]]
    if not words.startswith("hooks")
}


@pytest.mark.parametrize("words", ROWS)
def test_columns_are_as_documented(repo, monkeypatch, words):
    seen = []

    def caught(headings, rows, dispensable=(), **_):
        assert not [*rows]
        seen.append((list(headings), list(dispensable)))

    monkeypatch.setattr(output, "table", caught)
    monkeypatch.setattr(output, "listing", caught)
    ok("job", "start", "j", cwd=repo)
    more = {
        "dlq list": ["--job", "j"],
        "job show --items": ["j"],
        "events search": ["nothing"],
        "worktree ls": ["--all-repos"],
    }
    job = ["--type", "None"] if words.startswith("events") and "export" not in words else []
    if words == "job list":
        monkeypatch.setattr("prodigy_git.jobs.summary.known", lambda *_: [])
    if words.startswith("otel"):
        job = ["--agent", "nobody", "--only", "traces"]
    ok(*words.split(), *more.get(words, []), *job, cwd=repo)
    columns, first = ROWS[words]
    if words == "events stats":
        columns = ["TYPE", *columns[1:]]
    assert seen == [(columns, first)]
