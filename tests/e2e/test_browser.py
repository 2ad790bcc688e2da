"""The product as a newcomer meets it: start it, launch a search, watch it, stop it, read what it found."""

import re

import pytest

COMPILING = 240_000
"""Milliseconds for the first curve, on a machine that has never compiled the kernels and is busy."""


@pytest.fixture(scope="module")
def product(make_product):
    return make_product(ABOVO_OPEN_LAUNCH="1").without_first_search().start()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1024, "height": 800})
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    yield page
    context.close()


def tried(page) -> int:
    return int(page.locator(".figures dd").first.inner_text().replace(",", ""))


def until(page, holds, seconds: float = 30) -> None:
    """Wait in the browser's own time; the pages' policy forbids what Playwright would have them evaluate."""
    for _ in range(int(seconds * 5)):
        if holds():
            return
        page.wait_for_timeout(200)
    raise AssertionError("did not happen in time")


def test_launch_watch_stop_and_read(product, page):
    page.goto(product.url)
    page.get_by_role("link", name="Start a search").first.click()

    # A bad value is explained beside its field, and nothing starts.
    page.get_by_label("Time limit, seconds").fill("-1")
    page.get_by_role("button", name="Start the search").click()
    assert "is not allowed" in page.locator(".field-error").inner_text()
    assert page.url.endswith("/searches/new/")
    page.problems.clear()  # the browser reports the status 422

    page.get_by_label("Time limit, seconds").fill("3600")
    page.get_by_label("Title").fill("Watched by a test")
    page.get_by_role("button", name="Start the search").click()
    page.wait_for_url(re.compile(r"/searches/\d+/$"))
    address = page.url

    # The page moves by itself.
    page.wait_for_selector("svg.chart .line-best", timeout=COMPILING)
    best = page.locator("svg.chart-wide .line-best")
    before, path = tried(page), best.get_attribute("d")
    until(page, lambda: tried(page) > before)
    until(page, lambda: best.get_attribute("d") != path)
    assert page.url == address

    # What the reader opened stays open while it moves.
    page.get_by_text("The same as a table").click()
    before = tried(page)
    until(page, lambda: tried(page) > before)
    assert page.locator("#curve-data").get_attribute("open") is not None

    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".state-stopped", timeout=60_000)
    assert page.locator("[hx-trigger]").count() == 0
    assert "Stopped after" in page.locator("#search-state").inner_text()

    page.locator("#best-link").click()
    page.wait_for_url(re.compile(r"/a/[1-9A-HJ-NP-Za-km-z]{10}$"))
    assert page.locator(".program").first.inner_text().startswith("def Setup():")
    assert "Ancestry" in page.locator("#ancestry-title").inner_text()

    # A register that the keyboard reaches lights up, and says in words what writes and reads it.
    page.locator("[data-trace] .register[tabindex='0']").focus()
    assert "written by" in page.locator("#trace-status").inner_text()
    assert page.locator("[data-trace] .register.lit").count() >= 1
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-trace] .register[tabindex='0']").count() == 1
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON", exact=True).click()
    assert download.value.suggested_filename.endswith(".json")
    assert page.problems == []


@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_no_page_scrolls_sideways(product, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(product.url + "/searches/")
    links = page.locator("a.row-link").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    page.goto(product.url)
    links += page.locator("a.row-link").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert len(links) >= 2
    for path in ["/", "/searches/", "/searches/new/", "/learn/", "/learn/ops/", "/login/", *links]:
        page.goto(product.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
    assert page.problems == []


def test_the_theme_switch_is_remembered(product, page):
    page.emulate_media(color_scheme="light")
    page.goto(product.url)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(251, 250, 247)", "rgb(20, 19, 15)")
    page.goto(product.url + "/learn/")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_everything_reads_without_scripts(product, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(product.url + "/searches/")
    page.locator("a.row-link").first.click()
    assert page.locator("svg.chart-wide .line-best").count() == 1
    assert page.locator(".program").first.is_visible()
    page.locator("#best-link").click()
    assert page.locator("#ancestry-title").is_visible()
    context.close()
