"""A small supervisor: starts children, passes on what they print under their names, restarts the fallen, stops all."""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: A child that falls this often within a minute is given up, and everything stops.
MOST_RESTARTS_A_MINUTE = 3


@dataclass
class Child:
    name: str
    command: list[str]
    options: dict = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    #: Lines with this in them are not worth anybody's time.
    unsaid: str | None = None
    process: subprocess.Popen | None = None
    rest: bytes = b""
    restarts: list[float] = field(default_factory=list)

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Every child leads a session of its own, so that Ctrl-C in the terminal reaches only the supervisor."""

    def __init__(self, say: Callable[[str], None]):
        self.say = say
        self.children: list[Child] = []
        self.stop_requests = 0
        self._selector = selectors.DefaultSelector()
        self._width = 0
        # A signal also wakes the selector, by a byte in this pipe.
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)

    def watch_signals(self) -> None:
        def on_stop(number, frame):
            self.stop_requests += 1

        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def start(self, child: Child) -> None:
        child.process = subprocess.Popen(
            child.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=before_exec(child.stop_signal),
            **child.options,
        )
        assert child.process.stdout is not None
        os.set_blocking(child.process.stdout.fileno(), False)
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)
        if child not in self.children:
            self.children.append(child)
        self._width = max(len(child.name) for child in self.children)

    def pump(self, seconds: float) -> None:
        """Pass on what children print, for at most this long or until something happens."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            else:
                self._read(key.data)

    def pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.stop_requests:
            self.pump(min(0.2, deadline - time.monotonic()))

    def restart_fallen(self) -> bool:
        """Start again what ended by itself. Returns False when a child falls too often: time to stop."""
        for child in self.children:
            if child.process is None or child.is_alive():
                continue
            ending = _describe(child.process.returncode)
            self._drain(child)
            _kill_group(child)
            now = time.monotonic()
            child.restarts = [moment for moment in child.restarts if now - moment < 60] + [now]
            if len(child.restarts) > MOST_RESTARTS_A_MINUTE:
                self.say(f"{child.name} {ending}, for the {len(child.restarts)}th time in a minute: stopping")
                child.process = None
                return False
            self.say(f"{child.name} {ending}: starting it again")
            # At once the first time; whatever brought it down may need a moment.
            self.pause(2.0 * (len(child.restarts) - 1))
            if self.stop_requests:
                child.process = None
                return True
            self.start(child)
        return True

    def stop(self, children: list[Child], seconds: float) -> None:
        """Ask these children to end; kill what has not after this many seconds, or at a second Ctrl-C."""
        requests = self.stop_requests
        for child in children:
            if child.is_alive():
                assert child.process is not None
                child.process.send_signal(child.stop_signal)
        deadline = time.monotonic() + seconds
        while any(child.is_alive() for child in children):
            left = deadline - time.monotonic()
            if left <= 0 or self.stop_requests > max(requests, 1):
                late = [child.name for child in children if child.is_alive()]
                self.say(f"{' and '.join(late)} did not end in time: killed")
                break
            self.pump(min(left, 0.1))
        for child in children:
            _kill_group(child)
            if child.process is not None:
                child.process.wait()
                self._drain(child)
                child.process = None

    def _read(self, child: Child) -> None:
        assert child.process is not None and child.process.stdout is not None
        try:
            data = os.read(child.process.stdout.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(child.process.stdout)
            child.process.stdout.close()
        *lines, child.rest = (child.rest + data).split(b"\n")
        if not data and child.rest:
            lines, child.rest = [*lines, child.rest], b""
        for line in lines:
            self._say_for(child, line)

    def _drain(self, child: Child) -> None:
        """What is left in the pipe of a child that has ended; a grandchild may still hold the other end."""
        assert child.process is not None and child.process.stdout is not None
        while not child.process.stdout.closed:
            before = child.rest
            ready = [key for key, _ in self._selector.select(0) if key.data is child]
            if not ready:
                self._selector.unregister(child.process.stdout)
                child.process.stdout.close()
                self._say_for(child, before)
                child.rest = b""
                return
            self._read(child)

    def _say_for(self, child: Child, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text and not (child.unsaid and child.unsaid in text):
            self._print(f"{child.name.ljust(self._width)} | {text}")

    def _print(self, line: str) -> None:
        try:
            print(line, flush=True)
        except OSError:
            # Whoever read our output has gone; the children must not fall for that.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _describe(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended by itself with status {code}"


def _kill_group(child: Child) -> None:
    """Whatever the child left behind in its session's process group."""
    if child.process is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)


def before_exec(stop_signal: int):
    """In the child, before it becomes its program: end with the supervisor, even if that is killed (Linux only)."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare():
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if prctl is not None:
            prctl(1, stop_signal, 0, 0, 0)  # PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)

    return prepare
