"""The report's page in a browser, for the tests on it."""

import json
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
