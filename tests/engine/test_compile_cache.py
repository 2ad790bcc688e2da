"""The folder of compiled code: nothing is compiled twice at a time, old versions go."""

import os
import subprocess
import sys
import time

from engine import compile_cache
from engine.compile_cache import compiling, remove_old_versions


def test_old_versions_are_removed_and_nothing_else(tmp_path):
    mine, recent, old = (tmp_path / name for name in ("0123456789abcdef", "1123456789abcdef", "2123456789abcdef"))
    foreign, short, link = tmp_path / "notes", tmp_path / "abc", tmp_path / "3123456789abcdef"
    for folder in (mine, recent, old, foreign, short):
        folder.mkdir()
        (folder / "file").write_text("x")
    link.symlink_to(foreign)
    long_ago = time.time() - 31 * 86400
    for folder in (mine, old, foreign, short):
        os.utime(folder, (long_ago, long_ago))
    assert remove_old_versions(mine) == [old]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in (mine, recent, foreign, short, link)
    )
    assert (foreign / "file").exists()


def test_one_process_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "CACHE_DIRECTORY", tmp_path)
    holder = (
        "import sys, pathlib; from engine import compile_cache as c; c.CACHE_DIRECTORY = pathlib.Path(sys.argv[1])\n"
        "with c.compiling('one'): print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        assert compile_cache._take_lock("one", 0.2) is None
        with compiling("one", timeout=0.1), compiling("other"):  # the first goes on after the timeout
            pass
        other.stdin.write("\n")
        other.stdin.flush()
        other.wait()
    lock = compile_cache._take_lock("one", 5.0)
    assert lock is not None
    os.close(lock)


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(compile_cache, "CACHE_DIRECTORY", tmp_path / "file" / "below")
    with compiling("one"):
        pass
