"""Where a text comes from: the sample, a file, or a corpus to fetch."""

import json
import logging
from importlib.resources import files
from pathlib import Path

import pooch

MOST_BYTES = 20_000_000
CACHE_VARIABLE = "ATTENTION_TWICE_DATA"
DATA = files("attention_twice_data")


class OfflineError(ValueError):
    """A corpus is neither cached nor to be had."""


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
            f"got {path} with more"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected UTF-8 text, got {path} with byte "
            f"0x{content[error.start]:02x} at {error.start}"
        ) from error


def manifest() -> dict[str, dict]:
    """What can be fetched: address, checksum and licence, by name."""
    return json.loads(DATA.joinpath("manifest.json").read_text("utf-8"))


def read_corpus(name: str) -> str:
    """A corpus of the manifest, from the cache or fetched into it.

    The cache is the user's, or the folder that CACHE_VARIABLE names. A
    file whose checksum is wrong is fetched again. Raises OfflineError,
    with the way out, when it is not there and cannot be fetched, and
    ValueError for a name that the manifest lacks.
    """
    known = manifest()
    if name not in known:
        raise ValueError(
            f"expected a corpus named {' or '.join(known)}, got {name}"
        )
    entry = known[name]
    shelf = pooch.create(
        path=pooch.os_cache("attention-twice"),
        base_url="",
        registry={entry["file"]: f"sha256:{entry['sha256']}"},
        urls={entry["file"]: entry["url"]},
        env=CACHE_VARIABLE,
    )
    pooch.get_logger().setLevel(logging.WARNING)
    fetch = pooch.HTTPDownloader(timeout=10)
    try:
        return read_file(Path(shelf.fetch(entry["file"], downloader=fetch)))
    except OSError as error:  # what requests raises is one, too
        raise OfflineError(
            f"expected {entry['file']} with its checksum in {shelf.path}, "
            f"or a connection to fetch it, got {type(error).__name__}; put "
            f"the file there, or let {CACHE_VARIABLE} name its folder"
        ) from error
