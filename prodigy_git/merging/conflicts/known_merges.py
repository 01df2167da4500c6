"""What came of merges that were tried before, kept in the store: the same trees merge the same way.

Only derived: a file that is damaged, or gone, costs the time to try again. Nothing waits for it, and
where it cannot be written, nothing is said. It stays below `_MOST` merges, the newest.
"""

import contextlib
import hashlib
import os
from typing import Any

from prodigy_git import layout
from prodigy_git.merging.conflicts.three_way import Merge
from prodigy_git.record import files, jsonline, locks
from prodigy_git.record.gitdir import Place

_VERSION = 2
_MOST = 10_000
_LONGEST = 4 << 20  # bytes
_WORTH = 50
"""New merges, below which nothing is written: to try them again takes no longer than to read."""
_FILES = 100
"""A merge with more files in conflict is not kept."""


class Known:
    """What is known of merges in one repository; `save` writes down what was added."""

    def __init__(self, store: str | None, repo: str, about: str) -> None:
        """Read it. ``about`` is a digest of all that decides beside the trees; no ``store``: forget."""
        self._path = None if store is None else layout.known_merges(store, repo)
        self._lock = None if store is None else layout.known_merges_lock(store, repo)
        self._about = about.encode()
        self._found: dict[str, Any] = {} if self._path is None else _read(self._path)
        self._used: dict[str, Any] = {}
        self._fresh = 0
        self.tried = 0
        """How many merges git was asked for."""

    def _key(self, key: tuple[str, ...]) -> str:
        digest = hashlib.sha256(self._about)
        for part in key:
            digest.update(b"\0" + part.encode())
        return digest.hexdigest()[:32]

    def merge(self, key: tuple[str, ...]) -> Merge | None:
        """Return what came of a merge; None where it was not tried, or is not remembered."""
        name = self._key(key)
        value: Any = self._used.get(name) or self._found.get(name)
        try:
            tree, clean, pairs = value
            found = Merge(
                str(tree), tuple((str(path), str(kind)) for path, kind in pairs), clean is True
            )
        except (TypeError, ValueError):
            return None
        self._used[name] = value
        return found

    def remember(self, key: tuple[str, ...], done: Merge, *, tried: bool = True) -> None:
        """Add what came of a merge; not ``tried`` is what was found out without."""
        self.tried += tried
        if done.tree is None or len(done.files) > _FILES:
            return  # what is missing may come
        self._used[self._key(key)] = [done.tree, done.clean, [list(one) for one in done.files]]
        self._fresh += 1

    def save(self) -> None:
        """Write down what is new, if that is worth it and can be done."""
        if self._path is None or self._lock is None or self._fresh < _WORTH:
            return
        old = {name: value for name, value in self._found.items() if name not in self._used}
        kept = list({**old, **self._used}.items())[-_MOST:]
        data = _encoded(kept)
        while len(data) > _LONGEST:
            kept = kept[len(kept) // 2 + 1 :]
            data = _encoded(kept)
        with contextlib.suppress(OSError, files.Unusable):
            if not os.path.isdir(os.path.dirname(self._path)):
                return
            lock = locks.take(self._lock, 0)  # another one writes the like
            try:
                files.replace(self._path, data)
            finally:
                os.close(lock)


def _encoded(kept: list[tuple[str, Any]]) -> bytes:
    return jsonline.line({"version": _VERSION, "merges": dict(kept)})


def _read(path: str) -> dict[str, Any]:
    try:
        fields = jsonline.decode_object(files.read(path, 2 * _LONGEST))
    except (OSError, ValueError):
        return {}
    merges = fields.get("merges") if fields.get("version") == _VERSION else None
    return merges if isinstance(merges, dict) else {}


def settings(common: Place, version: tuple[int, ...], attributes: str) -> str | None:
    """Return a digest of what decides beside the trees how git merges; None: it is not to be kept.

    ``attributes`` is the target's. With a merge driver of the user's a program decides.
    """
    from prodigy_git.git.ask import look

    _, config, _ = look(
        common, "config", "-z", "--get-regexp",
        r"^(merge|diff|filter)\.|^core\.(attributesfile|autocrlf|eol|ignorecase|precomposeunicode)$",
    )  # fmt: skip
    if any(
        name.startswith(b"merge.") and name.partition(b"\n")[0].endswith(b".driver")
        for name in config.split(b"\0")
    ):
        return None
    _, replaced, _ = look(common, "for-each-ref", "refs/replace")
    _, named, _ = look(common, "config", "--type=path", "--get", "core.attributesFile")
    usual = os.path.join(
        os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "git/attributes"
    )
    digest = hashlib.sha256(repr((version, attributes, config, replaced)).encode())
    for path in (
        os.fsdecode(named).rstrip("\n") or usual,
        f"{common.common}/info/attributes",
        f"{common.common}/info/grafts",
        f"{common.common}/shallow",
    ):
        with contextlib.suppress(OSError):
            digest.update(path.encode("utf-8", "surrogateescape") + b"\0" + files.read(path))
    return digest.hexdigest()
