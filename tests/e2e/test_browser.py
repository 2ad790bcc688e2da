"""The product as a newcomer meets it: start it, launch a search, watch it, stop it, read what it found."""

import re

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

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
    page.get_by_text("Change the search").click()
    page.get_by_label("Time limit, seconds").fill("-1")
    page.get_by_role("button", name="Start the search").click()
    assert "is not allowed" in page.locator(".field-error").inner_text()
    assert page.url.endswith("/searches/new/")
    page.problems.clear()  # the browser reports the status 422

    page.get_by_label("Time limit, seconds").fill("3600")
    page.get_by_label("Title").fill("Watched by a test")
    start_the_search(page)
    address = page.url

    # The page moves by itself.
    page.wait_for_selector(".curve-drawn .line-best", timeout=COMPILING)
    best = page.locator(".curve-drawn .line-best")
    before, path = tried(page), best.get_attribute("d")
    until(page, lambda: tried(page) > before)
    until(page, lambda: best.get_attribute("d") != path)
    assert page.url == address

    # What the reader opened stays open while it moves.
    page.get_by_text("The same as a table").click()
    before = tried(page)
    until(page, lambda: tried(page) > before)
    assert page.locator("#curve-data").get_attribute("open") is not None

    # The crosshair reads values off, by the keyboard too.
    page.locator(".curve-drawn").focus()
    page.keyboard.press("ArrowLeft")
    assert "best ." in page.locator(".curve-readout").inner_text()

    # Its name says what is drawn: here the best alone, until the population is asked for.
    chart = page.locator(".curve-drawn")
    assert chart.get_attribute("aria-label").startswith("Best accuracy. ")
    shown = page.locator(".curve-tools select").first
    for what, name in (
        ("population", "Best, median and mean accuracy. "),
        ("rate", "programs a second. "),
        ("score", "Best accuracy. "),
    ):
        shown.select_option(what)
        assert chart.get_attribute("aria-label").startswith(name)

    # A stretch is zoomed to by dragging, and left by a key.
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    ticks = page.locator(".curve-drawn .tick-x")
    whole = ticks.evaluate_all("all => all.map(one => one.textContent)")
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 150, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Whole curve").wait_for()
    assert ticks.evaluate_all("all => all.map(one => one.textContent)") != whole
    chart.focus()
    page.keyboard.press("0")
    assert page.get_by_role("button", name="Whole curve").count() == 0

    # Whoever comes later sees the line begin at the first find or, where that is below the chart, before what is marked.
    page.reload()
    page.wait_for_selector(".curve-drawn .line-best")
    began = float(page.locator(".curve-drawn .line-best").get_attribute("d")[1:].split()[0])
    assert began <= min(float(mark.get_attribute("cx")) for mark in page.locator(".curve-drawn .mark").all()) + 0.1

    # Place, selection and focus stay while it moves.
    page.locator("#search-more summary").focus()
    page.evaluate("scrollTo(0, 300); getSelection().selectAllChildren(document.querySelector('h1'))")
    before = tried(page)
    until(page, lambda: tried(page) > before)
    assert page.evaluate("[scrollY, document.activeElement.parentElement.id, getSelection().toString()]") == [
        300, "search-more", "Watched by a test",
    ]  # fmt: skip

    # A hidden tab asks for nothing, and when it is seen again at once.
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    hide = """hidden => {
        Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(5000)
    assert asked == []
    page.evaluate(hide, False)
    until(page, lambda: any("/live/" in one for one in asked))

    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector(".state-paused", timeout=60_000)
    assert "Paused after" in page.locator("#search-state").inner_text()
    before = tried(page)
    page.get_by_role("button", name="Resume").click()
    until(page, lambda: tried(page) > before, seconds=60)

    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".state-stopped", timeout=60_000)
    assert page.locator("link[rel=icon]").get_attribute("href").split("/")[-1].startswith("favicon-finished")
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
        page.locator("a[href$='/program.json']").click()
    assert download.value.suggested_filename.endswith(".json")
    assert page.problems == []


def test_choosing_a_preset_shows_its_fields(product, page):
    page.goto(product.url + "/searches/new/")
    page.get_by_text("Change the search").click()
    size = page.get_by_label("Population size")
    assert size.input_value() == "100"
    page.get_by_text("A linear regressor, from random programs").click()
    until(page, lambda: page.get_by_label("Population size").input_value() == "1000")
    page.get_by_label("Population size").fill("77")
    page.get_by_text("From nothing, on handwritten digits", exact=True).click()
    until(page, lambda: page.locator("[name=shown]").input_value() == "digits|")
    assert page.get_by_label("Population size").input_value() == "77"
    assert page.problems == []


def test_a_dry_run_leads_back_to_the_form(product, page):
    page.goto(product.url + "/searches/new/")
    page.get_by_label("Title").fill("Tried before")
    page.get_by_text("Change the search").click()
    assert not page.get_by_label("Migration: every").is_visible()  # there is no migration
    page.get_by_label("Population size").fill("60")
    page.get_by_role("button", name="Try it for 5 seconds").click()
    page.wait_for_selector("text=programs a second.", timeout=COMPILING)
    page.get_by_role("link", name="Back to the form").click()
    assert page.get_by_label("Title").input_value() == "Tried before"
    page.get_by_text("Change the search").click()
    assert page.get_by_label("Population size").input_value() == "60"
    assert page.problems == []


def test_islands_are_drawn_together(product, page):
    page.goto(product.url + "/searches/new/")
    page.get_by_text("Change the search").click()
    page.get_by_label("Islands", exact=True).fill("3")
    page.get_by_label("Migration", exact=True).select_option("yes")
    start_the_search(page)
    page.wait_for_selector(".curve-drawn .line-best", timeout=COMPILING)
    counts = page.locator(".islands li .meta")
    until(page, lambda: all(one != "0" for one in counts.all_inner_texts()), seconds=60)
    page.wait_for_timeout(8000)  # until it is drawn with all of them
    # Best scores never fall: upwards is less.
    path = page.locator(".curve-drawn .line-best").get_attribute("d")
    heights = [float(one) for one in re.findall(r"V([\d.]+)", path)]
    assert heights == sorted(heights, reverse=True)
    page.get_by_label("Island", exact=True).select_option("2")
    page.wait_for_timeout(3000)
    assert page.locator(".curve-drawn .line-best").count() == 1
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".state-stopped", timeout=60_000)
    assert page.problems == []


def test_upload_and_what_is_wrong_with_a_file(product, page, tmp_path):
    good, bad = tmp_path / "flowers.csv", tmp_path / "broken.csv"
    good.write_text("a,b,kind\n" + "".join(f"{n},{n % 7},{'xy'[n % 2]}\n" for n in range(80)))
    bad.write_text("1,2,x\n1,oops,y\n")
    for path, words in ((bad, "line 2, column 2"), (good, "80 rows, 2 columns, 2 classes")):
        page.goto(product.url + "/data/new/upload/")
        page.get_by_label("Files").set_input_files(path)
        assert page.get_by_label("Name").input_value() == path.stem
        page.get_by_role("button", name="Upload").click()
        page.wait_for_url(re.compile(rf"/data/{path.stem}/$"))
        page.wait_for_selector(f"text={words}", timeout=60_000)
    page.goto(product.url + "/data/new/upload/")
    page.get_by_label("Files").set_input_files(good)
    page.get_by_role("button", name="Upload").click()
    until(page, lambda: page.locator(".field-error").count() == 1)
    assert "already" in page.locator(".field-error").inner_text()
    page.problems.clear()  # the browser reports the status 422


def start_the_search(page):
    """Send the launch form; if that does not lead to the search, say what the page says instead."""
    page.get_by_role("button", name="Start the search").click()
    try:
        page.wait_for_url(re.compile(r"/searches/\d+/$"), timeout=60_000, wait_until="commit")
    except PlaywrightTimeout:
        raise AssertionError(f"still at {page.url}: {page.locator('body').inner_text()}") from None


def test_compare_marked_searches(product, page):
    page.goto(product.url + "/searches/new/")
    page.get_by_label("Title").fill("Another")
    start_the_search(page)
    page.wait_for_selector(".curve-drawn .line-best", timeout=COMPILING)
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".state-stopped", timeout=60_000)
    page.goto(product.url + "/searches/")
    for box in page.locator(".mark-box").all():
        box.check()
    page.get_by_role("button", name="Compare those marked").click()
    page.wait_for_selector("svg.chart-wide .line-c1")
    assert "Time limit" in page.locator(".different").inner_text()
    assert page.problems == []


@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_no_page_scrolls_sideways(product, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(product.url + "/searches/")
    links = page.locator("a.row-link").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    page.goto(product.url)
    links += page.locator("a.row-link").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert len(links) >= 2
    for path in [
        "/",
        "/searches/",
        "/searches/new/",
        "/searches/compare/",
        "/studies/",
        "/data/",
        "/data/digits/",
        "/learn/",
        "/learn/ops/",
        "/login/",
        *links,
    ]:
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
    page.locator("#ancestry-title").wait_for()
    context.close()
