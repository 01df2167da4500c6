"""docs/reference/commands/ is what --help prints: `make reference` makes it anew."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKER = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))


def test_the_pages_of_the_commands_are_their_help():
    folder = MAKER["FOLDER"]
    assert {path.name: path.read_text() for path in folder.iterdir()} == MAKER["pages"](), (
        "a help has changed: 'make reference', and commit what it writes"
    )
