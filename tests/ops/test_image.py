"""What the Dockerfile leaves out of the image: nothing that the product imports. (A container engine is not needed to know that.)"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import PurePosixPath

import pytest

from tests.product import ROOT

pytestmark = pytest.mark.once

EVERYTHING = """
import json, sys, django
django.setup()
import webapp.urls, webapp.wsgi, webapp.celery, webapp.lib.warm, engine.cli.main, engine.bench
from django.core.management import get_commands, load_command_class
for name, app in get_commands().items():
    if app.startswith("webapp"):
        load_command_class(app, name)
webapp.celery.app.loader.import_default_modules()
print(json.dumps([one.__file__ for one in list(sys.modules.values()) if getattr(one, "__file__", None)]))
"""


def test_the_image_holds_what_is_imported():
    text = (ROOT / "Dockerfile").read_text()
    found = re.findall(r"find \S+ -depth -type d -name (\S+) -path '([^']+)' -exec rm -rf", text)
    assert found and text.count("rm -rf") == len(found), "a removal that this test does not understand"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings"}
    done = subprocess.run([sys.executable, "-c", EVERYTHING], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = [PurePosixPath(one) for one in json.loads(done.stdout.splitlines()[-1])]
    assert any(one.parts[-2:] == ("test", "signals.py") for one in files), "what Django's own pages need is looked at"
    for name, pattern in found:
        gone = [
            one
            for one in files
            for folder in one.parents
            if folder.name == name and fnmatch.fnmatch(str(folder), pattern)
        ]
        assert gone == []


def test_the_image_gets_all_that_is_read(tmp_path):
    """The product starts from nothing but what .dockerignore lets through."""
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    for name in kept:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    assert "locale" in kept, "the translations are compiled at the start"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "webapp" / "urls.py") in json.loads(done.stdout.splitlines()[-1])
