"""What the gate takes out of text, and what it leaves: measured on 100 secrets and 10,000 lines."""

import json
import random
import re
import runpy
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_secrets import drawn, kinds, ordinary

from prodigy_git.record.suspicion import suspicious
from prodigy_git.redaction.gate import redact
from prodigy_git.store.redacted_output import Redacted


@pytest.mark.parametrize("seed", range(4))
def test_secrets_are_found(seed):
    found = [
        (kind, secret in redact(line), line) for kind, secret, line in kinds(random.Random(seed))
    ]
    assert len(found) >= 100
    assert len({kind for kind, _, _ in found}) >= 20
    missed = [(kind, line) for kind, there, line in found if there]
    assert len(missed) <= len(found) * 0.02, missed


def test_ordinary_lines_stay_as_they_are():
    changed = [line for line in ordinary(random.Random(1)) if redact(line) != line]
    assert len(changed) <= 10, changed[:20]


@pytest.mark.parametrize("seed", range(2))
def test_twice_is_as_good_as_once(seed):
    for _, _, line in kinds(random.Random(seed)):
        assert redact(redact(line)) == redact(line)


def test_the_rest_of_the_line_stays():
    assert redact("a https://u:s3cr3t-x@h/p b") == "a https://u:[redacted: url-password]@h/p b"
    assert redact("x\nDB_PASSWORD=abc123!\ny\n") == "x\nDB_PASSWORD=[redacted: named]\ny\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("bad key sk-" + 6 * "a1b2", "bad key [redacted: prefixed-token]"),
        ("ghp_" + 9 * "a1b2" + " expired", "[redacted: prefixed-token] expired"),
        ("password = 'open sesame' refused", "password = '[redacted: named]' refused"),
        ("password = 'enter your password'", "password = 'enter your password'"),
        ("token=" + 100 * "a1b2c3d4" + " is wrong", "token=[redacted: named] is wrong"),
        ("airtable: pat" + 7 * "a1" + "." + 16 * "a1b2" + " refused",
         "airtable: [redacted: airtable-personnal-access-token] refused"),
        ("+ curl -s -u me:s3cr3t! https://h/x", "+ curl -s -u me:[redacted: curl-user] https://h/x"),
        ("curl --user 'me:$PASSWORD' x", "curl --user 'me:$PASSWORD' x"),
        ('{"access_token": "a1b2c3d4e5f6"}', '{"access_token": "[redacted: named]"}'),
        ("401 for Authorization: Bearer abcdef0123456789",
         "401 for Authorization: Bearer [redacted: authorization]"),
        ('  + password             = "hunter2Zx!9q"', '  + password             = "[redacted: named]"'),
        ("  + password             = random_password.db2.result", None),
        ("Replace basic cli-table3 by basic python3.12", None),
        ("  api-key: ekVNSlhQcHFZZVpnZkxnTUFQTmc=", "  api-key: [redacted: named]"),
        ("<password>hunter2Zx!9q</password>", "<password>[redacted: element]</password>"),
        ("<key>com.apple.security</key> <token>1234567</token>", None),
        ('<add key="ApiKey" value="a1b2c3d4e5F6"/>',
         '<add key="ApiKey" value="[redacted: value-of-a-name]"/>'),
        ('{"name": "DB_PASSWORD", "value": "hunter2Zx!9q"}',
         '{"name": "DB_PASSWORD", "value": "[redacted: value-of-a-name]"}'),
        ('{"name": "token_count", "value": "1234567"}', None),
        ("?next=%2Fcb%3Faccess_token%3Da1b2c3d4e5f6g7%26x%3D1",
         "?next=%2Fcb%3Faccess_token%3D[redacted: named]%26x%3D1"),
        ("x%3Dsk_live_" + 4 * "a1B2" + "%26y", "x%3D[redacted: prefixed-token]%26y"),
        ("https://u:p%40ss9word!@h/p", "https://u:[redacted: url-password]@h/p"),
        ("search?q=a%20b%20c&sort=asc%2Cname", None),
        *((f"{before}npm_{9 * 'a1B2'}{behind}", f"{before}[redacted: npm-access-token]{behind}")
          for before, behind in (("(", ")"), ("?t=", "&b"), ('\\"', '\\"'), ("is ", "."), ("<", ">"))),
    ],
)  # fmt: skip
def test_examples(text, wanted):
    wanted = text if wanted is None else wanted
    assert redact(text) == wanted
    assert redact(wanted) == wanted
    assert suspicious(text) or text == wanted
    parts: list[bytes] = []
    stream = Redacted(parts.append, {})
    stream.add(f"{text}\n".encode())
    stream.close()
    assert b"".join(parts).decode() == f"{wanted}\n"


@pytest.mark.parametrize("seed", range(2))
def test_in_colours(seed):
    """A terminal's colours are no letters of what stands beside them, or within."""
    for _, secret, line in kinds(random.Random(seed)):
        at = line.index(secret)
        for inner in (secret, secret[:5] + "\x1b[0;1m" + secret[5:]):
            coloured = f"{line[:at]}\x1b[32m{inner}\x1b[m{line[at + len(secret) :]}"
            if secret in redact(line):
                continue
            found = redact(coloured)
            assert secret[5:] not in found, coloured
            assert redact(found) == found
            assert suspicious(coloured)


def test_each_pattern_of_the_file_is_one_of_re():
    repository = Path(__file__).parents[2]
    rules = json.loads((repository / "prodigy_git/redaction/gitleaks_rules.json").read_text())
    for name, _, pattern, *_ in rules["rules"]:
        re.compile(pattern)
        assert not re.search(r"\[:\^?\w+:", pattern), (
            name
        )  # a class of RE2's: `re` takes it for five letters
    made = runpy.run_path(str(repository / "tools/gitleaks_rules.py"))["python_pattern"]
    assert made(r"(?i)a[[:alnum:]_]|b\z") == r"(?i:a[A-Za-z0-9_])|(?i:b\Z)"
    with pytest.raises(ValueError, match="punct"):
        made("[[:punct:]]")


def test_values_of_variables_that_are_secret_by_name():
    env = {
        "MY_API_KEY": "tulip-under-glass",
        "TOKEN": "tulip",
        "PWD": "/home/u/work",
        "X": "plain text",
    }
    assert redact("tulip-under-glass, a tulip in /home/u/work: plain text", env) == (
        "[redacted: MY_API_KEY], a tulip in /home/u/work: plain text"
    )


@pytest.mark.parametrize(
    "value", ["pa$$w0rd-long", "tulip...glass9", "<angle-9-open", "my-tulip-glass", "{brace}d-9"]
)
def test_a_variables_value_is_no_placeholder(value):
    assert redact(f"no access with {value}", {"DB_PASSWORD": value}) == (
        "no access with [redacted: DB_PASSWORD]"
    )
    assert redact("password=pa$$w0rd-long") == "password=[redacted: named]"


@pytest.mark.parametrize("value", ["disabled", "/etc/ssl/private.key", "~/keys/tulip"])
def test_a_variables_word_or_path_stays(value):
    assert redact(f"it is {value}", {"DB_PASSWORD": value, "SSL_KEY": value}) == f"it is {value}"


def test_in_a_long_line_and_in_many_lines():
    """Whatever stands before and behind it, and wherever the line is cut to be looked at."""
    rng = random.Random(3)
    secret = "ghp_" + drawn(rng, 36)
    for before in (0, 2900, 2990, 3000, 3990, 4000, 6990, 50_000):
        text = "w " * (before // 2) + secret + " w" * 3000
        assert redact(text) == "w " * (before // 2) + "[redacted: github-pat]" + " w" * 3000
    many = "".join(f"line {number}\n" for number in range(3000))
    assert redact(many + secret + "\n" + many) == many + "[redacted: github-pat]\n" + many


@given(st.text(alphabet=string.printable, max_size=3000))
def test_any_text_is_taken(text):
    assert redact(redact(text)) == redact(text)
