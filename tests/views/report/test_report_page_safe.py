"""The report's page: foreign text is text, and a script that got in is stopped."""

from support_report import lane_names, mark, needs_browser, opened, rows, team

from prodigy_git.cli import output
from prodigy_git.views.report import page

NASTY = "\u202e<b>\x1b[2J</b></script><!--<script><img src=x onerror=alert(1)>'\"`&amp;{{data}}"


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
    row = {"path": "p", "items": ["a"], "item_count": 2, "working": 0, "commits": 2}
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
