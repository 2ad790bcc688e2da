"""The role and limits of an account, beside Django's own fields of it."""

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin

from webapp.people.forms import AdminSignInForm
from webapp.people.models import Profile

# The administrator's door is as slow to guess at as the other one.
admin.site.login_form = AdminSignInForm


class ProfileInline(admin.StackedInline):
    model = Profile
    can_delete = False


admin.site.unregister(get_user_model())


@admin.register(get_user_model())
class AccountAdmin(UserAdmin):
    inlines = (ProfileInline,)
    list_select_related = ("profile",)
