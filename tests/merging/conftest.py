"""What the tests on merging begin with."""

import pytest
from support_merge import Team
from support_merging import Branches, text


@pytest.fixture
def team(repo, store):
    return Team(repo, store)


@pytest.fixture
def branches(tmp_path, sealed):
    return Branches(tmp_path / "work", {"f": text(), "g": text(), "x/1": "one\n", "x/2": "two\n"})
