"""What the tests on jobs begin with."""

import pytest
from support_job_files import Job


@pytest.fixture
def job(store):
    return Job(store)
