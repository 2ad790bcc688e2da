"""`make test`: the linters, then the tests twice: on the embedded set-up, and on PostgreSQL and RabbitMQ servers.

Nothing is left out silently. A server that cannot be had is named; with CI=true, as any skipped test, it is a failure.
"""

import atexit
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests import services

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")

LINTERS = {
    "ruff": [BIN / "ruff", "check", "--quiet", "."],
    "mypy": [BIN / "mypy", "--no-error-summary"],
    "import rules": [BIN / "lint-imports"],
}


def main(arguments: list[str]) -> int:
    started = time.monotonic()
    results: dict[str, str] = {}
    for name, command in LINTERS.items():
        results[name] = run(name, command)

    try:
        services.ensure_browser()
        results["browser"] = "passed"
    except services.Missing as missing:
        results["browser"] = f"not run: {missing}"

    pytest = [sys.executable, "-m", "pytest", *arguments]
    others = [*pytest, "--ignore", "tests/engine"]
    # Two cores, two rows of tests: the engine's, which know of no server, and then those on servers; beside them the embedded set-up.
    engine = Beside("engine", [*pytest, "tests/engine"])
    try:
        addresses = {"DATABASE_URL": services.ensure_postgres(), "CELERY_BROKER_URL": services.ensure_rabbitmq()}
    except services.Missing as missing:
        servers = None
        results["tests, servers"] = f"not run: {missing}"
    else:
        addresses["DATABASE_URL"] = addresses["DATABASE_URL"].rpartition("/")[0] + f"/abovo_{os.getpid()}"
        servers = Beside("PostgreSQL and RabbitMQ servers", others, add=addresses, after=engine)
    results["tests, embedded set-up"] = run("embedded set-up", others, without=("DATABASE_URL", "CELERY_BROKER_URL"))
    if servers:
        results["tests, servers"] = servers.result()
    results["tests, engine"] = engine.result()

    print(f"\nIn {time.monotonic() - started:.0f} s:")
    for name, result in results.items():
        print(f"  {name}: {result}")
    bad = [name for name, result in results.items() if result == "failed" or (IN_CI and result != "passed")]
    return 1 if bad else 0


class Beside:
    """A command that runs beside the others, or begins when another one of these has ended.

    Its output is shown when it is asked for its result.
    """

    def __init__(self, name: str, command: list, *, add: dict | None = None, after: "Beside | None" = None):
        self.name, self.after = name, after
        self.command = [str(part) for part in command]
        self.environment = {**os.environ, **(add or {})}
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 (read in result())
        self.process: subprocess.Popen | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        if self.after:
            self.after.thread.join()
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, env=self.environment, stdout=self.output, stderr=subprocess.STDOUT
        )
        atexit.register(self.process.kill)
        self.process.wait()

    def result(self) -> str:
        self.thread.join()
        self.output.seek(0)
        print(f"\n== {self.name}", flush=True)
        sys.stdout.write(self.output.read().decode(errors="replace"))
        sys.stdout.flush()
        return "passed" if self.process and self.process.returncode == 0 else "failed"


def run(name: str, command: list, *, without: tuple = (), add: dict | None = None) -> str:
    print(f"\n== {name}", flush=True)
    environment = {key: value for key, value in os.environ.items() if key not in without}
    code = subprocess.call([str(part) for part in command], cwd=ROOT, env={**environment, **(add or {})})
    return "passed" if code == 0 else "failed"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
