"""One POST to an address that somebody gave us, without letting it reach what only we can reach.

The name is resolved once, every address that it has must be a public one, and the connection goes to the address that was
checked: a name that resolves to something else a moment later gains nothing. Redirects are not followed, and the whole
exchange has one deadline, however slowly the other side drips.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from urllib.parse import urlsplit

SECONDS = 15.0
MOST_BYTES = 4096
"""What is read of the answer: nobody looks at it."""

# Addresses of other families inside IPv6: what they lead to is decided elsewhere.
_TUNNELS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


class WebhookError(Exception):
    """It was not delivered; the message says why. permanent: trying again would not help."""

    def __init__(self, message: str, *, permanent: bool = False):
        super().__init__(message)
        self.permanent = permanent


def check_address(url: str) -> tuple[str, str, int, str]:
    """Return (scheme, host, port, target) of a webhook's address. Raises WebhookError."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (
            (parts.hostname or "").encode("idna").decode()
            if parts.hostname and ":" not in parts.hostname
            else parts.hostname
        )
    except ValueError:
        raise WebhookError("this is not an address", permanent=True) from None
    if parts.scheme not in ("http", "https") or not host:
        raise WebhookError("an address must begin with https:// or http://", permanent=True)
    if parts.username is not None or parts.password is not None or port == 0:
        raise WebhookError("an address must not hold a name and password, nor port 0", permanent=True)
    if not url.isascii() or any(one.isspace() or not one.isprintable() for one in url):
        raise WebhookError("an address holds only plain characters, others as %XX", permanent=True)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if any(ip in network for network in _TUNNELS):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def refuse_private_number(host: str) -> None:
    """Raise WebhookError for a host written as a number that is not public; what a name leads to is known when it is used."""
    with contextlib.suppress(ValueError):
        if not is_public(host):
            raise WebhookError(f"{host} is not an address of the public internet", permanent=True)


def post(url: str, body: bytes, headers: dict[str, str], *, to_private: bool = False, seconds: float = SECONDS) -> int:
    """Send the body; return the status, one of 200 to 299. Raises WebhookError for every other outcome."""
    scheme, host, port, target = check_address(url)
    address = _resolve(host, port, to_private)
    connection = _Connection(host, port, address, seconds, secure=scheme == "https")
    # Times out single steps; this one ends them all.
    end = threading.Timer(seconds, connection.cut)
    end.daemon = True
    end.start()
    try:
        connection.request("POST", target, body, {"User-Agent": "abovo", "Connection": "close", **headers})
        answer = connection.getresponse()
        answer.read(MOST_BYTES)
        status = answer.status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WebhookError(f"{host} could not be reached: {_words(error)}") from None
    finally:
        end.cancel()
        with contextlib.suppress(OSError):
            connection.close()
    if not 200 <= status < 300:
        raise WebhookError(
            f"{host} answered {status}" + (" (redirects are not followed)" if 300 <= status < 400 else "")
        )
    return status


def _resolve(host: str, port: int, to_private: bool) -> str:
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise WebhookError(f"{host} has no address: {_words(error)}") from None
    if not to_private and not all(map(is_public, found)):
        raise WebhookError(f"{host} is not an address of the public internet", permanent=True)
    return found[0]


class _Connection(http.client.HTTPConnection):
    """Goes to an address that was checked, and asks for the certificate of the name."""

    def __init__(self, host: str, port: int, address: str, seconds: float, *, secure: bool):
        super().__init__(host, port, timeout=seconds)
        self._address, self._context = address, ssl.create_default_context() if secure else None
        self._cut = False

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._cut:
            raise TimeoutError("it took too long")
        if self._context:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End whatever is going on; called from another thread."""
        self._cut = True
        sock = self.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
