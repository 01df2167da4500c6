"""The table of the types in the documentation is that of the code."""

from pathlib import Path

import msgspec
import pytest

from prodigy_git.model import known_events

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
_SHARED = {"session_id", "agent_id", "item_id", "job_id", "correlation_id", "attempt"}


@pytest.mark.parametrize("name", known_events.KNOWN)
def test_the_documentation_has_each_type_and_its_fields(name):
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {name} |")]
    assert len(rows) == 1
    said = {field.strip(" *") for field in rows[0].split("|")[2].split(",")} - {""}
    always = set(rows[0].split("|")[2].split("**")[1::2])
    fields = msgspec.structs.fields(known_events.KNOWN[name])
    must = {one.encode_name for one in fields if one.required}
    assert always == must
    assert said == ({one.encode_name for one in fields} - _SHARED) | must
