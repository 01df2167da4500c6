"""What ``--result`` and ``--items`` take: what an item yielded, and a job's items."""

import sys
from typing import Any

import click


def read(text: str | None) -> Any:
    """Return the value that ``--result`` gives, as JSON or as ``@FILE``; None where it is not given.

    Raises `click.BadParameter` for what is no JSON, `ProdigyError` for what the log cannot hold.
    """
    from prodigy_git.jobs import checked_input
    from prodigy_git.record import files, jsonline

    if text is None:
        return None
    try:
        if text.startswith("@"):
            return checked_input.result(jsonline.decode(files.read(text[1:]).decode("utf-8-sig")))
        return checked_input.result(jsonline.decode(text))
    except OSError as error:
        raise click.BadParameter(f"{text[1:]}: {error.strerror}", param_hint="--result") from error
    except ValueError as error:
        raise click.BadParameter(
            f"not JSON ({error}): give a JSON value, as '\"done\"', or @FILE", param_hint="--result"
        ) from error


def text_of(source: str) -> bytes:
    """Return what ``--items`` names: a file, or ``-`` for stdin. Raises `click.BadParameter`."""
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        with open(source, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise click.BadParameter(f"{source}: {error.strerror}", param_hint="--items") from error
