"""What Prodigy, the workflow runner that shares the store, wrote there: where it lies, what it says.

Everything here only reads, and takes no lock. What is damaged, a link, no file or another user's is
told to ``broken``, and the rest is read. Others call what is named below, and nothing else.
"""

from prodigy_git.prodigy.checkpoints import (
    JobCheckpoint,
    StepDone,
    WorkflowCheckpoint,
    job_checkpoint,
    workflow_checkpoints,
)
from prodigy_git.prodigy.dead_letters import dead_letters, dead_letters_of_job
from prodigy_git.prodigy.events import events
from prodigy_git.prodigy.found import wrote_session
from prodigy_git.prodigy.goes_on import Stander, goes_on, standers
from prodigy_git.prodigy.items import UNKNOWN, RunItem, items, with_input
from prodigy_git.prodigy.runs import (
    Kind,
    Run,
    State,
    agent_states,
    agents,
    run_of,
    runs,
    state_at,
)
from prodigy_git.prodigy.sessions import ENDED, MADE_BY, Known, filled, worktrees
from prodigy_git.prodigy.worktree_states import (
    WorktreeState,
    worktree_state,
    worktree_states,
)

__all__ = [
    "ENDED",
    "MADE_BY",
    "UNKNOWN",
    "JobCheckpoint",
    "Kind",
    "Known",
    "Run",
    "RunItem",
    "Stander",
    "State",
    "StepDone",
    "WorkflowCheckpoint",
    "WorktreeState",
    "agent_states",
    "agents",
    "dead_letters",
    "dead_letters_of_job",
    "events",
    "filled",
    "goes_on",
    "items",
    "job_checkpoint",
    "run_of",
    "runs",
    "standers",
    "state_at",
    "with_input",
    "workflow_checkpoints",
    "worktree_state",
    "worktree_states",
    "worktrees",
    "wrote_session",
]
