"""Settings from the environment."""

from pathlib import Path

import pytest

from webapp.lib.environment import NAMES, BadSetting, database_settings, read_environment, unknown_names

ROOT = Path(__file__).resolve().parent.parent.parent


def test_nothing_needs_to_be_set():
    environment = read_environment({})
    assert environment.home == ROOT / "var"
    assert environment.data == ROOT / "var" / "data"
    assert environment.port == 8000
    assert environment.workers >= 1
    assert environment.address == "http://127.0.0.1:8000"
    assert environment.database_url is None


def test_empty_counts_as_not_set():
    assert read_environment(dict.fromkeys(NAMES, "")) == read_environment({})


def test_data_follows_home():
    assert read_environment({"ABOVO_HOME": "/a"}).data == Path("/a/data")
    assert read_environment({"ABOVO_HOME": "/a", "ABOVO_DATA": "/b"}).data == Path("/b")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ABOVO_HOME", "/etc/passwd"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "8000 "),
        ("PORT", "²"),
        ("ABOVO_BIND", "a b"),
        ("ABOVO_WORKERS", "0"),
        ("ABOVO_WORKERS", "-1"),
        ("ABOVO_WEB_WORKERS", "x"),
        ("ABOVO_WEB_THREADS", "1e3"),
        ("DATABASE_URL", "sqlite:///file"),
        ("DATABASE_URL", "postgresql://host/name?nosuchoption=1"),
        ("DATABASE_URL", "postgresql://host"),
        ("CELERY_BROKER_URL", "amqp://"),
        ("CELERY_BROKER_URL", "amqp://host:port//"),
        ("ABOVO_QUEUE_PREFIX", "a/b"),
        ("ABOVO_PUBLIC_URL", "https://host/path"),
        ("ABOVO_PUBLIC_URL", "ftp://host"),
        ("ABOVO_ALLOWED_HOSTS", "good.example, bad host"),
        ("SECRET_KEY", "short"),
        ("ABOVO_ADMIN_PASSWORD", "short"),
        ("ABOVO_OPEN_LAUNCH", "yes"),
        ("ABOVO_SLICE_SECONDS", "nan"),
        ("ABOVO_LEASE_SECONDS", "1"),
        ("ABOVO_QUOTA_ISLANDS", "-1"),
        ("ABOVO_QUOTA_SEARCH_SECONDS", "0"),
        ("ABOVO_QUOTA_UPLOAD_BYTES", "1 GB"),
        ("ABOVO_PROXIES", "x"),
        ("ABOVO_API_RATE", "1.5"),
        ("ABOVO_API_RATE_ANONYMOUS", "many"),
        ("ABOVO_EMAIL_URL", "smtp://"),
        ("ABOVO_EMAIL_URL", "http://host"),
        ("ABOVO_EMAIL_URL", "smtp://host:port"),
        ("ABOVO_EMAIL_FROM", "a b"),
        ("ABOVO_WEBHOOKS_TO_PRIVATE", "yes"),
        ("ABOVO_LOG_LEVEL", "all"),
        ("ABOVO_DEBUG", "true"),
    ],
)
def test_a_bad_value_is_refused_by_name_in_one_line(name, value):
    with pytest.raises(BadSetting) as refused:
        read_environment({name: value})
    assert str(refused.value).startswith(f"{name} must be ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "CELERY_BROKER_URL", "ABOVO_EMAIL_URL"])
def test_passwords_are_not_repeated(name):
    with pytest.raises(BadSetting) as refused:
        read_environment({name: "nosuch://user:geheim@host/name"})
    assert "geheim" not in str(refused.value)


def test_unknown_names_are_found():
    assert unknown_names({"ABOVO_WORKER": "1", "ABOVO_WORKERS": "1", "HOME": "/"}) == ["ABOVO_WORKER"]


def test_database_address_becomes_djangos_settings():
    found = database_settings("postgresql://me:s%40crt@db:5433/abovo?sslmode=require")
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"]) == ("me", "s@crt", "db", "5433")
    assert found["NAME"] == "abovo" and found["OPTIONS"] == {"sslmode": "require"}


def test_the_secret_key_is_made_once(tmp_path):
    environment = read_environment({"ABOVO_HOME": str(tmp_path / "new")})
    key = environment.read_secret_key()
    assert len(key) >= 50 and environment.read_secret_key() == key
    assert (tmp_path / "new" / "secret-key").stat().st_mode & 0o777 == 0o600


def test_every_setting_is_documented():
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in text] == []
