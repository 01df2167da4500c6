"""Which host a store is: an id that is made once, whoever makes it, and never anew by mistake."""

import json
import os
import stat
import uuid
from pathlib import Path

import pytest
from support_hub import PATIENCE, rows, way

from prodigy_git import layout
from prodigy_git.hub import connection, host, schema
from prodigy_git.record import files


def test_a_store_gets_an_id_once(tmp_path):
    store = str(tmp_path / "store")
    assert host.known(store) is None
    assert not os.path.exists(store)
    own = host.own(store)
    assert host.own(store) == host.known(store) == own
    assert own.name == os.uname().nodename
    path = layout.hub_host(store)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_many_processes_make_one_id(tmp_path):
    store = str(tmp_path / "store")
    reading, writing = os.pipe()
    gate_in, gate_out = os.pipe()
    for _ in range(8):
        if os.fork() == 0:
            os.close(gate_out)
            os.read(gate_in, 1)  # until the parent closes it
            os.write(writing, host.own(store).id.bytes)
            os._exit(0)
    os.close(gate_in)
    os.close(gate_out)
    for _ in range(8):
        os.wait()
    os.close(writing)
    got = os.read(reading, 1000)
    os.close(reading)
    assert len(got) == 8 * 16
    assert len({got[at : at + 16] for at in range(0, len(got), 16)}) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"id": "x", "name": "y"}', '{"id": null, "name": "y"}', "\0"]
)
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path, text):
    store = str(tmp_path)
    path = layout.hub_host(store)
    os.makedirs(os.path.dirname(path))
    Path(path).write_text(text)
    for what in (host.known, host.own):
        with pytest.raises(files.Damaged, match=r"host\.json is damaged: restore it"):
            what(store)
    assert Path(path).read_text() == text


def test_a_copy_of_a_store_takes_another_id_once(tmp_path):
    store = str(tmp_path)
    first = host.own(store)
    second = host.renewed(store, first)
    assert second.id != first.id
    assert second.earlier == (first.id,)
    assert host.renewed(store, first) == second == host.own(store)


def test_signs_of_life_are_of_the_servers_clock_and_one_who_left_comes_back(tmp_path, hub_url):
    store = str(tmp_path)
    own = host.own(store)
    with way(hub_url) as conn:
        hub, _ = schema.made(conn)
        with connection.transaction(conn, within=PATIENCE) as tx:
            host.joined(tx, own)
        rows(hub_url, "UPDATE prodigy_hub.host SET seen_at = '2020-01-01', left_at = now()")
        with connection.transaction(conn, within=PATIENCE) as tx:
            host.sign_of_life(tx, own)
            found = host.note_all(tx, store, hub.id)
            assert found[0]["seen_at"] > "2025"
            assert found[0]["left_at"] is not None
            assert found[0]["clock_apart_us"] is not None
            host.joined(tx, own)
            host.sign_of_life(tx, host.Host(uuid.UUID(int=7), "other"))
        with connection.transaction(conn, within=PATIENCE) as tx:
            found = host.note_all(tx, store, hub.id)
    assert {one["id"]: one["left_at"] for one in found} == {
        str(own.id): None,
        str(uuid.UUID(int=7)): None,
    }
    noted = json.loads(Path(layout.hub_hosts(store)).read_text())
    assert (noted["hub"], noted["hosts"]) == (str(hub.id), found)


def test_the_clocks_are_compared_within_the_time_that_it_took(hub_url):
    with way(hub_url) as conn, connection.transaction(conn, within=PATIENCE) as tx:
        found = host.clock(tx)
    assert (
        abs(found.apart) <= found.within + 1_000_000
    )  # one machine; a busy one reads its clocks apart
    assert found.within > 0
