"""Takes the picture of NNI's web page in nni.md: a ready experiment in headless Chromium.

    python docs/nni_page.py

Needs Chromium with its driver (Debian's packages chromium and chromium-driver) and selenium.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from sweeprl.nni import create, stop
from sweeprl.nni.reading.listing import find

__all__ = ["main", "photograph"]

PICTURE = Path(__file__).with_name("nni_curves.png")
READY = Path(__file__).parents[1] / "nni_configs" / "dqn-tpe"

COLOURS = """
    const canvas = document.querySelector("canvas");
    if (!canvas) return 0;
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Map();
    for (let i = 0; i < data.length; i += 4) {
        const pixel = data.slice(i, i + 3);
        if (data[i + 3] < 255 || Math.max(...pixel) - Math.min(...pixel) < 50) continue;
        seen.set(String(pixel), (seen.get(String(pixel)) || 0) + 1);
    }
    return [...seen.values()].filter((pixels) => pixels > 200).length;
"""
"""How many colours the chart has; only its curves are not grey, and nine have one of their own."""


def photograph(port: int, picture: Path, num_curves: int, seconds: float = 60.0) -> None:
    """Takes a picture of the trials' curves.

    Args:
        port: of the experiment's web page.
        picture: a PNG file, which is written.
        num_curves: to be seen on it; no more than nine can be told apart.
        seconds: that they may take to be there.

    Raises:
        TimeoutException: they were not, of selenium.
    """
    with _chromium() as browser:

        def shows_curves(_: object) -> bool:
            browser.get(f"http://127.0.0.1:{port}/detail")
            tab = (By.XPATH, "//button[contains(., 'Intermediate result')]")
            WebDriverWait(browser, 20).until(lambda _: browser.find_elements(*tab))[0].click()
            WebDriverWait(browser, 20).until(lambda _: browser.find_elements(By.TAG_NAME, "canvas"))
            time.sleep(1.5)  # curves are drawn slowly
            return int(browser.execute_script(COLOURS)) >= num_curves

        slow = (TimeoutException, StaleElementReferenceException)  # the page is asked again
        wait = WebDriverWait(browser, seconds, poll_frequency=5.0, ignored_exceptions=slow)
        try:
            wait.until(shows_curves)
        finally:
            browser.save_screenshot(str(picture))


@contextmanager
def _chromium() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    options.add_argument("--headless=new")
    options.add_argument("--window-size=1400,1000")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it has none for root
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        browser.quit()


def main() -> None:
    """Runs the experiment and keeps the picture."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home  # NNI's list and experiments are gone with it
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        experiment = find(create(READY))
        try:
            photograph(experiment.port, PICTURE, num_curves=9, seconds=3600.0)
        finally:
            stop(experiment.id)


if __name__ == "__main__":
    main()
