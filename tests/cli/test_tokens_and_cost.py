"""Model, tokens and cost where they are shown: of a session, an item, a job; exactly once."""

import json
import shutil

import pytest
from support_cli import call, new, ok, rewrite_session
from support_transcripts import SAMPLES, answer, claude_with_subagent, run_of, with_transcript

OPUS, HAIKU = "claude-opus-4-5", "claude-haiku-4-5"


@pytest.fixture
def job(repo, store, tmp_path):
    """A job with two sessions: the second one's transcript begins with a copy of the first one's."""
    items = tmp_path / "items.json"
    items.write_text('[{"id": "a"}, {"id": "b"}]')
    ok("job", "start", "j", "--items", items, cwd=repo)
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text(answer(1) + answer(2))
    second.write_text(answer(1) + answer(2) + answer(3))
    for name, item in (("w1", "a"), ("w2", "b")):
        new(repo, name, "--job", "j", "--agent", f"agent-{item}", "--item", item)
    rewrite_session(store, "w1", metadata={"program_sessions": [run_of(first)]})
    later = run_of(second, at="2026-11-02T11:00:00Z")
    rewrite_session(store, "w2", metadata={"program_sessions": [later]})
    return repo


def tokens(usage):
    return usage and (usage["input_tokens"], usage["output_tokens"])


def explained(repo, name):
    return ok("explain", name, "--json", cwd=repo).json["usage"]


def test_of_session_item_agent_and_job(job, git):
    assert tokens(ok("job", "show", "j", "--json", cwd=job).json["usage"]) == (3, 30)
    report = ok("report", "--job", "j", "--json", cwd=job).json
    assert tokens(report["job"]["usage"]) == (3, 30)
    attempts = {one["session_id"]: tokens(one["usage"]) for one in report["attempts"]}
    assert attempts == {"w1": (2, 20), "w2": (1, 10)}
    for w1, w2 in (("w1", "w2"), ("a", "b"), ("agent-a", "agent-b")):
        assert (tokens(explained(job, w1)), tokens(explained(job, w2))) == ((2, 20), (1, 10))
    (found,) = ok("status", "--json", cwd=job).json["repositories"]
    assert [tokens(one["usage"]) for one in found["jobs"]] == [(3, 30)]
    agents = {one["session_id"]: tokens(one["usage"]) for one in found["agents"]}
    assert agents == {"w1": (2, 20), "w2": (1, 10)}


def test_where_nothing_tells_of_tokens_there_are_none(repo, store, tmp_path):
    new(repo, "w1")
    assert explained(repo, "w1") is None
    rewrite_session(store, "w1", metadata={"program_sessions": [run_of(tmp_path / "gone.jsonl")]})
    assert explained(repo, "w1") is None
    assert "tokens" not in ok("explain", "w1", cwd=repo).out
    (found,) = ok("status", "--json", cwd=repo).json["repositories"]
    assert [one["usage"] for one in found["agents"]] == [None]


def test_cost_and_at_least_that_much(repo, store, git, tmp_path):
    with_transcript(repo, store, "w1", claude_with_subagent(tmp_path))
    usage = explained(repo, "w1")
    assert (usage["cost_usd"], usage["cost_is_complete"]) == (None, False)
    assert "$" not in ok("explain", "w1", cwd=repo).out
    git("config", f"prodigy.price.{OPUS}", "5/25/0.5/6.25/10", cwd=repo)
    usage = explained(repo, "w1")
    assert (usage["cost_usd"], usage["cost_is_complete"]) == (0.025825, False)
    assert "at least $0.0258" in ok("explain", "w1", cwd=repo).out
    git("config", f"prodigy.price.{HAIKU}.usd", "1/5", cwd=repo)
    usage = explained(repo, "w1")
    assert (usage["cost_usd"], usage["cost_is_complete"]) == (0.02596, True)
    assert [one["model"] for one in usage["models"]] == [f"{OPUS}-20251101", f"{HAIKU}-20251001"]
    assert (
        "  tokens: 115 in, 167 out, 6.0k by the cache, $0.0260 ("
        in ok("job", "show", "w1", cwd=repo).out
    )


def test_the_report_shows_it(repo, store, tmp_path):
    with_transcript(repo, store, "w1", claude_with_subagent(tmp_path))
    page = tmp_path / "report.html"
    ok("report", "--job", "w1", "-o", page, cwd=repo)
    assert '"output_tokens":167' in page.read_text()


def test_a_transcript_that_is_gone_or_damaged_says_at_least(repo, store, tmp_path):
    path, other = tmp_path / "t.jsonl", tmp_path / "other.jsonl"
    path.write_text(answer(1))
    other.write_text(answer(2) + '{"usage":\n')
    with_transcript(repo, store, "w1", path, other)
    done = call("explain", "w1", "--json", cwd=repo)
    assert (tokens(done.json["usage"]), done.json["usage"]["is_complete"]) == ((2, 20), False)
    assert done.err.count("damaged") == 1
    other.write_text(answer(2))
    assert explained(repo, "w1")["is_complete"]
    path.unlink()
    usage = explained(repo, "w1")
    assert (tokens(usage), usage["is_complete"]) == ((2, 20), False)
    assert "at least 2 in" in ok("explain", "w1", cwd=repo).out


def test_a_copy_in_the_store_counts_for_the_one_that_is_gone(repo, store, tmp_path):
    main = claude_with_subagent(tmp_path)
    with_transcript(repo, store, "w1", main)
    before = explained(repo, "w1")
    ok("logs", "w1", "--keep", cwd=repo)
    assert explained(repo, "w1") == before
    main.unlink()
    shutil.rmtree(main.with_suffix(""))
    (store / "tokens.sqlite").unlink()
    assert explained(repo, "w1") == before


def test_an_activity_file_tells_of_transcripts_before_the_session_does(repo, store, tmp_path):
    new(repo, "w1")
    child = tmp_path / "child.jsonl"
    shutil.copy(SAMPLES / "codex.jsonl", tmp_path / "root.jsonl")
    child.write_text((SAMPLES / "codex-fork.jsonl").read_text())
    folder = store / "activity" / "repo"
    folder.mkdir(parents=True)
    lines = [
        {"program": "codex", "kind": "start", "transcript": str(tmp_path / "root.jsonl")},
        {"program": "codex", "kind": "subagent_end", "subagent_transcript": str(child)},
        {"program": "codex", "kind": "tool", "transcript": "relative", "subagent_transcript": 5},
    ]
    (folder / "w1.jsonl").write_text(
        "".join(json.dumps(one) + "\n" for one in lines) + '{"transcript":'
    )
    assert tokens(explained(repo, "w1")) == (2850, 435)
    assert "Mend the login, please." in ok("logs", "w1", cwd=repo).out


def test_paths_that_are_none_are_none(repo, store):
    new(repo, "w1")
    strange = [
        None,
        3,
        "",
        "relative.jsonl",
        "/a\0b.jsonl",
        "/\ud800.jsonl",
        "/etc/passwd",
        {"a": 1},
    ]
    runs = [{"transcript": one, "program": one, "started_at": one} for one in strange]
    rewrite_session(
        store, "w1", metadata={"program_sessions": [*runs, 5, None], "json_log_location": 7}
    )
    assert explained(repo, "w1") is None
    rewrite_session(store, "w1", metadata={"program_sessions": {"a": 1}})
    assert explained(repo, "w1") is None


def cost_state(**models):
    """Return the line in which Claude Code says what a session has cost so far."""
    names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    usage = {
        model.replace("_", "-"): {**dict(zip(names, tokens, strict=True)), "costUSD": cost}
        for model, (*tokens, cost) in models.items()
    }
    return json.dumps({"type": "cost-state", "sessionId": "x", "modelUsage": usage}) + "\n"


def test_what_the_program_says_of_a_whole_session_is_its_cost(repo, store, git, tmp_path):
    path, beside = tmp_path / "s.jsonl", tmp_path / "s" / "subagents" / "agent-1.jsonl"
    beside.parent.mkdir(parents=True)
    beside.write_text(answer(9))
    path.write_text(answer(1) + cost_state(claude_x=(1, 10, 0, 0, 0.5)) + answer(2))
    with_transcript(repo, store, "w1", path)
    git("config", "prodigy.price.claude-x", "100000/0", cwd=repo)
    # It is behind: the price counts.
    assert explained(repo, "w1")["cost_usd"] == 0.3
    with path.open("a") as stream:
        stream.write(cost_state(claude_x=(3, 30, 0, 0, 0.75)))
    usage = explained(repo, "w1")
    assert (usage["cost_usd"], usage["cost_is_complete"]) == (0.75, True)
    with path.open("a") as stream:
        stream.write(cost_state(claude_x=(3, 30, 0, 0, 0.75), claude_small=(5, 5, 0, 0, 0.01)))
    usage = explained(repo, "w1")
    assert (usage["cost_usd"], usage["cost_is_complete"]) == (0.75, False)
    with path.open("a") as stream:
        stream.write(cost_state(claude_x=(3, 30, 0, 0, "dear"), x=(None, [], {}, -1, 2)))
        stream.write(
            '{"type":"cost-state","modelUsage":{"claude-x":5,"":{}}}\n{"type":"cost-state"}\n'
        )
    assert explained(repo, "w1")["cost_usd"] == 0.3
