"""A listing of nothing: a terminal is told so on stderr, a pipe gets nothing, JSON is an empty list."""

import pytest
from support_cli import call, ok, refused

from prodigy_git.cli import output

LISTINGS = {
    "sessions list": "no sessions: 'prodigy-git new-worktree' begins one",
    "sessions list --status Failed": "no session is like that",
    "worktree ls --all-repos": "no worktrees: 'prodigy-git new-worktree' makes one",
    "job list": "no jobs: 'prodigy-git job start' opens one",
    "trash list": "the trash is empty",
    "events ls": "no events: ",
    "events search x": "no event matches",
    "events stats": "no events: ",
    "events query SELECT:*:FROM:events": "no rows",
    "otel push --dry-run": "there is nothing to send",
    "verify": "no sessions: there is nothing to compare",
    "dlq list --job j": "the queue is empty",
    "dlq list --job j --eligible": "nothing is in the queue that is like that",
}


@pytest.mark.parametrize("words", LISTINGS)
def test_nothing_is_said_to_be_nothing(repo, monkeypatch, words):
    arguments = [word.replace(":", " ") for word in words.split()]
    if arguments[0] == "dlq":
        ok("job", "start", "j", cwd=repo)
    piped = call(*arguments, cwd=repo)
    assert (piped.code, piped.out, piped.err) == (0, "", "")
    as_json = call(*arguments, "--json", cwd=repo)
    assert as_json.code == 0
    if words not in ("events stats", "verify"):  # objects, with an empty list in them
        assert as_json.out in ("[]\n", "")  # a stream has no line
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    on_screen = call(*arguments, cwd=repo)
    assert (on_screen.code, on_screen.out) == (0, "")
    assert on_screen.err.startswith(f"prodigy-git: {LISTINGS[words]}")
    assert on_screen.err.count("\n") == 1


@pytest.mark.parametrize("words", ["install", "uninstall", "hooks", "job list", "worktree list"])
def test_outside_of_a_repository_the_error_says_what_to_do(tmp_path, words):
    said = refused(*words.split(), cwd=tmp_path)
    more = ", or give --all-repos" if words.endswith("list") else ""
    assert said == (
        f"prodigy-git: error: {tmp_path} is not in a git repository: change into one first{more}\n"
    )


def test_numbers_of_an_empty_queue_are_one_line(repo):
    ok("job", "start", "j", cwd=repo)
    assert ok("dlq", "stats", "--job", "j", cwd=repo).out == "items: 0\n"
