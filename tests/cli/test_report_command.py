"""prodigy-git report: which job, where to, and that nothing else is touched."""

import json
import os
import stat
import subprocess

import pytest
import support_team
from support_cli import call, ok, refused, snapshot, start, write_log
from support_team import JOB

EVENT = {
    "type": "AgentStarted",
    "agent_id": "a",
    "item_id": "i",
    "timestamp": "2025-01-11T12:00:00Z",
}


def write_job(store, job, repo="repo", **fields):
    return write_log(store, repo, job, "events-20250111.jsonl", EVENT | fields)


def data_of(text):
    begin = text.index('id="data">') + len('id="data">')
    return json.loads(text[begin : text.index("</script>", begin)])


def test_a_file_is_written_and_its_path_printed(store, tmp_path):
    support_team.write(store, "repo")
    done = ok("report", "--job", JOB)
    assert (done.out, done.err) == (f"report-{JOB}.html\n", "")
    path = tmp_path / f"report-{JOB}.html"
    assert data_of(path.read_text())["counts"]["agents"] == 21
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".report")] == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_to_stdout(store):
    support_team.write(store, "repo")
    done = ok("report", "--job", JOB, "-o", "-")
    assert done.out.startswith("<!doctype html>")
    assert done.out.endswith("</html>\n")


def test_json_has_the_same(store):
    support_team.write(store, "repo")
    value = ok("report", "--job", JOB, "--json").json
    assert value["trouble"]["stuck"]["count"] == 1
    assert len(value["events"]) == value["counts"]["events"]


def test_how_long_silent_is_stuck(store):
    support_team.write(store, "repo")
    value = ok("report", "--job", JOB, "--json", "--stuck-after", "2h").json
    assert value["trouble"]["stuck"]["count"] == 0


def test_a_stretch_of_time_and_an_agent(store):
    support_team.write(store, "repo")
    value = ok("report", "--job", JOB, "--since", "15m", "--agent", "agent-18", "--json").json
    assert {one["who"] for one in value["events"]} == {"agent-18"}
    assert ok("report", "--job", JOB, "--until", "2025-01-01", "--json").json["events"] == []


def test_the_job_where_one_stands(repo, store, monkeypatch):
    ok("install", cwd=repo)
    for job in ("one", "two"):
        ok("job", "start", job, cwd=repo)
    monkeypatch.setenv("PRODIGY_JOB_ID", "one")
    assert ok("report", cwd=repo).out == "report-one.html\n"


def test_the_job_that_wrote_last(repo, store):
    for age, job in enumerate(("newest", "older", "oldest")):
        path = write_job(store, job)
        os.utime(path, (10_000 - age, 10_000 - age))
    done = ok("report", cwd=repo)
    assert done.out == "report-newest.html\n"
    assert "newest" in done.err


def test_no_job_to_report_of(repo, store):
    assert "no job yet" in refused("report", cwd=repo)
    assert "not in a git repository" in refused("report")
    assert "no events of a job nothing" in refused("report", "--job", "nothing", cwd=repo)
    assert "prodigy.job" not in refused("report", "--job", "../x")


def test_of_several_repositories_one_has_to_be_named(store):
    for repo in ("r", "s"):
        write_job(store, "same", repo)
    assert "r/same, s/same" in refused("report", "--job", "same")
    assert ok("report", "--job", "s/same").out == "report-same.html\n"


def test_a_file_that_is_no_report_stays(store, tmp_path):
    write_job(store, "j")
    mine = tmp_path / "notes.html"
    mine.write_text("mine")
    assert "no report" in refused("report", "--job", "j", "-o", mine)
    assert mine.read_text() == "mine"
    ok("report", "--job", "j", "-o", mine, "--force")
    ok("report", "--job", "j", "-o", mine)  # a report is overwritten
    assert "folder" in refused("report", "--job", "j", "-o", tmp_path)
    assert "no folder" in refused("report", "--job", "j", "-o", tmp_path / "none" / "x.html")


def test_a_link_is_followed_and_a_pipe_written_to(store, tmp_path):
    write_job(store, "j")
    link, pipe = tmp_path / "link.html", tmp_path / "pipe"
    link.symlink_to(tmp_path / "real.html")
    ok("report", "--job", "j", "-o", link)
    assert link.is_symlink()
    assert (tmp_path / "real.html").is_file()
    os.mkfifo(pipe)
    with (tmp_path / "copy.html").open("wb") as copy:
        reader = subprocess.Popen(["cat", str(pipe)], stdout=copy)
    ok("report", "--job", "j", "-o", pipe)
    assert reader.wait() == 0
    assert (tmp_path / "copy.html").read_text().endswith("</html>\n")


def test_a_full_disk_leaves_what_was_there(store, tmp_path, monkeypatch):
    write_job(store, "j")
    ok("report", "--job", "j", "-o", "r.html")
    before = (tmp_path / "r.html").read_bytes()
    monkeypatch.setattr(
        os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    assert "No space left" in refused("report", "--job", "j", "-o", "r.html")
    assert (tmp_path / "r.html").read_bytes() == before
    assert sorted(one.name for one in tmp_path.glob(".*")) == []


def test_nothing_in_the_store_is_written(store, tmp_path):
    support_team.write(store, "repo")
    before = snapshot(store)
    ok("report", "--job", JOB)
    ok("report", "--job", JOB, "--json")
    assert snapshot(store) == before


def test_damage_is_named_and_the_rest_reported(store):
    path = write_job(store, "j")
    with path.open("a") as log:
        log.write("{broken\n")
    done = call("report", "--job", "j", "--json")
    assert (done.code, done.json["counts"]["events"]) == (0, 1)
    assert done.err.count("not an event") == 1


def test_a_reader_that_goes_away(store):
    support_team.write(store, "repo")
    child = start("report", "--job", JOB, "-o", "-")
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait() == 0


def test_wrong_usage(store):
    write_job(store, "j")
    assert "--json" in refused("report", "--job", "j", "--json", "-o", "x.html", code=2)
    assert "--type" in refused("report", "--job", "j", "--type", "x", code=2)


def test_files_that_several_items_changed(repo, store, git):
    ok("job", "list", cwd=repo)  # gives the repository its key
    shas = {}
    for agent in ("a", "b"):
        git("switch", "-q", "-c", agent, "main", cwd=repo)
        (repo / "shared.py").write_text(agent)
        (repo / f"{agent}.py").write_text(agent)
        git("add", "-A", cwd=repo)
        git("commit", "-q", "-m", agent, cwd=repo)
        shas[agent] = git("rev-parse", "HEAD", cwd=repo)
    lines = []
    for agent, sha in shas.items():
        who = {
            "agent_id": agent,
            "item_id": agent,
            "session_id": agent,
            "timestamp": EVENT["timestamp"],
        }
        lines += [EVENT | who, {"type": "CommitCreated", "commit": sha, **who}]
    write_log(store, "repo", "j", "events-20250111.jsonl", *lines)
    files = ok("report", "--job", "j", "--json", cwd=repo).json["files"]
    assert [(row["path"], row["items"]) for row in files["shown"]] == [("shared.py", ["a", "b"])]
    repo.rename(repo.with_name("gone"))
    files = ok("report", "--job", "repo/j", "--json").json["files"]
    assert (files["unknown"], files["shown"]) == ("the repository is not at hand", [])


@pytest.mark.parametrize("variable", ["PRODIGY_HOME"])
def test_a_store_that_is_not_there(variable, monkeypatch, tmp_path, repo):
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    assert "no job yet" in refused("report", cwd=repo)
