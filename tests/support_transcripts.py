"""Samples of transcripts, and sessions of ours that have them."""

import json
import shutil
from pathlib import Path
from typing import Any

from support_cli import new, rewrite_session

SAMPLES = Path(__file__).parent / "transcripts" / "samples"
CLAUDE_ID = "11111111-2222-4333-8444-555555555555"
BEGAN = "2026-11-02T10:00:00.000000Z"


def answer(number: int, **more: Any) -> str:
    """Return a line of Claude Code's: an answer of one token in, ten out."""
    usage = {"input_tokens": 1, "output_tokens": 10, **more.pop("usage", {})}
    message = {
        "id": f"msg_{number}", "role": "assistant", "model": "claude-x", "usage": usage,
        "content": [{"type": "text", "text": f"answer {number}"}], **more.pop("message", {}),
    }  # fmt: skip
    line = {
        "type": "assistant", "uuid": f"uuid-{number}", "requestId": f"req_{number}",
        "timestamp": BEGAN, "message": message, **more,
    }  # fmt: skip
    return json.dumps(line) + "\n"


def run_of(path: Path | str, program: str = "claude", at: str = BEGAN) -> dict[str, str]:
    """Return what a session's file says of a program's session."""
    return {"program": program, "id": "x", "transcript": str(path), "started_at": at}


def with_transcript(
    repo: Path, store: Path, name: str, *paths: Path, **more: str
) -> dict[str, Any]:
    """Make a session whose file names transcripts; return what `new-worktree` said of it."""
    words = [word for key, value in more.items() for word in (f"--{key}", value)]
    made = new(repo, name, *words)
    rewrite_session(store, name, metadata={"program_sessions": [run_of(one) for one in paths]})
    return made


def claude_with_subagent(folder: Path) -> Path:
    """Lay out a transcript of Claude Code's and one of its subagent; return the path of the first."""
    main = folder / f"{CLAUDE_ID}.jsonl"
    beside = folder / CLAUDE_ID / "subagents"
    beside.mkdir(parents=True)
    shutil.copy(SAMPLES / "claude.jsonl", main)
    shutil.copy(SAMPLES / "claude-subagent.jsonl", beside / "agent-a1b2.jsonl")
    return main
