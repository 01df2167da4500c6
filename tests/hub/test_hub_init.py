"""hub init: this host takes part, as often as it is asked."""

import json

import pytest
from support_cli import call
from support_hub import rows
from support_json_documented import COMMANDS, SHAPES, wrong


def init(repo, *words):
    return call("hub", "init", *words, cwd=repo)


def test_it_makes_the_hub_and_notes_where_it_is(repo, hub_url, git, store):
    done = init(repo, hub_url, "--json")
    assert done.code == 0, done.err
    first = json.loads(done.out)
    assert wrong(first, COMMANDS["hub init"], "hub init", seen := set()) == []
    assert {key for _, key in seen} == set(SHAPES["taking-part"])
    assert (first["made"], first["noted"], first["address"]) == (True, "repository", hub_url)
    assert git("config", "--local", "prodigy.hub", cwd=repo) == hub_url
    assert rows(hub_url, "SELECT id::text, left_at FROM prodigy_hub.host") == [
        (first["host_id"], None)
    ]
    again = json.loads(init(repo, "--json").out)
    assert again == first | {"made": False, "noted": None}
    assert json.loads((store / "hub" / "hosts.json").read_text())["hub"] == first["hub_id"]


def test_the_repository_is_matched_with_what_other_hosts_have(
    repo, hub_url, git, tmp_path, monkeypatch
):
    git("commit", "--allow-empty", "-qm", "Start", cwd=repo)
    clone = tmp_path / "clone"
    git("clone", "-q", repo, clone, cwd=repo)
    git("remote", "remove", "origin", cwd=clone)
    first = json.loads(init(repo, hub_url, "--json").out)
    monkeypatch.setenv("PRODIGY_HOME", str(tmp_path / "other"))
    second = json.loads(init(clone, hub_url, "--json").out)
    assert second["repository"] == first["repository"] is not None
    assert second["host_id"] != first["host_id"]


def test_an_empty_repository_is_matched_when_it_is_known_what_it_is(hub_url, git, tmp_path):
    git("init", "-q", "empty", cwd=tmp_path)
    done = init(tmp_path / "empty", hub_url, "--json")
    assert (done.code, json.loads(done.out)["repository"], done.err.count("\n")) == (0, None, 1)


def test_a_hub_that_was_replaced_by_an_empty_one_is_made_again(repo, hub_url, postgres):
    first = json.loads(init(repo, hub_url, "--json").out)
    rows(hub_url, "DROP SCHEMA prodigy_hub CASCADE")
    again = json.loads(init(repo, "--json").out)
    assert again["made"]
    assert again["hub_id"] != first["hub_id"]
    assert again["host_id"] == first["host_id"]


def test_for_all_repositories_it_is_noted_with_the_user(repo, hub_url, git, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert init(elsewhere, hub_url, "--global").code == 0
    assert git("config", "--global", "prodigy.hub", cwd=repo) == hub_url
    assert init(repo).code == 0
    assert "no repository" in init(elsewhere).err or "not in a" in init(elsewhere).err


def test_a_password_is_used_and_not_noted(repo, hub_url, postgres, git, store):
    name = hub_url.rpartition("/")[2]
    postgres.role("ada", password="geheim-7")
    postgres.sql(f"GRANT CREATE ON DATABASE {name} TO ada")
    done = init(repo, postgres.url(name, user="ada", password="geheim-7"))
    assert done.code == 0, done.err
    assert "the password is not noted: give it in ~/.pgpass" in done.err
    assert "geheim-7" not in done.out + done.err
    assert git("config", "prodigy.hub", cwd=repo) == postgres.url(name, user="ada")
    for folder in (repo / ".git", store):
        for path in folder.rglob("*"):
            assert not path.is_file() or b"geheim-7" not in path.read_bytes(), path
    # Without it, it is said to be missing.
    done = init(repo)
    assert (done.code, "asks for a password" in done.err) == (1, True)


def test_passwords_come_from_libpqs_own_places(repo, hub_url, postgres, tmp_path, monkeypatch):
    name = hub_url.rpartition("/")[2]
    postgres.role("ada", password="geheim-7")
    postgres.sql(f"GRANT CREATE ON DATABASE {name} TO ada")
    url = postgres.url(name, user="ada")
    (tmp_path / "pgpass").write_text("*:*:*:ada:geheim-7\n")
    (tmp_path / "pgpass").chmod(0o600)
    (tmp_path / "services").write_text(
        f"[hub]\nhost=127.0.0.1\nport={postgres.port}\nuser=ada\ndbname={name}\npassword=geheim-7\n"
    )
    for variable, value, given in (
        ("PGPASSFILE", tmp_path / "pgpass", url),
        ("PGPASSWORD", "geheim-7", url),
        ("PGSERVICEFILE", tmp_path / "services", "service=hub"),
        ("PRODIGY_HUB", postgres.url(name, user="ada", password="geheim-7"), None),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, str(value))
            done = init(repo, *([] if given is None else [given]))
            assert done.code == 0, (variable, done.err)
            assert "geheim" not in done.out + done.err


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ([], 1, "no hub is configured: 'prodigy-git hub init URL' notes one"),
        (["geheim"], 1, "URL is no address of a hub"),
        (["postgresql://a@127.0.0.1:1/x"], 6, "is not reached"),
        (["service=none"], 1, "service"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_noted(repo, git, words, code, why):
    done = init(repo, *words)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert why in done.err
    assert "geheim" not in done.err
    assert git("config", "prodigy.hub", cwd=repo, check=False) == ""


def test_without_the_extra_it_says_how_to_install_it(repo, hub_url, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    done = init(repo, hub_url)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "'.[hub]'" in done.err
