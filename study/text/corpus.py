"""Loading a text: the sample, a file, or a corpus to download."""

import json
import logging
import os
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch

from numpy_ref.files import write_whole

MOST_BYTES = 20_000_000
CACHE_VARIABLE = "ATTENTION_TWICE_DATA"
DATA = files("attention_twice_data")


class OfflineError(ValueError):
    """A corpus that is not cached and cannot be downloaded."""


def sample() -> str:
    """The short text that comes with the project."""
    return DATA.joinpath("sample.txt").read_text(encoding="utf-8")


def read_file(path: Path) -> str:
    """A UTF-8 text of at most MOST_BYTES.

    Raises ValueError for a file that is missing, larger, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(
            f"expected a text file, got {path}: {error.strerror}"
        ) from error
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"expected a text of at most {MOST_BYTES // 10**6} MB, "
            f"got {path}, which is larger"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected UTF-8 text, got {path} with byte "
            f"0x{content[error.start]:02x} at position {error.start}"
        ) from error


def manifest() -> dict[str, dict]:
    """The corpora by name: address, checksum, licence."""
    return json.loads(DATA.joinpath("manifest.json").read_text("utf-8"))


def read_corpus(name: str) -> str:
    """A corpus of the manifest, from the cache or downloaded into it.

    The cache is the user's, or the folder that CACHE_VARIABLE names. A
    file whose checksum is wrong is downloaded again. Raises OfflineError,
    with the way out, when it is not there and cannot be downloaded, and
    ValueError for a name that the manifest lacks.
    """
    corpora = manifest()
    if name not in corpora:
        raise ValueError(
            f"expected a corpus named {' or '.join(corpora)}, got {name}"
        )
    entry = corpora[name]
    cache = Path(
        os.environ.get(CACHE_VARIABLE) or pooch.os_cache("attention-twice")
    ).expanduser()
    cached = cache / entry["file"]
    try:
        if not has_checksum(cached, entry["sha256"]):
            content = download(entry)
            cache.mkdir(parents=True, exist_ok=True)
            write_whole(cached, content)
        return read_file(cached)
    except OSError as error:  # what requests raises is one, too
        raise OfflineError(
            f"expected {entry['file']} with its checksum in {cache}, "
            f"or a connection to download it, got {type(error).__name__}; "
            f"put the file there, set {CACHE_VARIABLE} to its folder, or "
            "take a text of your own (--file)"
        ) from error


def has_checksum(path: Path, sha256: str) -> bool:
    """Whether there is a file with that checksum."""
    return path.is_file() and pooch.file_hash(path) == sha256


def download(entry: dict) -> bytes:
    """A corpus from its address, if it has its checksum.

    It comes into a folder of its own, so that a download that is killed
    leaves nothing in the cache. Raises OSError without a connection, and
    ValueError for another checksum.
    """
    pooch.get_logger().setLevel(logging.WARNING)
    with TemporaryDirectory() as folder:
        path = pooch.retrieve(
            entry["url"],
            known_hash=f"sha256:{entry['sha256']}",
            fname=entry["file"],
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=10),
        )
        return Path(path).read_bytes()
