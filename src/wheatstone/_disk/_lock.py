"""A folder that one process holds: the system drops the lock of a process that is killed."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

LOCK = "lock"
_BUSY = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def take(folder: Path, *, make: bool = True) -> int | None:
    """Takes a folder, unless a living process holds it.

    Args:
        folder: which.
        make: whether to make it where it is not there.

    Returns:
        The lock, for `release`; None where another process holds the folder, or it is not there.

    Raises:
        OSError: the folder cannot be written.
    """
    while True:
        if make:
            folder.mkdir(exist_ok=True)
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            if make:
                continue  # whoever held it has just removed it
            return None
        try:
            _lock(lock)
            if _is_at(lock, folder / LOCK):
                os.ftruncate(lock, 0)
                _write_owner(lock)
                return lock
        except OSError as error:
            if error.errno in _BUSY or not make:
                os.close(lock)
                return None
            return lock  # a file system without locks: the place is used, and must not be cleared
        os.close(lock)


def _is_at(lock: int, path: Path) -> bool:
    """Whether the path still names the locked file, and not one that was made after it was removed."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except FileNotFoundError:
        return False


def _write_owner(lock: int) -> None:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    with suppress(OSError):  # on a full disk the lock holds without its owner's number
        os.write(lock, f"{os.getpid()} {now}\n".encode())


def is_held(folder: Path) -> bool:
    """Whether a living process holds a folder."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # another user's: not ours to clear
    try:
        _lock(lock)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def owner_of(folder: Path) -> tuple[int, str] | None:
    """The process that holds a folder and when it took it; None where that cannot be read."""
    try:
        process, _, since = (folder / LOCK).read_text(encoding="utf-8").strip().partition(" ")
        return int(process), since
    except (OSError, ValueError):
        return None


def release(folder: Path, lock: int) -> None:
    """Gives a folder up, and removes it where nothing but the lock is in it."""
    try:
        if sys.platform == "win32":
            os.close(lock)
        entries = os.listdir(folder)
        if entries == [LOCK]:
            os.unlink(folder / LOCK)
            os.rmdir(folder)
    except OSError:
        pass  # somebody else has taken it meanwhile
    finally:
        if sys.platform != "win32":
            os.close(lock)
