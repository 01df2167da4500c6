"""One repository has one number on a hub, whoever comes first, and two that differ have two."""

import json
import threading
import uuid

import pytest

from prodigy_git.errors import ProdigyError
from prodigy_git.hub import connection, repository_number, schema
from prodigy_git.hub.address import parsed
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.identity import Identity, Unidentified

HUB = uuid.UUID("0d0e3d9e-0000-4000-8000-000000000001")
ANOTHER = uuid.UUID("0d0e3d9e-0000-4000-8000-000000000002")
WITHIN = 60.0
URL = "https://git.example.org/team/repo"
RENAMED = "https://git.example.org/team/renamed"
FORK = "https://git.example.org/alice/repo"


@pytest.fixture
def conn(hub_url):
    made = connected(hub_url)
    schema.made(made)
    yield made
    made.close()


def connected(url):
    return Connection(parsed(url, "the test"))


def ask(conn, question):
    with connection.transaction(conn, within=WITHIN) as tx:
        done = tx.execute(question)
        return done.fetchall() if done.description else []


class Clone:
    """A clone of one repository on a host of its own, as far as stores go."""

    def __init__(self, git, folder, url=None, source=None, hub=HUB):
        self.git, self.folder, self.store, self.hub = git, folder, str(folder) + "-store", hub
        if source is None:
            git("init", "-q", folder, cwd=folder.parent)
        else:
            git("clone", "-q", source, folder, cwd=folder.parent)
            git("remote", "remove", "origin", cwd=folder)
        if url is not None:
            git("remote", "add", "origin", url, cwd=folder)

    def number(self, conn, hub=None):
        return repository_number.number(
            conn, hub or self.hub, self.store, "repo", f"{self.folder}/.git", within=WITHIN
        )

    def set(self, *arguments):
        self.git(*arguments, cwd=self.folder)


@pytest.fixture
def clone(git, tmp_path, repo):
    def make(name, url=None, **settings):
        return Clone(git, tmp_path / name, url, settings.pop("source", repo), **settings)

    return make


def count(conn):
    return ask(conn, "SELECT count(*) FROM prodigy_hub.repository")[0][0]


def test_clones_have_one_number_and_a_fork_another(conn, clone):
    number = clone("a", URL).number(conn)
    assert clone("b", "git@git.example.org:team/repo").number(conn) == number
    assert clone("c", FORK).number(conn) != number
    assert count(conn) == 2


def test_a_fork_is_the_repository_where_a_person_says_so(conn, clone):
    one, fork = clone("a", URL), clone("c", FORK)
    for each in (one, fork):
        each.set("config", "prodigy.repoId", "team")
    assert one.number(conn) == fork.number(conn)


def test_without_remotes_the_first_commit_tells(conn, clone, git, tmp_path):
    one, other = clone("a"), clone("b")
    assert one.number(conn) == other.number(conn)
    (tmp_path / "elsewhere").mkdir()
    stranger = Clone(git, tmp_path / "elsewhere" / "a")
    stranger.set("commit", "-q", "--allow-empty", "-m", "Another beginning")
    assert stranger.number(conn) != one.number(conn)


def test_one_that_shares_a_branch_of_the_two_is_the_same(conn, clone):
    one, other = clone("a"), clone("b")
    number = one.number(conn)
    other.set("checkout", "-q", "--orphan", "pages")
    other.set("commit", "-q", "-m", "Pages")
    assert other.number(conn) == number


def test_a_remote_that_is_renamed_keeps_the_number_and_has_both_names(conn, clone):
    one = clone("a", URL)
    number = one.number(conn)
    one.set("remote", "set-url", "origin", RENAMED)
    assert one.number(conn) == number
    assert clone("b", RENAMED).number(conn) == clone("c", URL).number(conn) == number
    one.set("remote", "remove", "origin")
    assert one.number(conn) == number


def test_a_remote_that_comes_later_is_one_more_name(conn, clone):
    one, other = clone("a"), clone("b")
    number = one.number(conn)
    one.set("remote", "add", "origin", URL)
    assert one.number(conn) == number
    assert clone("c", URL).number(conn) == other.number(conn) == number


def test_a_remote_that_is_another_repositorys_is_refused_with_a_way_out(conn, clone):
    one, other = clone("a"), clone("b", URL)
    number, others = one.number(conn), other.number(conn)
    assert number != others
    one.set("remote", "add", "origin", URL)
    with pytest.raises(ProdigyError, match=r"another's there: git.example.org/team/repo \(number"):
        one.number(conn)
    one.set("config", "prodigy.repoId", "ours")
    assert one.number(conn) == number
    assert other.number(conn) == others


def test_one_that_has_the_roots_of_two_is_asked_for(conn, git, tmp_path):
    folders = [tmp_path / name for name in "ab"]
    clones = []
    for folder in folders:
        clones.append(Clone(git, folder))
        clones[-1].set("commit", "-q", "--allow-empty", "-m", folder.name)
    numbers = {one.number(conn) for one in clones}
    assert len(numbers) == 2
    both = Clone(git, tmp_path / "both")
    for folder in folders:
        both.set("fetch", "-q", str(folder), f"HEAD:refs/heads/{folder.name}")
    with pytest.raises(ProdigyError, match=r"any of these on the hub.*'git config prodigy.repoId"):
        both.number(conn)
    assert count(conn) == 2
    both.set("config", "prodigy.repoId", "both")
    assert both.number(conn) not in numbers


def test_one_that_nothing_tells_of_takes_no_number(conn, git, tmp_path):
    with pytest.raises(Unidentified):
        Clone(git, tmp_path / "empty").number(conn)
    assert count(conn) == 0


def test_a_shallow_clone_that_is_known_needs_no_name_again(conn, clone, git, repo, tmp_path):
    one = clone("a", URL)
    number = one.number(conn)
    git("commit", "-q", "--allow-empty", "-m", "More", cwd=repo)
    shallow = clone("b", URL, source=f"file://{repo}")
    shallow.set("fetch", "-q", "--depth=1", f"file://{repo}", "HEAD")
    assert shallow.number(conn) == number
    shallow.set("remote", "remove", "origin")
    assert shallow.number(conn) == number


def test_an_empty_hub_in_the_place_of_the_first_gets_all_names_again(conn, clone):
    one, stranger = clone("a", URL), clone("s", FORK)
    one.number(conn)
    one.set("remote", "set-url", "origin", RENAMED)
    one.number(conn)
    ask(conn, "TRUNCATE prodigy_hub.repository, prodigy_hub.repository_name CASCADE")
    stranger.number(conn, ANOTHER)
    number = one.number(conn, ANOTHER)
    assert clone("b", URL).number(conn, ANOTHER) == number
    assert clone("c", RENAMED).number(conn, ANOTHER) == number
    assert repository_number.remembered(one.store, "repo").hub == ANOTHER


def test_a_number_that_a_hub_from_a_backup_gave_to_another_is_not_believed(conn, clone):
    """The sequence goes back too: the next repository gets the number that this one had."""
    one, other = clone("a", URL), clone("b", FORK)
    number = one.number(conn)
    ask(
        conn,
        "TRUNCATE prodigy_hub.repository, prodigy_hub.repository_name RESTART IDENTITY CASCADE",
    )
    assert other.number(conn) == number
    assert one.number(conn) != number
    assert clone("c", URL).number(conn) == one.number(conn)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"hub": 1}', '{"hub": "x", "repository": "1", "names": []}',
             '{"hub": "HUB", "repository": 1, "names": [2]}', '{"hub": "HUB", "repository": 1}',
             '{"hub": "HUB", "repository": true, "names": []}'],
)  # fmt: skip
def test_a_damaged_note_is_none(conn, clone, tmp_path, text):
    one = clone("a", URL)
    number = one.number(conn)
    with open(repository_number.note_path(one.store, "repo"), "w") as stream:
        stream.write(text.replace("HUB", str(HUB)))
    assert repository_number.remembered(one.store, "repo") is None
    assert one.number(conn) == number
    with open(repository_number.note_path(one.store, "repo")) as stream:
        assert json.load(stream)["repository"] == number


def test_roots_are_asked_for_once(conn, clone, monkeypatch):
    one = clone("a")
    number = one.number(conn)
    monkeypatch.setattr(repository_number.identity, "by_roots", None)
    assert one.number(conn) == number


def test_many_that_come_at_once_get_one_number(conn, hub_url):
    """Each has a name of its own besides: whoever comes later adds it."""
    found, gate = [], threading.Barrier(8)

    def come(which):
        own = connected(hub_url)
        own.ready(WITHIN)
        names = tuple(sorted(("root:m", f"root:{which}", f"root:{(which + 1) % 8}")))
        gate.wait()
        who = Identity("roots", names)
        found.append(repository_number.resolve(own, who, "repo", within=WITHIN))
        own.close()

    threads = [threading.Thread(target=come, args=(which,)) for which in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert count(conn) == 1
    assert len(ask(conn, "SELECT name FROM prodigy_hub.repository_name")) == 9


def test_what_is_told_of_labels_is_harmless(conn, clone):
    one, other = clone("a"), clone("b", URL)
    one.number(conn)
    other.number(conn)
    ask(conn, "UPDATE prodigy_hub.repository SET label = E'evil\\x1b[31m\\n' || label")
    one.set("remote", "add", "origin", URL)
    with pytest.raises(ProdigyError, match=r"evil") as told:
        one.number(conn)
    assert all(c.isprintable() for c in str(told.value))
