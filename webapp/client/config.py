"""Where the server is, and the token: from the environment, else from the client's file, which only its owner can read."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from webapp.client.errors import ClientError

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Config:
    """url: the server's address, without a slash at its end. token: "" for none."""

    url: str = DEFAULT_URL
    token: str = ""


def path() -> Path:
    """Return where the file is: $XDG_CONFIG_HOME/abovo/client.json, by default under ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "abovo" / "client.json"


def load(url: str = "") -> Config:
    """Return the configuration. url: of the command line, before ABOVO_URL and the file. Raises ClientError.

    A token of the file goes to the server that it was stored for and to no other.
    """
    stored = _read()
    chosen = check_url(url or os.environ.get("ABOVO_URL") or stored.url)
    token = os.environ.get("ABOVO_TOKEN", "") or (stored.token if chosen == stored.url else "")
    return Config(chosen, token)


def save(config: Config) -> Path:
    """Keep the configuration in a file that only its owner can read; return where."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_suffix(f".{os.getpid()}")
    # Made with its rights, and put in place whole: the token is never readable by others, not for a moment.
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
        json.dump({"url": config.url, "token": config.token}, target)
    draft.replace(file)
    return file


def forget() -> bool:
    """Remove the file; True if there was one."""
    with contextlib.suppress(FileNotFoundError):
        path().unlink()
        return True
    return False


def check_url(url: str) -> str:
    """Return a server's address in its plain form. Raises ClientError."""
    url = url.strip().rstrip("/")
    if not url.startswith(("http://", "https://")) or any(one.isspace() for one in url):
        raise ClientError(f"the server's address must begin with http:// or https://: got {url!r}")
    return url


def _read() -> Config:
    file = path()
    try:
        if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise ClientError(f"{file} holds a token and can be read by others: chmod 600 {file}")
        data = json.loads(file.read_text(encoding="utf-8"))
        return Config(check_url(data["url"]), str(data["token"]))
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClientError(f"{file} cannot be used ({error}): remove it, or `abovo login` again") from None
