"""``dlq-items.json``: work items whose agents failed (DESIGN, section 6)."""

from typing import Any

import msgspec

from prodigy_git.model.document import Document


class Failure(Document):
    """One failed attempt at an item."""

    timestamp: str
    error: str = ""
    attempt_number: int | None = None
    error_type: Any = None
    """A word, or as Rust's serde writes a variant with fields, ``{"CommandFailed": {…}}``."""
    agent_id: str | None = None
    session_id: str | None = None
    json_log_location: str | None = None
    duration_ms: int | None = None

    @property
    def reason(self) -> str | None:
        """The error's type as a word; that which Prodigy has none for stands beside it."""
        word = self.written.get("failure_reason")
        if isinstance(word, str):
            return word
        if isinstance(self.error_type, dict):
            return next(map(str, self.error_type), None)
        return None if self.error_type is None else str(self.error_type)

    @property
    def said(self) -> str:
        """The error's text, which Prodigy calls the error's message."""
        message = self.written.get("error_message")
        return self.error or (message if isinstance(message, str) else "")


class Artifacts(Document):
    """What is left of the failed agent's worktree."""

    worktree_path: str | None = None
    branch_name: str | None = None
    salvage_ref: str | None = None


class Item(Document):
    """A work item in the queue. One as short as the seed's example reads without error."""

    item_id: str
    work_item: Any = msgspec.field(default_factory=dict)
    failure_history: list[Failure] = msgspec.field(default_factory=list)
    failure_count: int = 0
    error_signature: str | None = None
    first_attempt: str | None = None
    last_attempt: str | None = None
    reprocess_eligible: bool = True
    manual_review_required: bool = False
    worktree_artifacts: Artifacts | None = None


class Queue(Document):
    """A job's dead letter queue."""

    items: list[Item] = msgspec.field(default_factory=list)
