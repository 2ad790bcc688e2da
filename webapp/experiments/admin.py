"""The administrator's view of the tables. Searches are started and steered on the site; here they are looked at."""

from __future__ import annotations

from django.contrib import admin, messages
from django.urls import path
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from engine.spec import SpecError
from webapp.experiments.models import Algorithm, Checkpoint, Find, Island, Measurement, Search
from webapp.experiments.queue_admin import IslandAdmin
from webapp.experiments.retention_admin import retention_page
from webapp.experiments.services.change import set_visibility
from webapp.experiments.services.steer import stop_search

admin.site.site_title = admin.site.site_header = _("Ab Ovo: administration")
admin.site.index_title = _("The installation")
# Tables need the width; the pages name each other.
admin.site.enable_nav_sidebar = False


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only services write."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class IslandInline(admin.TabularInline):
    model = Island
    fields = ("index", "state", "attempt", "lease_owner", "heartbeat_at", "slice_number", "failures", "last_error")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request, obj=None):
        return False


@admin.register(Search)
class SearchAdmin(admin.ModelAdmin):
    list_display = (
        "id", "title", "state", "owner", "spec_name", "best_score", "individuals", "seconds", "priority", "visibility", "created_at",
    )  # fmt: skip
    list_display_links = ("id", "title")
    list_filter = ("state", "visibility", "spec_name", "created_at")
    list_select_related = ("owner", "best")
    search_fields = ("title", "owner__username")
    date_hierarchy = "created_at"
    inlines = (IslandInline,)
    actions = ("stop",)
    fields = (
        "title", "owner", "visibility", "priority", "state", "spec_name", "seed", "created_at", "started_at", "finished_at",
        "finish_reason", "failure_reason", "individuals", "evaluations", "train_steps", "fec_hits", "cache_hits", "rejected",
        "experiments", "seconds", "solved", "specification",
    )  # fmt: skip
    readonly_fields = fields[4:]

    def has_add_permission(self, request):
        return False

    def get_urls(self):
        return [
            path("retention/", self.admin_site.admin_view(retention_page), name="retention"), *super().get_urls(),
        ]  # fmt: skip

    def save_model(self, request, obj, form, change):
        """Write what was changed and nothing else: a worker may have written the rest meanwhile."""
        changed = [name for name in form.changed_data if name != "visibility"]
        if changed:
            obj.save(update_fields=changed)
        if "visibility" in form.changed_data:
            try:
                set_visibility(obj, obj.visibility)
            except SpecError as error:
                self.message_user(request, str(error), messages.ERROR)

    @admin.display(description=_("best"), ordering="best__score")
    def best_score(self, search):
        return f"{search.best.score:.4f}" if search.best and search.best.score is not None else "–"

    @admin.display(description=_("specification"))
    def specification(self, search):
        return format_html("<code>{}</code>", search.spec)

    @admin.action(description=_("Stop the selected searches"), permissions=["change"])
    def stop(self, request, queryset):
        ended = {Search.State.STOPPED, Search.State.STOPPING}
        ids = queryset.values_list("pk", flat=True)
        count = sum(stop_search(search_id=search_id, by=request.user).state in ended for search_id in ids)
        self.message_user(
            request, ngettext("%d search is stopping.", "%d searches are stopping.", count) % count, messages.SUCCESS
        )


admin.site.register(Island, IslandAdmin)


@admin.register(Algorithm)
class AlgorithmAdmin(ReadOnlyAdmin):
    list_display = ("permalink", "size", "setup_size", "predict_size", "learn_size", "created_at", "published_at")
    list_filter = ("op_set_version", "canonical_version")
    search_fields = ("permalink__startswith",)
    exclude = ("digest", "canonical_digest")

    def has_delete_permission(self, request, obj=None):
        return False  # a permalink never dies


@admin.register(Find)
class FindAdmin(ReadOnlyAdmin):
    list_display = ("algorithm", "search", "birth", "score", "select_score", "final_score", "individuals", "found_at")
    list_select_related = ("algorithm", "search")
    search_fields = ("algorithm__permalink__startswith", "search__title")


@admin.register(Measurement)
class MeasurementAdmin(ReadOnlyAdmin):
    list_display = ("find", "claimed_at", "failure_reason")
    list_select_related = ("find__search",)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ("island", "slice_number", "format_version", "created_at")
    list_select_related = ("island__search",)
    exclude = ("data", "sha256")

    def get_queryset(self, request):
        return super().get_queryset(request).defer("data")
