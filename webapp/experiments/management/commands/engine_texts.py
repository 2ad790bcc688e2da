"""`manage.py engine_texts`: print webapp/experiments/engine_texts.py anew, where `makemessages` finds the engine's texts."""

from django.core.management.base import BaseCommand

from engine.ops import OPS
from engine.presets import preset, preset_names

HEAD = '''"""What the engine says in English and pages show: for `makemessages`, which reads sources only.

Printed by `manage.py engine_texts`; `make messages` renews it. Pages translate the engine's own strings.
"""

# fmt: off
from django.utils.translation import gettext_noop as _

TEXTS = (
'''


def texts() -> list[str]:
    """Return the engine's texts that pages show, each once: what ops mean, what presets are."""
    found = [info.meaning for info in OPS]
    for name in preset_names():
        spec = preset(name)
        found += [spec.title, spec.description]
    return [text for text in dict.fromkeys(found) if text]


class Command(BaseCommand):
    help = "Print webapp/experiments/engine_texts.py anew."

    def handle(self, **options):
        lines = "".join(f"    _({_quoted(text)}),\n" for text in texts())
        self.stdout.write(f"{HEAD}{lines})", ending="\n")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
