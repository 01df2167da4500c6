"""Settings files as people and programs write them: drawn ones, and some that look real."""

import json

from hypothesis import strategies as st

OTHERS = ["npx prettier --write", "/opt/tool/hook.sh // not a comment", 'say "done"', "a,b]}{["]


@st.composite
def blanks(draw, *, line=True):
    """Draw what may stand between two tokens."""
    parts = draw(
        st.lists(
            st.sampled_from(
                ["", " ", "  ", "\t", "\n", "\n  ", "\r\n", "// a comment, with } and ]\n",
                 "/* a\n comment */", "/**/", "// \u00e4 \"\n"]
            ),
            max_size=2,
        )
    )  # fmt: skip
    return "".join(parts)


@st.composite
def separated(draw, opening, parts, closing):
    """Draw a container of these parts: with a trailing comma or without."""
    text = opening
    for number, part in enumerate(parts):
        text += draw(blanks()) + part + draw(blanks())
        if number < len(parts) - 1 or draw(st.integers(0, 4)) == 0:
            text += ","
    return text + draw(blanks()) + closing


@st.composite
def members(draw, pairs):
    return draw(
        separated(
            "{", [f"{json.dumps(k)}{draw(blanks())}:{draw(blanks())}{v}" for k, v in pairs], "}"
        )
    )


scalars = st.sampled_from(
    [
        '"x"',
        '"\\u00e9\\n"',
        "1",
        "1.0",
        "1.50e+3",
        "-0",
        "true",
        "null",
        '"// no"',
        '"/* no */"',
        '"}"',
        '""',
    ]
)


def values(depth=2):
    if not depth:
        return scalars
    inner = values(depth - 1)
    keys = st.sampled_from(["a", "b", "b", "hooks", "version", "é"])
    return st.one_of(
        scalars,
        st.lists(inner, max_size=3).flatmap(lambda some: separated("[", some, "]")),
        st.lists(st.tuples(keys, inner), max_size=3).flatmap(members),
    )


@st.composite
def handler(draw, flat):
    pairs = [("command", json.dumps(draw(st.sampled_from(OTHERS))))]
    if not flat:
        pairs.insert(0, ("type", '"command"'))
    if draw(st.booleans()):
        pairs.append(("timeout", "5.0"))
    return draw(members(pairs))


@st.composite
def group(draw, flat):
    if flat:
        return draw(handler(True))
    several = draw(st.lists(handler(False), max_size=2))
    pairs = [("hooks", draw(separated("[", several, "]")))]
    if draw(st.booleans()):
        pairs.insert(0, ("matcher", '"Edit|Write"'))
    return draw(members(pairs))


@st.composite
def settings(draw, events, *, flat=False):
    """Draw a settings file with hooks of others, at our events and at their own, or without any."""
    keys = st.sampled_from(["model", "permissions", "env", "env", "$schema"])
    pairs = draw(st.lists(st.tuples(keys, values()), max_size=3))
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from([*events, "Other", "enabled"]), max_size=4))
        inner = []
        for name in names:
            some = draw(st.lists(group(flat), max_size=3))
            inner.append((name, draw(separated("[", some, "]"))))
        hooks = ("hooks", draw(members(inner)))
        pairs.insert(draw(st.integers(0, len(pairs))), hooks)
    mark = draw(st.sampled_from(["", "", "", "\ufeff"]))
    return mark + draw(blanks()) + draw(members(pairs)) + draw(blanks())
