"""What a hook takes for suspicious: all that the gate would change, and little of what it would not."""

import random
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_secrets import BASE64, HEX, drawn, kinds, ordinary

from prodigy_git.record import suspicion_words
from prodigy_git.record.suspicion import suspicious
from prodigy_git.redaction.gate import _rules, redact

REPOSITORY = Path(__file__).parents[2]


def missed(texts):
    return [text for text in texts if redact(text) != text and not suspicious(text)]


@pytest.mark.parametrize("seed", range(4))
def test_every_kind_of_secret_is_suspicious(seed):
    assert missed(line for _, _, line in kinds(random.Random(seed))) == []


NAMES = st.sampled_from(
    ["password", "passwd", "PASS_phrase", "OLDPWD", "SECRET_KEY_BASE", "token", "api_key", "apiKey",
     "key", "secrets", "token_b64", "db_password_v2", "--password", "--token", "--api-key",
     "sshpass\t-p", "curl -u ", "Authorization: ", "Bearer ", "Basic ", "cookie: ", "sessionid",
     "login ", "https://u", "?sig", "&code"]
)  # fmt: skip
SIGNS = st.text(alphabet="=:>\"' \\\t`", max_size=6)
VALUES = st.one_of(
    st.text(alphabet="ab1Z/+=-_.:@$;&? ſK٣İ\x1b[m", max_size=45),
    st.builds(
        lambda seed, size, letters: drawn(random.Random(seed), size, letters),
        st.integers(0, 10**6),
        st.integers(8, 60),
        st.sampled_from([HEX, BASE64, "abcdefg1"]),
    ),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.tuples(NAMES, SIGNS, VALUES), min_size=1, max_size=3))
def test_what_stands_behind_a_name(parts):
    text = "".join(map("".join, parts))
    assert missed([text]) == []


@pytest.mark.parametrize("part", range(4))
def test_each_rules_own_matches(part):
    """Whatever a rule's expression can match, drawn from the expression itself."""
    rules = _rules()[part::4]

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.data())
    def of(data):
        rule = data.draw(st.sampled_from(rules))
        match = data.draw(st.from_regex(re.compile(rule.pattern)))
        word = data.draw(st.sampled_from(rule.words or ("",)))
        for text in (match, f"{word} {match}", match.swapcase()):
            assert missed([text]) == []

    of()


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=300))
def test_any_text_is_taken(text):
    assert missed([text]) == []


def test_few_ordinary_lines_are():
    """They do go to the gate, which leaves them: it costs time only."""
    lines = list(ordinary(random.Random(1)))
    assert sum(map(suspicious, lines)) < len(lines) * 0.2


@pytest.mark.parametrize(
    "subject",
    [
        "fix(auth): token refresh loses the session",
        "Merge branch 'ab/config-key-is-valid' into main",
        'Revert "Passwords: ask twice" (#1234)',
        "tests: the secret is read from the environment, not from a file",
        "Merge pull request #3709 from someone/3215-flask-blueprint",
        "docs: see https://docs.example.org/a/long/path/to/some/page",
        "Keys of the cache have no token in them",
        "refactor(storage)!: key-value store",
        "Bump @types/node from 20.11.0 to 20.11.5",
        "prodigy_git/record/suspicion.py: what a hook can afford to ask",
    ],
)
def test_ordinary_subjects_are_not(subject):
    assert not suspicious(subject)


def test_the_words_are_those_of_the_rules():
    made = runpy.run_path(str(REPOSITORY / "tools/suspicion_words.py"))["source"]()
    assert made == Path(suspicion_words.__file__).read_text(), "python tools/suspicion_words.py"


def test_it_needs_no_module_of_the_standard_library():
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]);"
        "from prodigy_git.record.suspicion import suspicious;"
        "print(*sorted(set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(REPOSITORY)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [name for name in found if not name.startswith("prodigy_git")] == ["__future__"]


def test_a_long_text_takes_seconds():
    """What is before each name and behind its sign was copied, of all the text: minutes for this."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from prodigy_git.record.suspicion import suspicious;"
        "assert not suspicious('the key: token = os.environ[X] \\n' * 150_000)"
    )
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(REPOSITORY)], check=True, timeout=120
    )
