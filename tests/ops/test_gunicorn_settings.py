"""What gunicorn's first process has done before it forks workers."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import gc, sys
import webapp.wsgi
from webapp.lib import gunicorn_settings
gunicorn_settings.when_ready(None)
from django.db import connections
assert "webapp.experiments.views.gallery" in sys.modules and "webapp.api.v1" in sys.modules
assert "sklearn" in sys.modules, "the first to see a data set's name would wait for it"
assert gc.get_freeze_count() > 50_000, gc.get_freeze_count()
assert all(one.connection is None for one in connections.all()), "workers would share a connection"
import threading
assert threading.active_count() == 1, threading.enumerate()
"""


@pytest.mark.once
def test_workers_begin_with_everything_loaded_and_nothing_of_it_collected(tmp_path):
    # A database that is not there: nothing may ask for it.
    variables = {**os.environ, "ABOVO_HOME": str(tmp_path), "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
