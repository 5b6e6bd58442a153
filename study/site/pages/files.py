"""Files of the site that are written only when they have changed."""

from pathlib import Path


def write_if_new(path: Path, text: str) -> None:
    """Write a text, unless the file holds it: then it need not be read."""
    write_bytes_if_new(path, text.encode())


def write_bytes_if_new(path: Path, data: bytes) -> None:
    """Write a file, unless it holds that already."""
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
