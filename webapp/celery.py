"""The Celery application. Workers, scheduler and web start here; settings are Django's, with the prefix CELERY_."""

import os

from celery import Celery
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

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


@worker_ready.connect
def _keep(sender, **kwargs):
    from webapp.experiments.services.keeper import Keeper

    queues = sender.app.amqp.queues
    slices = next((queue.name for queue in queues.consume_from.values() if queue.alias == "slices"), None)

    def drain(draining: bool) -> None:
        if slices is not None:
            sender.call_soon(sender.cancel_task_queue if draining else sender.add_task_queue, slices)

    global _keeper
    _keeper = Keeper(slots=sender.pool.limit if slices is not None else 0, on_drain=drain)
    _keeper.start()


@worker_shutdown.connect
def _leave(**kwargs):
    if _keeper is not None:
        _keeper.stop()


_keeper = None
