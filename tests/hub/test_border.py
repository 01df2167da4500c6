"""What comes from the hub is foreign: what is no event is set aside, named once, the rest goes on."""

import json
import uuid

import pytest
from support_hub import rows
from support_hub_stores import JOB, Store, new_hub, on_hub

from prodigy_git.hub import border, set_aside

SOMEBODY = str(uuid.uuid4())


@pytest.fixture
def two(hub_url, tmp_path):
    number = new_hub(hub_url)
    return [Store(tmp_path / name, hub_url, number) for name in ("a", "b")]


def event(identity, **fields):
    text = {"id": identity, "timestamp": "2026-01-02T03:04:05.000006Z", "type": "WordSaid",
            "event_type": "WordSaid", "job_id": JOB, "word": "ok"}  # fmt: skip
    return json.dumps(text | fields, separators=(",", ":"))


def put(url, line, *, identity=None, host=SOMEBODY, mark=7):
    """Write a row as any member may, at the end of the only job's stream; return its id."""
    identity = identity or str(uuid.uuid4())
    line = line.replace("ID", identity).replace("'", "''")
    rows(
        url,
        "INSERT INTO prodigy_hub.event SELECT id, seq + 1,"
        f" {mark}, '{host}', false, '{identity}', now(), E'{line}' FROM prodigy_hub.job",
        f"UPDATE prodigy_hub.job SET seq = seq + 1, mark = {mark}",
    )
    return identity


BAD = {
    "no JSON": "so so",
    "half": event("ID")[:-5],
    "a list": "[1]",
    "two lines": event("ID").replace(",", ",\\n", 1),
    "two events": event("ID") + "\\n" + event("ID"),
    "a control character": event("ID").replace("ok", "o\\x07k"),
    "an escape sequence": event("ID").replace("ok", "o\\x1b[2Jk"),
    "another id": event(str(uuid.uuid4())),
    "another job": event("ID", job_id="job-2"),
    "a path for a job": event("ID", job_id="../../x"),
    "no type": event("ID", type=None, event_type=None),
    "a number for a type": event("ID", type=5, event_type=5),
    "empty": "",
    "blank": "   ",
    "nested": '{"id":"ID","a":' + "[" * 5000 + "]" * 5000 + "}",
}


@pytest.mark.parametrize("what", BAD)
def test_a_row_that_is_no_event_is_set_aside_and_the_rest_goes_on(two, hub_url, what):
    a, b = two
    a.record("before")
    a.sync()
    bad = put(hub_url, BAD[what].replace("\\\\", "\\"))
    good = put(hub_url, event("ID"))
    b.sync()
    assert b.words() == ["ok", "before"]
    assert bad not in b.ids()
    assert good in b.ids()
    assert len(b.said) == 1
    assert f"event 2 of host {SOMEBODY} on the hub was set aside: " in b.said[0]
    assert b.said[0].isprintable()
    (kept,) = set_aside.listed(*b.name)
    assert kept["where"] == f"event 2 of host {SOMEBODY} on the hub"
    # Named once, also where all is pulled again.
    rows(hub_url, "UPDATE prodigy_hub.event SET mark = 8", "UPDATE prodigy_hub.job SET mark = 8")
    b.sync()
    assert b.words() == ["ok", "before"]
    assert len(b.said) == 1
    assert len(set_aside.listed(*b.name)) == 1
    # Nobody is given it back.
    assert sorted(one for _, one in on_hub(hub_url)) == sorted([bad, *b.ids()])


@pytest.mark.parametrize(
    "line",
    [
        event("ID"),
        event("ID", word='ünïcode \\\\ \\" '),
        event("ID", word="x" * 100_000),
        '{"event_type":"word_said","id":"ID","word":"ok"}',
        '{"id":"ID","timestamp":"2026-01-02T03:04:05Z","event":{"WordSaid":{"word":"ok"}}}',
        '{"type":"WordSaid", "id":"ID",\\t"word":"ok"}\\r',
        event("ID").replace("2026-01-02T03:04:05.000006Z", "9999-99-99T99:99:99.999999Z"),
    ],
)
def test_events_of_any_dialect_come_byte_for_byte(two, hub_url, line):
    _, b = two
    a = two[0]
    a.record("before")
    a.sync()
    identity = put(hub_url, line)
    assert b.sync() == (0, 2)
    ((text,),) = rows(hub_url, f"SELECT line FROM prodigy_hub.event WHERE id = '{identity}'")
    assert b.said == []
    assert text.encode() in b"".join(path.read_bytes() for path in b.folder.iterdir())


def test_what_is_too_long_is_never_loaded(two, hub_url):
    a, b = two
    a.record("before")
    a.sync()
    big = 300_000_000
    rows(
        hub_url,
        "INSERT INTO prodigy_hub.event SELECT id, seq + 1, 7,"
        f" '{SOMEBODY}', false, '{uuid.uuid4()}', now(), repeat('x', {big}) FROM prodigy_hub.job",
        "UPDATE prodigy_hub.job SET seq = seq + 1, mark = 7",
    )
    put(hub_url, event("ID"))
    b.sync()
    assert b.words() == ["ok", "before"]
    assert b.said == [
        f"job job-1: event 2 of host {SOMEBODY} on the hub was set aside: "
        f"it has more than {border.LONGEST} bytes"
    ]


def test_hosts_whose_ids_begin_alike_have_files_of_their_own(two, hub_url):
    a, b = two
    a.record("real")
    a.sync()
    false = str(a.where().host.id)[:-4] + "0000"
    put(hub_url, event("ID"), host=false)
    b.sync()
    assert len(b.files()) == 2
    origins = b.path / "hub" / "origins"
    assert sorted(map(str, [a.where().host.id, false])) == sorted(
        path.read_text().strip() for path in origins.iterdir()
    )


def test_lines_here_that_are_no_events_are_set_aside_and_the_rest_is_shipped(two, hub_url):
    a, b = two
    a.record("before")
    (path,) = a.folder.iterdir()
    with path.open("ab") as log:
        log.write(b"\xff\xfe no text\nno event\n\n" + event("ID").encode() + b"\0\n")
        log.write(event(str(uuid.uuid4()), job_id="job-2").encode() + b"\n")
    a.record("behind")
    assert a.sync() == (2, 0)
    assert b.sync() == (0, 2)
    assert b.words() == ["before", "behind"]
    assert len(set_aside.listed(*a.name)) == 4
    assert [text.partition(" was set aside")[0] for text in a.said[:3]] == [
        f"job job-1: the line of {path.name} at {at}"
        for at in [one["where"].rpartition(" ")[2] for one in set_aside.listed(*a.name)[:3]]
    ]
    said = len(a.said)
    assert a.sync() == (0, 0)
    assert len(a.said) == said


def test_half_a_line_is_shipped_once_it_is_whole(two):
    a, b = two
    a.record("before")
    (path,) = a.folder.iterdir()
    line = event(str(uuid.uuid4())).encode()
    with path.open("ab") as log:
        log.write(line[:30])
    assert a.sync() == (1, 0)
    with path.open("ab") as log:
        log.write(line[30:] + b"\n")
    assert a.sync() == (1, 0)
    b.sync()
    assert b.ids() == a.ids()
    assert a.said == []
