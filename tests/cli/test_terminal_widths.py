"""On a narrow terminal a line that is too long is broken between words, whatever the command."""

import contextlib
import io
import json
import shutil

import pytest
from rich.cells import cell_len
from support_cli import new, ok, standing_in

from prodigy_git import cli

JOB = "a-long-name-of-a-job-as-programs-make-them"
ERROR = "エラー: it could not be done, and there is much to say about it:" + " words" * 20
INDENT = 14
"""How far in the longest word of ours is at most, which is there to be copied."""


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture
def shown(repo, monkeypatch):
    """Return what shows the lines that a command prints on a terminal of some columns."""
    monkeypatch.setenv("TERM", "dumb")

    def show(words, columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        out, err = (Terminal(io.BytesIO(), encoding="utf-8") for _ in "12")
        with standing_in(repo), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(words.split())
        out.flush(), err.flush()
        assert code == 0, err.buffer.getvalue()
        return out.buffer.getvalue().decode().splitlines()

    return show


@pytest.fixture
def busy(repo):
    """Fill the store: jobs with long names, failures with long errors, worktrees, trash."""
    items = repo.parent / "items.json"
    items.write_text(json.dumps([{"id": f"item-{number}"} for number in range(4)]))
    ok("install", cwd=repo)
    ok("job", "start", JOB, "--items", items, cwd=repo)
    new(repo, "w1", "--job", JOB, "--item", "item-0", "--agent", "agent-of-a-rather-long-name")
    new(repo, "w2", "--branch", "feature/with-a-name")
    ok("finish", "w2", cwd=repo)
    ok("worktree", "clean", "w2", cwd=repo)
    new(repo, "w3", "--job", "other")
    ok("finish", "w3", "--failed", "--error", ERROR, cwd=repo)
    ok("job", "next", JOB, "--item", "item-1", "--agent", "a" * 70, cwd=repo)
    ok("job", "done", JOB, "item-1", "--failed", "--no-retry", "--error", ERROR, cwd=repo)
    return repo


COMMANDS = f"""
status
status --all
job list
job show {JOB}
job show {JOB} --items
dlq list --job {JOB}
dlq show item-1 --job {JOB}
dlq stats --job {JOB}
dlq retry --job {JOB} --reprocess-all-eligible --dry-run
sessions list
sessions show w3
sessions clean --dry-run --older-than 0s
worktree list
worktree show w1
worktree clean --all --dry-run
clean --dry-run --all --older-than 0s
trash list
trash empty --dry-run
explain item-1 --job {JOB}
explain w3
events ls
events stats
verify
doctor
hooks
job pause {JOB} --reason lunch
resume {JOB}
"""


def test_no_line_is_wider_than_the_terminal_but_for_what_is_to_be_copied(busy, shown):
    for columns in (60, 80):
        for words in COMMANDS.strip().splitlines():
            lines = shown(words, columns)
            assert lines, words
            for line in lines:
                # A path, a name, a command of ours: the terminal breaks these, and they can be copied.
                copied = " " not in line[INDENT:].strip() or line.strip().startswith("prodigy-git ")
                assert cell_len(line) <= columns or copied, (columns, words, line)


def test_what_was_asked_for_has_its_column(busy, shown):
    for columns in (60, 80):
        assert " SIZE " in shown("trash list --sizes", columns)[0]
    with_names = shown("worktree list", 60)[0].split()
    assert {"NAME", "STATUS", "PATH"} <= set(with_names)
    for words in ("status", "sessions list"):
        assert any(line.endswith("NOTE") for line in shown(words, 60)), words


def test_a_worktree_whose_folder_is_gone_is_no_worktree_like_the_others(busy, shown):
    shutil.rmtree(json.loads(ok("worktree", "show", "w1", "--json", cwd=busy).out)["worktree"])
    done = ok("worktree", "list", cwd=busy)
    assert done.err == (
        "prodigy-git: w1: its folder is gone: 'prodigy-git clean --dry-run' says what helps\n"
    )
    text = ok("worktree", "show", "w1", cwd=busy).out
    assert "detached" not in text
    assert "no commit yet" not in text
    assert "; if it was moved to PATH, 'git -C " in text
