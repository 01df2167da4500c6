"""The story of a name, for the tests on it."""

import pytest

from prodigy_git.views.explain import lookup as explaining


def explain(cwd, name, kind=None, job=None):
    return explaining.explain(str(cwd), name, job=job, kind=kind, broken=pytest.fail)
