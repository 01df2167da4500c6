"""The report's page in a real browser: nothing loaded, nothing run, everything there and usable."""

import json
import os
import shutil
from contextlib import contextmanager

import pytest
import support_team
from support_team import JOB

from prodigy_git.cli import output
from prodigy_git.model.selection import Selection
from prodigy_git.record import clock
from prodigy_git.views.report import data, gather, page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="NO BROWSER: the report's page is NOT tested (install chromium)"
)
BASE = 1_736_553_600 * clock.SECOND
NASTY = "\u202e<b>\x1b[2J</b></script><!--<script><img src=x onerror=alert(1)>'\"`&amp;{{data}}"


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests of the module: starting one takes longer than a test."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--disable-gpu",
                "--no-first-run",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield started
        started.close()


@contextmanager
def opened(browser, tmp_path, value, **settings):
    """Open a report's page; whatever it complains of or asks for besides itself fails the test."""
    path = tmp_path / "report.html"
    path.write_text(page.render(value, output.clean), encoding="utf-8")
    settings = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "UTC"} | settings
    context = browser.new_context(**settings)
    shown = context.new_page()
    wrong, requests = [], []
    shown.on("console", lambda message: wrong.append(message.text))
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(path.as_uri())
    shown.wait_for_selector("html[data-ready]")
    yield shown
    context.close()
    assert wrong == []
    assert requests == [path.as_uri()]


def of_store(store, job=JOB, **wanted):
    return gather.of_job(
        str(store), "repo", job, Selection(**wanted), data.STUCK_AFTER, pytest.fail
    )


def team(store):
    support_team.write(store, "repo")
    return of_store(store)


def many(store, agents, events):
    """Write the log of a job of so many agents, each with an attempt; return its report."""
    path = store / "events" / "repo" / "many" / "events-20250111.jsonl"
    path.parent.mkdir(parents=True)
    each = max(2, events // agents)
    with path.open("w") as log:
        for number in range(events):
            agent, step = divmod(number, each)
            kind = "ClaudeMessage"
            if step in (0, each - 1):
                kind = "AgentCompleted" if step else "AgentStarted"
            who = {
                "agent_id": f"agent-{agent:04}",
                "item_id": f"item-{agent}",
                "session_id": f"s-{agent}",
            }
            stamp = clock.stamp(BASE + (agent * 5 + step * 60) * clock.SECOND)
            said = {"content": f"message {number}"} if kind == "ClaudeMessage" else {"attempt": 1}
            log.write(
                json.dumps({"timestamp": stamp, "type": kind, "event_type": kind, **who, **said})
                + "\n"
            )
    return of_store(store, "many")


LANES = "echarts.getInstanceByDom(document.getElementById('lanes'))"
INKED = """() => {
  const canvas = document.querySelector('#%s canvas');
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  copy.drawImage(canvas, 0, 0);
  const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let at = 0; at < pixels.length; at += 4) {
    if (pixels[at + 3] === 255) seen.add(pixels.slice(at, at + 3).join());
  }
  return [...seen];
}"""


def lane_names(shown):
    return shown.evaluate(f"() => {LANES}.getOption().yAxis[0].data")


def mark(shown, agent, series=0):
    """Return where on the page an agent's first bar is; with ``series`` 1 its first commit."""
    shown.locator("#lanes").scroll_into_view_if_needed()
    box = shown.locator("#lanes canvas").bounding_box()
    x, y = shown.evaluate(
        """([agent, series]) => {
          const chart = echarts.getInstanceByDom(document.getElementById('lanes'));
          const option = chart.getOption();
          const place = option.yAxis[0].data.indexOf(agent);
          const { value } = option.series[series].data.find((one) => one.value[0] === place);
          const [x, y] = chart.convertToPixel({ seriesIndex: series }, [value[1], place]);
          return [x + (series ? 0 : 4), y];
        }""",
        [agent, series],
    )
    return box["x"] + x, box["y"] + y


def rows(shown):
    return shown.locator("#events-table tbody tr[data-place]")


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


def test_hostile_text_is_nowhere_in_the_markup(store):
    text = page.render(team(store), output.clean)
    begin = text.index('<script type="application/json"')
    document = text[begin : text.index("</script>", begin)]
    assert "onerror" in document
    assert "<img" not in text
    assert not set(document.partition(">")[2]) & set("<>&\u2028\u2029\u202e\x1b")
    assert text.count("</script>") == 3


FOREIGN = {
    "job_id", "repo", "phase", "error", "who", "agent_id", "item_id", "session_id", "text", "type",
    "commit", "action", "subject", "replaced_by", "failure_reason", "error_signature", "log", "example",
    "path", "agents", "items",
}  # fmt: skip


def spoiled(value, name=""):
    """Return a report with hostile text in the place of every text that can be foreign."""
    if isinstance(value, dict):
        return {key: spoiled(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [spoiled(one, name) for one in value]
    return NASTY if isinstance(value, str) and name in FOREIGN else value


@needs_browser
def test_hostile_text_is_text_everywhere(browser, tmp_path, store):
    seen = "\\u202e<b>\\x1b[2J</b></script><!--<script><img src=x onerror=alert(1)>"
    value = team(store)
    row = {"path": "p", "agents": ["a"], "agent_count": 2, "working": 0, "commits": 2}
    value["files"] |= {"unknown": None, "count": 1, "shown": [row]}
    value["selection"] = {"agents": ["a"]}
    value["job"]["error"] = "e"
    value["counts"]["types"] = {NASTY: 98}
    value["trouble"]["given_up_without_attempt"] = {"count": 1, "shown": [NASTY]}
    value = spoiled(value)
    with opened(browser, tmp_path, value) as shown:
        (lane,) = lane_names(shown)
        for series in (0, 1):  # a bar, a commit
            shown.mouse.move(*mark(shown, lane, series))
            shown.locator("#lanes .tip-head").wait_for()
            assert seen in shown.locator("#lanes").inner_text()
            shown.mouse.move(0, 0)
            shown.locator("#lanes .tip-head").wait_for(state="hidden")
        places = (
            "#job",
            "#repo",
            "#span",
            "#selection",
            "#trouble",
            "#failures",
            "#files",
            "#f-type",
        )
        for place in places:
            assert seen in shown.locator(place).text_content(), place
        rows(shown).first.click()
        assert seen in shown.locator("#details pre").inner_text()
        shown.keyboard.press("Escape")
        shown.mouse.click(*mark(shown, lane, 1))
        assert shown.locator("#details").inner_text().count(seen) >= 8
        strange = "() => document.querySelectorAll('img, b b, #details script').length"
        assert shown.evaluate(strange) == 0
        assert shown.evaluate("() => document.scripts.length") == 3
        assert shown.title().startswith(seen)


@needs_browser
def test_the_policy_stops_a_script_that_got_in(browser, tmp_path, store):
    path = tmp_path / "page.html"
    text = page.render(team(store), output.clean)
    path.write_text(text.replace("<footer>", "<script>document.title = 'run'</script><footer>"))
    context = browser.new_context()
    shown = context.new_page()
    shown.goto(path.as_uri())
    assert shown.title() == "review: report"
    assert (
        shown.evaluate("() => fetch('file:///etc/hostname').then(() => 'sent', () => 'refused')")
        == "refused"
    )
    context.close()


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
