"""A signal that asks for the end is no fault of ours, wherever it comes."""

import subprocess
import sys

import pytest
from support_cli import PACKAGE_PARENT

SCRIPT = """\
import signal, sys
sys.path.insert(0, sys.argv[1])
from prodigy_git import cli

class Field:
    def __set_name__(self, owner, name):
        signal.raise_signal(int(sys.argv[2]))

def work():
    class Late:  # as libraries have them, which are being imported just then
        field = Field()
    return 0

cli.call(work)
"""


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_while_a_class_is_made_is_no_internal_error(number):
    """CPython before 3.12 says RuntimeError of what ends the making of a class."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, PACKAGE_PARENT, str(number)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "prodigy-git: error: interrupted\n")


WRAPPED = """\
import signal, sys
sys.path.insert(0, sys.argv[1])
from prodigy_git import cli
from prodigy_git.errors import ProdigyError

def work():
    try:
        try:
            signal.raise_signal(int(sys.argv[2]))
        except BaseException as error:
            raise RuntimeError("the query was interrupted") from error
    except RuntimeError as error:
        raise ProdigyError(str(error)) from error

cli.call(work)
"""


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_that_a_library_has_words_for_is_no_error_either(number):
    done = subprocess.run(
        [sys.executable, "-c", WRAPPED, PACKAGE_PARENT, str(number)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "prodigy-git: error: interrupted\n")
