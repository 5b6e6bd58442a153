"""Folder lock: one `twice train` at a time in a folder.

The lock is the operating system's and ends with the process that holds
it, whatever ends that; the file that stays behind locks nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made where there is none.

    Raises ValueError when another process holds it, and for a folder
    that cannot be written into.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"expected one `twice train` at a time in {folder}, got "
            "another at work there"
        ) from None
    except OSError as error:
        raise ValueError(
            f"expected to write a model into {folder}, got {error.strerror}"
        ) from error
    try:
        yield
    finally:
        lock.release()
