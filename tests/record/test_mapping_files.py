"""The mapping of sessions and jobs: two documents, and a file for each id that Prodigy looks for."""

import json

import pytest

from prodigy_git.record import files, mapping
from prodigy_git.store import mappings


@pytest.fixture
def folder(store):
    return store / "state" / "r" / "mappings"


def pairs(folder):
    """Return (session, job) of each file of one id."""
    return {
        path.stem: tuple(json.loads(path.read_text())[key] for key in ("session_id", "job_id"))
        for path in folder.glob("*.json")
        if not path.stem.endswith(("-to-job", "-to-session"))
    }


def fail_on(text):
    raise AssertionError(text)


def test_a_session_that_is_its_own_job_has_one_file(store, folder):
    mapping.put(str(store), "r", "s", "s")
    assert pairs(folder) == {"s": ("s", "s")}


def test_what_is_taken_out_leaves_no_file_and_the_others_stay(store, folder):
    for session in ("one", "two"):
        mapping.put(str(store), "r", session, "j")
    mapping.take_out(str(store), "r", "two")
    assert pairs(folder) == {"one": ("one", "j"), "j": ("one", "j")}
    mapping.take_out(str(store), "r", "one")
    assert pairs(folder) == {}


def test_a_session_that_gets_another_job_is_found_under_it(store, folder):
    mapping.put(str(store), "r", "s", "former")
    mapping.rename(str(store), "r", "s", "former", "j")
    assert pairs(folder) == {"s": ("s", "j"), "j": ("s", "j")}
    mapping.rename(str(store), "r", "s", "j", "j")
    assert pairs(folder) == {"s": ("s", "j"), "j": ("s", "j")}


def test_a_damaged_document_names_no_file_of_another_folder(store, folder):
    mapping.put(str(store), "r", "s", "j")
    (folder / "session-to-job.json").write_text('{"s":"../elsewhere"}')
    other = folder.parent / "elsewhere.json"
    other.write_text('{"session_id":"s"}')
    mapping.take_out(str(store), "r", "s")
    assert other.exists()


@pytest.mark.parametrize("name", ["session-to-job", "job-to-session"])
def test_an_id_that_is_called_as_a_document_spoils_nothing(store, folder, name):
    mapping.put(str(store), "r", name, name)
    mapping.put(str(store), "r", "s", name)
    assert json.loads((folder / "session-to-job.json").read_text()) == {name: name, "s": name}
    assert json.loads((folder / "job-to-session.json").read_text()) == {name: name}
    mapping.take_out(str(store), "r", name)
    assert json.loads((folder / "session-to-job.json").read_text()) == {"s": name}


def test_a_file_of_prodigys_is_left_as_it_is(store, folder):
    folder.mkdir(parents=True)
    (folder / "s.json").write_text('{"session_id":"theirs","job_id":"t"}')
    mapping.put(str(store), "r", "s", "j")
    mapping.take_out(str(store), "r", "s")
    assert pairs(folder) == {"s": ("theirs", "t")}
    assert mappings.sessions_of(str(store), "t", fail_on) == ["theirs"]


def test_our_files_of_one_id_are_not_read(store, folder, monkeypatch):
    for number in range(20):
        mapping.put(str(store), "r", f"s{number}", "j")
    read = []
    whole = files.read

    def noted(path, *more):
        read.append(path)
        return whole(path, *more)

    monkeypatch.setattr(files, "read", noted)
    assert len(mappings.sessions_of(str(store), "j", fail_on)) == 20
    assert len(read) <= 2
