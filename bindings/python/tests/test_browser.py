"""The web page of the examples in a real browser: headless Chromium over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import Dict, Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from support import PACKAGES, PATIENCE, ROOT, Edge, next_line
from target_sdk import cookie_name

APP = ROOT / "examples" / "python" / "flask_app.py"
#: A visitor sees one of two experiences; with 30 new ones both are seen but in one of 500 million runs.
VISITORS = 30


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium and driver, "chromium and chromedriver are needed"
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    browser = Chrome(options=options, service=ChromeService(driver))
    browser.set_page_load_timeout(PATIENCE * 2)
    yield browser
    browser.quit()


@pytest.fixture
def page(edge: Edge) -> Iterator[str]:
    """Address of the running app."""
    command = [sys.executable, "-W", "error", str(APP), edge.address, "0"]
    environment = {**os.environ, "PYTHONPATH": PACKAGES}
    app = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    address = next_line(app)
    try:
        yield address
    finally:
        app.send_signal(signal.SIGINT)
        try:
            _, said = app.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            app.kill()
            _, said = app.communicate()
    assert app.returncode == 0 and "Traceback" not in said, said


def _seen(browser: Chrome) -> str:
    experience = browser.find_element(By.ID, "experience").text
    hero = browser.find_element(By.CSS_SELECTOR, "section.hero").text
    return f"{experience}: {hero}"


def test_who_comes_back_sees_the_same(browser: Chrome, page: str, edge: Edge) -> None:
    seen_by: Dict[str, str] = {}
    for _ in range(VISITORS):
        browser.get(page)
        browser.delete_all_cookies()
        browser.get(page)  # somebody new
        first = _seen(browser)
        cookie = browser.get_cookie(cookie_name())
        assert cookie is not None and "PC#" in cookie["value"], cookie
        browser.get(page)  # comes back
        assert _seen(browser) == first
        seen_by[cookie["value"].split("PC#")[1].split("#")[0]] = first
        if len(set(seen_by.values())) == 2:
            break
    assert sorted(set(seen_by.values())) == [
        "Experience A: Sail with us this summer",
        "Experience B: Ski with us this winter",
    ]
    # The ids of those who came back were sent along.
    sent = {json.loads(one["body"]).get("id", {}).get("tntId") for one in edge.received()}
    assert set(seen_by) <= sent


def test_without_target_the_page_has_its_default(browser: Chrome, page: str, edge: Edge) -> None:
    edge.fault("status:500")
    browser.get(page)
    browser.delete_all_cookies()
    browser.get(page)
    assert _seen(browser) == "default content: Welcome"
    assert browser.get_cookie(cookie_name()) is None
