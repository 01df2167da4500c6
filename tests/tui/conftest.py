"""What the tests on top begin with."""

import pytest
import support_team


@pytest.fixture
def team(store):
    support_team.write(store, "repo")
    return store
