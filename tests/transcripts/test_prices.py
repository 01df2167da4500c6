"""Prices as git's configuration has them, and the cost that follows: never more than is known."""

import pytest

from prodigy_git.transcripts import prices
from prodigy_git.transcripts.prices import Price
from prodigy_git.transcripts.token_sums import Sum

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("3/15", Price(3, 15)), ("$3 / $15", Price(3, 15)), (".25/1.50", Price(0.25, 1.5)),
        ("3/15/0.30/3.75", Price(3, 15, 0.3, 3.75)), ("5/25/0.5/6.25/10", Price(5, 25, 0.5, 6.25, 10)),
        ("0/0", Price(0, 0)),
    ],
)  # fmt: skip
def test_a_price(text, price):
    assert prices.parse(text) == price


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3/",
        "/15",
        "-3/15",
        "3/15/x",
        "1/2/3/4/5/6",
        "1e3/2",
        "nan/1",
        "inf/1",
        "3,5/15",
        "٣/15",
    ],
)
def test_what_is_no_price(text):
    assert prices.parse(text) is None


def test_from_gits_configuration_with_dots_in_names(git, repo):
    git("config", "prodigy.price.claude-opus-4-5", "5/25", cwd=repo)
    git("config", "prodigy.price.gpt-5.2-codex.usd", "1.75/14/0.175", cwd=repo)
    git("config", "prodigy.price.OpenAI/GPT_5.usd", "1/2", cwd=repo)
    git("config", "prodigy.price.bad", "cheap", cwd=repo)
    broken = []
    found = prices.configured(str(repo), broken.append)
    assert found == {
        "claude-opus-4-5": Price(5, 25), "gpt-5.2-codex": Price(1.75, 14, 0.175),
        "openai/gpt_5": Price(1, 2),
    }  # fmt: skip
    (said,) = broken
    assert "prodigy.price.bad is 'cheap'" in said
    assert prices.of_model(found, "claude-opus-4-5-20251101") == Price(5, 25)
    assert prices.of_model(found, "Claude-Opus-4-5@20251101") == Price(5, 25)
    assert prices.of_model(found, "claude-opus-4-5-fast") is None
    assert prices.of_model(found, "OPENAI/gpt_5") == Price(1, 2)


def one(*counts, cost=None):
    return Sum("m", *counts, cost)


@pytest.mark.parametrize(
    ("sums", "price", "cost"),
    [
        (one(MILLION, MILLION, 0, 0, 0), Price(3, 15), (18, True)),
        (one(MILLION, 0, MILLION, 0, 0), Price(3, 15), (3, False)),
        (one(0, 0, MILLION, MILLION, 0), Price(3, 15, 0.3, 3.75), (4.05, True)),
        (one(0, 0, 0, MILLION, MILLION // 4), Price(3, 15, 0.3, 4), (3, False)),
        (one(0, 0, 0, MILLION, MILLION // 4), Price(3, 15, 0.3, 4, 8), (5, True)),
        (one(MILLION, 0, 0, 0, 0), None, (None, False)),
        (one(MILLION, 0, 0, 0, 0, cost=250_000), Price(3, 15), (0.25, True)),
        (one(MILLION, 0, 0, 0, 0, cost=0), None, (0, True)),
    ],
)  # fmt: skip
def test_what_it_costs_and_whether_that_is_all(sums, price, cost):
    assert prices.cost(sums, price) == pytest.approx(cost)
