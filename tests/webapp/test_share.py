"""What others show of a link: the picture, the words, oEmbed and the frame."""

import re
import struct
from xml.etree import ElementTree

import pytest
from django.core.cache import cache

from engine.baselines import BASELINES
from webapp.experiments import share, svg
from webapp.experiments.models import Measurement
from webapp.experiments.services import record

from .test_measure import DATA

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def found(make_search, run):
    search = make_search()
    run(search, 2)
    return search.best


def test_the_picture_is_a_png_of_the_size_that_links_have(client, found):
    response = client.get(f"{found.algorithm.get_absolute_url()}/picture.png")
    assert response.headers["Content-Type"] == "image/png"
    assert response.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", response.content[16:24]) == (share.WIDTH, share.HEIGHT)
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_the_picture_is_drawn_once_for_each_content(client, found, monkeypatch):
    cache.clear()
    drawn = []
    monkeypatch.setattr(svg, "png", lambda text: drawn.append(text) or b"png")
    address = f"{found.algorithm.get_absolute_url()}/picture.png"
    first = client.get(address)
    assert client.get(address).headers["ETag"] == first.headers["ETag"]
    assert client.get(address, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert len(drawn) == 1
    Measurement.objects.create(find=found, data=DATA)
    assert client.get(address).headers["ETag"] != first.headers["ETag"]
    assert len(drawn) == 2


def test_the_picture_shows_code_and_curve_and_is_the_same_in_every_language(client, found):
    Measurement.objects.create(find=found, data=DATA)
    finds = [found]
    text = share.picture(found.algorithm, finds, Measurement.objects.select_related("find__search").get())
    root = ElementTree.fromstring(text)
    words = "".join(root.itertext())
    assert "def Predict():" in words and f"a/{found.algorithm.permalink}" in words and "training examples seen" in words
    assert "this one" in words


def test_long_programs_are_cut_where_the_picture_ends():
    program = max((one.build() for one in BASELINES.values()), key=len)
    row = record.record_algorithms([program], published=True)[program.digest()]
    drawn = share.picture(row, [], None)
    places = [float(y) for y in re.findall(r'class="fn-\w+" style="[^"]*" x="[^"]*" y="([^"]*)"', drawn)]
    assert 10 < len(places) < 3 + len(program) and max(places) <= share.HEIGHT - 40
    assert re.search(r"# \d lines", drawn) and "more lines" in drawn


def test_a_page_says_what_others_shall_show(client, found):
    address = found.algorithm.get_absolute_url()
    text = client.get(address).content.decode()
    for name, value in {
        "og:title": "A regressor|A classifier|.+", "og:url": f"http://testserver{address}",
        "og:image": f"http://testserver{address}/picture.png", "og:image:width": "1200",
    }.items():  # fmt: skip
        assert re.search(rf'<meta property="{name}" content="{value}">', text), name
    assert 'type="application/json+oembed" href="http://testserver/oembed?url=http%3A%2F%2Ftestserver%2Fa%2F' in text


def test_oembed_answers_with_a_frame(client, found):
    address = f"http://testserver{found.algorithm.get_absolute_url()}"
    data = client.get("/oembed", {"url": address}).json()
    assert (data["version"], data["type"]) == ("1.0", "rich")
    assert f'src="{address}/embed"' in data["html"] and data["thumbnail_url"] == f"{address}/picture.png"
    small = client.get("/oembed", {"url": f"{address}/", "maxwidth": "400", "maxheight": "10"}).json()
    assert (small["width"], small["height"]) == (400, 280)
    assert 'width="400"' in small["html"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://elsewhere/a/{}",
        "http://testserver/",
        "ftp://testserver/a/{}",
        "http://[",
        "http://testserver/a/1111111111",
    ],
)
def test_oembed_knows_only_our_algorithms(client, found, url):
    assert client.get("/oembed", {"url": url.format(found.algorithm.permalink)}).status_code == 404


def test_oembed_speaks_json_only(client, found):
    address = f"http://testserver{found.algorithm.get_absolute_url()}"
    assert client.get("/oembed", {"url": address, "format": "xml"}).status_code == 501


def test_only_the_frame_may_be_framed(client, found):
    address = found.algorithm.get_absolute_url()
    frame = client.get(f"{address}/embed")
    assert "frame-ancestors *" in frame.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in frame.headers
    page = client.get(address)
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("suffix", ["/picture.png", "/embed"])
def test_what_is_private_is_shared_with_nobody(client, make_search, run, owner, stranger, suffix):
    search = make_search(owner=owner, visibility="private")
    run(search)
    address = search.best.algorithm.get_absolute_url()
    assert client.get(address + suffix).status_code == 404
    assert client.get("/oembed", {"url": f"http://testserver{address}"}).status_code == 404
    client.force_login(stranger)
    assert client.get(address + suffix).status_code == 404
    client.force_login(owner)
    response = client.get(address + suffix)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    if suffix == "/embed":
        assert "frame-ancestors 'self'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["curve.svg", "ancestry.svg"])
def test_figures_carry_their_style(client, found, path):
    Measurement.objects.create(find=found, data=DATA)
    response = client.get(f"{found.algorithm.get_absolute_url()}/{path}")
    assert response.headers["Content-Type"].startswith("image/svg+xml")
    root = ElementTree.fromstring(response.content)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert {"style", "path", "text", "title", "desc"} <= names
    assert "var(" not in response.content.decode()
