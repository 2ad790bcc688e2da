"""The administrator's queue: islands that wait and run, workers, pauses, and the record of who did what."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Case, Count, F, IntegerField, When
from django.db.models.functions import Now
from django.shortcuts import redirect
from django.template.defaultfilters import truncatechars
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from engine.spec import SpecError
from webapp.experiments import describe
from webapp.experiments.models import Island, QueuePause, Worker
from webapp.experiments.services import broker, requeue
from webapp.experiments.services.steer import PRIORITIES, SteerError, set_priority, stop_search
from webapp.experiments.services.workers import SILENT_SECONDS
from webapp.people.services.audit import record


def ago(moment, now) -> str:
    """Return how long ago something was, shortly. now: by the clock that wrote it down, which is the database's."""
    return describe.duration(max((now - moment).total_seconds(), 0.0)) if moment else "–"


class WhoseFilter(admin.SimpleListFilter):
    """Owners with something in the queue, the busiest first."""

    title = _("owner")
    parameter_name = "owner"

    def lookups(self, request, model_admin):
        busy = Island.objects.filter(state__in=("queued", "running"), search__owner__isnull=False)
        rows = busy.values_list("search__owner", "search__owner__username").annotate(n=Count("pk")).order_by("-n")[:30]
        return [("none", _("nobody")), *((str(pk), f"{name} ({count})") for pk, name, count in rows)]

    def queryset(self, request, queryset):
        if self.value() == "none":
            return queryset.filter(search__owner__isnull=True)
        return queryset.filter(search__owner=self.value()) if (self.value() or "").isdigit() else queryset


_STATE = Island.State
_ORDER = (_STATE.RUNNING, _STATE.QUEUED, _STATE.PAUSED, _STATE.FAILED, _STATE.STOPPED, _STATE.FINISHED)
_TURN = Case(*(When(state=state, then=place) for place, state in enumerate(_ORDER)), output_field=IntegerField())
"""First what runs and waits, then what somebody may have to see to, then what has ended."""


class IslandAdmin(admin.ModelAdmin):
    """The queue. A job is an island: its next slice is what a worker does."""

    # Beside the filters a window of 1,024 pixels has room for eight, so what is looked for most stands first.
    list_display = (
        "job", "state", "owner", "priority", "waits", "runs", "heartbeat", "worker", "failures", "attempt", "last_error",
    )  # fmt: skip
    list_display_links = ("job",)
    list_filter = ("state", WhoseFilter, "search__priority", ("last_error", admin.EmptyFieldListFilter))
    list_select_related = ("search__owner",)
    list_per_page = 50
    search_fields = ("search__title", "search__owner__username", "lease_owner")
    search_help_text = _("Title of a search, name of an owner or of a worker")
    ordering = (_TURN, "-search__priority", "queued_at")
    show_full_result_count = False
    actions = ("stop", "retry", "raise_priority", "lower_priority", "to_front", "to_back", "take_back")
    change_list_template = "admin/experiments/queue.html"

    class Media:
        css = {"all": ("admin-queue.css",)}

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(now=Now())

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("pause/", view(require_POST(self.pause_all)), name="queue-pause"),
            path("resume/", view(require_POST(self.resume_all)), name="queue-resume"),
            *super().get_urls(),
        ]

    def pause_all(self, request):
        """Hold the whole queue; what runs ends its slice."""
        return self._set_pause(request, True)

    def resume_all(self, request):
        """Let the queue go on."""
        return self._set_pause(request, False)

    def _set_pause(self, request, paused):
        if not request.user.has_perms(["experiments.add_queuepause", "experiments.delete_queuepause"]):
            raise PermissionDenied
        with transaction.atomic():
            if paused:
                pause, changed = QueuePause.objects.get_or_create(owner=None, defaults={"by": request.user})
            else:
                pause = QueuePause.objects.select_for_update().filter(owner=None).first()
                changed = pause is not None
            if changed:
                what = _("The whole queue was paused") if paused else _("The whole queue goes on")
                record(by=request.user, obj=pause, what=str(what), deleted=not paused)
                if not paused:
                    pause.delete()
                    requeue.wake()
                self.message_user(request, f"{what}.", messages.SUCCESS)
        return redirect(reverse("admin:experiments_island_changelist"))

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        # Rows are only looked at; the actions need the right to change them.
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request, obj=None):
        return False

    def changelist_view(self, request, extra_context=None):
        counts = dict(Island.objects.order_by().values_list("state").annotate(Count("pk")))
        pauses = list(QueuePause.objects.select_related("owner", "by"))
        context = {
            "title": _("The queue"), "queues": broker.queues(), "pauses": pauses, "is_queue": True,
            "paused": any(pause.owner_id is None for pause in pauses),
            "counts": [(label, counts[state]) for state, label in Island.State.choices if state in counts],
        }  # fmt: skip
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @admin.display(description=_("job"), ordering="search")
    def job(self, island):
        return f"{island.search_id}.{island.index}: {truncatechars(island.search.title, 60)}"

    @admin.display(description=_("owner"), ordering="search__owner__username")
    def owner(self, island):
        return island.search.owner or "–"

    @admin.display(description=_("priority"), ordering="search__priority")
    def priority(self, island):
        return island.search.priority

    @admin.display(description=_("worker"), ordering="lease_owner")
    def worker(self, island):
        return island.lease_owner or "–"

    @admin.display(description=_("heartbeat"), ordering="heartbeat_at")
    def heartbeat(self, island):
        return ago(island.heartbeat_at, island.now) if island.state == Island.State.RUNNING else "–"

    @admin.display(description=_("waits"), ordering="queued_at")
    def waits(self, island):
        return ago(island.queued_at, island.now) if island.state == Island.State.QUEUED else "–"

    @admin.display(description=_("engine time"), ordering="seconds")
    def runs(self, island):
        return describe.duration(island.seconds) if island.seconds else "–"

    def _each_search(self, request, queryset, verb, what):
        """Do something to the searches of the chosen islands, each once; write it down and say how many."""
        count, refusals = 0, []
        for search in {island.search for island in queryset.select_related("search")}:
            try:
                count += bool(verb(search))
            except (SteerError, SpecError) as error:
                refusals.append(f"{search.pk}: {error}")
            else:
                self.log_change(request, search, str(what))
        text = ngettext("%(what)s: %(n)d search.", "%(what)s: %(n)d searches.", count) % {"what": what, "n": count}
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)
        for refusal in refusals[:5]:
            self.message_user(request, refusal, messages.WARNING)

    def _each_island(self, request, queryset, count, what):
        for island in queryset:
            self.log_change(request, island, str(what))
        text = ngettext("%(what)s: %(n)d island.", "%(what)s: %(n)d islands.", count) % {"what": what, "n": count}
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)

    @admin.action(description=_("Stop their searches"), permissions=["change"])
    def stop(self, request, queryset):
        self._each_search(
            request, queryset, lambda search: stop_search(search_id=search.pk, by=request.user), _("Asked to stop")
        )

    @admin.action(description=_("Try failed searches again"), permissions=["change"])
    def retry(self, request, queryset):
        self._each_search(
            request,
            queryset,
            lambda search: requeue.retry_search(search_id=search.pk, by=request.user),
            _("Tried again"),
        )

    @admin.action(description=_("Raise their searches' priority by one"), permissions=["change"])
    def raise_priority(self, request, queryset):
        self._shift(request, queryset, +1, _("Priority raised"))

    @admin.action(description=_("Lower their searches' priority by one"), permissions=["change"])
    def lower_priority(self, request, queryset):
        self._shift(request, queryset, -1, _("Priority lowered"))

    def _shift(self, request, queryset, step, what):
        def shift(search):
            priority = min(max(search.priority + step, PRIORITIES[0]), PRIORITIES[-1])
            return set_priority(search_id=search.pk, priority=priority, by=request.user)

        self._each_search(request, queryset, shift, what)

    @admin.action(description=_("Move to the front of the queue"), permissions=["change"])
    def to_front(self, request, queryset):
        count = requeue.move(island_ids=queryset.values_list("pk", flat=True), to_front=True)
        self._each_island(request, queryset, count, _("Moved to the front"))

    @admin.action(description=_("Move to the back of the queue"), permissions=["change"])
    def to_back(self, request, queryset):
        count = requeue.move(island_ids=queryset.values_list("pk", flat=True), to_front=False)
        self._each_island(request, queryset, count, _("Moved to the back"))

    @admin.action(description=_("Take from its worker and queue again"), permissions=["change"])
    def take_back(self, request, queryset):
        count = requeue.take_back(island_ids=list(queryset.values_list("pk", flat=True)))
        self._each_island(request, queryset, count, _("Taken back"))


@admin.register(Worker)
class WorkerAdmin(admin.ModelAdmin):
    """Who works. Rows come and go with the workers; draining lets one finish its slices and take no more."""

    list_display = (
        "name",
        "condition",
        "version",
        "cores",
        "slices",
        "now_running",
        "throughput",
        "memory",
        "seen",
        "since",
    )
    list_filter = ("draining", "version", "host")
    search_fields = ("name",)
    actions = ("drain", "undrain")
    change_list_template = "admin/experiments/queue.html"

    class Media:
        css = {"all": ("admin-queue.css",)}

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(now=Now())

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return obj is None and super().has_change_permission(request)

    def changelist_view(self, request, extra_context=None):
        self._running: dict[str, list[str]] = {}
        held = Island.objects.filter(state=Island.State.RUNNING).values_list("lease_owner", "search_id", "index")
        for owner, search_id, index in held:
            self._running.setdefault(owner.rpartition("/")[0], []).append(f"{search_id}.{index}")
        context = {"title": _("Workers"), "queues": broker.queues()}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @admin.display(description=_("state"))
    def condition(self, worker):
        if (worker.now - worker.seen_at).total_seconds() > SILENT_SECONDS:
            return _("silent")
        return _("draining") if worker.draining else _("at work")

    @admin.display(description=_("running"))
    def now_running(self, worker):
        return ", ".join(self._running.get(worker.name, [])) or "–"

    @admin.display(description=_("slices at a time"), ordering="slots")
    def slices(self, worker):
        return worker.slots or _("none: scheduler")

    @admin.display(description=_("programs a second"))
    def throughput(self, worker):
        return f"{worker.individuals / worker.busy_seconds:,.0f}" if worker.busy_seconds else "–"

    @admin.display(description=_("memory"), ordering="memory_bytes")
    def memory(self, worker):
        return f"{worker.memory_bytes / 2**20:,.0f} MiB"

    @admin.display(description=_("seen"), ordering="seen_at")
    def seen(self, worker):
        return ago(worker.seen_at, worker.now)

    @admin.display(description=_("up"), ordering="started_at")
    def since(self, worker):
        return ago(worker.started_at, worker.now)

    @admin.action(description=_("Drain: let them finish, give them no more"), permissions=["change"])
    def drain(self, request, queryset):
        self._set(request, queryset, True, _("Draining"))

    @admin.action(description=_("Give them work again"), permissions=["change"])
    def undrain(self, request, queryset):
        self._set(request, queryset, False, _("At work again"))

    def _set(self, request, queryset, draining, what):
        for worker in queryset:
            self.log_change(request, worker, str(what))
        count = queryset.exclude(draining=draining).update(draining=draining)
        if count and not draining:
            requeue.wake()
        text = ngettext("%(what)s: %(n)d worker.", "%(what)s: %(n)d workers.", count) % {"what": what, "n": count}
        self.message_user(request, text, messages.SUCCESS)


@admin.register(QueuePause)
class QueuePauseAdmin(admin.ModelAdmin):
    """Add a pause to hold the queue, or one user's searches; delete it to go on."""

    list_display = ("whose", "by", "at")
    list_select_related = ("owner", "by")
    autocomplete_fields = ("owner",)

    def has_change_permission(self, request, obj=None):
        return False

    def save_model(self, request, obj, form, change):
        obj.by = request.user
        super().save_model(request, obj, form, change)

    def delete_model(self, request, obj):
        super().delete_model(request, obj)
        requeue.wake()

    def delete_queryset(self, request, queryset):
        super().delete_queryset(request, queryset)
        requeue.wake()

    @admin.display(description=_("whose searches"), ordering=F("owner").asc(nulls_first=True))
    def whose(self, pause):
        return pause.owner or _("everybody's")


@admin.register(LogEntry)
class LogEntryAdmin(admin.ModelAdmin):
    """Who did what in these pages. What was done to a search on the site stands in the search's own log."""

    list_display = ("action_time", "user", "object_link", "content_type", "what")
    list_filter = (
        "action_flag",
        ("content_type", admin.RelatedOnlyFieldListFilter),
        ("user", admin.RelatedOnlyFieldListFilter),
    )
    list_select_related = ("user", "content_type")
    search_fields = ("user__username", "object_repr", "change_message")
    date_hierarchy = "action_time"

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    @admin.display(description=_("what it was done to"))
    def object_link(self, entry):
        url = entry.get_admin_url() if not entry.is_deletion() else None
        return format_html('<a href="{}">{}</a>', url, entry.object_repr) if url else entry.object_repr

    @admin.display(description=_("what"))
    def what(self, entry):
        return entry.get_change_message() or entry.get_action_flag_display()
