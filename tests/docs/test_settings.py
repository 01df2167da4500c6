"""docs/reference/settings.md has every key and variable that the code asks for, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text()
SOURCES = [*(ROOT / "prodigy_git").rglob("*.py"), *(ROOT / "hooks").glob("*.sh")]
TELEMETRY = {ROOT / "prodigy_git" / "cli" / "otel.py", ROOT / "prodigy_git" / "views" / "telemetry"}
"""Its attributes and metrics have names of the same form as our keys."""
KEY = re.compile(r"(?<![\w./-])prodigy\.([a-z]\w*)")
VARIABLE = re.compile(r"\bPRODIGY_[A-Z_]*[A-Z]\b")


def test_every_key_of_gits_configuration_is_in_the_table():
    found = set()
    for path in SOURCES:
        if not TELEMETRY & {path, *path.parents}:
            found |= {key.lower() for key in KEY.findall(path.read_text())}
    told = re.findall(r"^\| `prodigy\.(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(found) == sorted(key.lower() for key in told)


def test_every_variable_is_on_the_page():
    found = {name for path in SOURCES for name in VARIABLE.findall(path.read_text())}
    assert found == set(VARIABLE.findall(PAGE))
