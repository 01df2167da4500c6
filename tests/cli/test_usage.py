"""Wrong usage is said on one line, in whole sentences, with the help that says how it is right."""

import pytest
from support_cli import call, refused

CASES = {
    "sessions show": "Missing argument 'ID'.",
    "shell-init": "Missing argument 'SHELL': bash, zsh or fish.",
    "shell-init tcsh": "Invalid value for 'SHELL': 'tcsh' is not one of 'bash', 'zsh', 'fish'.",
    "sessions list --jsn": "No such option '--jsn'. Did you mean '--job' or '--json'?",
    "sessions list --zzz": "No such option '--zzz'.",
    "worktre": "No such command 'worktre'. Did you mean 'worktree' or 'new-worktree'?",
    "worktree lst": "No such command 'lst'. Did you mean 'list' or 'ls'?",
    "nothing-like-it": "No such command 'nothing-like-it'.",
    "job start --max-attempts x":
        "Invalid value for '--max-attempts': 'x' is no whole number from 1 to 1000.",
    "job start --max-attempts 0":
        "Invalid value for '--max-attempts': 0 is no whole number from 1 to 1000.",
    "job next --owner-pid x": "Invalid value for '--owner-pid': 'x' is no whole number from 1 on.",
    "events ls --since": "Option '--since' requires an argument.",
    "events ls --since yesterday": "Invalid value for '--since': 'yesterday' is no time: write 2h, "
        "3d, 2025-01-11 or an RFC 3339 time.",
    "sessions list a b": "Too many arguments: a b.",
    "finish --error x": "--error goes with --failed.",
    "worktree clean": "Give either NAMEs or --all.",
    "--version=3": "Option '--version' does not take a value.",
    "events search (":
        "'(' is no regular expression: missing ), unterminated subpattern at position 0.",
}  # fmt: skip
HELPS = {
    "worktre": "", "nothing-like-it": "", "--version=3": "", "worktree lst": "worktree ",
    "worktree clean": "worktree clean ", "shell-init": "shell-init ", "shell-init tcsh": "shell-init ",
    "finish --error x": "finish ",
}  # fmt: skip


@pytest.mark.parametrize("arguments", CASES)
def test_each_kind_of_error(repo, arguments):
    words = arguments.split()
    where = HELPS.get(arguments, " ".join(words[:2]) + " ")
    line = refused(*words, cwd=repo, code=2)
    assert line == f"prodigy-git: error: {CASES[arguments]} Try 'prodigy-git {where}--help'.\n"


def test_control_characters_of_the_command_line_are_shown_as_such(repo):
    line = refused("sessions", "list", "--\x1b[2J\n", cwd=repo, code=2)
    assert "\\x1b" in line


@pytest.mark.parametrize("words", [(), ("worktree",), ("job",), ("events",)])
def test_a_group_alone_says_what_there_is(repo, words):
    done = call(*words, cwd=repo)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(" ".join(("Usage: prodigy-git", *words, "[OPTIONS] COMMAND")))
    assert "\nCommands:\n" in done.err
    assert "\\n" not in done.err
