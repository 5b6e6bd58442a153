"""`twice --model`: the walk through a BERT, real or small; its errors."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
import transformers

from numpy_ref.checkpoints.bert import load_bert
from numpy_ref.checkpoints.model_folders import find_model
from numpy_ref.checkpoints.model_tokenizers import tokenizer_of
from numpy_ref.checkpoints.relatives import inputs_of
from parity_tests.oracles.bert import Batch, oracle_model, padded, theirs
from parity_tests.tests.checkpoints.test_bert import (
    changed,
    configured,
    saved,
)
from parity_tests.tests.conftest import VERDICT
from parity_tests.tests.steps.test_bert import SEED
from parity_tests.tests.steps.test_relatives import (
    RELATIVES,
    save_relative,
    texts,
)
from parity_tests.twins.loading import bert_twin
from parity_tests.twins.recording import record
from study.text.spelling import as_encodable
from study.walk.bert import run
from study.walk.bert_stops import ROUTES, bert_stops
from study.walk.run import walked

VOCABULARY = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "artist"),
    *("painted", "a", "woman", "brush"),
)


@pytest.fixture
def small(tmp_path):
    """The folder of a small BERT that believes in brushes."""
    folder = saved(tmp_path / "small", "BertForMaskedLM")
    vocabulary = "".join(f"{token}\n" for token in VOCABULARY)
    (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8")

    def prefer(tensors):
        tensors["cls.predictions.bias"][VOCABULARY.index("brush")] = 20

    return changed(folder, prefer)


@pytest.mark.slow
def test_the_walk_goes_through_a_whole_real_bert(twice):
    code, out, err = twice("--model", "bert", "--text", SEED)
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    assert "all-MiniLM-L6-v2, a BERT trained to embed sentences" in flat
    assert "22.7M parameters" in flat
    assert "without a masked-language head" in flat
    assert "'[CLS]' 'the' 'artist' 'painted'" in out
    assert "segments 0 0 0 0" in out
    for stop in bert_stops(6, pooler=True, head=False):
        assert f"  {stop.title}  " in out
        assert stop.equation in out
    assert "12 heads × 13 queries × 13 keys" in out
    assert "13 positions × 1,536 features" in out
    lines = out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert VERDICT.fullmatch(lines[-1])


def test_json_shows_the_numbers_of_transformers(twice, small):
    text = "The artist painted a woman"
    code, out, _ = twice(
        *("--model", small, "--text", text, "--json"),
        *("--dtype", "float64"),
    )
    walk = json.loads(out)
    assert (code, walk["agree"]) == (0, True)
    assert walk["counts"]["positions"] == walk["counts"]["tokens"] == 7
    tokenizer = transformers.BertTokenizer(str(small / "vocab.txt"))
    ids = tokenizer(text)["input_ids"]
    assert walk["ids"] == ids
    assert walk["segments"] == [0] * len(ids)
    batch = padded([tokenizer_of(small).encode(text)])
    oracle = theirs(
        oracle_model("BertForMaskedLM", small, "float64"), batch
    )
    steps = {step["name"]: step for step in walk["steps"]}
    for title, expected in {
        "weights": oracle["0/weights"][0, 0, 2],
        "tokens after block 0": oracle["0/hidden"][0, 2],
        "tokens after block 1": oracle["1/hidden"][0, 2],
        "logits of the masked-language head": oracle["logits"][0, 2],
    }.items():
        values = steps[title]["numpy_values"]
        assert values == pytest.approx(
            expected[: len(values)].tolist(),
            abs=1e-10 * abs(expected).max(),
        )


def test_a_folder_with_tokenizer_json_alone_is_walked(twice, small):
    names = ["<pad>", "<unk>", "<cls>", "<sep>", "<mask>"]
    tokens = [*names, *VOCABULARY[len(names) :]]
    transformers.BertTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        **{f"{name.strip('<>')}_token": name for name in names},
    ).save_pretrained(small)
    (small / "vocab.txt").unlink()
    text = "The artist <mask> a robot"
    code, out, _ = twice("--model", small, "--text", text, "--json")
    walk = json.loads(out)
    assert (code, walk["counts"]["unknown_tokens"]) == (0, 1)
    assert walk["tokens"] == [
        *("<cls>", "the", "artist", "<mask>", "a", "<unk>", "<sep>")
    ]
    assert walk["guesses"][0].startswith("<mask> at 3: brush 1.00")


@pytest.mark.parametrize("relative", ["roberta", "distilbert", "albert"])
def test_every_stop_of_a_relative_shows_the_numbers_of_transformers(
    tmp_path, relative
):
    folder = save_relative(tmp_path, relative, "ForMaskedLM")
    checkpoint, batch = load_bert(folder, "float64"), texts(1)
    config, twin = checkpoint.config, bert_twin(checkpoint)
    ids, segments = batch.ids[0], batch.segments[0]
    inputs = inputs_of(
        config,
        torch.from_numpy(ids),
        torch.from_numpy(segments),
        torch.ones(1, 1, dtype=torch.bool),
    )
    with torch.no_grad():
        _, calls = record(run, twin, inputs)
    stops = bert_stops(
        config.layers, False, True, config.architecture.model
    )
    walk = walked("", {}, stops, calls)
    assert [shown.stop for shown in walk.shown] == [*stops]
    assert all(shown.numpy_lines for shown in walk.shown)
    assert all(comparison.holds for comparison in walk.comparisons)
    titles = {shown.stop.title: shown.comparison for shown in walk.shown}
    assert ("segment embeddings" in titles) is (relative != "distilbert")
    projected = "projection of the narrow embedding" in titles
    assert projected is (relative == "albert")
    oracle = theirs(
        oracle_model(
            f"{RELATIVES[relative][0]}ForMaskedLM", folder, "float64"
        ),
        Batch(ids[None], segments[None], np.array([len(ids)])),
    )
    enters = [
        shown.comparison
        for shown in walk.shown
        if shown.stop.path.endswith("embedding[0]/x")
    ][-1]
    for comparison, name in (
        (enters, "x"),
        (titles["weights"], "0/weights"),
        (titles["tokens after block 0"], "0/hidden"),
        (titles["tokens after block 2"], "2/hidden"),
        (titles["logits of the masked-language head"], "logits"),
    ):
        expected = oracle[name][0]
        distance = abs(comparison.ours - expected).max()
        assert distance <= 1e-10 * abs(expected).max(), name


def test_the_walk_goes_through_a_distilbert(twice, tmp_path):
    folder = save_relative(tmp_path, "distilbert", "ForMaskedLM")
    vocabulary = "".join(f"{token}\n" for token in VOCABULARY)
    (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    text = "The artist [MASK] a woman"
    code, out, err = twice("--model", folder, "--text", text)
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    assert "; DistilBERT, " in flat
    assert "3 blocks with 4 heads each, with a masked-language" in flat
    assert "X = norm(E + P)" in flat
    assert "variants/distilbert.py, distil_bert_embedding" in flat
    # 31 rows, 11 of them for tokens.
    assert re.search(r"\[MASK\] at 3: (id )?\S+ \d\.\d\d", out)
    assert "id " in flat[flat.index("[MASK] at 3:") :]
    assert VERDICT.fullmatch(out.splitlines()[-1])


def test_a_masked_token_is_guessed(twice, small):
    text = "The artist [MASK] a [MASK]"
    _, out, _ = twice("--model", small, "--text", text, "--json")
    positions = [line.split(": ")[0] for line in json.loads(out)["guesses"]]
    assert positions == ["[MASK] at 3", "[MASK] at 5"]
    code, out, _ = twice("--model", small, "--text", text)
    assert code == 0
    assert re.search(r"\[MASK\] at 5: brush 1\.00, \S+ 0\.00", out)
    assert "with a masked-language head" in " ".join(out.split())


def test_a_file_can_be_walked_briefly(twice, small, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a robot painted", encoding="utf-8")
    options = ("--model", small, "--file", path, "--detail", "brief")
    code, out, _ = twice(*options)
    assert code == 0
    assert "1 unknown to the vocabulary" in " ".join(out.split())
    assert len(out.splitlines()) < 35


def test_every_character_of_the_walk_has_an_ascii_spelling():
    stops = [
        stop
        for model in ROUTES
        for stop in bert_stops(1, pooler=True, head=True, model=model)
    ]
    for stop in stops:
        assert "\\" not in as_encodable(stop.equation, "ascii")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--d-model", 64),
        ("--heads", 4),
        ("--context-length", 8),
        ("--stride", 8),
        ("--seed", 0),
        ("--tokenizer", "bpe"),
        ("--corpus", "the-verdict"),
        ("--example", None),
    ],
)
def test_an_option_that_the_model_decides_is_refused(twice, option, value):
    options = [option] if value is None else [option, value]
    code, out, err = twice("--model", "bert", *options)
    assert (code, out) == (2, "")
    assert err == f"twice: expected --model without {option}, got both\n"


def expect_refused(run, message):
    code, out, err = run
    assert (code, out) == (2, "")
    assert err.startswith("twice: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_a_text_longer_than_the_model_is_refused(twice, small):
    text = "the artist painted a woman brush"
    expect_refused(
        twice("--model", small, "--text", text),
        "at most 7 tokens, the number of the model's positions, got 8",
    )


def test_an_empty_text_is_refused(twice, small):
    expect_refused(
        twice("--model", small, "--text", " "), "a text with words, got ' '"
    )


def test_a_model_that_does_not_exist_is_refused(twice):
    expect_refused(
        twice("--model", "no/model", "--text", "a b"),
        r"packaged model \(bert, smollm2\).*cached \(.*got 'no/model'",
    )


def test_a_model_of_another_kind_is_refused(twice, small):
    configured(small, model_type="gpt2")
    expect_refused(
        twice("--model", small, "--text", "a b"),
        "expected model_type in config.json to be one of .*, got 'gpt2'",
    )


def test_a_folder_without_a_vocabulary_is_refused(twice, small):
    (small / "vocab.txt").unlink()
    expect_refused(
        twice("--model", small, "--text", "a b"), r"json or vocab\.txt in"
    )


def test_a_vocabulary_of_another_model_is_refused(twice, small):
    shutil.copy(find_model("bert").path / "vocab.txt", small)
    expect_refused(
        twice("--model", small, "--text", "a b"),
        r"11 tokens, the size of the model.*, got the id 30,521",
    )
