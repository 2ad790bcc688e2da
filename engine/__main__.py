"""``python -m engine``: the engine without a browser."""

import sys

from engine.cli.main import main

if __name__ == "__main__":
    # JSON is UTF-8 whatever the locale says; half a character (a lone surrogate) is written as the escape it was read from.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
