"""A corpus is downloaded, cached, and checked by its checksum."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from study.text import corpus as texts

CONTENT = "It was not that my hostess was “interesting”.\n".encode()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus on our own server: its file there, and the cache."""
    folder, cache = tmp_path / "server", tmp_path / "cache"
    folder.mkdir()
    served = folder / "story.txt"
    served.write_bytes(CONTENT)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=folder)
    )
    # It looks often whether it should stop: we wait for that.
    threading.Thread(
        target=server.serve_forever, args=(0.01,), daemon=True
    ).start()
    entry = {
        "file": "story.txt",
        "url": f"http://127.0.0.1:{server.server_port}/story.txt",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    monkeypatch.setattr(texts, "manifest", lambda: {"story": entry})
    monkeypatch.setenv(texts.CACHE_VARIABLE, str(cache))
    yield served, cache
    server.shutdown()
    server.server_close()


def test_a_corpus_is_downloaded_once_and_then_read_from_the_cache(corpus):
    served, cache = corpus
    assert texts.read_corpus("story").encode() == CONTENT
    served.unlink()
    assert texts.read_corpus("story").encode() == CONTENT
    assert [path.name for path in cache.iterdir()] == ["story.txt"]


def test_a_broken_cache_file_is_replaced(corpus):
    _, cache = corpus
    cache.mkdir()
    (cache / "story.txt").write_bytes(CONTENT[:-3])
    assert texts.read_corpus("story").encode() == CONTENT
    assert (cache / "story.txt").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_leaves_nothing(corpus):
    served, cache = corpus
    served.write_bytes(CONTENT + b"!")
    with pytest.raises(ValueError, match="hash") as refused:
        texts.read_corpus("story")
    assert "\n" not in str(refused.value)
    assert not cache.exists()


def test_a_download_that_is_killed_leaves_nothing_in_the_cache(
    corpus, monkeypatch
):
    _, cache = corpus
    cache.mkdir()

    def killed(url, path, _):
        Path(path).write_bytes(CONTENT[:-3])
        seen.extend(cache.iterdir())  # what would be left if it ended here
        raise KeyboardInterrupt

    seen = []
    monkeypatch.setattr(texts.pooch, "HTTPDownloader", lambda **_: killed)
    with pytest.raises(KeyboardInterrupt):
        texts.read_corpus("story")
    assert seen == []
    assert list(cache.iterdir()) == []


def test_without_a_connection_the_way_out_is_named(corpus, monkeypatch):
    served, cache = corpus
    served.unlink()  # the server then answers 404
    with pytest.raises(texts.OfflineError) as refused:
        texts.read_corpus("story")
    (line,) = str(refused.value).splitlines()
    assert f"expected story.txt with its checksum in {cache}" in line
    assert "set ATTENTION_TWICE_DATA to its folder" in line


def test_the_manifest_names_address_checksum_and_licence():
    for entry in texts.manifest().values():
        assert entry["url"].startswith("https://")
        assert len(entry["sha256"]) == 64
        assert entry["licence"]


def test_the_verdict_has_its_checksum(the_verdict):
    entry = texts.manifest()["the-verdict"]
    content = the_verdict.encode()
    assert len(content) == entry["bytes"]
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_the_sample_has_what_tokenizers_stumble_over():
    sample = texts.sample()
    for hard in ('"', "--", "1987", "é", "ë", "🐈", "  ", "\n\n", "n't"):
        assert hard in sample


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "marked.txt"
    path.write_bytes(b"\xef\xbb\xbfone")
    assert texts.read_file(path) == "one"
