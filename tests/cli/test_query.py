"""events query: right answers from every dialect, and no way out of the database."""

import csv
import io
import json
import signal

import pytest
import support_team
from support_cli import call, environment, foreign_session, ok, refused, start, write_log

pytest.importorskip("duckdb")


def answers(sql, *arguments):
    return ok("events", "query", sql, "--json", *arguments).json


@pytest.fixture
def team(store):
    return support_team.write(store, "repo")


def test_the_questions_of_a_team_lead(team):
    failed = answers(
        "SELECT agent_id, count(*) AS n FROM AgentFailed GROUP BY ALL ORDER BY 2 DESC, 1"
    )
    assert [row["agent_id"] for row in failed if row["n"] == 3] == support_team.FAILED
    slowest = answers(
        "SELECT item_id, duration FROM agent_completed ORDER BY duration DESC LIMIT 1"
    )
    assert slowest == [{"item_id": "item-9", "duration": 60.0 * 38}]
    stuck = answers("SELECT agent_id FROM items WHERE state = 'in_progress' ORDER BY 1")
    assert [row["agent_id"] for row in stuck] == (
        support_team.DEAD + support_team.STUCK + support_team.WORKING
    )
    dead = answers("SELECT item_id, attempts, failures, error, error_signature FROM items"
                   " WHERE state = 'dead' ORDER BY 1 LIMIT 1")  # fmt: skip
    assert dead == [
        {"item_id": "item-10", "attempts": 3, "failures": 3, "error": "tests failed: 10 of 40",
         "error_signature": "tests failed: # of #"}
    ]  # fmt: skip
    commits = answers("SELECT * FROM commits WHERE item_id = 'item-0' ORDER BY timestamp")
    assert [row["commit"] for row in commits] == [support_team.sha("0/0"), support_team.sha("0/1")]
    assert commits[0]["subject"] == support_team.HOSTILE
    assert (commits[0]["agent_id"], commits[0]["repo"], commits[0]["job"]) == (
        "agent-00", "repo", "review",
    )  # fmt: skip
    lists = answers("SELECT len(commits) AS n, fields FROM AgentCompleted LIMIT 1")
    assert lists[0]["n"] == 2
    assert set(lists[0]["fields"]) == {"attempt", "commits", "duration", "json_log_location"}


SHA = "0123456789abcdef0123456789abcdef01234567"


def test_dialects_damage_and_what_no_database_takes_as_it_is(store):
    path = write_log(
        store, "r", "j", "events-20250111.jsonl",
        {"timestamp": "2025-01-11T12:00:01Z", "type": "AgentFailed", "error": "a"},
        {"timestamp": "2025-01-11T14:00:02.5+02:00", "event_type": "agent_failed", "error": "b"},
        {"timestamp": "2025-01-11T12:00:03.123456789Z", "metadata": {},
         "event": {"event_type": "agent_failed", "error": "c"}},
        {"AgentFailed": {"timestamp": "2025-01-11T12:00:04Z", "error": "d"}},
        "{broken",
        '{"type":"AgentFailed","error":"half \\ud800","retry_eligible":"perhaps"}',
        '{"type":"AgentFailed","error":"nul \\u0000","big":1e999,"n":NaN}',
        '{"type":"AgentFailed","event_type":"AgentFailed","timestamp":"99999999-99-99T99:99:99Z",'
        '"error":5}',
        {"type": "AgentFailed", "error": "x" * 17_000_000},
    )  # fmt: skip
    done = ok("events", "query", "SELECT timestamp, error[:20] AS error FROM AgentFailed"
              " ORDER BY timestamp, error", "--json")  # fmt: skip
    assert [(row["timestamp"], row["error"]) for row in done.json] == [
        ("2025-01-11T12:00:01.000000Z", "a"), ("2025-01-11T12:00:02.500000Z", "b"),
        ("2025-01-11T12:00:03.123456Z", "c"), ("2025-01-11T12:00:04.000000Z", "d"),
        (None, "5"), (None, "half ?"), (None, "nul \0"), (None, "x" * 20),
    ]  # fmt: skip
    assert f"{path}:5" in done.err
    assert answers("SELECT count(retry_eligible) AS n FROM AgentFailed") == [{"n": 0}]


def test_what_replaced_a_commit_and_commits_that_agents_alone_told_of(store):
    new = SHA[::-1]
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        {"type": "CommitCreated", "commit": SHA, "action": "commit", "session_id": "s"},
        {"type": "CommitCreated", "commit": new, "action": "amend"},
        {"type": "CommitsRewritten", "command": "amend", "rewrites": [{"old": SHA, "new": new}]},
        {"type": "CommitsRewritten", "command": "amend", "rewrites": "damaged"},
        {"type": "AgentCompleted", "agent_id": "a", "commits": [SHA, "feed123"]},
        {"type": "AgentCompleted", "agent_id": "a", "commits": 7},
    )  # fmt: skip
    found = answers('SELECT "commit", action, replaced_by, agent_id FROM commits ORDER BY action')
    assert found == [
        {"commit": new, "action": "amend", "replaced_by": None, "agent_id": None},
        {"commit": SHA, "action": "commit", "replaced_by": new, "agent_id": None},
        {"commit": "feed123", "action": "unknown", "replaced_by": None, "agent_id": "a"},
    ]


def test_own_types_get_views_and_filters_limit_what_is_there(store):
    write_log(
        store, "r", "j", "events-20250111.jsonl", {"type": "My Thing", "size": 3, "agent_id": "a"},
        {"type": "Events"}, {"type": 'Quote"d'}, {"type": "x'y"},
    )  # fmt: skip
    write_log(store, "q", "k", "events-20250111.jsonl", {"type": "My Thing"})
    assert answers("SELECT fields ->> 'size' AS size FROM \"My Thing\" ORDER BY 1") == [
        {"size": "3"}, {"size": None},
    ]  # fmt: skip
    assert answers("SELECT count(*) AS n FROM events") == [{"n": 5}]
    for filters in (["--job", "k"], ["--agent", "a"]):
        assert answers("SELECT count(*) AS n FROM events", *filters) == [{"n": 1}]
    assert answers('SELECT count(*) AS n FROM "Quote""d"') == [{"n": 1}]
    schema = ok("events", "query", "--schema").out.splitlines()
    assert "My Thing\tjob\tVARCHAR" in schema
    assert "AgentCompleted\tduration\tDOUBLE" in schema
    assert "AgentCompleted\tcommits\tVARCHAR[]" in schema
    assert "JobStarted\ttotal_items\tBIGINT" in schema


def test_sessions(store, team):
    foreign_session(store, "agent-00", metadata={"repo": "repo", "job_id": "review", "commits": 2})
    foreign_session(store, "other", metadata={"repo": "elsewhere", "job_id": "x"})
    (store / "sessions" / "broken.json").write_text("{")
    done = ok("events", "query", "SELECT id, job, status, commits FROM sessions", "--json")
    assert done.json == [{"id": "agent-00", "job": "review", "status": "Completed", "commits": 2}]
    assert "broken.json" in done.err


ESCAPES = [
    "COPY (SELECT 1) TO '{here}/out.csv'",
    "COPY events TO '{here}/out.parquet'",
    "EXPORT DATABASE '{here}/out'",
    "ATTACH '{here}/other.db'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('{here}/secret')",
    "SELECT * FROM read_json('{here}/secret')",
    "SELECT * FROM '{here}/secret.csv'",
    "SELECT * FROM glob('{here}/*')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "PRAGMA enable_profiling='json'",
    "PRAGMA profiling_output='{here}/out'",
    "SELECT 1; COPY (SELECT 1) TO '{here}/out.csv'",
    "CREATE SECRET s (TYPE s3)",
    "SELECT getenv('HOME')",
]  # fmt: skip


@pytest.mark.parametrize("sql", ESCAPES)
def test_there_is_no_way_out(store, team, tmp_path, monkeypatch, sql):
    (tmp_path / "secret").write_text('{"secret": 1}')
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    before = team.read_bytes()
    names = sorted(tmp_path.iterdir())
    refused("events", "query", sql.format(here=tmp_path))
    assert team.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    "sql", ["DELETE FROM _events", "DROP VIEW events", "CREATE TABLE t AS SELECT 1"]
)
def test_what_a_query_changes_is_gone_with_it(team, sql):
    before = team.read_bytes()
    call("events", "query", sql)
    assert team.read_bytes() == before
    assert answers("SELECT count(*) > 50 AS all_there FROM events") == [{"all_there": True}]


@pytest.mark.parametrize(
    ("sql", "said"),
    [("SELEC 1", "syntax error"), ("SELECT * FROM nothing", "nothing does not exist"),
     ("SELECT 1/0 + 'x'::int", "Conversion Error"), ("SELECT nope FROM events", "nope")],
)  # fmt: skip
def test_an_error_is_one_line(team, sql, said):
    assert said in refused("events", "query", sql)


def test_a_signal_ends_a_query_that_would_take_for_ever(team, tmp_path):
    out = (tmp_path / "temporary").resolve()
    out.mkdir()
    child = start(
        "events", "query", "SELECT 1 UNION ALL SELECT count(*) FROM range(10000000) AS a,"
        " range(1000000) AS b WHERE a.range * b.range % 7 = 3", env=environment(TMPDIR=str(out)),
    )  # fmt: skip
    while not list(out.glob("*/events.duckdb")):
        assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err == "prodigy-git: error: interrupted\n"
    assert not list(out.iterdir())


def test_wrong_usage():
    for arguments in ([], [" ; "], ["SELECT 1", "--schema"], ["SELECT 1", "--csv", "--json"]):
        refused("events", "query", *arguments, code=2)


def test_forms_of_values_and_columns(store):
    sql = (
        "SELECT 1 AS a, 2 AS a, NULL AS b, 1.5::DECIMAL(4,2) AS d, [1, NULL] AS l, {'x': true} AS s,"
        " '{\"k\": 1}'::JSON AS j, DATE '2025-01-11' AS day, 'nan'::DOUBLE AS f, '=1+1' AS t"
    )
    assert answers(sql) == [
        {"a": 1, "a_2": 2, "b": None, "d": 1.5, "l": [1, None], "s": {"x": True}, "j": {"k": 1},
         "day": "2025-01-11", "f": None, "t": "=1+1"}
    ]  # fmt: skip
    assert answers("SELECT 1 AS a WHERE false") == []
    heads, row = csv.reader(io.StringIO(ok("events", "query", sql, "--csv").out))
    assert heads == ["a", "a_2", "b", "d", "l", "s", "j", "day", "f", "t"]
    assert row == [
        "1",
        "2",
        "",
        "1.5",
        "[1,null]",
        '{"x":true}',
        '{"k": 1}',
        "2025-01-11",
        "",
        "'=1+1",
    ]
    assert ok("events", "query", sql).out.split("\t")[0] == "1"
    assert ok("events", "query", "SELECT chr(27) || '[2J' AS x").out == "\\x1b[2J\n"


def test_an_empty_store():
    assert answers("SELECT * FROM events") == []
    assert answers("SELECT * FROM commits, sessions, items") == []


def test_without_duckdb_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    assert "pip install '.[query]'" in refused("events", "query", "SELECT 1")
    assert "pip install" in refused("events", "export", "--format", "parquet", "-o", "x")


def test_parquet(store, team, tmp_path):
    import duckdb

    write_log(store, "q", "k", "events-20250111.jsonl", {"type": "X", "n": 1, "deep": {"a": None}})
    path = tmp_path / "it's.parquet"
    ok("events", "export", "--format", "parquet", "-o", path)
    found = duckdb.sql(
        f"SELECT type, fields FROM read_parquet('{str(path).replace(chr(39), 2 * chr(39))}')"
    )
    rows = found.fetchall()
    listed = ok("events", "ls", "--json").lines
    assert sorted(kind for kind, _ in rows) == sorted(event["type"] for event in listed)
    (fields,) = (json.loads(own) for kind, own in rows if kind == "X")
    assert fields == {"n": 1, "deep": {"a": None}}
    assert not list(tmp_path.glob(".*new"))
