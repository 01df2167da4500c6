"""SHA-256 without OpenSSL, which `hashlib` brings along and which takes two milliseconds to load."""

from __future__ import annotations

try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]  # Python 3.12 and newer
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from hashlib import sha256


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hex."""
    digest: str = sha256(data).hexdigest()
    return digest
