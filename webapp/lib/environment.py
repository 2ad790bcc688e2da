"""Settings from the environment, read in one place and named when bad. docs/settings.md lists them for people."""

import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent.parent


class BadSetting(ValueError):
    """A variable of the environment that cannot be used: one line with its name and what is allowed."""

    def __init__(self, name: str, value: str, expected: str):
        super().__init__(f"{name} must be {expected}: got {value!r}")
        self.name = name


@dataclass(frozen=True)
class Environment:
    """What the environment says, checked. Fields are named like the variables, without ABOVO_."""

    home: Path
    data: Path
    bind: str
    port: int
    workers: int
    web_workers: int
    web_threads: int
    database_url: str | None
    celery_broker_url: str | None
    queue_prefix: str
    public_url: SplitResult | None
    allowed_hosts: list[str]
    secret_key: str | None
    admin_password: str | None
    open_launch: bool | None
    slice_seconds: float
    lease_seconds: float
    resend_seconds: float
    turn_seconds: float
    max_failures: int
    quota_islands: int
    quota_search_seconds: float
    quota_upload_bytes: int
    proxies: int | None
    api_rate: int
    api_rate_anonymous: int
    email: SplitResult | None
    email_from: str
    webhooks_to_private: bool
    log_level: str
    log_format: str
    metrics_token: str | None
    debug: bool

    @property
    def address(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.bind, self.bind)
        return f"http://{host}:{self.port}"

    @property
    def postgres_dir(self) -> Path:
        return self.home / "postgres"

    def read_secret_key(self) -> str:
        """SECRET_KEY, else the one kept under ABOVO_HOME, made at the first use and readable by its owner only."""
        if self.secret_key:
            return self.secret_key
        path = self.home / "secret-key"
        try:
            return _read_whole_key(path)
        except FileNotFoundError:
            pass
        try:
            self._make_secret_key(path)
        except OSError as error:
            expected = f"a folder that can be written, or SECRET_KEY set ({error.strerror})"
            raise BadSetting("ABOVO_HOME", str(self.home), expected) from None
        return _read_whole_key(path)

    def _make_secret_key(self, path: Path) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        # Written aside and linked: two processes that start together agree on one key.
        draft = self.home / f".secret-key-{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()


def _read_whole_key(path: Path) -> str:
    key = path.read_text().strip()
    if len(key) < 32:
        raise BadSetting("SECRET_KEY", key, f"at least 32 characters (in {path}; remove that file for a new one)")
    return key


def read_environment(variables: Mapping[str, str] = os.environ) -> Environment:
    """Read and check every setting; an empty value counts as not set. Raises BadSetting."""

    def get(name: str, default: str, parse: Callable[[str, str], object]):
        return parse(name, variables.get(name) or default)

    home = get("ABOVO_HOME", str(BASE_DIR / "var"), _path)
    return Environment(
        home=home,
        data=get("ABOVO_DATA", str(home / "data"), _path),
        bind=get("ABOVO_BIND", "127.0.0.1", _bind),
        port=get("PORT", "8000", _whole(1, 65535)),
        workers=get("ABOVO_WORKERS", str(_cores()), _whole(1, 1024)),
        web_workers=get("ABOVO_WEB_WORKERS", "2", _whole(1, 64)),
        web_threads=get("ABOVO_WEB_THREADS", "4", _whole(1, 64)),
        database_url=get("DATABASE_URL", "", _database_url),
        celery_broker_url=get("CELERY_BROKER_URL", "", _broker_url),
        queue_prefix=get("ABOVO_QUEUE_PREFIX", "", _matching(r"[A-Za-z0-9._-]{0,64}", "letters, digits, . _ -")),
        public_url=get("ABOVO_PUBLIC_URL", "", _public_url),
        allowed_hosts=get("ABOVO_ALLOWED_HOSTS", "", _hosts),
        secret_key=get("SECRET_KEY", "", _long_or_empty(32)),
        admin_password=get("ABOVO_ADMIN_PASSWORD", "", _long_or_empty(8)),
        open_launch={"": None, "0": False, "1": True}[get("ABOVO_OPEN_LAUNCH", "", _choice("", "0", "1"))],
        slice_seconds=get("ABOVO_SLICE_SECONDS", "5", _number(0.2, 60)),
        lease_seconds=get("ABOVO_LEASE_SECONDS", "20", _number(5, 3600)),
        quota_islands=get("ABOVO_QUOTA_ISLANDS", "64", _whole(0, 1_000_000)),
        quota_search_seconds=get("ABOVO_QUOTA_SEARCH_SECONDS", "86400", _number(1, 100_000_000)),
        quota_upload_bytes=get("ABOVO_QUOTA_UPLOAD_BYTES", "1073741824", _whole(0, 10**15)),
        proxies=get("ABOVO_PROXIES", "", _whole_or_none(0, 9)),
        api_rate=get("ABOVO_API_RATE", "600", _whole(0, 1_000_000)),
        api_rate_anonymous=get("ABOVO_API_RATE_ANONYMOUS", "120", _whole(0, 1_000_000)),
        resend_seconds=get("ABOVO_RESEND_SECONDS", "30", _number(1, 3600)),
        turn_seconds=get("ABOVO_TURN_SECONDS", "60", _number(0, 3600)),
        max_failures=get("ABOVO_MAX_FAILURES", "5", _whole(1, 100)),
        email=get("ABOVO_EMAIL_URL", "", _email_url),
        email_from=get("ABOVO_EMAIL_FROM", "abovo@localhost", _matching(r"[^\s@<>]+@[^\s@<>]+", "one e-mail address")),
        webhooks_to_private=get("ABOVO_WEBHOOKS_TO_PRIVATE", "0", _choice("0", "1")) == "1",
        log_level=get("ABOVO_LOG_LEVEL", "INFO", _choice("DEBUG", "INFO", "WARNING", "ERROR")),
        log_format=get("ABOVO_LOG_FORMAT", "TEXT", _choice("TEXT", "JSON")).lower(),
        metrics_token=get("ABOVO_METRICS_TOKEN", "", _long_or_empty(16)),
        debug=get("ABOVO_DEBUG", "0", _choice("0", "1")) == "1",
    )


def read_environment_or_exit() -> Environment:
    """For whatever starts: a bad setting ends it with one line and status 2."""
    try:
        environment = read_environment()
        environment.read_secret_key()
    except BadSetting as error:
        print(f"Ab Ovo cannot start: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    return environment


#: Every variable that read_environment looks at; docs/settings.md describes each.
NAMES = (
    "ABOVO_HOME",
    "ABOVO_DATA",
    "PORT",
    "ABOVO_BIND",
    "ABOVO_WORKERS",
    "ABOVO_WEB_WORKERS",
    "ABOVO_WEB_THREADS",
    "DATABASE_URL",
    "CELERY_BROKER_URL",
    "ABOVO_QUEUE_PREFIX",
    "ABOVO_PUBLIC_URL",
    "ABOVO_ALLOWED_HOSTS",
    "SECRET_KEY",
    "ABOVO_ADMIN_PASSWORD",
    "ABOVO_OPEN_LAUNCH",
    "ABOVO_SLICE_SECONDS",
    "ABOVO_LEASE_SECONDS",
    "ABOVO_RESEND_SECONDS",
    "ABOVO_TURN_SECONDS",
    "ABOVO_MAX_FAILURES",
    "ABOVO_QUOTA_ISLANDS",
    "ABOVO_QUOTA_SEARCH_SECONDS",
    "ABOVO_QUOTA_UPLOAD_BYTES",
    "ABOVO_PROXIES",
    "ABOVO_API_RATE",
    "ABOVO_API_RATE_ANONYMOUS",
    "ABOVO_EMAIL_URL",
    "ABOVO_EMAIL_FROM",
    "ABOVO_WEBHOOKS_TO_PRIVATE",
    "ABOVO_LOG_LEVEL",
    "ABOVO_LOG_FORMAT",
    "ABOVO_METRICS_TOKEN",
    "ABOVO_DEBUG",
)


def unknown_names(variables: Mapping[str, str] = os.environ) -> list[str]:
    """ABOVO_ variables that nothing reads: most likely a slip of the pen."""
    known = (*NAMES, "ABOVO_NUMBA_CACHE")
    return sorted(name for name in variables if name.startswith("ABOVO_") and name not in known)


def database_settings(url: str) -> dict:
    """Django's DATABASES entry for a postgresql:// address, whose query may carry libpq options."""
    from psycopg.conninfo import conninfo_to_dict

    options = {key: value for key, value in conninfo_to_dict(url).items() if value is not None}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname", ""),
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": str(options.pop("port", "")),
        "OPTIONS": options,
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _path(name: str, value: str) -> Path:
    if "\0" in value:
        raise BadSetting(name, value, "a folder")
    path = Path(value).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise BadSetting(name, value, "a folder, not a file")
    return path


def _whole(low: int, high: int):
    def parse(name: str, value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,16}", value) or not low <= int(value) <= high:
            raise BadSetting(name, value, f"a whole number from {low} to {high}")
        return int(value)

    return parse


def _whole_or_none(low: int, high: int):
    parse = _whole(low, high)
    return lambda name, value: parse(name, value) if value else None


def _number(low: float, high: float):
    def parse(name: str, value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value) or not low <= float(value) <= high:
            raise BadSetting(name, value, f"a number from {low:g} to {high:g}")
        return float(value)

    return parse


def _matching(pattern: str, expected: str):
    def parse(name: str, value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise BadSetting(name, value, f"made of {expected}")
        return value

    return parse


def _choice(*allowed: str):
    def parse(name: str, value: str) -> str:
        if value.upper() not in allowed:
            raise BadSetting(name, value, "one of " + ", ".join(filter(None, allowed)))
        return value.upper()

    return parse


def _long_or_empty(length: int):
    def parse(name: str, value: str) -> str | None:
        if value and len(value) < length:
            raise BadSetting(name, "*" * len(value), f"at least {length} characters")
        return value or None

    return parse


def _bind(name: str, value: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f.:]+|[A-Za-z0-9.-]+", value):
        raise BadSetting(name, value, "an address to listen on, such as 127.0.0.1 or 0.0.0.0")
    return value


def _database_url(name: str, value: str) -> str | None:
    expected = "a PostgreSQL address, such as postgresql://user:password@host:5432/database"
    if not value:
        return None
    if not value.startswith(("postgresql://", "postgres://")):
        raise BadSetting(name, _without_password(value), expected)
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        options = conninfo_to_dict(value)
    except Error:
        raise BadSetting(name, _without_password(value), expected) from None
    if not options.get("dbname"):
        raise BadSetting(name, _without_password(value), f"{expected} (the name of the database is missing)")
    return value


def _broker_url(name: str, value: str) -> str | None:
    expected = "a RabbitMQ address, such as amqp://user:password@host:5672//"
    if not value:
        return None
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("amqp", "amqps", "pyamqp") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise BadSetting(name, _without_password(value), expected)
    return value


def _email_url(name: str, value: str) -> SplitResult | None:
    expected = (
        "a mail server, such as smtp://user:password@host:587 (STARTTLS), smtps://host:465 or smtp+plain://host:25"
    )
    if not value:
        return None
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("smtp", "smtps", "smtp+plain") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BadSetting(name, _without_password(value), expected)
    return parts


def _public_url(name: str, value: str) -> SplitResult | None:
    if not value:
        return None
    try:
        parts = urlsplit(value)
        fits = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
        )
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment or parts.username:
        raise BadSetting(name, value, "the address people use, such as https://abovo.example.org, without a path")
    return parts


def _hosts(name: str, value: str) -> list[str]:
    hosts = [host.strip() for host in value.split(",") if host.strip()]
    for host in hosts:
        if not re.fullmatch(r"\.?[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]", host):
            raise BadSetting(name, value, "host names separated by commas")
    return hosts


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)
