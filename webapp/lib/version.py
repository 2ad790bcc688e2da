"""Which version this is: from pyproject.toml, so that there is one place to raise it."""

import tomllib

from webapp.lib.environment import BASE_DIR

with (BASE_DIR / "pyproject.toml").open("rb") as _file:
    VERSION: str = tomllib.load(_file)["project"]["version"]
