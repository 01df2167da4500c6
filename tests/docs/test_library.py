"""docs/reference/api.md has each function of the library, with its parameters."""

import inspect
import re
from pathlib import Path

from prodigy_git import api

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text()


def test_each_function_is_on_the_page():
    told = set(re.findall(r"^\| .*?`(\w+)\(", PAGE, re.MULTILINE)) | set(
        re.findall(r", `(\w+)\(", PAGE)
    )
    there = {
        name
        for name, value in vars(api).items()
        if inspect.isfunction(value) and value.__module__ == api.__name__ and name[0] != "_"
    }
    assert told >= there
    for name in there:
        row = re.search(rf"`{name}\(([^`]*)\)`", PAGE)
        assert row is not None, name
        parameters = set(inspect.signature(getattr(api, name)).parameters) - {"broken"}
        assert {one for one in parameters if not re.search(rf"\b{one}\b", row[1])} == set(), name
