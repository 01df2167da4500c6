"""What is known of a run of Prodigy's beside its log, for as long as its index is open."""

from dataclasses import dataclass, field

from prodigy_git.jobs.steps import Step
from prodigy_git.prodigy import RunItem


@dataclass
class RunFacts:
    """Nothing of it is written anywhere."""

    items: dict[str, RunItem] = field(default_factory=dict)
    unlogged: dict[str, list[Step]] = field(default_factory=dict)
    """By item, the steps that stand for what no log has."""
    at_work: str | None = None
    """Why somebody may be at work on it, empty if nobody is; None: it was not asked yet."""
