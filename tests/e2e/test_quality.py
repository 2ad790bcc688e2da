"""What holds for every page, as a browser sees it: accessible, light, self-contained, usable from the keyboard.

The pages are those of the URLconf, so that a new one is looked at without anybody saying so.
"""

import json
import re
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Error as PlaywrightError

from tests.webapp.addresses import RULES

pytestmark = pytest.mark.once

KILOBYTES = 150
"""What a page may weigh, compressed, with all that it loads, on a first visit."""

# One of each thing that addresses are about, made in the product's own shell.
THINGS = """
import json
from django.contrib.auth import get_user_model
from webapp.experiments.bundle_models import BundleImport
from webapp.experiments.models import Dataset, Evaluation, Note, Search, Star, Study, Tag, Trial
from webapp.people.services import invitations, tokens
admin = get_user_model().objects.get(username="admin")
Search.objects.update(visibility="public")
search = Search.objects.order_by("pk").first()
algorithm = search.result.algorithm
type(algorithm).objects.update(published_at=search.created_at)
note = Note.objects.create(algorithm=algorithm, user=admin, text="# Why\\n\\n**It** `works`, see [here](https://example.org).\\n\\n- a\\n")
Tag.objects.create(algorithm=algorithm, user=admin, name="kept")
Star.objects.create(algorithm=algorithm, user=admin)
dataset = Dataset.objects.create(owner=admin, name="broken-table", state="refused", reason="row 3: a number was expected")
trial = Trial.objects.create(key="abc", asker="somebody", spec=search.spec)
study = Study.objects.create(owner=admin, title="Two seeds", visibility="public")
Search.objects.filter(pk__in=Search.objects.order_by("pk").values("pk")[1:3]).update(study=study, owner=admin)
evaluation = Evaluation.objects.create(
    find=search.result, seed=5, owner=admin, done_at=search.created_at, failure_reason="the data set is gone"
)
brought = BundleImport.objects.create(owner=admin, name="old.jsonl", state="refused", reason="line 3: a score was expected")
invitation, secret = invitations.invite(by=admin)
token, _ = tokens.create_token(user=admin, name="a", scope="read")
print("\\n" + json.dumps({
    "search_id": search.pk, "permalink": algorithm.permalink, "note_id": note.pk, "name": dataset.name, "user_id": admin.pk,
    "key": trial.key, "study_id": study.pk, "evaluation_id": evaluation.pk, "token_id": token.pk, "invitation_id": invitation.pk, "secret": secret, "code": "en",
    "import_id": brought.pk,
}))
"""  # fmt: skip


@pytest.fixture(scope="module")
def product(make_product):
    product = make_product(
        ABOVO_OPEN_LAUNCH="1", ABOVO_ADMIN_PASSWORD="a good long password", ABOVO_EMAIL_URL="smtp+plain://127.0.0.1:9"
    ).without_first_search()
    product.start()
    product.manage("fill_synthetic", "--searches", "4", "--algorithms", "120")
    product.things = json.loads(product.manage("shell", "--no-imports", "--command", THINGS).strip().splitlines()[-1])
    return product


@pytest.fixture(scope="module")
def pages(product):
    """Addresses of all pages: what every GET address without a file's ending leads to."""
    found = []
    for name in RULES:
        arguments = _arguments(name)
        missing = arguments - set(product.things)
        assert not missing, f"{name}: make one of {missing} in THINGS"
        found.append(reverse(name, kwargs={one: product.things[one] for one in arguments}))
    found += ["/discoveries/?all=1&op=VECTOR_INNER_PRODUCT&motif=relu", "/discoveries/?q=nothing+like+it", "/nothing"]
    return [path for path in found if not re.search(r"\.\w+$|/logout/|/language/", path)]


def _arguments(name: str) -> set[str]:
    from django.urls import get_resolver

    resolver = get_resolver()
    *namespaces, last = name.split(":")
    for namespace in namespaces:
        resolver = resolver.namespace_dict[namespace][1]
    (possibility, *_rest) = resolver.reverse_dict.getlist(last)
    return set(possibility[0][0][1])


@pytest.fixture
def visitor(browser, product):
    """A page whose requests, answers and problems are noted."""
    context = browser.new_context(viewport={"width": 1024, "height": 800})
    page = context.new_page()
    page.requested, page.problems, page.weight = [], [], 0
    network = context.new_cdp_session(page)
    network.send("Network.enable")

    def loaded(event):
        page.weight += event["encodedDataLength"]

    network.on("Network.loadingFinished", loaded)
    page.on("request", lambda request: page.requested.append(request.url))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda one: page.problems.append(one.text) if one.type == "error" else None)
    yield page
    context.close()


def sign_in(page, product):
    page.goto(product.url + "/login/")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill("a good long password")
    page.locator("main button[type=submit]").click()
    page.wait_for_load_state()


def visit(page, address: str, **options):
    """Open an address; returns its answer, None where it is no page: a download, or something to be posted to."""
    try:
        response = page.goto(address, **options)
    except PlaywrightError as error:
        if "ERR_HTTP_RESPONSE_CODE_FAILURE" in str(error) or "Download" in str(error) or "ERR_ABORTED" in str(error):
            return None
        if "interrupted by another navigation" in str(error):
            return None
        raise
    return response if response is not None and "text/html" in response.headers.get("content-type", "") else None


def findings(page, **options) -> list[str]:
    results = Axe().run(page, options={"resultTypes": ["violations"], **options})
    return [
        f"{one['id']}: {node['html'][:160]} ({node['failureSummary'].splitlines()[-1].strip()[:160]})"
        for one in results.response["violations"]
        for node in one["nodes"][:3]
    ]


def look_at(page) -> list[str]:
    found = findings(page)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    return found + [f"dark: {one}" for one in findings(page, runOnly=["color-contrast", "link-in-text-block"])]


@pytest.mark.parametrize("who", ["stranger", "administrator"])
def test_axe_finds_nothing_on_any_page(product, pages, visitor, who):
    if who == "administrator":
        sign_in(visitor, product)
    wrong, looked_at = {}, set()
    for path in pages:
        visitor.emulate_media(color_scheme="light", reduced_motion="reduce")
        if visit(visitor, product.url + path) is None:
            continue
        led_to = urlsplit(visitor.url).path  # many lead a stranger to the same form
        if led_to in looked_at and led_to != urlsplit(path).path:
            continue
        looked_at.add(led_to)
        try:
            found = look_at(visitor)
        except PlaywrightError:  # a page that waits for something has just reloaded itself
            visitor.wait_for_load_state()
            found = look_at(visitor)
        if found:
            wrong[path] = found
    assert wrong == {}, "\n" + json.dumps(wrong, indent=1)
    assert len(looked_at) > 15


def test_pages_are_light_and_ask_only_this_server(product, pages, visitor):
    """On a first visit, everything counted: page, style sheet, scripts, pictures."""
    heavy = {}
    for path in pages:
        visitor.context.clear_cookies()
        visit(visitor, "about:blank")  # whatever the page before was still loading ends here
        visitor.weight = 0
        session = visitor.context.new_cdp_session(visitor)
        session.send("Network.clearBrowserCache")
        session.detach()
        if visit(visitor, product.url + path, wait_until="networkidle") and visitor.weight > KILOBYTES * 1000:
            heavy[path] = visitor.weight
    assert heavy == {}
    elsewhere = {
        url
        for url in visitor.requested
        if urlsplit(url).scheme not in ("data", "about") and not url.startswith(product.url)
    }
    assert elsewhere == set()


def test_the_keyboard_leads_everywhere(product, visitor):
    """From the address bar to a discovery's program without a mouse, and the focus always in sight."""
    visitor.goto(product.url + "/discoveries/?all=1")
    visitor.keyboard.press("Tab")
    assert visitor.evaluate("document.activeElement.className") == "skip"
    visitor.keyboard.press("Enter")
    assert visitor.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(60):
        visitor.keyboard.press("Tab")
        focus = visitor.evaluate(
            """() => {
              const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
              const after = getComputedStyle(one, "::after");
              return {tag: one.tagName, row: one.hasAttribute("data-row-link"), text: one.textContent.trim(),
                      shown: style.outlineStyle !== "none" || after.outlineStyle !== "none",
                      inside: box.top < innerHeight && box.bottom > 0};
            }"""
        )
        if focus["tag"] == "BODY":
            break
        assert focus["shown"] and focus["inside"], focus
        seen.add(focus["tag"])
        if focus["row"]:
            break
    assert {"INPUT", "SELECT", "BUTTON", "SUMMARY", "A"} <= seen
    # j and k move along the rows, Enter opens.
    first = visitor.evaluate("document.activeElement.href")
    visitor.keyboard.press("j")
    second = visitor.evaluate("document.activeElement.href")
    assert second != first
    visitor.keyboard.press("k")
    assert visitor.evaluate("document.activeElement.href") == first
    visitor.keyboard.press("Enter")
    visitor.wait_for_url(first)
    assert visitor.locator(".program").first.is_visible()
    assert visitor.problems == []


def test_a_reader_leaves_marks(product, visitor):
    """Star, tags and a note, by somebody signed in; what a note must not hold is not there."""
    sign_in(visitor, product)
    address = product.url + f"/a/{product.things['permalink']}"
    visitor.goto(address)
    star = visitor.locator("#star")
    before = star.get_attribute("aria-pressed")
    star.click()
    visitor.wait_for_load_state()
    assert visitor.locator("#star").get_attribute("aria-pressed") != before
    visitor.locator("#tag-input").fill("seen in a browser, second")
    visitor.get_by_role("button", name="Add", exact=True).click()
    visitor.wait_for_load_state()
    assert {"seen-in-a-browser", "second"} <= set(visitor.locator("#tags a").all_inner_texts())
    visitor.get_by_label("Write a note").fill(
        "**Bold** <script>document.title = 'gone'</script> [x](javascript:alert(1))"
    )
    visitor.get_by_role("button", name="Save the note").click()
    visitor.wait_for_load_state()
    note = visitor.locator(".note-text").last
    assert note.locator("strong").inner_text() == "Bold"
    assert note.locator("script, a[href^=javascript]").count() == 0
    assert "gone" not in visitor.title()
    assert visitor.problems == []


def test_lineages_lead_to_their_algorithms_and_steps_to_their_diffs(product, visitor):
    visitor.goto(product.url + f"/a/{product.things['permalink']}")
    chart = visitor.locator("svg.chart-wide a[href^='#step-']").last
    step = chart.get_attribute("href")
    visitor.goto(product.url + f"/a/{product.things['permalink']}{step}")
    assert visitor.locator(step).is_visible()
    visitor.goto(product.url + f"/searches/{product.things['search_id']}/tree/")
    visitor.locator(".lineages a.permalink").first.click()
    visitor.wait_for_url(re.compile(r"/a/\w+$"))
    assert visitor.locator(".program").first.is_visible()


def test_two_algorithms_fit_beside_each_other_on_a_phone(product, visitor):
    visitor.set_viewport_size({"width": 390, "height": 800})
    visitor.goto(product.url + "/discoveries/?all=1")
    links = [one.get_attribute("href").rsplit("/", 1)[-1] for one in visitor.locator("[data-row-link]").all()[:2]]
    visitor.goto(product.url + f"/compare?a={links[0]}&a={links[1]}")
    table = visitor.locator("table.compare").bounding_box()
    assert table["width"] <= 390
    assert visitor.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_charts_have_their_table(product, visitor):
    for path in (f"/searches/{product.things['search_id']}/", f"/a/{product.things['permalink']}"):
        visitor.goto(product.url + path)
        charts = visitor.locator("figure.chart-figure")
        assert charts.count() >= 1
        for index in range(charts.count()):
            chart = charts.nth(index)
            assert chart.locator("svg title").count() >= 1
            assert chart.locator("details table tbody tr").count() >= 1, chart.inner_html()[:200]


def test_nothing_moves_for_those_who_ask_for_that(product, visitor):
    visitor.emulate_media(reduced_motion="reduce")
    visitor.goto(product.url + f"/a/{product.things['permalink']}")
    assert visitor.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert visitor.evaluate("document.getAnimations().length") == 0


def test_pages_print_without_what_paper_cannot_do(product, visitor):
    for path in ("/", "/discoveries/", f"/a/{product.things['permalink']}"):
        visitor.goto(product.url + path)
        visitor.emulate_media(media="print", color_scheme="dark")
        for hidden in (".site-actions", ".site nav", ".filters", ".note-form", ".pages", ".keys"):
            for one in visitor.locator(hidden).all():
                assert not one.is_visible(), (path, hidden)
        assert visitor.evaluate("getComputedStyle(document.body).backgroundColor") in (
            "rgba(0, 0, 0, 0)",
            "rgb(255, 255, 255)",
        )
        assert visitor.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"
