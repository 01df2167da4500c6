"""A password in PRODIGY_HUB is used, and stands nowhere: no file, no output, no command line has it."""

import shlex
from pathlib import Path

import pytest
from support_hub import way

from prodigy_git.hub import members, schema

PASSWORD = "geheim-7c1f"


@pytest.fixture
def world(new_host, hub_url, postgres):
    """Have a host, and the addresses of a member with the right and with a wrong password."""
    name = hub_url.rpartition("/")[2]
    postgres.role("ada", password=PASSWORD)
    with way(hub_url) as conn:
        schema.made(conn)
        members.granted(conn, "ada")
    host = new_host("one")
    (host.folder / "items").write_text('{"id": "a"}\n{"id": "b"}\n')
    urls = [postgres.url(name, user="ada", password=one) for one in (PASSWORD, f"{PASSWORD}-no")]
    return host, *urls


COMMANDS = [
    "hub init",
    "job start J --hub --items {items}",
    "run --job J -- sh -c 'ps -eo args >{seen}'",
    "job next J --agent ada --lease 10m",
    "job done J b",
    "hub sync",
    "hub verify",
    "hub status",
    "status",
    "doctor",
    "hub leave",
]


def words(host, line):
    return shlex.split(line.format(items=host.folder / "items", seen=host.folder / "seen"))


def written(host):
    """Return the files of a host that have the password in them."""
    return [
        str(path)
        for path in Path(host.folder).rglob("*")
        if path.is_file() and not path.is_symlink() and PASSWORD.encode() in path.read_bytes()
    ]


def test_it_is_used_and_stands_nowhere(world):
    host, right, _ = world
    for line in COMMANDS:
        done = host.run(*words(host, line), check=False, PRODIGY_HUB=right)
        assert PASSWORD not in done.out + done.err, (line, done)
        assert done.code == 0 or line == "doctor", (line, done)  # its hooks are not installed
        assert written(host) == [], line
    assert (host.folder / "seen").read_text()


def test_a_wrong_one_is_not_repeated(world):
    host, right, wrong = world
    host.run("job", "start", "J", "--hub", "--items", host.folder / "items", PRODIGY_HUB=right)
    for line in COMMANDS:
        done = host.run(*words(host, line), check=False, PRODIGY_HUB=wrong)
        assert PASSWORD not in done.out + done.err, (line, done)
        if line not in ("status", "job done J b"):
            assert (done.code, "user and password" in done.out + done.err) == (1, True), (
                line,
                done,
            )
        assert written(host) == [], line
