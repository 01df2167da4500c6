"""What the tests on cleaning begin with."""

import pytest
from support_cli import (
    new,
)


@pytest.fixture
def made(repo):
    return new(repo, "w1", "--job", "j")
