"""A hub whose events are taken apart by month, as docs/reference/hub-size.md has it."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support_hub import rows
from support_hub_stores import JOB, Store, new_hub, on_hub

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hub-size.md"
BLOCKS = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
TABLES = "SELECT tableoid::regclass::text, count(*) FROM prodigy_hub.event GROUP BY 1 ORDER BY 1"
BEFORE, LATER = "prodigy_hub.event_before_2027", "prodigy_hub.event_2027_01"


def told(url, block):
    """Carry out a block of the page, with a month that begins tomorrow for the one that it names."""
    for name, days in (("2027-01-01", 1), ("2027-02-01", 32)):
        day = datetime.now(UTC) + timedelta(days)
        block = block.replace(f"'{name}Z'", f"'{day:%Y-%m-%d}Z'")
    commands = [one.strip() for one in block.split(";")]
    rows(url, *(one for one in commands if one not in ("", "BEGIN", "COMMIT")))


def record_later(store, *words):
    """Have events in the log that are of the month that comes."""
    day = datetime.now(UTC) + timedelta(9)
    lines = [
        json.dumps({
            "id": str(uuid.uuid4()), "timestamp": f"{day:%Y-%m-%dT%H:%M:%S.%fZ}", "type": "WordSaid",
            "event_type": "WordSaid", "job_id": JOB, "word": word,
        }, separators=(",", ":"))
        for word in words
    ]  # fmt: skip
    with (store.folder / f"events-{day:%Y%m%d}.jsonl").open("a") as log:
        log.writelines(f"{line}\n" for line in lines)


def test_events_by_month_are_shipped_and_pulled_once_and_old_ones_leave(hub_url, tmp_path):
    number = new_hub(hub_url)
    a, b, c = (Store(tmp_path / name, hub_url, number) for name in "abc")
    a.record("a1", "a2")
    assert (a.sync(), b.sync()) == ((2, 0), (0, 2))
    told(hub_url, BLOCKS[0])
    a.record("a3")
    record_later(a, "a4")
    b.record("b1")
    for one in (a, b, a):
        one.sync()
    assert a.ids() == b.ids() == sorted(one for _, one in on_hub(hub_url))
    assert rows(hub_url, TABLES) == [(LATER, 1), (BEFORE, 4)]
    # What is shipped once more, as after a loss of the cursors, is there once.
    rows(hub_url, f"DELETE FROM prodigy_hub.shipped WHERE host = '{a.where().host.id}'")
    record_later(a, "a5")
    assert a.ship() == 1
    assert rows(hub_url, TABLES) == [(LATER, 2), (BEFORE, 4)]

    told(hub_url, BLOCKS[1])
    assert (a.sync(), b.sync(), c.sync()) == ((0, 0), (0, 1), (0, 2))
    assert len(a.ids()) == len(b.ids()) == 6
    record_later(c, "c1")
    assert (c.sync(), a.sync(), b.sync(), c.sync()) == ((1, 0), (0, 1), (0, 1), (0, 0))
    assert rows(hub_url, TABLES) == [(LATER, 3)]
