"""Prepare .venv/ from the lock files: `python3 -I webapp/lib/install.py [--dev] [--this-python]`, or `--lock`.

A .venv/ that works is kept, whichever Python asks; `--this-python` makes it anew when it is of another one.

Runs before anything is installed, on whatever `python3` is: standard library only, and no syntax newer than 3.6,
so that an old Python gets as far as the line that says what is needed.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
OLDEST, NEWEST = (3, 11), (3, 14)
LOCKS = {"run": "requirements.txt", "dev": "requirements-dev.txt"}
OPTIONS = ("--dev", "--this-python", "--lock")
CLIENT = """#!/bin/sh
# The client of the API (webapp/client), from the checkout that this environment belongs to.
here=$(dirname "$(readlink -f "$0")")
PYTHONPATH="$here/../.." exec "$here/python" -P -m webapp.client "$@"
"""
LOCK_TOOL = "uv==0.13.8"


def main(arguments):
    unknown = [argument for argument in arguments if argument not in OPTIONS]
    if unknown:
        fail("install.py: unknown option %s: expected %s" % (unknown[0], " or ".join(OPTIONS)))
    ensure_python(arguments)
    if "--lock" in arguments:
        return lock()
    names = ["run", "dev"] if "--dev" in arguments else ["run"]
    with open(os.path.join(ROOT, ".venv.lock"), "w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another installation into .venv/ to end")
            fcntl.flock(guard, fcntl.LOCK_EX)
        ensure_venv(only_this="--this-python" in arguments)
        for name in names:
            ensure_packages(LOCKS[name])
        ensure_client()


def ensure_python(arguments):
    """Go on under a Python that fits: this one, or one found on the PATH. Never from within .venv/, which may go."""
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        base = getattr(sys, "_base_executable", sys.executable)
        if os.path.dirname(base) == os.path.dirname(VENV_PYTHON):
            fail("install.py: start it with a Python outside .venv/")
        os.execv(base, [base, "-I", os.path.abspath(__file__)] + arguments)
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        other = shutil.which("python3.%d" % minor)
        if other and subprocess.call([other, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(other, [other, "-I", os.path.abspath(__file__)] + arguments)
    fail(
        "Ab Ovo needs Python %d.%d to %d.%d: this is %d.%d (name another with PYTHON=, for example `make run PYTHON=python3.12`)"
        % (OLDEST + NEWEST + sys.version_info[:2])
    )


def ensure_venv(only_this):
    """Create .venv/ anew where it is missing, broken, or of a Python that does not fit."""
    own = "%d.%d" % sys.version_info[:2]
    stamp = os.path.join(VENV, "abovo-python")
    made_with = read(stamp)
    if made_with and (made_with == own or not only_this) and version_of(VENV_PYTHON) == made_with:
        return
    say("creating .venv/ with Python %s" % sys.version.split()[0])
    shutil.rmtree(VENV, ignore_errors=True)
    attempt = subprocess.run([sys.executable, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if attempt.returncode != 0:
        # Debian keeps ensurepip in a package of its own; a pip outside can fill the environment as well.
        shutil.rmtree(VENV, ignore_errors=True)
        bare = subprocess.run([sys.executable, "-m", "venv", "--without-pip", VENV], stderr=subprocess.DEVNULL)
        has_pip = subprocess.run(
            [sys.executable, "-m", "pip", "--version"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        if bare.returncode != 0 or has_pip.returncode != 0:
            shutil.rmtree(VENV, ignore_errors=True)
            fail(
                "this Python cannot create environments: install its venv module (on Debian and Ubuntu: apt-get install python3-venv)"
            )
    write(stamp, own)


def version_of(python):
    """What this Python says it is, or None: its system may have replaced or removed it."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.check_output([python, "-I", "-c", question], stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def ensure_packages(lock_name):
    lock_file = os.path.join(ROOT, lock_name)
    wanted = hashlib.sha256((read(lock_file) or "").encode()).hexdigest()
    stamp = os.path.join(VENV, lock_name + ".installed")
    if read(stamp) == wanted:
        return
    total = len(re.findall(r"^[A-Za-z0-9][^\n]*==", read(lock_file) or "", re.MULTILINE))
    say("installing %d packages from %s" % (total, lock_name))
    started = time.monotonic()
    command = pip() + ["install", "--require-hashes", "--no-deps", "--no-compile", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--no-input", "--root-user-action", "ignore", "-r", lock_file]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    seen, tail = 0, [""]
    for line in process.stdout or ():
        tail = tail[-20:] + [line]
        package = re.match(r"(?:Collecting|Requirement already satisfied:|Processing) (\S+)", line)
        if package:
            seen += 1
            name = os.path.basename(package.group(1)).replace("==", " ")
            progress("  %2d/%d  %s" % (min(seen, total), total, name))
        elif line.startswith("Installing collected packages"):
            progress("  unpacking them into .venv/", last=True)
    if process.wait() != 0:
        sys.stderr.write("".join(tail))
        fail("the packages of %s could not be installed: see the lines above" % lock_name)
    write(stamp, wanted)
    say("installed in %d s" % (time.monotonic() - started))


def ensure_client():
    """Put the command `abovo` beside the Python that it runs on."""
    path = os.path.join(VENV, "bin", "abovo")
    if read(path) != CLIENT:
        write(path, CLIENT)
        os.chmod(path, 0o755)


def pip():
    inside = os.path.join(VENV, "bin", "pip")
    if os.path.exists(inside):
        return [VENV_PYTHON, "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", VENV_PYTHON]


def lock():
    """Write the lock files from pyproject.toml: pinned, hashed, for every platform, naming no index."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        binaries = os.path.join(folder, "bin")
        subprocess.run([os.path.join(binaries, "pip"), "install", "--quiet", LOCK_TOOL], check=True)
        for name, file_name in LOCKS.items():
            command = [
                os.path.join(binaries, "uv"),
                "pip",
                "compile",
                "pyproject.toml",
                "--quiet",
                "--universal",
            ]
            command += [
                "--python-version",
                "%d.%d" % OLDEST,
                "--fork-strategy",
                "fewest",
                "--generate-hashes",
            ]
            command += ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header"]
            # What tests run with is what runs: the second file takes the pins of the first.
            command += ["--group", "dev", "-c", LOCKS["run"]] if name == "dev" else ["--upgrade"]
            subprocess.run(command + ["--output-file", file_name], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            say("wrote %s" % file_name)


def say(text):
    print("Ab Ovo: %s" % text, flush=True)


def progress(text, last=False):
    """One line that is overwritten on a terminal; a line each elsewhere."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r%s%s" % (text[:width].ljust(width), "\n" if last else ""))
        sys.stdout.flush()
    else:
        print(text, flush=True)


def fail(text):
    sys.stderr.write(text + "\n")
    raise SystemExit(2)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        raise SystemExit(130) from None
