import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def browser():
    """A real Chromium, without a window."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("found no chromium, which .ci/run installs with apt-get where it may")
    with sync_playwright() as driver:
        # Chromium's sandbox refuses to run as root, as CI does; only our own files are opened.
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def screenshots(pytestconfig):
    """Where tests leave what people may want to look at."""
    folder = Path(pytestconfig.rootpath) / "build" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Watched:
    """A page of a browser, and what it said and asked for."""

    def __init__(self, browser, width=1200):
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append((message.type, message.text)))
        self.page.on("pageerror", lambda error: self.said.append(("error", str(error))))
        self.page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture
def watched(browser):
    """Opens pages, and closes them."""
    opened = []

    def open_page(path, width=1200):
        seen = Watched(browser, width)
        opened.append(seen.page)
        seen.page.goto(path.as_uri())
        return seen

    yield open_page
    for page in opened:
        page.close()
