"""What the tests on the report's page begin with."""

import pytest
from support_report import CHROMIUM


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
