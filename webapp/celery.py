"""The Celery application. Workers, scheduler and web start here; settings are Django's, with the prefix CELERY_."""

import os

from celery import Celery
from celery.signals import worker_init, worker_process_init, worker_shutting_down

from webapp.lib import stopping
from webapp.lib.environment import read_environment_or_exit

# A bad setting ends whatever starts with one line.
read_environment_or_exit()
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


@worker_process_init.connect
def _give_way_to_pages(**kwargs):
    """Slices take what processor time is left: on a machine that serves pages, too, those come first."""
    os.nice(5)
