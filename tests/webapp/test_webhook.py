"""Webhooks go to public addresses only, to the one that was checked, once, and not for ever."""

import http.server
import socket
import threading

import pytest

from webapp.lib import webhook
from webapp.lib.webhook import WebhookError, check_address, is_public, post


@pytest.fixture
def receiver():
    """A server on this machine; received: what it got, as (path, headers, body). answer: its status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.received.append((self.path, dict(self.headers), body))
            self.send_response(server.answer)
            if 300 <= server.answer < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.answer = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}/hook?a=b"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "2001:db8::1"],
)  # fmt: skip
def test_what_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_what_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/", "file:///etc/passwd", "https://", "//a.example", "a.example", "https://u:p@a.example/",
     "https://a.example:0/", "https://a.example:99999/", "http://a.example/ b", "http://a.example/\r\nX: y",
     "http://ä.example/ö", "http://[::1", ""],
)  # fmt: skip
def test_what_is_no_address(url):
    with pytest.raises(WebhookError) as refused:
        check_address(url)
    assert refused.value.permanent


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:7f00:1]", "169.254.169.254"],
)
def test_nothing_private_is_reached(receiver, host):
    """However it is written, and without a single byte to it."""
    with pytest.raises(WebhookError, match=r"not an address of the public internet|has no address"):
        post(f"http://{host}:{receiver.server_port}/", b"x", {})
    assert receiver.received == []


def test_a_name_with_one_private_address_is_refused(monkeypatch):
    found = [(2, 1, 6, "", ("1.1.1.1", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(webhook.socket, "getaddrinfo", lambda *args, **options: found)
    with pytest.raises(WebhookError, match="public internet"):
        post("http://mixed.example/", b"x", {})


def test_the_address_that_was_checked_is_the_one_that_is_used(receiver, monkeypatch):
    """A name that changes its mind between the look and the connection gains nothing."""
    asked = []
    real = socket.getaddrinfo

    def rebinding(host, *args, **options):
        if host == "rebinding.example":
            asked.append(host)
            return [(2, 1, 6, "", ("127.0.0.1", receiver.server_port))]
        return real(host, *args, **options)

    monkeypatch.setattr(webhook.socket, "getaddrinfo", rebinding)
    assert post(f"http://rebinding.example:{receiver.server_port}/", b"x", {}, to_private=True) == 200
    assert asked == ["rebinding.example"]
    assert receiver.received[0][1]["Host"] == f"rebinding.example:{receiver.server_port}"


def test_what_is_sent(receiver):
    assert (
        post(receiver.url, b'{"a": 1}', {"Content-Type": "application/json", "X-Abovo-Event": "test"}, to_private=True)
        == 200
    )
    path, headers, body = receiver.received[0]
    assert (path, body, headers["X-Abovo-Event"]) == ("/hook?a=b", b'{"a": 1}', "test")


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500])
def test_other_answers_are_failures(receiver, status):
    receiver.answer = status
    with pytest.raises(WebhookError, match=f"answered {status}"):
        post(receiver.url, b"x", {}, to_private=True)
    assert [path for path, _headers, _body in receiver.received] == ["/hook?a=b"]


def test_a_receiver_that_drips_is_cut_off():
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip():
        connection, _address = listener.accept()
        try:
            for byte in b"HTTP/1.1 200 OK\r\n" * 1000:
                connection.send(bytes([byte]))
                if ended.wait(0.05):
                    break
        except OSError:
            pass
        connection.close()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        with pytest.raises(WebhookError, match="could not be reached"):
            post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"x", {}, to_private=True, seconds=0.5)
    finally:
        ended.set()
        thread.join(10)
        listener.close()
    assert not thread.is_alive()
