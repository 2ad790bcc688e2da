"""Compile the engine before the first search needs it: once, and again after the engine has changed."""

import hashlib
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

from webapp.lib.environment import BASE_DIR
from webapp.lib.processes import before_exec


class Warming:
    """A short search that is thrown away, in a process of its own beside the rest of the start."""

    def __init__(self, cache: Path, variables: dict[str, str]):
        self.mark = cache / "compiled"
        self.state = _digest()
        self.process: subprocess.Popen | None = None
        if self.mark.exists() and self.mark.read_text() == self.state:
            return
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "engine", "search", "--preset", "digits", "--max-seconds", "0.1", "--json"]
        self.process = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=before_exec(signal.SIGTERM),
        )

    def is_going_on(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def finish(self) -> bool:
        """To be called when it has ended: remember success. Returns False if compiling failed."""
        if self.process is None:
            return True
        if self.process.wait() != 0:
            return False
        draft = self.mark.with_suffix(f".{os.getpid()}")
        draft.write_text(self.state)
        draft.replace(self.mark)
        return True

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _digest(base: Path = BASE_DIR) -> str:
    """What compiled code depends on: the engine's sources, the pinned packages, the Python, the processor.

    Times and place of the sources, too: numba compiles anew what it finds under another path or date, as after a checkout.
    """
    digest = hashlib.sha256(f"{sys.version}\0{base}\0{_processor()}".encode())
    for path in [base / "requirements.txt", *sorted((base / "engine").rglob("*.py"))]:
        digest.update(f"{path.relative_to(base)}\0{path.stat().st_mtime_ns}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _processor() -> str:
    """What the machine's processor can do, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(
        sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    )


def main() -> int:
    """`python -m webapp.lib.warm`: compile what is not compiled yet, before a worker takes work."""
    from webapp.lib.environment import read_environment

    cache = Path(os.environ.get("ABOVO_NUMBA_CACHE") or read_environment().home / "numba")
    warming = Warming(cache, {**os.environ, "ABOVO_NUMBA_CACHE": str(cache)})
    if warming.finish():
        return 0
    print("Ab Ovo: compiling the engine failed; `python -m engine search --preset digits` shows why", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
