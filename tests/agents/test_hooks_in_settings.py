"""Our hooks in settings of any form: once, as they should be, and out again without a trace."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from support_settings import blanks, settings, values

from prodigy_git.agents import calls, entries, hooks_in_json, jsonc, programs, splicing
from prodigy_git.agents.undo_notes import State
from prodigy_git.errors import ProdigyError

GROUPS = (programs.CLAUDE, programs.CODEX, programs.GEMINI)
FLAT = (programs.CURSOR, programs.COPILOT)


def drawn(*which):
    def of(program):
        events = [one.event for one in program.hooks]
        flat = program.shape == "flat"
        return st.tuples(st.just(program), settings(events, flat=flat))

    return st.sampled_from(which).flatmap(of)


def commands(text, program):
    """Return the commands of ours in a text by event, and all commands of others in their order."""
    ours, others = {}, []
    for one in entries.found(program, jsonc.parse(text)):
        if calls.is_ours(one.command()):
            ours.setdefault(one.event, []).append(one.command())
        else:
            others.append((one.event, one.value))
    return ours, others


@given(drawn(*GROUPS, *FLAT))
@how(max_examples=60, deadline=None)
def test_what_is_put_in_comes_out_to_the_byte(drawing):
    program, text = drawing
    result = hooks_in_json.installed(text, program, "user", "settings.json")
    ours, others = commands(result.text, program)
    wanted = {one.event for one in program.hooks} - set(result.taken)
    assert {event: len(some) for event, some in ours.items()} == dict.fromkeys(wanted, 1)
    assert others == commands(text, program)[1]
    state = State("", result.spans, result.made, False)
    assert state.original(result.text) == text
    again = hooks_in_json.installed(result.text, program, "user", "settings.json")
    assert again.text == result.text


@given(drawn(*GROUPS, *FLAT))
@how(max_examples=60, deadline=None)
def test_without_a_note_what_is_of_others_stays(drawing):
    program, text = drawing
    with_ours = hooks_in_json.installed(text, program, "user", "settings.json").text
    left = hooks_in_json.uninstalled(with_ours, program, "settings.json", None).text
    assert commands(left, program) == ({}, commands(text, program)[1])
    assert hooks_in_json._others(program, jsonc.parse(left)) == hooks_in_json._others(
        program, jsonc.parse(text)
    )
    # A second time there is nothing to take out, and what is left is never touched.
    assert hooks_in_json.uninstalled(left, program, "settings.json", None).text == left
    comments = [
        part for part in ("// a comment, with } and ]", "/* a\n comment */") if part in text
    ]
    assert all(left.count(one) == text.count(one) for one in comments)


@given(drawn(programs.CLAUDE, programs.CURSOR), st.sampled_from(["/old/python", "/o t/py"]))
@how(max_examples=30, deadline=None)
def test_earlier_commands_of_ours_are_replaced(drawing, before):
    program, text = drawing
    now = hooks_in_json.installed(text, program, "user", "settings.json")
    import sys

    old = now.text.replace(sys.executable, before)
    assert old != now.text
    again = hooks_in_json.installed(old, program, "user", "settings.json", now.made)
    assert again.text == now.text
    assert again.spans is None


@given(values(), blanks(), blanks())
@how(max_examples=80, deadline=None)
def test_the_parser_reads_what_a_parser_of_json_reads(text, before, after):
    root = jsonc.parse(before + text + after)
    assert (before + text + after)[root.start : root.end] == text
    try:
        plain = json.loads(text, parse_int=str, parse_float=str)
    except ValueError:
        return  # it has comments, or a trailing comma
    assert root.value() == plain


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,,2]", "{'a': 1}", "{a: 1}", '{"a" 1}', '{"a": 1} x', "[01]", '["\t"]', '["\\x"]',
     "[1 2]", "/* a", '{"a": /* b */}', "[,]", "nul", "[" * 100000, '{"a": NaN}', '"a'],
)  # fmt: skip
def test_what_is_no_json_is_said_with_its_place(text):
    with pytest.raises(jsonc.Broken, match=r"^line \d+, column \d+: "):
        jsonc.parse(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "it is no object"),
        ('{"hooks": []}', '"hooks" is no object'),
        ('{"hooks": {"Stop": {}}}', '"hooks.Stop" is no array'),
        ('{"hooks": {"Stop": ["x"]}}', r'"hooks.Stop\[0\]" is no object'),
        ('{"hooks": {"Stop": [{"command": "x"}]}}', r'"hooks.Stop\[0\]" has no array "hooks"'),
    ],
)
def test_another_shape_is_refused(text, what):
    with pytest.raises(ProdigyError, match=what):
        hooks_in_json.installed(text, programs.CLAUDE, "user", "settings.json")
    left = hooks_in_json.uninstalled(text, programs.CLAUDE, "settings.json", None)
    assert left.text == text


def test_it_is_written_as_the_file_is_written():
    lines = [
        "{",
        '\t"model": "opus",',
        '\t"hooks": {',
        '\t\t"Stop": [',
        '\t\t\t{"hooks": []}',
        "\t\t]",
        "\t}",
        "}",
    ]
    text = "\r\n".join(lines)
    after = hooks_in_json.installed(text, programs.CLAUDE, "user", "settings.json").text
    assert "\n" not in after.replace("\r\n", "")
    assert after.endswith("\r\n}")
    assert "    " not in after
    minified = '{"model":"opus","hooks":{"Stop":[]}}'
    after = hooks_in_json.installed(minified, programs.CLAUDE, "user", "settings.json").text
    assert "\n" not in after
    assert '": ' not in after


def test_a_tool_of_another_is_alone_at_worktree_create():
    other = {"hooks": {"WorktreeCreate": [{"hooks": [{"type": "command", "command": "wt new"}]}]}}
    result = hooks_in_json.installed(json.dumps(other), programs.CLAUDE, "user", "settings.json")
    assert result.taken == ("WorktreeCreate",)
    assert commands(result.text, programs.CLAUDE)[0].keys() == (
        {one.event for one in programs.CLAUDE.hooks} - {"WorktreeCreate"}
    )


def test_a_call_that_somebody_wrote_stays_and_is_not_doubled():
    own = "LANG=C prodigy-git agent-hook claude Stop | tee /tmp/log"
    text = json.dumps({"hooks": {"Stop": [{"hooks": [{"type": "command", "command": own}]}]}})
    result = hooks_in_json.installed(text, programs.CLAUDE, "user", "settings.json")
    assert result.by_hand == ("Stop",)
    assert "Stop" not in commands(result.text, programs.CLAUDE)[0]
    left = hooks_in_json.uninstalled(result.text, programs.CLAUDE, "settings.json", None)
    assert json.loads(left.text) == json.loads(text)


@pytest.mark.parametrize(
    ("command", "by_hand"),
    [
        ("'/home/a b/bin/prodigy-git' agent-hook claude Stop", True),
        ("python3 -m prodigy_git agent-hook claude Stop", True),
        ("sh /x/hooks/agent-hook.sh /usr/bin/python3 claude Stop; true", True),
        ("set -- '/a b/python' claude Stop /x/agent-hook.sh; . /x/agent-hook.sh; true", True),
        ("~/.claude/hooks/agent-hook.sh", False),
        ("~/.claude/hooks/agent-hook.sh Stop", False),
        ("bash ~/.tool/agent-hook.sh claude Stop", False),
        ("TOOL=claude /opt/tool/agent-hook.sh --event Stop", False),
    ],
)
def test_a_script_of_another_tool_that_is_called_as_ours_is_not_ours(command, by_hand):
    text = json.dumps({"hooks": {"Stop": [{"hooks": [{"type": "command", "command": command}]}]}})
    result = hooks_in_json.installed(text, programs.CLAUDE, "user", "settings.json")
    assert result.by_hand == (("Stop",) if by_hand else ())
    assert ("Stop" in commands(result.text, programs.CLAUDE)[0]) is not by_hand


def test_ours_among_handlers_of_others_go_alone():
    mine = calls.text(programs.CLAUDE, programs.Hook("Stop"), "user")
    group = {"hooks": [{"type": "command", "command": one} for one in ("a", mine, "b")]}
    text = json.dumps(
        {"hooks": {"Stop": [group], "Gone": [{"hooks": [group["hooks"][1]]}]}}, indent=1
    )
    left = hooks_in_json.uninstalled(text, programs.CLAUDE, "settings.json", None).text
    rest = json.loads(left)
    assert [one["command"] for one in rest["hooks"]["Stop"][0]["hooks"]] == ["a", "b"]
    assert list(rest["hooks"]) == ["Stop"]


def test_numbers_and_keys_stay_as_they_are_written():
    text = '{"a": 1.50e+3, "a": 0.10, "hooks": {"enabled": true}}'
    after = hooks_in_json.installed(text, programs.GEMINI, "user", "settings.json").text
    assert after.startswith('{"a": 1.50e+3, "a": 0.10, "hooks": {"enabled": true')
    document = json.loads(after)
    assert document["hooks"]["AfterTool"][0]["hooks"][0]["timeout"] == 10000


def test_a_comment_behind_what_goes_does_not_swallow_what_comes_next():
    text = '{"a": [ // one\n 1, 2]}'
    root = jsonc.parse(text)
    array = root.elements[0].node
    after = splicing.apply(text, splicing.without(text, array, [array.elements[0]]))
    assert jsonc.parse(after).value() == {"a": ["2"]}
