"""A signal that asks for the end is no fault of ours, wherever it comes."""

import subprocess
import sys

import pytest
from support_cli import PACKAGE_PARENT

SCRIPT = """\
import signal, sys
sys.path.insert(0, sys.argv[1])
from prodigy_git import cli
from prodigy_git.errors import ProdigyError

class Field:
    def __set_name__(self, owner, name):
        signal.raise_signal(int(sys.argv[2]))

def imported():
    class Late:  # as libraries have them, which are being imported just then
        field = Field()

def wrapped():
    try:
        imported()
    except RuntimeError as error:
        raise ValueError("a library has words of its own for it") from error

def undone():
    try:
        imported()
    except BaseException:
        raise ProdigyError("what was begun could not be undone: look there")

cli.call(globals()[sys.argv[3]])
"""


def call(number, what):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, PACKAGE_PARENT, str(number), what],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [2, 15])
@pytest.mark.parametrize("what", ["imported", "wrapped"])
def test_a_signal_while_a_class_is_made_is_no_internal_error(number, what):
    """CPython before 3.12 says RuntimeError of what ends the making of a class."""
    assert call(number, what) == (130, "prodigy-git: error: interrupted\n")


def test_what_we_have_to_say_after_a_signal_is_said():
    code, said = call(15, "undone")
    assert (code, said) == (
        1,
        "prodigy-git: error: what was begun could not be undone: look there\n",
    )
