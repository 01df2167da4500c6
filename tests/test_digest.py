"""The digest is the one that everybody knows, wherever the interpreter has it from."""

import hashlib

import pytest

from prodigy_git import digest


@pytest.mark.parametrize("data", [b"", b"text", b"\0" * 100_000])
def test_it_is_sha256(data):
    assert digest.sha256_hex(data) == hashlib.sha256(data).hexdigest()
