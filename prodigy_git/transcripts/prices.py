"""What tokens cost: prices are what git's configuration says, none is built in.

``git config prodigy.price.MODEL INPUT/OUTPUT[/CACHE_READ[/CACHE_WRITE[/CACHE_WRITE_1H]]]``, in dollars
for a million tokens. git takes the text behind the last dot for the setting's own name, which has
letters, digits and ``-`` only and begins with a letter: for a model that has a dot or a slash the name
is ``usd``, as in ``prodigy.price.gpt-5.2.usd``, and it may be so for each.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.transcripts.token_sums import Sum

_BEFORE, _BEHIND = "prodigy.price.", ".usd"
_FIGURE = re.compile(r"\$?([0-9]{1,6}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})\Z")
_DATED = re.compile(r"[-@](?:\d{8}|\d{4}-\d\d-\d\d|latest)\Z")


class Price(NamedTuple):
    """Dollars for a million tokens; None where nobody has said."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None


Prices = Mapping[str, Price]
"""By the names of models, in small letters."""


def parse(text: str) -> Price | None:
    """Return a price as the setting has it; None for what is none."""
    figures = [_FIGURE.match(one.strip()) for one in text.split("/")]
    if not 2 <= len(figures) <= len(Price._fields):
        return None
    found = [float(one[1]) for one in figures if one is not None]
    return Price(*found) if len(found) == len(figures) else None


def configured(cwd: str, broken: Callable[[str], None]) -> Prices:
    """Return the prices that git's configuration gives in ``cwd``; one that is none is told."""
    try:
        settings = repository.settings(cwd, r"^prodigy\.price\.")
    except ProdigyError as error:
        broken(f"{error}: no prices are known")
        return {}
    found = {}
    for name, value in settings.items():
        model = name[len(_BEFORE) :]
        price = parse(value)
        if price is None:
            broken(
                f"git config {name} is {value!r}: write dollars for a million tokens, as 3/15 "
                "(input/output) or 3/15/0.30/3.75 (and what is read from and written to a cache)"
            )
        else:
            found[model.removesuffix(_BEHIND).lower()] = price
    return found


def of_model(prices: Prices, model: str) -> Price | None:
    """Return a model's price; one given without a date counts for each of its dates."""
    name = model.lower()
    return prices.get(name) or prices.get(_DATED.sub("", name))


def cost(one: Sum, price: Price | None) -> tuple[float | None, bool]:
    """Return dollars, and whether that is all of it; None dollars where nothing of it has a price.

    What the program itself says is taken as it is: it knows of tariffs that a price does not.
    """
    if one.cost is not None:
        return one.cost / 1e6, True
    if price is None:
        return None, False
    hour = price.cache_write_1h
    parts = (
        (one.input, price.input), (one.output, price.output), (one.cache_read, price.cache_read),
        (one.cache_write - one.cache_write_1h, price.cache_write), (one.cache_write_1h, hour),
    )  # fmt: skip
    known = sum(count * each for count, each in parts if each is not None) / 1e6
    return known, all(each is not None for count, each in parts if count)
