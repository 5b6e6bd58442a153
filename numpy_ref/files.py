"""Files: read with an error that helps, written whole or not at all."""

import glob
import hashlib
import json
import os
from pathlib import Path


def read_json(path: Path) -> dict:
    """Read a JSON object. Raises ValueError for a file that holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"expected a file named {path.name} in {path.parent}, got none"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"expected {path} to be JSON, got {error}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"expected {path} to hold an object, "
            f"got {type(content).__name__}"
        )
    return content


def read_bytes(path: str | Path, sha256: str | None) -> bytes:
    """Read a file. Raises ValueError for another hash than `sha256`."""
    data = Path(path).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, digest):
        raise ValueError(
            f"expected {path} to have the sha256 {sha256}, got {digest}"
        )
    return data


def read_text_lines(path: str | Path, sha256: str | None) -> list[str]:
    """Read the lines of a UTF-8 text, whoever has written it.

    A byte-order mark, the ends of the lines and empty lines at the end
    are left out. Raises ValueError for another encoding, and for another
    hash than `sha256`.
    """
    data = read_bytes(path, sha256)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected {path} to be UTF-8, got the byte "
            f"0x{data[error.start]:02x} at {error.start}"
        ) from None
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_lines(path: str | Path, sha256: str | None) -> list[bytes]:
    """Read the lines of a file that is whole, as far as one can see.

    Raises ValueError for a last line without its end, and for another
    hash than `sha256`.
    """
    data = read_bytes(path, sha256)
    if not data.endswith(b"\n"):
        raise ValueError(
            f"expected {path} to end with a line break, "
            f"got {data[-20:]}: it was cut off"
        )
    return data.split(b"\n")[:-1]


def write_whole(path: Path, data: bytes) -> None:
    """Atomic write: nobody ever finds a part of the file.

    A part that a killed process has left of it is removed.
    """
    remove_left_parts(path.parent, path.name)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def remove_left_parts(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes have left of a file, or of any file.

    Parts that a running process could be writing stay.
    """
    start = "*" if name is None else glob.escape(name)
    for part in folder.glob(f"{start}.*.part"):
        process = part.name.split(".")[-2]
        if process.isdecimal() and not is_running(int(process)):
            part.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether a process may be running; on Windows, always."""
    if os.name == "nt":  # there `os.kill` would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def write_file(path: Path, data: bytes) -> None:
    """`write_whole`, with a ValueError where nothing can be written."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise ValueError(
            f"expected to write {path}, got {error.strerror or error}"
        ) from error


def check_path(
    path: Path,
    suffixes: tuple[str, ...],
    name: str,
) -> None:
    """Raise ValueError for a path that no file can be written to."""
    if path.suffix.lower() not in suffixes:
        *most, last = suffixes
        ends = f"{', '.join(most)} or {last}" if most else last
        raise ValueError(f"expected {name} to end with {ends}, got {path}")
    if not path.parent.is_dir():
        raise ValueError(
            f"expected a folder to write {path.name} into, "
            f"got {path.parent}, which does not exist"
        )
