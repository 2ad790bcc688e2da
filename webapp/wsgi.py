"""The web application for a WSGI server: `gunicorn -c python:webapp.lib.gunicorn_settings webapp.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
application = get_wsgi_application()
