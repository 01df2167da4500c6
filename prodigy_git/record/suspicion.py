"""Whether a text may have a secret in it: what a hook can afford to ask of it.

The gate (`redaction.gate`) asks two hundred regular expressions; only to load it takes longer than
all that a hook does. Here is what no text lacks that the gate would change, asked by the plainest
means: a word, and a run of letters. It may say yes where the gate finds nothing, never no where it
finds something.
"""

from __future__ import annotations

from prodigy_git.record.suspicion_words import BESIDE, OPENING, WITHIN

SEPARATORS = "\"'`,;()<>[]{}|\\^!:@&?#$*"
"""What ends a run of letters, beside white space: no token of a known form has one of these."""
_RUNS = {
    **{ord(one): " " for one in SEPARATORS},
    # What a pattern that minds no case takes for an ASCII letter.
    0x130: "i", 0x131: "i", 0x17F: "s", 0x212A: "k",
}  # fmt: skip
_FOLDED = {code: letter for code, letter in _RUNS.items() if code > 127}
_SHORTEST = min(OPENING[0][0], WITHIN[0][0], BESIDE[0][0])
_DISCORD = 59
"""Letters of a bot's token: three parts with dots between, and no word."""
_REACH = 24_000
"""Letters round a name that the gate looks at: all that there are of a megabyte, for each of the names
in it, would take minutes."""


def suspicious(text: str) -> bool:
    """Whether the gate may find a secret in ``text``; where this is False, it finds none.

    That holds for what it knows by itself: values of an environment are not asked for.
    """
    if "\x1b[" in text:
        text = _plain(text)
    return _has_secret(text) or ("%" in text and _has_secret(_unescaped(text)))


def _has_secret(text: str) -> bool:
    folded = (text if text.isascii() else text.translate(_FOLDED)).lower()
    runs = [run for run in folded.translate(_RUNS).split() if len(run) >= _SHORTEST]
    return (
        (bool(runs) and _has_token(folded, runs))
        or _has_named(folded)
        or _is_said(text, folded)
        or ("@" in folded and _has_user(folded))
        or ("=" in folded and _has_parameter(folded))
        or _has_header(text, folded)
        or _has_other(folded)
    )


def _plain(text: str) -> str:
    """Return ``text`` without what colours it, and moves a terminal's cursor."""
    first, *parts = text.split("\x1b[")
    out = [first]
    for part in parts:
        rest = part.lstrip("0123456789:;<=>?").lstrip(" !\"#$%&'()*+,-./")
        out.append(rest[1:] if "@" <= rest[:1] <= "~" else f"\x1b[{part}")
    return "".join(out)


def _unescaped(text: str) -> str:
    """Return ``text`` with the letters that an address within another one has as numbers."""
    first, *parts = text.split("%")
    out = [first]
    for part in parts:
        code = part[:2].lower()
        known = len(code) == 2 and "2" <= code[0] <= "7" and code[1] in "0123456789abcdef"
        out.append(chr(int(code, 16)) + part[2:] if known else f"%{part}")
    return "".join(out)


def _has_token(folded: str, runs: list[str]) -> bool:
    """Whether there may be a token that is told by its form, or by its maker's name."""
    longest = max(map(len, runs))
    for least, words in BESIDE:
        if least > longest:
            break
        for word in words:
            if word in folded:
                return True
    for run in runs:
        size = len(run)
        for least, words in WITHIN:
            if least > size:
                break
            for word in words:
                if word in run:
                    return True
        if opens(run):
            return True
        if size >= _DISCORD and run.count(".") >= 2:
            return True
    return False


def opens(run: str) -> bool:
    """Whether a word of a run of small letters begins as a token does that has room there."""
    size = len(run)
    for least, words in OPENING:
        if least > size:
            break
        for word in words:
            if word in run and _begins(run, word):
                return True
    return False


def _begins(run: str, word: str) -> bool:
    """Whether ``word`` is in ``run`` with no ASCII letter or digit before it."""
    at = run.find(word)
    while at > 0 and (before := run[at - 1]) and (before == "_" or before.isalnum()):
        if not before.isascii():
            return True
        at = run.find(word, at + 1)
    return at >= 0


_NAMES = ("pass", "pwd", "_pw", "secret", "token", "key", "credential")
OF_KEYS = (
    "api", "access", "auth", "private", "encryption", "signing", "account", "master", "shared",
    "license", "storage", "consumer", "client", "service", "admin", "deploy", "webhook", "secret",
    "encrypt", "app", "hmac", "session", "jwt",
)  # fmt: skip
_ENDS = frozenset(
    ["", "word", "wort", "wd", "wt", "phrase"]
    + [f"{one}key{more}" for one in ("", "_", "-") for more in ("", "base", "_base", "-base")]
)
"""What of a name may stand behind one of `_NAMES`."""


def _has_named(folded: str) -> bool:
    """Whether something may stand behind a name: the gate's rules ``named`` and ``option``."""
    for word in _NAMES:
        at = folded.find(word)
        while at >= 0:
            end = at + len(word)
            between = folded[end : end + 64]
            signs = [place for sign in "=:" if (place := between.find(sign)) >= 0]
            if signs and _is_name(folded, word, at, between[: min(signs)]):
                sign = end + min(signs)
                line = folded[sign : sign + _REACH].partition("\n")[0]
                gap = folded[sign - 1].isspace()
                if _is_password(line, gap) if word[0] in "p_" else _is_key(line):
                    return True
            at = folded.find(word, end)
    if "--pass" in folded or "sshpass" in folded or "sonar.login" in folded:
        return True
    return "--" in folded and any(
        word in folded and _has_drawn(folded.partition(word)[2], 8)
        for word in ("--token", "--secret", "--api", "--auth", "--access", "--client")
    )


def _is_said(text: str, folded: str) -> bool:
    """Whether one may stand behind a name in a sentence: the gate's rule ``said``."""
    for word in ("password", "passphrase", "secret", "token", "key"):
        at = folded.find(word)
        while at >= 0:
            at += len(word)
            if folded[at : at + 1] in (" ", ":"):
                # Behind "for" whom and "is" at most.
                for part in text[at : at + 700].split(None, 6)[:6]:
                    if len(part) >= 12 and _has_digit(part) and not part.islower():
                        return True
            at = folded.find(word, at)
    return False


def _is_name(folded: str, word: str, at: int, rest: str) -> bool:
    """Whether ``word`` at ``at`` can be a secret's name, with the ``rest`` before a sign."""
    if word == "key" and not folded[max(0, at - _REACH) : at].rstrip("_- ").endswith(OF_KEYS):
        return False
    rest = rest.rstrip().rstrip("\"'`]\\")
    for ending in ("base64", "b64", "value"):
        if rest.endswith(ending):
            rest = rest[: -len(ending)]
            break
    else:
        while rest[-1:].isdigit():
            rest = rest[:-1]
        rest = rest.removesuffix("v")
    return rest.removesuffix("_").removesuffix("s") in _ENDS


def _is_password(line: str, gap: bool) -> bool:
    """Whether a password may stand at the begin of ``line``, behind its sign.

    ``gap``: there is a space before the sign.
    """
    value = line[1:].lstrip("=>")
    close = not value[:1].isspace()
    if close and (line[:2] == ":=" or (line[0] == "=" and not gap)):
        return len(line) >= 7
    value = value.lstrip()
    if value[:1] in ("\\", '"', "'", "`"):
        return line[0] == "=" or _is_mixed(value.partition(" ")[0])
    for end in " ,;&<>(){}|\\\"'`":
        value = value.partition(end)[0]
    return len(value) >= 6 and _is_mixed(value) and not _is_identifier(value)


def _is_mixed(value: str) -> bool:
    return not value.strip("\"'`.,:;!?-_\\").isalpha()


def _is_identifier(value: str) -> bool:
    """Whether ``value`` is letters with a dot or the like between them: code, or a word."""
    bare = value.translate({ord(one): None for one in "._:-"})
    ends = value[0].isalpha() and value[-1].isalpha()
    return ends and value.isascii() and bare.isalpha()


def _is_key(line: str) -> bool:
    """Whether a key may stand at the begin of ``line``, behind its sign: long, with a digit in it.

    Forty letters of base64 are one too.
    """
    quoted = any(mark in line[:8] for mark in "\"'`")
    parts = [line] if quoted else line.split(None, 2)[:2]  # the sign may stand alone
    return any(
        len(part) >= 40
        or (len(part) >= 10 and _has_digit(part))
        or (len(part) >= 16 and "=" in part[2:])
        for part in parts
    )


def _has_user(folded: str) -> bool:
    """Whether an address has a password before its host, or a token."""
    for part in folded.split("@")[:-1]:
        name, sign, last = part.rpartition(":")
        if sign and name and len(last) >= 12 and _has_digit(last) and " " not in last:
            return True
    for part in folded.split("://")[1:]:
        before, at, _ = part.partition("/")[0].rpartition("@")
        if at and (":" in before or len(before) >= 20):
            return True
    return False


def _has_parameter(folded: str) -> bool:
    """Whether a query or a cookie may have one."""
    for name in ("sig", "signature", "key", "code", "auth", "token", "credential", "secret"):
        for part in folded.split(f"{name}=")[1:]:
            if _has_drawn(part.partition("&")[0], 12):
                return True
    return "cookie" in folded and _has_drawn(folded, 12)


def _has_header(text: str, folded: str) -> bool:
    """Whether a header of HTTP may have one, or what is said of it."""
    for word in ("authorization", "bearer", "basic "):
        at = folded.find(word)
        if at < 0:
            continue
        for part in text[at + len(word) :].translate(_RUNS).split():
            if len(part) >= 8 and (_has_digit(part) or part[-1] == "="):
                return True
            if len(part) >= 16 and not part.islower():
                return True
    return False


def _has_other(folded: str) -> bool:
    """Whether there may be a key in lines, a password's hash, or what some programs take or print."""
    return (
        ("private key" in folded and "-----begin" in folded)
        or ("curl" in folded and ":" in folded and ("-u" in folded or "--user" in folded))
        or ("login" in folded and ("password" in folded or "-p " in folded))
        or ("-p" in folded and ("mysql" in folded or "mariadb" in folded))
        or ":5432:" in folded
        or ("value" in folded and _has_value(folded) and _has_name(folded))
        or ("</" in folded and _has_name(folded))
        or ("auth" in folded and any(mark in folded for mark in ('auth"', "auth'", "_auth")))
        or (
            "$" in folded
            and any(mark in folded for mark in ("$2", "$5$", "$6$", "$y$", "$apr1$", "$argon2"))
            and any(len(part) >= 22 for part in folded.split())
        )
    )


def _has_value(folded: str) -> bool:
    """Whether something in quotes is said to be a value."""
    return any(
        any(sign in part[:5] for sign in "=:") and any(quote in part[:10] for quote in "\"'")
        for part in folded.split("value")[1:]
    )


def _has_name(folded: str) -> bool:
    return any(word in folded for word in ("passw", "passphrase", "secret", "token", "key"))


def _has_drawn(text: str, least: int) -> bool:
    """Whether one of the parts of ``text`` is of ``least`` letters and has a digit."""
    return any(len(part) >= least and _has_digit(part) for part in text.split())


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))
