"""What is found when an installation is examined."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from prodigy_git.errors import ProdigyError


@dataclass
class Finding:
    """One thing examined; ``level`` is ok, warning or error, ``remedy`` empty where nothing is due."""

    what: str
    level: Literal["ok", "warning", "error"]
    words: str
    remedy: str = ""
    fixed: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``doctor --json`` prints them."""
        return asdict(self)


def mended(finding: Finding, fix: bool, mend: Callable[[], object]) -> Finding:
    """Carry out a remedy where that is wanted; what keeps it from working is said."""
    if fix:
        try:
            mend()
            finding.fixed = True
        except (ProdigyError, OSError, ValueError) as error:
            finding.remedy = f"not put right: {error}"
    return finding
