"""The command that runs a search again, to the same result."""

from __future__ import annotations

from dataclasses import replace

from engine.presets import preset, preset_names
from engine.spec import SearchSpec, StopSpec
from webapp.experiments.models import Search


def command(search: Search, spec: SearchSpec) -> str:
    """Return it, for an installation of this version; "" where a limit in seconds may end the search somewhere else.

    A specification that is no preset's is read from the file that the search's page offers.
    """
    stop = spec.stop
    if stop.max_seconds or search.finish_reason in ("stopped", "interrupted"):
        return ""
    most = stop.max_total_individuals
    what = f"--spec search-{search.pk}.toml"
    if spec.name in preset_names():
        ready = preset(spec.name)
        if _without_stop(ready) == _without_stop(spec):
            if stop == ready.stop:
                what, most = f"--preset {spec.name}", None
            elif most and stop == replace(ready.stop, max_total_individuals=most, max_seconds=None):
                what = f"--preset {spec.name} --max-individuals {most}"
    return f"python -m engine search {what} --seed {search.seed}"


def _without_stop(spec: SearchSpec) -> SearchSpec:
    return replace(spec, stop=StopSpec())
