"""What git says is wrong, as a user gets to read it."""

import pytest

from prodigy_git.git.ask import said


@pytest.mark.parametrize(
    ("err", "text"),
    [
        ("", "no reason given"),
        ("fatal: no\n", "fatal: no"),
        ("warning: x\nfatal: no\nmore\n", "fatal: no"),
        ("hint: a\nlast line\n", "last line"),
        (
            "fatal: unknown repository extension found:\n\trelativeworktrees\n",
            "fatal: unknown repository extension found: relativeworktrees: a newer git made it so, "
            "update this one",
        ),
        (
            "fatal: detected dubious ownership in repository at '/a b'\nTo add an exception for\n",
            "git does not trust /a b, since it belongs to another user: work as that user, or "
            "'git config --global --add safe.directory /a b' allows it",
        ),
    ],
)
def test_whole_message_on_one_line(err: str, text: str) -> None:
    assert said(err) == text
