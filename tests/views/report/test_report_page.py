"""The report's page in a real browser: nothing loaded, nothing run, everything there and usable."""

import os

import pytest
from support_report import (
    INKED,
    LANES,
    lane_names,
    many,
    mark,
    needs_browser,
    of_store,
    opened,
    rows,
    team,
)
from support_team import JOB

from prodigy_git.cli import output
from prodigy_git.views.report import page


@needs_browser
def test_the_lanes_are_drawn_and_the_numbers_stand_there(browser, tmp_path, store):
    with opened(browser, tmp_path, team(store)) as shown:
        assert shown.title() == "review: report"
        assert "10 of 25" in shown.locator("#numbers").inner_text()
        assert len(lane_names(shown)) == 21
        bars, ticks = shown.evaluate(
            f"() => {LANES}.getOption().series.map((one) => one.data.length)"
        )
        assert (bars, ticks) == (27, 27)
        colours = shown.evaluate(INKED % "lanes")
        for r, g, b in (
            (27, 154, 122),
            (61, 134, 212),
            (207, 74, 34),
            (201, 105, 159),
            (133, 141, 152),
        ):
            assert f"{r},{g},{b}" in colours
        assert "27,154,122" in shown.evaluate(INKED % "durations")
        assert len(shown.evaluate(INKED % "time")) > 2
        trouble = shown.locator("#trouble .group")
        assert [text.split("\n")[:2] for text in trouble.all_inner_texts()] == [
            ["Dead", "2"], ["Stuck", "1"], ["Failed for good", "3"],
        ]  # fmt: skip


@needs_browser
def test_filters_narrow_the_table_and_the_lanes(browser, tmp_path, store):
    with opened(browser, tmp_path, team(store)) as shown:
        shown.fill("#f-agent", "agent-10")
        assert lane_names(shown) == ["agent-10"]
        assert "8 of 98 events, 1 agent" in shown.locator("#f-count").inner_text()
        shown.select_option("#f-type", "AgentFailed")
        assert rows(shown).count() == 3
        shown.click("#f-reset")
        assert len(lane_names(shown)) == 21
        shown.select_option("#f-outcome", "stuck")
        assert lane_names(shown) == ["agent-17"]
        shown.click("#f-reset")
        shown.fill("#f-text", "cannot LOCK ref")
        assert lane_names(shown) == ["agent-13", "agent-14"]
        assert rows(shown).count() == 2
        shown.fill("#f-text", "no such thing")
        assert shown.locator("#events-empty").is_visible()
        assert shown.locator("#lanes-empty").is_visible()
        shown.click("#f-reset")
        shown.fill("#f-item", "item-1")  # a whole name: not item-10
        assert lane_names(shown) == ["agent-01"]


@needs_browser
def test_a_click_opens_the_details_and_the_lane_tells_of_itself(browser, tmp_path, store):
    with opened(browser, tmp_path, team(store)) as shown:
        x, y = mark(shown, "agent-02")
        shown.mouse.move(x, y)
        tip = shown.locator("#lanes .tip-head")
        tip.wait_for()
        assert tip.inner_text() == "agent-02 on item-2"
        shown.mouse.click(x, y)
        panel = shown.locator("#details")
        text = panel.inner_text()
        for said in (
            "agent-02 on item-2",
            "completed",
            "24m 00s",
            "/logs/agent-02.json",
            "Step 1 of item 2",
        ):
            assert said in text
        shown.keyboard.press("Escape")
        assert panel.is_hidden()
        shown.locator("#trouble button.row", has_text="agent-10").click()
        assert "tests failed: 10 of 40" in panel.inner_text()
        panel.get_by_role("button", name="agent-10").click()
        assert lane_names(shown) == ["agent-10"]


@needs_browser
def test_the_keyboard_is_enough(browser, tmp_path, store):
    with opened(browser, tmp_path, team(store)) as shown:
        shown.keyboard.press("Tab")
        assert shown.evaluate("() => document.activeElement.className") == "skip"
        shown.focus("#events-table tr[tabindex='0']")
        first = shown.evaluate("() => document.activeElement.innerText")
        for key in ("ArrowDown", "ArrowDown", "ArrowUp", "PageDown", "End", "Home"):
            shown.keyboard.press(key)
            place = shown.evaluate("() => document.activeElement.dataset.place")
            assert place == {"ArrowUp": "1", "PageDown": "17", "End": "97", "Home": "0"}.get(
                key, place
            )
        assert shown.evaluate("() => document.activeElement.innerText") == first
        shown.keyboard.press("Enter")
        assert shown.evaluate("() => document.activeElement.id") == "details"
        shown.keyboard.press("Escape")
        assert shown.evaluate("() => document.activeElement.dataset.place") == "0"
        shown.focus("#lanes-scroll")
        shown.keyboard.press("ArrowDown")
        shown.keyboard.press("ArrowDown")
        assert shown.locator("#lanes-said").inner_text().startswith("agent-00, item-0, completed")
        shown.keyboard.press("+")
        zoom = shown.evaluate(f"() => {LANES}.getOption().dataZoom[0]")
        assert (zoom["start"], zoom["end"]) == (25, 75)
        shown.keyboard.press("Enter")
        assert "agent-00 on item-0" in shown.locator("#details-title").inner_text()


@needs_browser
def test_sorting_by_a_column(browser, tmp_path, store):
    with opened(browser, tmp_path, team(store)) as shown:
        shown.get_by_role("button", name="Item", exact=True).click()
        heading = shown.locator("#events-table th.item_id")
        assert heading.get_attribute("aria-sort") == "ascending"
        shown.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "descending"
        assert rows(shown).first.locator(".item_id").inner_text() == "item-19"


@needs_browser
def test_dark_and_light(browser, tmp_path, store):
    value = team(store)
    background = "() => getComputedStyle(document.body).backgroundColor"
    with opened(browser, tmp_path, value, color_scheme="dark") as shown:
        assert shown.evaluate(background) == "rgb(20, 23, 27)"
        assert "47,179,148" in shown.evaluate(INKED % "lanes")
        shown.click("#theme")
        assert shown.evaluate(background) == "rgb(245, 246, 248)"
        assert "27,154,122" in shown.evaluate(INKED % "lanes")
        shown.click("#theme")
        shown.emulate_media(color_scheme="light")
        assert shown.evaluate(background) == "rgb(20, 23, 27)"


@needs_browser
def test_on_paper_everything_is_out_and_light(browser, tmp_path, store):
    with opened(browser, tmp_path, many(store, 40, 400), color_scheme="dark") as shown:
        assert len(lane_names(shown)) == 22
        shown.emulate_media(media="print")
        shown.wait_for_function(f"() => {LANES}.getOption().yAxis[0].data.length === 40")
        assert (
            shown.evaluate("() => getComputedStyle(document.body).backgroundColor")
            == "rgb(255, 255, 255)"
        )
        assert "27,154,122" in shown.evaluate(INKED % "lanes")
        assert rows(shown).count() == 100
        assert "and 300 more events" in shown.locator("#events-table").inner_text()
        assert shown.locator("#filters").is_hidden()
        assert len(shown.pdf(format="A4")) > 20_000
        shown.emulate_media(media="screen")
        shown.wait_for_function(f"() => {LANES}.getOption().yAxis[0].data.length === 22")


@needs_browser
@pytest.mark.parametrize("width", [600, 1280])
def test_ten_thousand_events_of_five_hundred_agents(browser, tmp_path, store, width):
    value = many(store, 500, 10_000)
    assert len(page.render(value, output.clean)) < 5_000_000
    with opened(browser, tmp_path, value, viewport={"width": width, "height": 900}) as shown:
        assert shown.evaluate("() => document.documentElement.scrollWidth") == width
        assert rows(shown).count() < 60  # of 10,000: only those in sight
        assert lane_names(shown)[0] == "agent-0000"
        shown.evaluate("() => document.getElementById('lanes-scroll').scrollTo(0, 1e9)")
        shown.wait_for_function(f"() => {LANES}.getOption().yAxis[0].data.at(-1) === 'agent-0499'")
        shown.evaluate("() => document.getElementById('events-scroll').scrollTo(0, 1e9)")
        shown.wait_for_selector("tr[data-place='9999']")
        assert rows(shown).last.locator(".who").inner_text() == "agent-0000"
        shown.fill("#f-text", "message 9990")
        assert lane_names(shown) == ["agent-0499"]


@needs_browser
def test_a_job_of_which_there_is_nothing_yet(browser, tmp_path, store):
    (store / "events" / "repo" / JOB).mkdir(parents=True)
    with opened(browser, tmp_path, of_store(store)) as shown:
        empty = shown.locator(".empty:visible").all_inner_texts()
        assert len(empty) >= 6
        assert shown.locator("canvas").count() == 0


@needs_browser
def test_times_are_the_readers_with_utc_at_hand(browser, tmp_path, store):
    value = many(store, 2, 8)
    with opened(browser, tmp_path, value, timezone_id="Asia/Tokyo", locale="en-GB") as shown:
        time = rows(shown).last.locator("time")
        assert time.inner_text() == "11 Jan, 09:00:00"
        assert time.get_attribute("title") == "2025-01-11 00:00:00.000000 UTC"


def test_packed_rows():
    values = [{"a": "x", "b": n, "c": None} for n in range(4)]
    assert page.packed(values) == {
        "length": 4,
        "columns": {
            "a": {"values": ["x"], "at": [0] * 4},
            "b": [0, 1, 2, 3],
            "c": {"values": [], "at": [-1] * 4},
        },
    }
    assert page.packed([]) == {"length": 0, "columns": {}}


def test_the_licences_are_in_the_page(store):
    text = page.render(team(store), output.clean)
    for said in ("Apache License", "The Apache Software Foundation", "Baidu Inc.", "Mike Bostock"):
        assert said in text
    assert (
        os.path.getsize(page.__file__.replace("page.py", "assets/echarts/LICENSE-echarts")) > 11_000
    )
