"""What a job's items are read from, and what is refused."""

import json
import re
import tempfile

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import items


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        (
            b'[{"id": "a"}, {"id": 7}, 1]',
            None,
            [("a", {"id": "a"}), ("7", {"id": 7}), ("item-3", 1)],
        ),
        (
            b'{"id": "a"}\n\n{"item_id": "b"}\r\n',
            None,
            [("a", {"id": "a"}), ("b", {"item_id": "b"})],
        ),
        (b"\xef\xbb\xbf1\n2", None, [("item-1", 1), ("item-2", 2)]),
        (b'{"files": ["x", "y"]}', "$.files", [("item-1", "x"), ("item-2", "y")]),
        (b'{"files": ["x", "y"]}', "$.files[*]", [("item-1", "x"), ("item-2", "y")]),
        (b'{"a": [{"n": 1}, {"n": 2}]}', "$.a[?@.n > 1]", [("item-1", {"n": 2})]),
        (b'[{"id": "src/a.py"}]', None, [("item-1", {"id": "src/a.py"})]),
        (b'[{"id": true}]', None, [("item-1", {"id": True})]),
        (b'[{"id": "item-2"}, {}]', None, [("item-2", {"id": "item-2"}), ("item-2-1", {})]),
    ],
)
def test_what_is_read(text, path, expected):
    assert items.parse(text, path, where="f") == expected


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        (b"[1,", None, "f: not JSON"),
        (b"1\n{\n", None, "f:2: not JSON"),
        (b"\xff", None, "not UTF-8 at byte 0"),
        (b"[]", None, "no items"),
        (b"\n", None, "no items"),
        (b'[{"id": "a"}, 1, {"id": "a"}]', None, "items 1 and 3 have the same id, a"),
        (b"{}", "$.[", "--json-path"),
        (b"{}", "$.x[*]", "no items"),
        (b'[{"id": "a", "t": ["\\ud83d"]}]', None, r"f: item a: 't[0]' has half of a UTF-16 pair"),
        (b'{"id": "a"}\n"\\udc00"', None, "f: item item-2 has half of a UTF-16 pair"),
        (b'{"x": [{"\\ud800": 1}]}', "$.x[*]", "item item-1: the name of a field has half"),
        (b"[NaN]", None, "item item-1: JSON has no form for nan"),
        (b"[[-Infinity]]", None, "JSON has no form for -inf"),
        (b"1e999", None, "JSON has no form for inf"),
        (b"[" + b"[" * 150 + b"]" * 150 + b"]", None, "item item-1 is nested more than 100 levels"),
        (b"[" * 990 + b"]" * 990, None, "f: nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, None, "f: nested too deeply"),
        (b"1\n" + b"[" * 990 + b"]" * 990, None, "f:2: nested too deeply"),
    ],
)
def test_what_is_refused(text, path, said):
    with pytest.raises(ProdigyError, match=re.escape(said)):
        items.parse(text, path, where="f")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=1, max_size=6))
def test_what_is_written_is_read_back(scratch, data):
    store = tempfile.mkdtemp(dir=scratch)
    ids = [one.get("id", one.get("item_id")) for one in data if isinstance(one, dict)]
    assume(len(set(map(str, ids))) == len(ids))
    found = items.parse(json.dumps(data).encode(), None, where="f")
    assert [one for _, one in found] == data
    assert all(names.is_safe(name) for name, _ in found)
    assert len({name for name, _ in found}) == len(found)
    items.write(store, "r", "j", found)
    path = layout.items(store, "r", "j")
    back = [
        (one.name, items.data_at(path, one.name, one.offset, one.length))
        for one in items.read(path)
    ]
    assert back == found
