"""Django's settings. Everything that differs between installations comes from the environment: docs/settings.md."""

import warnings
from urllib.parse import unquote

from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from webapp.lib import pg_transport, postgres
from webapp.lib.environment import BASE_DIR, BadSetting, database_settings, read_environment

try:
    ENVIRONMENT = read_environment()
    SECRET_KEY = ENVIRONMENT.read_secret_key()
except BadSetting as error:
    raise ImproperlyConfigured(str(error)) from None

DEBUG = ENVIRONMENT.debug
ABOVO_HOME = ENVIRONMENT.home
ABOVO_DATA = ENVIRONMENT.data
ABOVO_OPEN_LAUNCH = ENVIRONMENT.open_launch
ABOVO_SLICE_SECONDS = ENVIRONMENT.slice_seconds
ABOVO_LEASE_SECONDS = ENVIRONMENT.lease_seconds
ABOVO_RESEND_SECONDS = ENVIRONMENT.resend_seconds
ABOVO_TURN_SECONDS = ENVIRONMENT.turn_seconds
ABOVO_MAX_FAILURES = ENVIRONMENT.max_failures
ABOVO_METRICS_TOKEN = ENVIRONMENT.metrics_token
ABOVO_QUOTA_ISLANDS = ENVIRONMENT.quota_islands
ABOVO_QUOTA_SEARCH_SECONDS = ENVIRONMENT.quota_search_seconds
ABOVO_QUOTA_UPLOAD_BYTES = ENVIRONMENT.quota_upload_bytes
ABOVO_WEBHOOKS_TO_PRIVATE = ENVIRONMENT.webhooks_to_private
ABOVO_API_RATE = ENVIRONMENT.api_rate
ABOVO_API_RATE_ANONYMOUS = ENVIRONMENT.api_rate_anonymous

# Who may ask, and how: ABOVO_PUBLIC_URL with https turns on what only makes sense behind TLS.
PUBLIC_URL = ENVIRONMENT.public_url
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", *ENVIRONMENT.allowed_hosts]
CSRF_TRUSTED_ORIGINS = []
if PUBLIC_URL:
    ALLOWED_HOSTS.append(PUBLIC_URL.hostname)
    CSRF_TRUSTED_ORIGINS.append(f"{PUBLIC_URL.scheme}://{PUBLIC_URL.netloc}")
if ENVIRONMENT.bind not in ("0.0.0.0", "::"):
    ALLOWED_HOSTS.append(f"[{ENVIRONMENT.bind}]" if ":" in ENVIRONMENT.bind else ENVIRONMENT.bind)

HTTPS = bool(PUBLIC_URL and PUBLIC_URL.scheme == "https")
# How many proxies before us add to X-Forwarded-For; what comes from farther out anybody may have written.
ABOVO_PROXIES = ENVIRONMENT.proxies if ENVIRONMENT.proxies is not None else int(HTTPS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Cookies know no ports: instances side by side on one host need names of their own.
SESSION_COOKIE_NAME = f"abovo_session_{ENVIRONMENT.port}"
CSRF_COOKIE_NAME = f"abovo_csrf_{ENVIRONMENT.port}"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = False
# What subdomains and browsers' preload lists should hold is for the domain's owner to say, not for one program on it.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = ["^metrics$"]  # asked from inside, without TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "webapp.experiments",
    "webapp.people",
    "webapp.lib",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django_htmx",
    "template_partials",
]

MIDDLEWARE = [
    "webapp.lib.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "webapp.lib.security.SecurityHeadersMiddleware",
    "webapp.api.problems.ApiMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "webapp.urls"
WSGI_APPLICATION = "webapp.wsgi.application"
ASGI_APPLICATION = "webapp.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Without DATABASE_URL: the server that `make run` keeps under ABOVO_HOME.
DATABASE_URL = ENVIRONMENT.database_url or postgres.database_url(ENVIRONMENT.postgres_dir)
DATABASES = {
    "default": {
        **database_settings(DATABASE_URL),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", "5")
DATABASES["default"]["OPTIONS"].setdefault("application_name", "abovo")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "experiments:home"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Mail is optional: without a server nobody is offered any.
ABOVO_EMAIL = ENVIRONMENT.email is not None
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENVIRONMENT.email_from
EMAIL_TIMEOUT = 10
if ENVIRONMENT.email:
    EMAIL_HOST = ENVIRONMENT.email.hostname
    EMAIL_USE_SSL = ENVIRONMENT.email.scheme == "smtps"
    EMAIL_USE_TLS = ENVIRONMENT.email.scheme == "smtp"
    EMAIL_PORT = ENVIRONMENT.email.port or (465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)
    EMAIL_HOST_USER = unquote(ENVIRONMENT.email.username or "")
    EMAIL_HOST_PASSWORD = unquote(ENVIRONMENT.email.password or "")

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]
# `manage.py prepare` compiles the catalogues of locale/ to here.
LOCALE_PATHS = [ABOVO_HOME / "locale"]
LANGUAGE_COOKIE_NAME = f"abovo_language_{ENVIRONMENT.port}"

STATIC_URL = "/static/"
STATIC_ROOT = ABOVO_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"] if (BASE_DIR / "static").is_dir() else []
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG
# What people upload: to the storage, through temporary files, never more than the engine would read.
MEDIA_ROOT = ABOVO_DATA
ABOVO_UPLOAD_BYTES = 1 << 30
FILE_UPLOAD_HANDLERS = [
    "webapp.lib.uploads.BoundedUpload",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# Celery. The database says what is to be done, messages only say when: losing, doubling or delaying one changes nothing.
# Two queues: `slices` for the long work of searches, `default` for short jobs, so that neither waits for the other. Code
# uses these plain names, as aliases; ABOVO_QUEUE_PREFIX keeps instances on one broker apart.
CELERY_BROKER_TRANSPORT_OPTIONS: dict
if ENVIRONMENT.celery_broker_url:
    CELERY_BROKER_URL = ENVIRONMENT.celery_broker_url
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
else:
    pg_transport.register()
    CELERY_BROKER_URL = pg_transport.URL
    CELERY_BROKER_TRANSPORT_OPTIONS = {"conninfo": DATABASE_URL, "polling_interval": 0.2}
CELERY_TASK_QUEUES = [
    Queue(ENVIRONMENT.queue_prefix + name, routing_key=ENVIRONMENT.queue_prefix + name, alias=name)
    for name in ("default", "slices")
]
CELERY_TASK_ROUTES = {"experiments.run_slice_job": {"queue": "slices"}}
CELERY_TASK_DEFAULT_QUEUE = CELERY_TASK_DEFAULT_EXCHANGE = CELERY_TASK_DEFAULT_ROUTING_KEY = CELERY_TASK_QUEUES[0].name
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_CONCURRENCY = ENVIRONMENT.workers
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 2,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.5,
}
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_POOL_LIMIT = 4
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_TIMEZONE = "UTC"
# In memory: the default scheduler keeps its state in a pickle.
CELERY_BEAT_SCHEDULER = "webapp.lib.beat:SteadyScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = {
    # Messages may be lost; what waits in the outbox is not.
    "notices": {
        "task": "people.notices_job",
        "schedule": 30.0,
        "options": {"queue": "default", "expires": 30},
    },
    "forget": {
        "task": "people.forget_job",
        "schedule": 3600.0,
        "options": {"queue": "default", "expires": 3600},
    },
    "measure": {
        "task": "experiments.measure_job",
        "schedule": 10.0,
        "options": {"queue": "default", "expires": 10},
    },
    "gallery": {
        "task": "experiments.gallery_job",
        "schedule": 5.0,
        "options": {"queue": "default", "expires": 5},
    },
    "canonical": {
        "task": "experiments.canonical_job",
        "schedule": 30.0,
        "options": {"queue": "default", "expires": 30},
    },
    "imports": {
        "task": "experiments.import_job",
        "schedule": 10.0,
        "options": {"queue": "default", "expires": 10},
    },
    "check-datasets": {
        "task": "experiments.check_dataset_job",
        "schedule": 30.0,
        "options": {"queue": "default", "expires": 30},
    },
}

# Terse: `make run` puts the process's name before each line.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "webapp.lib.log_format.TerseFormatter"},
        "json": {"()": "webapp.lib.log_format.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": ENVIRONMENT.log_format}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "webapp": {"level": ENVIRONMENT.log_level},
        "engine": {"level": ENVIRONMENT.log_level},
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        # The error itself is logged as django.request; the broker's every hiccup need not be.
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        # The ferry says in one line what pika says in pages.
        "pika": {"level": "CRITICAL"},
    },
}
# Inside a container, and with the embedded set-up as root, this is what was asked for.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")
# Kept as it is on purpose: a slice whose connection broke ends by itself, and its lease decides what counts.
warnings.filterwarnings("ignore", message=r"\s*In Celery 5\.1 we introduced an optional breaking change")
