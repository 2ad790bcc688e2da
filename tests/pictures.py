"""`make pictures`: the pictures in docs/images/, taken of a new instance as its users see it."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.product import ROOT, Product
from tests.services import ensure_browser

FOLDER = ROOT / "docs" / "images"
PASSWORD = "only for the pictures"
SEED = "21"
MINUTE = 60_000
GALLERY_TO_COME = " + ".join(
    f"__import__('django.apps').apps.apps.get_model('experiments', '{name}').objects.{rows}.count()"
    for name, rows in (("BundleImport", "filter(state='waiting')"), ("GalleryChange", "all()"))
)
"""How much of the gallery is not there yet, for Product.query."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", help="keep the instance here, to take them again sooner")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="abovo-pictures-") as folder:
        product = Product(Path(args.home or folder), {"ABOVO_ADMIN_PASSWORD": PASSWORD})
        try:
            product.start(seconds=900)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=ensure_browser(), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1024, "height": 760}, locale="en-GB", color_scheme="light")
                _take_all(product, page)
                browser.close()
        finally:
            product.stop()


def _take_all(product: Product, page: Page) -> None:
    page.goto(product.url + "/searches/1/")
    page.wait_for_selector(".curve-drawn .line-best", timeout=5 * MINUTE)
    page.wait_for_timeout(45_000)  # until there is something to see
    _take(page, "search-live")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".state-stopped", timeout=MINUTE)
    _wait(lambda: product.query(GALLERY_TO_COME) == 0)
    page.goto(product.url)
    _take(page, "home", height=1060)
    page.goto(product.url + "/searches/?state=ended")
    page.get_by_role("link", name="From nothing, on handwritten digits").last.click()  # the gallery's
    page.wait_for_selector(".curve-drawn .line-best")
    _take(page, "search", height=1160)
    page.locator("#best-link").click()
    page.wait_for_selector("h1")
    _take(page, "algorithm", height=1110)
    _sign_in(product, page)
    page.goto(product.url + "/searches/new/")
    _take(page, "launch")
    grid = {"Title": "Tournaments", "Seed": SEED, "Grid": "tournament_size = 2, 10, 50", "Repeats": "3"}
    page.goto(product.url + "/searches/new/")
    _launch(page, {**grid, "Time limit, seconds": "15"})
    page.wait_for_url("**/studies/*/")
    study = page.url
    page.goto(product.url + "/admin/experiments/island/")
    _wait(lambda: page.reload() and page.get_by_text("running", exact=False).count() > 1)
    _take(page, "queue")
    page.goto(product.url + "/admin/experiments/worker/")
    _take(page, "workers", height=480)
    page.goto(study)
    _wait(lambda: page.goto(page.url) and page.locator(".state-finished, .state-stopped, .state-failed").count() == 9)
    _take(page, "study", height=1080)


def _sign_in(product: Product, page: Page) -> None:
    page.goto(product.url + "/login/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()


def _launch(page: Page, values: dict[str, str]) -> None:
    page.get_by_text("Change the search").click()
    for label, value in values.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Start the search").click()


def _wait(done: Callable[[], bool], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("nothing to take a picture of")
        time.sleep(2)


def _take(page: Page, name: str, *, height: int = 760) -> None:
    page.set_viewport_size({"width": 1024, "height": height})
    page.wait_for_timeout(500)
    page.screenshot(path=FOLDER / f"{name}.png")
    page.set_viewport_size({"width": 1024, "height": 760})
    print(f"docs/images/{name}.png", flush=True)


if __name__ == "__main__":
    main()
