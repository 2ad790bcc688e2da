"""``python -m engine``: the engine without a browser."""

import sys

from engine.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
