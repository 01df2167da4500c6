"""Decoding in a process that has not imported json, as hooks do."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "text", ['{"id":"torn', "{", "[1,", '{"a":}', "nul", "", '"\\u12', "{1:2}"]
)
def test_what_does_not_parse_is_a_value_error(text: str) -> None:
    program = (
        "import sys;sys.path.insert(0,sys.argv[1])\n"
        "from prodigy_git.record import jsonline\n"
        "try: jsonline.decode(sys.argv[2])\n"
        "except ValueError: print('refused')\n"
        "assert 'json' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(ROOT), text],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n", "")
