"""Where the hub is, what libpq takes and what is shown: an address never gives a password away."""

import subprocess
import sys

import pytest
from psycopg import conninfo

from prodigy_git.errors import Refused
from prodigy_git.hub import address

GIVEN = [
    (
        "postgresql://ada@db:5433/hub?sslmode=require",
        "postgresql://ada@db:5433/hub?sslmode=require",
    ),
    ("postgres://ada:geheim@db/hub", "postgres://ada@db/hub"),
    ("postgresql://ada:@db/hub", "postgresql://ada@db/hub"),
    ("postgresql://:geheim@db/hub", "postgresql://db/hub"),
    ("postgresql://ada%40azure:ge%2Fheim@db/hub", "postgresql://ada%40azure@db/hub"),
    ("postgresql://a,b:5433,[::1]:5434/hub", "postgresql://a,b:5433,[::1]:5434/hub"),
    ("postgresql://%2Frun%2Fpg/hub", "postgresql://%2Frun%2Fpg/hub"),
    ("postgresql://db/hub?user=ada&password=geheim", "postgresql://db/hub?user=ada"),
    ("postgresql://db/hub?password=geheim", "postgresql://db/hub"),
    ("postgresql://db/hub?p%61ssword=geheim", "postgresql://db/hub"),
    ("postgresql:///hub", "postgresql:///hub"),
    ("postgresql://", "postgresql://"),
    ("service=hub", "service=hub"),
    (
        "host = db dbname='my hub' password = 'ge\\'heim' user=ada",
        "host = db dbname='my hub' user=ada",
    ),
    ("host=db password=ge\\ heim", "host=db"),
    ("host=db sslpassword=geheim sslkey=k", "host=db sslkey=k"),
]


@pytest.mark.parametrize(("text", "shown"), GIVEN)
def test_an_address_is_shown_without_its_password(text, shown):
    found = address.parsed(text, "URL")
    assert found.shown() == shown
    assert "heim" not in repr(found)
    assert "heim" not in str(found)


@pytest.mark.parametrize(("text", "shown"), GIVEN)
def test_an_address_is_taken_apart_as_libpq_does(text, shown):
    assert dict(address.parsed(text, "URL").parameters) == {
        name: value for name, value in conninfo.conninfo_to_dict(text).items() if value
    } | ({"password": ""} if ":@" in text else {})  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        # By libpq's rules each of these says a part of the password to be a host, a port or a database.
        "postgresql://ada:ge@heim@db/hub", "postgresql://ada:ge/heim@db/hub",
        "postgresql://ada:ge?heim@db/hub", "postgresql://ada:1/heim@db/hub",
        "postgresql://ada:geheim@db:99999/hub", "postgresql://ada:geheim@db:x/hub",
        "postgresql://ada:ge%heim@db/hub", "postgresql://ada:ge%00heim@db/hub",
        "postgresql://db/hub?geheim", "mysql://ada:geheim@db/hub", "geheim", "host=db geheim",
        "host=db password='geheim", "host=db password=geheim\n", "dbname=postgresql://a:geheim@b/c x=1",
        "dbname='password=geheim'", "postgresql://ada:geheim\x1b[2J@db", "", "  ",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(text):
    with pytest.raises(Refused) as caught:
        address.parsed(text, "URL")
    assert "heim" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("URL is no address of a hub")


def test_the_environment_counts_before_the_repository_and_that_before_the_user(repo, git):
    common = str(repo / ".git")
    assert address.configured(common, {}) is None
    git("config", "--global", "prodigy.hub", "service=mine", cwd=repo)
    assert address.configured(common, {}).shown() == "service=mine"
    assert address.configured(None, {}).shown() == "service=mine"
    git("config", "prodigy.hub", "service=ours", cwd=repo)
    assert address.configured(common, {}).shown() == "service=ours"
    assert address.configured(None, {}).shown() == "service=mine"
    found = address.configured(common, {"PRODIGY_HUB": "postgresql://a:geheim@b/c"})
    assert (found.shown(), found.source) == ("postgresql://a@b/c", "$PRODIGY_HUB")
    git("config", "prodigy.hub", "", cwd=repo)
    assert address.configured(common, {"PRODIGY_HUB": ""}) is None


def test_a_password_in_gits_configuration_is_refused(repo, git):
    git("config", "prodigy.hub", "postgresql://a:geheim@b/c", cwd=repo)
    with pytest.raises(Refused, match="take it out, and give it in") as caught:
        address.configured(str(repo / ".git"), {})
    assert "geheim" not in str(caught.value)


def test_what_is_noted_has_no_password(repo):
    address.note(address.parsed("postgresql://a:geheim@b/c", "URL"), str(repo / ".git"))
    assert "geheim" not in (repo / ".git" / "config").read_text()
    assert address.configured(str(repo / ".git"), {}).shown() == "postgresql://a@b/c"


def test_to_look_for_a_hub_loads_no_driver():
    script = "import sys; from prodigy_git.hub import address; print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"False\n"
