"""What transcripts tell of tokens, summed: exactly once, in whichever order and pieces it is read."""

import json
import os
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_transcripts import SAMPLES, answer

from prodigy_git import layout
from prodigy_git.transcripts import token_sums
from prodigy_git.transcripts.plain import Source

NONE = (0, 0, 0)
SUMS = {
    # model: input, output, cache read, cache write, of that for an hour
    "claude.jsonl": {"claude-opus-4-5-20251101": (15, 160, 3000, 3000, 400)},
    "claude-subagent.jsonl": {
        "claude-haiku-4-5-20251001": (100, 7, *NONE),
        "claude-opus-4-5-20251101": (10, 120, 500, 2000, 0),
    },
    "codex.jsonl": {"gpt-5.2-codex": (2750, 425, 750, 0, 0)},
    "codex-old.jsonl": {},
    "codex-fork.jsonl": {"gpt-5.2-codex": (100, 10, 900, 0, 0)},
    "gemini.jsonl": {"gemini-2.5-pro": (600, 50, 400, 0, 0), "gemini-2.5-flash": (110, 5, *NONE)},
    "copilot.jsonl": {"claude-sonnet-4.5": (500, 100, 4000, 500, 0), "gpt-5": (10, 5, *NONE)},
}  # fmt: skip
SUMS["gemini.json"] = SUMS["gemini.jsonl"]


def ask(store, *paths, began=0, broken=None):
    sources = [Source(str(path), None, began) for path in paths]
    return token_sums.of_files(str(store), sources, ([] if broken is None else broken).append)


def by_model(found):
    total = {}
    for one in found.values():
        for each in one.sums:
            before = total.get(each.model, (0,) * 5)
            total[each.model] = tuple(a + b for a, b in zip(before, each[1:6], strict=True))
    return total


@pytest.mark.parametrize("name", SUMS)
def test_each_program_counts_as_it_says(tmp_path, name):
    broken = []
    found = ask(tmp_path, SAMPLES / name, broken=broken)
    assert by_model(found) == SUMS[name]
    assert broken == []
    assert not found[str(SAMPLES / name)].partial


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(SUMS.keys() - {"gemini.json"})), data=st.data())
def test_however_it_grows_the_sum_is_that_of_the_whole(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("grows")
    whole = (SAMPLES / name).read_bytes()
    at, path = 0, folder / "t.jsonl"
    for cut in sorted({*data.draw(st.lists(st.integers(0, len(whole)), max_size=6)), len(whole)}):
        with path.open("ab") as stream:
            stream.write(whole[at:cut])
        at = cut
        found = ask(folder, path)
        if data.draw(st.booleans()):
            os.unlink(layout.tokens(str(folder)))  # derived: it may go any time
    assert by_model(ask(folder, path)) == SUMS[name]
    assert by_model(found) == SUMS[name]


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_copies_count_once_in_whichever_order_they_are_read(tmp_path_factory, data):
    """Sessions that were resumed and forked: each file begins with a part of another."""
    folder = tmp_path_factory.mktemp("copies")
    files, made = [], 0
    for number in range(data.draw(st.integers(1, 4))):
        before = data.draw(st.sampled_from(files))[1] if files else []
        kept = before[: data.draw(st.integers(0, len(before)))]
        own = list(range(made, made + data.draw(st.integers(0, 4))))
        made += len(own)
        path = folder / f"{number}.jsonl"
        path.write_text("".join(answer(one) for one in [*kept, *own]))
        files.append((path, [*kept, *own], own))
    sources = {path: Source(str(path), None, number) for number, (path, _, _) in enumerate(files)}
    order = data.draw(st.permutations([path for path, _, _ in files]))
    for path in order:
        token_sums.of_files(str(folder), [sources[path]], print)
    found = token_sums.of_files(str(folder), sources.values(), print)
    whose = {path: sum(one.input for one in found[str(path)].sums) for path, _, _ in files}
    assert whose == {path: len(own) for path, _, own in files}


def test_an_answer_has_the_largest_figures_of_its_lines(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        answer(1, usage={"output_tokens": 1}) + answer(1, usage={"output_tokens": 30})
        + answer(1, usage={"output_tokens": 7}) + answer(2, usage={"output_tokens": 5})
    )  # fmt: skip
    assert by_model(ask(tmp_path, path)) == {"claude-x": (2, 35, *NONE)}
    with path.open("a") as stream:
        stream.write(answer(2, usage={"output_tokens": 6}))
    assert by_model(ask(tmp_path, path)) == {"claude-x": (2, 36, *NONE)}


def test_one_message_of_two_requests_is_two_but_not_in_a_side_question(tmp_path):
    main, side = tmp_path / "main.jsonl", tmp_path / "side.jsonl"
    main.write_text(answer(1) + answer(1, requestId="another"))
    side.write_text(answer(1, requestId="side", isSidechain=True) + answer(2, isSidechain=True))
    assert by_model(ask(tmp_path, side)) == {"claude-x": (2, 20, *NONE)}
    assert by_model(ask(tmp_path, main, side)) == {"claude-x": (3, 30, *NONE)}
    assert by_model(ask(tmp_path, side)) == {"claude-x": (1, 10, *NONE)}


def test_answers_without_any_id_count_each(tmp_path):
    path = tmp_path / "t.jsonl"
    lines = [json.loads(answer(number)) for number in range(3)]
    for line in lines:
        del line["message"]["id"], line["uuid"], line["requestId"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert by_model(ask(tmp_path, path)) == {"claude-x": (3, 30, *NONE)}


def test_what_an_answer_says_it_cost_is_kept_apart(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        answer(1, costUSD=0.25) + answer(2) + answer(3, costUSD=0.5) + answer(4, costUSD="x")
    )
    sums = ask(tmp_path, path)[str(path)].sums
    assert sorted((one.input, one.cost or 0) for one in sums) == [(2, 0), (2, 750_000)]


def test_a_fast_answer_is_another_model(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(answer(1) + answer(2, usage={"speed": "fast"}))
    assert set(by_model(ask(tmp_path, path))) == {"claude-x", "claude-x-fast"}


def test_a_file_that_is_written_anew_counts_as_it_is_now(tmp_path):
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text("".join(map(answer, range(10))))
    other.write_text("".join(map(answer, range(8))))
    assert by_model(ask(tmp_path, one, other)) == {"claude-x": (10, 100, *NONE)}
    one.write_text(answer(0))  # in place
    assert by_model(ask(tmp_path, one, other)) == {"claude-x": (8, 80, *NONE)}
    assert by_model(ask(tmp_path, one, other)) == {"claude-x": (8, 80, *NONE)}
    longer = "".join(map(answer, range(20, 40)))
    one.write_text(longer)
    assert by_model(ask(tmp_path, one, other)) == {"claude-x": (28, 280, *NONE)}


def test_only_what_is_new_is_read(tmp_path, monkeypatch):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(answer(n, filler="x" * 1000) for n in range(3000)))
    ask(tmp_path, path)
    read = []
    pread = os.pread
    monkeypatch.setattr(
        os, "pread", lambda fd, size, at: (read.append(size), pread(fd, size, at))[1]
    )
    ask(tmp_path, path)
    assert read == []
    with path.open("a") as stream:
        stream.write(answer(3000))
    assert by_model(ask(tmp_path, path)) == {"claude-x": (3001, 30010, *NONE)}
    assert sum(read) < 5000


def test_a_transcript_that_is_gone_still_counts(tmp_path):
    path, never = tmp_path / "t.jsonl", tmp_path / "never.jsonl"
    path.write_text(answer(1))
    ask(tmp_path, path)
    path.unlink()
    broken = []
    found = ask(tmp_path, path, never, broken=broken)
    assert by_model(found) == {"claude-x": (1, 10, *NONE)}
    assert {one.partial for one in found.values()} == {True}
    assert broken == []


@pytest.mark.parametrize("kind", ["fifo", "damaged"])
def test_what_cannot_be_read_is_told_and_partial(tmp_path, kind):
    path = tmp_path / "t.jsonl"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text(answer(1) + '{"usage":\n{"usage": 2\n' + answer(2))
    broken = []
    found = ask(tmp_path, path, broken=broken)
    assert found[str(path)].partial
    assert by_model(found) == ({} if kind == "fifo" else {"claude-x": (2, 20, *NONE)})
    assert len(broken) == 1
    # Also for who asks when nothing of it is read any more.
    assert ask(tmp_path, path)[str(path)].partial


@pytest.mark.parametrize(
    "how", ["garbage", "empty", "cut", "tables", "state", "folder", "link", "fifo"]
)
def test_a_damaged_file_of_sums_is_made_anew_or_done_without(tmp_path, how):
    path, sums = tmp_path / "t.jsonl", tmp_path / "tokens.sqlite"
    path.write_text(answer(1))
    ask(tmp_path, path)
    with path.open("a") as stream:
        stream.write(answer(2))
    if how == "garbage":
        sums.write_bytes(b"no database" * 1000)
    elif how == "empty":
        sums.write_bytes(b"")
    elif how == "cut":
        sums.write_bytes(sums.read_bytes()[:5000])
    elif how in ("tables", "state"):
        with sqlite3.connect(sums) as connection:
            connection.execute(
                "DROP TABLE uses" if how == "tables" else "UPDATE files SET state = '{', form = 'x'"
            )
    else:
        sums.unlink()
        if how == "folder":
            sums.mkdir()
        elif how == "fifo":
            os.mkfifo(sums)
        else:
            (tmp_path / "elsewhere").write_text("not ours")
            sums.symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        assert by_model(ask(tmp_path, path)) == {"claude-x": (2, 20, *NONE)}
    if how == "link":
        assert (tmp_path / "elsewhere").read_text() == "not ours"


def test_where_nothing_can_be_written_it_is_worked_out(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(answer(1))
    assert by_model(ask("/proc", path)) == {"claude-x": (1, 10, *NONE)}


def test_who_waits_too_long_works_it_out(tmp_path, monkeypatch):
    monkeypatch.setattr(token_sums, "_PATIENCE", 0.01)
    path = tmp_path / "t.jsonl"
    path.write_text(answer(1))
    ask(tmp_path, path)
    with path.open("a") as stream:
        stream.write(answer(2))
    holder = sqlite3.connect(tmp_path / "tokens.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert by_model(ask(tmp_path, path)) == {"claude-x": (2, 20, *NONE)}
    holder.execute("ROLLBACK")
    holder.close()


def test_many_at_once_count_each_answer_once(tmp_path):
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_text("".join(map(answer, range(number * 50, number * 50 + 100))))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ask(tmp_path, *paths), range(8)))
    assert by_model(ask(tmp_path, *paths)) == {"claude-x": (350, 3500, *NONE)}


def test_no_more_is_remembered_than_there_is_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr(token_sums, "_MOST", 100)
    paths = []
    for number in range(5):
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_text("".join(map(answer, range(number * 40, number * 40 + 40))))
        assert by_model(ask(tmp_path, paths[-1])) == {"claude-x": (40, 400, *NONE)}
    with sqlite3.connect(tmp_path / "tokens.sqlite") as connection:
        (count,) = connection.execute("SELECT count(*) FROM uses").fetchone()
        assert count <= 100
    assert by_model(ask(tmp_path, paths[0])) == {"claude-x": (40, 400, *NONE)}


def test_a_fork_counts_its_own_and_the_repeated_count_once(tmp_path):
    found = ask(tmp_path, SAMPLES / "codex.jsonl", SAMPLES / "codex-fork.jsonl")
    assert by_model(found) == {"gpt-5.2-codex": (2850, 435, 1650, 0, 0)}


def test_codex_without_last_usage_and_after_a_new_beginning(tmp_path):
    def count(total, second):
        usage = {"input_tokens": total, "cached_input_tokens": 0, "output_tokens": total}
        return {
            "timestamp": f"2026-11-02T10:00:{second:02}Z", "type": "event_msg",
            "payload": {"type": "token_count", "info": {"total_token_usage": usage}},
        }  # fmt: skip

    path = tmp_path / "rollout.jsonl"
    path.write_text(
        "".join(json.dumps(count(*one)) + "\n" for one in ((10, 1), (30, 2), (30, 3), (5, 4)))
    )
    assert by_model(ask(tmp_path, path)) == {"unknown": (35, 35, *NONE)}


def test_copilot_that_keeps_answers_is_not_counted_by_runs_too(tmp_path):
    path = tmp_path / "events.jsonl"
    usage = {"model": "gpt-5", "inputTokens": 100, "outputTokens": 20, "cacheReadTokens": 30}
    answers = [
        {"type": "assistant.usage", "id": f"e{number}", "data": usage} for number in (1, 2, 2)
    ]
    end = {
        "type": "session.shutdown",
        "id": "z",
        "data": {"modelMetrics": {"gpt-5": {"usage": usage}}},
    }
    path.write_text("".join(json.dumps(one) + "\n" for one in [*answers, end]))
    assert by_model(ask(tmp_path, path)) == {"gpt-5": (140, 40, 60, 0, 0)}


def test_figures_that_can_be_none_count_as_none(tmp_path):
    path = tmp_path / "t.jsonl"
    strange = (-5, 1 << 60, "7", None, True, 2.5, [3], {"a": 1}, 4.0)
    lines = [answer(n, usage={"input_tokens": one}) for n, one in enumerate(strange)]
    path.write_text("".join(lines))
    assert by_model(ask(tmp_path, path)) == {"claude-x": (4, 90, *NONE)}


def test_the_file_of_sums_is_the_owners_alone(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(answer(1))
    ask(tmp_path, path)
    kinds = Counter(one.stat().st_mode & 0o777 for one in tmp_path.glob("tokens.sqlite*"))
    assert set(kinds) == {0o600}


def test_more_tokens_than_there_can_be_are_no_sum_too_large(store, tmp_path):
    path = tmp_path / "t.jsonl"
    most = (1 << 48) - 1
    path.write_text("".join(
        f'{{"uuid":"{number}","message":{{"model":"m","usage":{{"input_tokens":{most},"output_tokens":1}}}}}}\n'
        for number in range(1 << 15 | 1)
    ))  # fmt: skip
    assert [one[:3] for one in ask(store, path)[str(path)].sums] == [("m", 0, 1 << 15 | 1)]
