"""What is known of a run of Prodigy's beside its log, for as long as its index is open."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodigy_git.jobs.steps import Step

if TYPE_CHECKING:
    from prodigy_git.prodigy.items import RunItem


@dataclass
class RunFacts:
    """Nothing of it is written anywhere."""

    items: "dict[str, RunItem]" = field(default_factory=dict)
    unlogged: dict[str, list[Step]] = field(default_factory=dict)
    """By item, the steps that stand for what no log has."""
    at_work: str | None = None
    """Why somebody may be at work on it, empty if nobody is; None: it was not asked yet."""

    def data(self, name: str) -> Any:
        """Return an item's data; None where no file has it."""
        from prodigy_git.prodigy.items import UNKNOWN

        known = self.items.get(name)
        return None if known is None or known.data is UNKNOWN else known.data
