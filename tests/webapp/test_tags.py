"""What templates print through tags of their own."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django import forms
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.template import engines
from django.utils import timezone, translation
from django.utils.formats import number_format

from webapp.experiments import charts, describe
from webapp.experiments.models import Island, Search


def printed(source: str, **context) -> str:
    return engines["django"].from_string("{% load abovo %}" + source).render(context)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("ago", [200, 3000, 4000, 90_000, 40 * 86_400, 800 * 86_400, -8000])
def test_a_moment_says_what_django_says(language, ago):
    at = timezone.now() - timedelta(seconds=ago)
    with translation.override(language):
        assert naturaltime(at) in printed("{% moment at %}", at=at)


def test_a_moment_does_not_stay_what_it_was(monkeypatch):
    now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    at = now - timedelta(hours=2)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return now.astimezone(tz)

    monkeypatch.setattr("django.contrib.humanize.templatetags.humanize.datetime", Clock)
    monkeypatch.setattr(timezone, "now", lambda: now)
    with translation.override("en"):
        first = printed("{% moment at %}", at=at)
        assert 'datetime="2026-03-04T03:06:07+00:00" title="4 Mar 2026, 03:06:07 UTC"' in first
        assert "2\N{NO-BREAK SPACE}hours ago" in first
        now += timedelta(hours=1)
        assert "3\N{NO-BREAK SPACE}hours ago" in printed("{% moment at %}", at=at)
    with translation.override("ko"):
        assert "3 시간 전" in printed("{% moment at %}", at=at)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_counts_are_as_django_has_them(language):
    with translation.override(language):
        for value in (0, 7, 999, 1000, 1234.5, 1_234_567, -4321):
            assert describe.count(value) == number_format(round(value), use_l10n=True, force_grouping=True)


def test_counts_take_the_separator_of_the_language(settings):
    settings.LANGUAGES = [*settings.LANGUAGES, ("de", "Deutsch")]
    with translation.override("de"):
        assert describe.count(1_234_567) == "1.234.567"


@pytest.mark.parametrize(
    "one", [*(Search(state=state) for state in Search.State), *(Island(state=state) for state in Island.State)]
)
def test_states_are_said_in_the_reader_s_language(one):
    for language in ("en", "ko"):
        with translation.override(language):
            expected = f'<span class="state state-{one.state}">{one.get_state_display()}</span>'
            assert printed("{% state one %}", one=one) == expected


def test_a_spark_is_drawn_and_none_is_nothing():
    line = charts.sparkline([(1, 0.5), (8, 0.75)], x_end=10, y_floor=0.5)
    drawn = printed("{% spark line %}", line=line)
    assert drawn.startswith('<svg class="spark"') and f'd="{line.path}"' in drawn and f'cx="{line.end_x:.1f}"' in drawn
    assert printed("{% spark line %}", line=None) == ""


def test_radio_buttons_are_those_of_the_form():
    class Form(forms.Form):
        one = forms.ChoiceField(widget=forms.RadioSelect, choices=[("a&b", "A"), ("", "none"), ("c", "C")])

    def attributes(tag: str) -> set[str]:
        return set(re.findall(r"[\w-]+(?:=\"[^\"]*\")?", tag))

    for form in (Form(initial={"one": "a&b"}), Form({"one": "nothing of these"}), Form({"one": "c"})):
        form.is_valid()
        for radio in form["one"]:
            assert attributes(printed("{% radio one %}", one=radio)) == attributes(radio.tag())
