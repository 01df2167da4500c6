"""Blocks of a log's lines: read at once where all are as we write them, and else not at all."""

import msgspec
import pytest

from prodigy_git.model import blocks
from prodigy_git.model.event import Event

DECODE = msgspec.json.Decoder(Event).decode_lines
STAMP = "2026-01-11T12:00:00.000001Z"


def line(kind: str = "AgentStarted", stamp: str = STAMP, more: str = "") -> str:
    return f'{{"type":"{kind}","event_type":"{kind}","timestamp":"{stamp}"{more}}}\n'


def test_lines_of_ours_are_read_at_once() -> None:
    found = blocks.decoded((line() + line("JobStarted")).encode(), DECODE, 800)
    assert found is not None
    assert [one.type for one in found] == ["AgentStarted", "JobStarted"]


@pytest.mark.parametrize(
    "other",
    [
        line(stamp="2026-01-11T12:00:00Z"), line(stamp="2026-01-11T12:00:00.000001+01:00"),
        line("agent_started"), line(""), line().replace('"event_type":"AgentStarted",', ""),
        line(more=f',"x":"{"y" * 800}"'), line(more=',"x":"ü"'), "\n", "not JSON\n",
        line().replace("\n", "") + line(),  # two values on a line
        line().replace(",", ",\n", 1),  # one value on two
        line()[:-1],
    ],
)  # fmt: skip
def test_one_other_line_makes_the_block_one_for_the_slow_way(other: str) -> None:
    assert blocks.decoded((line() + other).encode(), DECODE, 800) is None


def test_a_line_may_be_as_long_as_that() -> None:
    rest = 800 - len(line(more=',"x":""'))
    at_most = line(more=f',"x":"{"y" * rest}"').encode()
    assert len(at_most) == 800
    assert blocks.decoded(line().encode() + at_most, DECODE, 800) is not None
    assert blocks.decoded(line().encode() + at_most, DECODE, 799) is None
