"""What strangers write, against the pages that read it: addresses, uploads, notes, specifications as text, webhooks.

A short run with fixed examples is part of all tests; `make fuzz-pages` tries 10,000 new ones of each.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zipfile
from html.parser import HTMLParser
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, example, given
from hypothesis import settings as how
from hypothesis import strategies as st

from engine.presets import preset
from engine.spec_toml import to_toml
from webapp.experiments.models import Dataset, Search
from webapp.experiments.services.datasets import UploadError, check_dataset, receive_upload
from webapp.lib import markdown, webhook

pytestmark = [pytest.mark.django_db, pytest.mark.once]

COMMON = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
SHORT = how(max_examples=12, derandomize=True, **COMMON)
LONG = how(max_examples=int(os.environ.get("ABOVO_FUZZ", "10000")), **COMMON)
RUNS = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.fuzz)]

ANY_TEXT = st.text(max_size=60)
NASTY = st.sampled_from(
    ["", "\0", "a\0b", "\ud800", "%", "%00", "'", '"', "--", "nan", "inf", "-inf", "1e999", "-1", "0", "9" * 30, "٣", "1_0", "null",
     "../../etc/passwd", "<script>alert(1)</script>", "{{7*7}}", "\u202e", "a" * 3000, "1,2,,3", "[]", "true", "\r\nX: y"]
)  # fmt: skip
VALUE = st.one_of(NASTY, ANY_TEXT, st.integers().map(str), st.floats().map(str))

READ = ["page", "q", "s", "search", "a", "x", "by", "only", "above", "state", "best", "chart", "frame", "waiting", "preset", "data", "from", "again", "format", "maxwidth", "maxheight", "url", "next", "all", "sort", "op", "motif", "score", "size", "age", "after", "owner", "tag", "starred", "search_id", "d"]  # fmt: skip
"""Names of parameters that pages read, and one that none does."""

WITHOUT_OBJECT = ("home", "discoveries", "searches", "launch", "search-compare", "search-compare-csv", "studies", "compare",
                  "compare-svg", "oembed", "datasets", "ops")  # fmt: skip
OF_SEARCH = (
    "search",
    "search-live",
    "search-curve",
    "search-curve-csv",
    "search-tree",
    "search-tree-svg",
    "search-phylogeny",
)
OF_ALGORITHM = ("algorithm", "algorithm-state", "ancestry", "ancestry-json", "ancestry-svg", "phylogeny-csv", "curve-svg",
                "curve-csv", "embed", "program-python")  # fmt: skip


def encoded(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("profile", RUNS)
def test_no_address_breaks_a_page(client, owner, make_search, run, profile):
    search = make_search(owner=owner)
    run(search)
    client.force_login(owner)
    permalink = search.best.algorithm.permalink
    paths = [reverse(f"experiments:{name}") for name in WITHOUT_OBJECT] + ["/account/", "/people/", "/login/"]
    paths += [reverse(f"experiments:{name}", args=[search.pk]) for name in OF_SEARCH]
    paths += [reverse(f"experiments:{name}", args=[permalink]) for name in OF_ALGORITHM]
    oembed = reverse("experiments:oembed")
    known = st.sampled_from([permalink, str(search.pk), f"{search.pk},{search.pk}"])

    @profile
    @given(
        path=st.sampled_from(paths),
        query=st.lists(st.tuples(st.sampled_from(READ), VALUE | known), max_size=5),
        htmx=st.booleans(),
    )
    def one(path, query, htmx):
        address = f"{path}?{'&'.join(f'{name}={encoded(value)}' for name, value in query)}"
        response = client.get(address, headers={"HX-Request": "true"} if htmx else {})
        # oEmbed says 501 to a format that the server does not make; nothing else is the server's fault.
        assert response.status_code < 500 or (path == oembed and response.status_code == 501), address
        body = b"".join(response.streaming_content) if response.streaming else response.content
        if response.headers.get("Content-Type", "").startswith("text/html"):
            assert b"<script>alert" not in body, address
        assert "\n" not in response.headers.get("Location", "")

    one()


ALLOWED = {"a": {"href", "title", "rel"}, "ol": {"start"}}
MARKUP = st.lists(
    st.one_of(
        ANY_TEXT,
        st.sampled_from(
            ["[", "](", ")", "<", ">", "![x](", "javascript:alert(1)", "java\nscript:", "&#106;avascript:", "data:text/html,", "<svg/onload=",
             "<img src=x onerror=", "> ", "- ", "1. ", "```", "`", "**", "|", "\n", "\n\n", "    ", "# ", "<!--", "]]>", "\\", "&lt;", "vbscript:",
             "[a]: ", "//evil.example", "\0", "\ud800", "title'\"", "<style>", "<a href=", "style=", "<math><mtext></form>"]
        ),
    ),
    max_size=30,
).map("".join)  # fmt: skip


class Reader(HTMLParser):
    """Refuses whatever a note must not hold."""

    def handle_starttag(self, tag, attrs):
        assert tag in markdown.TAGS
        for name, value in attrs:
            assert name in ALLOWED.get(tag, set()), (tag, name)
            if name == "href":
                # As a browser reads it: without control characters and white space.
                plain = re.sub(r"[\x00-\x20]", "", value or "").lower()
                scheme = re.match(r"([a-z][a-z0-9+.-]*):", plain)
                assert scheme is None or scheme.group(1) in markdown.SCHEMES, value

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@pytest.mark.parametrize("profile", RUNS)
def test_no_note_runs_or_loads_anything(profile):
    @profile
    @given(MARKUP)
    @example("[" * 5000)
    @example("> " * 3000 + "x")
    @example("*a_" * 3000)
    @example("`" * 3001 + " " + "`" * 3000)
    def one(text):
        reader = Reader()
        reader.feed(markdown.to_html(text.encode("utf-8", "replace").decode()))
        reader.close()

    one()


def packed_arrays(draw) -> bytes:
    """An .npz that is nearly right: shapes that do not fit, other types, objects, damage."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for name in draw(
            st.lists(
                st.sampled_from(["x_train", "y_train", "x_test", "y_test", "class_names", "../x", "/etc/x"]), max_size=6
            )
        ):
            shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
            kind = draw(
                st.sampled_from(
                    ["float64", "int64", "uint8", "bool", "U3", "complex128", "object", "float16", "M8[s]", "f4,i2"]
                )
            )
            array = np.zeros(shape, kind)
            if kind.startswith(("float", "int", "uint")):
                array = (np.arange(array.size).reshape(shape) % draw(st.integers(1, 4))).astype(kind)
            data = io.BytesIO()
            np.save(data, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", data.getvalue())
    return out.getvalue()


@st.composite
def contents(draw) -> bytes:
    """The bytes of an uploaded file."""
    kind = draw(st.sampled_from(["noise", "table", "npz", "gz", "bomb", "huge claim"]))
    if kind == "noise":
        data = draw(st.binary(min_size=1, max_size=300))
    elif kind == "table":
        rows = draw(st.lists(st.lists(VALUE, min_size=1, max_size=4), min_size=1, max_size=6))
        data = "\n".join(draw(st.sampled_from([",", ";", "\t"])).join(row) for row in rows).encode(
            "utf-8", "surrogatepass"
        )
    elif kind == "gz":
        data = gzip.compress(draw(st.binary(max_size=200)))
    elif kind == "bomb":
        data = gzip.compress(b"0" * 200_000)
    elif kind == "huge claim":  # a header that promises what is not there
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 8), }" % draw(
            st.integers(0, 10**18)
        )
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("x_train.npy", header.ljust(128, b" ")[:127] + b"\n")
            archive.writestr("y_train.npy", header.ljust(128, b" ")[:127] + b"\n")
        data = out.getvalue()
    else:
        data = packed_arrays(draw)
    if data and draw(st.booleans()):
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]
    return data or b"x"


NAMES = st.one_of(
    st.sampled_from(
        ["a.csv", "a.npz", "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", "../../a.csv", "C:\\x\\a.npz", "a.CSV", ".csv", "a.npz\0.csv",
         "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz", "a.exe"]
    ),
    ANY_TEXT,
)  # fmt: skip


@pytest.mark.parametrize("profile", RUNS)
def test_no_upload_breaks_out(client, owner, settings, tmp_path, monkeypatch, profile):
    """It is taken in or refused, in words; nothing is written outside of its folder, and what is refused is not kept."""
    data = tmp_path / "data"
    settings.MEDIA_ROOT = settings.ABOVO_DATA = data
    monkeypatch.setenv("ABOVO_DATA", str(data))
    monkeypatch.setattr("webapp.experiments.services.datasets.send_check", lambda dataset_id: None)

    @profile
    @given(files=st.lists(st.tuples(NAMES, contents()), min_size=1, max_size=4), name=st.just("mine") | VALUE)
    def one(files, name):
        sent = [SimpleUploadedFile("f", content) for _name, content in files]
        for file, (given_name, _content) in zip(sent, files, strict=True):
            file._name = given_name  # as hostile as it is, past Django's own cleaning
        with transaction.atomic():
            try:
                row = receive_upload(owner=owner, name=name, files=sent)
            except UploadError as error:
                assert error.message
            else:
                check_dataset(dataset_id=row.pk)
                row.refresh_from_db()
                assert row.state in (Dataset.State.READY, Dataset.State.REFUSED) and "Traceback" not in row.reason
                if row.state == Dataset.State.REFUSED:
                    assert row.reason
                else:
                    assert all((data / target).is_file() for target in row.files)
                for target in row.files:
                    assert target.startswith("uploads/")
                    (data / target).unlink(missing_ok=True)
            transaction.set_rollback(True)
        left = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert left == []

    one()


@pytest.mark.parametrize("profile", RUNS)
def test_no_form_of_an_upload_breaks_the_page(client, owner, settings, tmp_path, monkeypatch, profile):
    settings.MEDIA_ROOT = settings.ABOVO_DATA = tmp_path
    monkeypatch.setattr("webapp.experiments.services.datasets.send_check", lambda dataset_id: None)
    client.force_login(owner)
    boundary = "b0undary"

    @profile
    @given(
        fields=st.dictionaries(st.sampled_from(["name", "title", "visibility", "files", "x"]), VALUE, max_size=4),
        name=NAMES, content=st.binary(max_size=50), cut=st.integers(0, 400) | st.none(),
    )  # fmt: skip
    def one(fields, name, content, cut):
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'.encode()
            + value.encode("utf-8", "surrogatepass")
            for key, value in fields.items()
        ]
        file_name = name.encode("utf-8", "surrogatepass")
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="'.encode() + file_name
            + b'"\r\nContent-Type: text/csv\r\n\r\n' + content
        )  # fmt: skip
        body = b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])[:cut]
        with transaction.atomic():
            response = client.generic(
                "POST", reverse("experiments:dataset-upload"), body, f"multipart/form-data; boundary={boundary}"
            )
            transaction.set_rollback(True)
        assert response.status_code in (302, 400, 413, 422), response.status_code

    one()


LINES = to_toml(preset("digits")).splitlines()
TOML = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(LINES) | st.tuples(st.sampled_from(LINES), VALUE).map(lambda two: f"{two[0].split('=')[0]}= {two[1]}"),
             max_size=60).map("\n".join),
    st.tuples(st.integers(0, len(LINES) - 1), VALUE, st.booleans()).map(
        lambda three: "\n".join([*LINES[: three[0]], LINES[three[0]].split("=")[0] + f"= {three[1]!r}" if three[2] else three[1],
                                 *LINES[three[0] + 1 :]])),
    st.just("a = " + "[" * 5000), st.just("[a." * 2000), st.just("a.b." * 3000 + "c = 1"),
)  # fmt: skip


@pytest.mark.parametrize("profile", RUNS)
def test_no_specification_breaks_the_form(client, owner, profile):
    client.force_login(owner)
    fields = st.dictionaries(
        st.sampled_from(["title", "seed", "visibility", "preset", "shown", "repeats", "grid", "data", "population_size", "stop.max_seconds",
                         "ops", "search_tasks.dataset", "islands", "migration.every"]), VALUE, max_size=5,
    )  # fmt: skip

    @profile
    @given(text=TOML, fields=fields, verb=st.sampled_from(["read", "show", "estimate", "do"]), htmx=st.booleans())
    def one(text, fields, verb, htmx):
        before = Search.objects.count()
        sent = {"preset": "toml", **fields, "toml": text, verb: "toml" if verb == "do" else "1"}
        body = "&".join(f"{quote(name)}={encoded(value)}" for name, value in sent.items())
        response = client.generic(
            "POST", reverse("experiments:launch"), body, "application/x-www-form-urlencoded",
            headers={"HX-Request": "true"} if htmx else {},
        )  # fmt: skip
        assert response.status_code in (200, 400, 422), response.status_code
        assert Search.objects.count() == before

    one()


HOSTS = st.one_of(
    st.sampled_from(
        ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "0", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
         "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "[fd00::1]", "169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal",
         "localhost", "LOCALHOST.", "10.0.0.1", "100.64.0.1", "192.168.0.1", "172.16.0.1", "224.0.0.1", "255.255.255.255", "①②⑦.⓪.⓪.①",
         "example.org", "[::127.0.0.1]", "127.0.0.1.", "[v1.x]", "[", "]", "a..b", "xn--", "a" * 300]
    ),
    ANY_TEXT,
    st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip)),
)  # fmt: skip


@pytest.mark.parametrize("profile", RUNS)
def test_no_webhook_reaches_inside(client, owner, monkeypatch, profile):
    """Whatever the address: a connection is made to a public address or not at all, and the form has an answer."""
    client.force_login(owner)
    made: list[str] = []

    def connect(address, timeout):
        made.append(address[0])
        raise OSError("the test lets nobody out")

    monkeypatch.setattr("webapp.lib.webhook.socket.create_connection", connect)
    real = webhook.socket.getaddrinfo

    def resolve(host, port, **more):
        """Numbers as the system reads them; names without asking anybody: public the first time, private the second."""
        try:
            return real(host, port, flags=webhook.socket.AI_NUMERICHOST, **more)
        except webhook.socket.gaierror:
            asked[0] += 1
            return [(2, 1, 6, "", ("93.184.216.34" if asked[0] == 1 else "127.0.0.1", port))]

    asked = [0]
    monkeypatch.setattr("webapp.lib.webhook.socket.getaddrinfo", resolve)
    scheme = st.sampled_from(
        ["http://", "https://", "HTTP://", "ftp://", "file:///", "//", "", "http:/", "http:\\\\", "gopher://"]
    )
    user = st.sampled_from(["", "", "", "a@", "a:b@", "evil.example#@", "127.0.0.1\\@"])

    @profile
    @given(scheme, user, HOSTS, st.sampled_from(["", ":80", ":0", ":99999", ":x", ":", ":22"]), VALUE)
    def one(scheme, user, host, port, rest):
        url = f"{scheme}{user}{host}{port}/{rest}"
        made.clear()
        asked[0] = 0
        with pytest.raises(webhook.WebhookError):
            webhook.post(url, b"{}", {}, seconds=1)
        assert all(webhook.is_public(address) and ip_address(address).is_global for address in made)
        with transaction.atomic():
            body = f"webhook_url={encoded(url)}&by_email=&email="
            response = client.generic("POST", reverse("people:notices"), body, "application/x-www-form-urlencoded")
            transaction.set_rollback(True)
        assert response.status_code in (302, 400, 422), response.status_code
        if response.status_code == 302:
            assert urlsplit(url.strip()).scheme.lower() in ("http", "https")

    one()
