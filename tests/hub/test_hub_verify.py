"""hub verify: what differs between a log and the hub, which way round, and what --fix does to it."""

import os
import shutil

import pytest
from support_cli import call
from support_hub import rows, way
from support_hub_stores import JOB, Store, new_hub, on_hub

from prodigy_git.cli import hub_verify, output
from prodigy_git.hub import verifying
from prodigy_git.model.session import Session
from prodigy_git.verify import verify as verify_with_git


@pytest.fixture
def two(hub_url, tmp_path):
    number = new_hub(hub_url)
    a, b = (Store(tmp_path / name, hub_url, number) for name in ("a", "b"))
    a.record("a1", "a2", "a3")
    b.record("b1")
    for one in (a, b, a):
        one.sync()
    return a, b


def verified(one, *, fix=False):
    """Return what differs, and the counts that are not 0."""
    with way(one.url) as conn:
        if fix:
            verifying.mend(conn, one.where(), one.repository)
        found = verifying.verify(conn, one.where(), one.repository).as_json()
    return {name: value for name, value in found.items() if value and name != "job_id"}


def test_nothing_differs(two):
    for one in two:
        assert verified(one) == {"events_here": 4, "on_hub": 4}


@pytest.mark.parametrize("columns", [60, 100])
def test_a_narrow_terminal_has_room_for_the_job_and_what_is_missing(
    two, monkeypatch, capsys, columns
):
    a, _ = two
    with way(a.url) as conn:
        found = verifying.verify(conn, a.where(), a.repository)
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    hub_verify._show([found], fix=False)
    heading, line = capsys.readouterr().out.splitlines()
    assert all(name in heading for name in ("JOB", "MISSING HERE", "MISSING ON HUB", "DIFFERENT"))
    assert line.startswith(JOB)
    assert max(len(heading), len(line)) <= columns


def test_what_is_to_come_and_to_go_is_no_difference(two):
    a, b = two
    a.record("more")
    a.ship()
    b.record("later", "and later")
    assert verified(b) == {"events_here": 6, "on_hub": 5, "not_pulled": 1, "not_shipped": 2}
    with way(b.url) as conn:
        assert not verifying.verify(conn, b.where(), b.repository).differs()


@pytest.mark.parametrize("at", ["infinity", "-infinity", "294276-12-31", "4700-01-01 BC"])
def test_a_time_that_is_none_is_one_of_the_row_alone(two, hub_url, at):
    rows(hub_url, f"UPDATE prodigy_hub.event SET at = '{at}' WHERE seq = 2")
    for one in two:
        assert verified(one) == {"events_here": 4, "on_hub": 4}


def pulled_file(one):
    (path,) = (path for path in one.folder.iterdir() if path.name.count("-") == 2)
    return path


@pytest.mark.parametrize("how", ["delete", "cut a line", "cut half a line"])
def test_what_a_file_of_pulled_events_has_lost_comes_again_with_the_next_sync(two, how):
    _, b = two
    path = pulled_file(b)
    text = path.read_bytes()
    lost = {"delete": 3, "cut a line": 1, "cut half a line": 1}[how]
    if how == "delete":
        path.unlink()
    else:
        os.truncate(path, text.rindex(b"\n", 0, -1) + (1 if how == "cut a line" else 20))
    assert len(verified(b)["missing_here"]) == lost
    b.sync()
    assert verified(b) == {"events_here": 4, "on_hub": 4}
    assert pulled_file(b).read_bytes() == text
    assert b.said == [f"job {JOB}: {path.name} has lost events, which are pulled again"]


def test_what_the_hub_has_lost_is_named_and_given_back(two, hub_url):
    a, b = two
    ids = dict(on_hub(hub_url))
    rows(hub_url, "DELETE FROM prodigy_hub.event WHERE seq IN (1, 4)")
    assert verified(a)["missing_on_hub"] == sorted([ids[1], ids[4]], key=a_place(a))
    assert verified(a, fix=True) == {"events_here": 4, "on_hub": 4}
    b.sync()
    assert b.ids() == a.ids()
    assert len(b.ids()) == 4


def a_place(one):
    text = "".join(path.read_text() for path in sorted(one.folder.iterdir()))
    return text.index


def test_lines_that_are_not_the_same_and_lines_that_are_there_twice(two, hub_url):
    a, _ = two
    (path,) = (path for path in a.folder.iterdir() if path.name.count("-") == 1)
    first, second, third = path.read_text().splitlines()
    other = second[:43] + second[43:].replace("a2", "b2")  # its id stays, whatever is in it
    path.write_text("\n".join([first, other, third, first]) + "\n")
    found = verified(a)
    assert found["different"] == [second[7:43]]
    assert found["twice"] == [first[7:43]]


def test_what_was_cleaned_here_is_counted(two):
    from prodigy_git.cleanup.records import by_age

    _, b = two
    by_age.clean_events(str(b.path), -10_000_000, dry_run=False, broken=b.said.append)
    assert verified(b) == {"on_hub": 4, "cleaned": 4}


def test_a_broken_line_of_another_host_is_named_and_left(two):
    _, b = two
    path = pulled_file(b)
    with path.open("r+b") as log:
        log.write(b"xxxxxxxxxxxx")
    text = path.read_bytes()
    session = Session(
        id="session-1", session_type="Workflow", status="Running", started_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:00Z", metadata={"repo": b.name[1], "job_id": JOB},
    )  # fmt: skip
    _, lines = verify_with_git(str(b.path), [session], fix=True, broken=print, note=print)
    assert [(one.file, one.quarantine) for one in lines] == [(str(path), None)]
    assert path.read_bytes() == text
    # Without the file, all of it comes again.
    path.unlink()
    b.sync()
    assert len(b.ids()) == 4


def test_the_command_says_what_is_missing_and_brings_it(new_host, hub_url, tmp_path):
    alpha, beta = new_host("alpha"), new_host("beta")
    for one in (alpha, beta):
        one.ok("hub", "init", hub_url)
    alpha.run("event", "add", "--job", "job-1", "--type", "Note", "--content", "hello")
    alpha.run("hub", "sync")
    beta.run("hub", "sync")
    (job,) = beta.ok("hub", "verify")["jobs"]
    assert (job["job_id"], job["events_here"], job["on_hub"]) == ("job-1", 1, 1)
    (folder,) = beta.store.glob("events/*/job-1")
    shutil.rmtree(folder)
    done = beta.run("hub", "verify", check=False)
    assert done.code == 1
    assert "is missing here" in done.err
    assert "hub verify --fix" in done.err
    assert beta.run("hub", "verify", "--fix").code == 0
    assert len(list(folder.iterdir())) == 1


def test_it_needs_a_hub(repo):
    done = call("hub", "verify", cwd=repo)
    assert done.code == 1
    assert "hub init" in done.err
