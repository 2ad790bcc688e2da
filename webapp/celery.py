"""The Celery application. Workers, scheduler and web start here; settings are Django's, with the prefix CELERY_."""

import os

from celery import Celery
from celery.signals import worker_init, worker_shutting_down

from webapp.lib import stopping

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

app = Celery("abovo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_shutting_down.connect
def _tell_running_jobs(**kwargs):
    stopping.request()


@worker_init.connect
def _name_worker(**kwargs):
    stopping.set_main_pid(os.getpid())
