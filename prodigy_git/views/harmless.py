"""Foreign text, from a repository or a log, made harmless before a terminal gets it."""

import unicodedata


def clean(text: object) -> str:
    """Return ``text`` on one line, with control, format and surrogate characters shown as escapes."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        c if c == " " or (c.isprintable() and unicodedata.category(c) != "Cf") else _escape(c)
        for c in shown
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
