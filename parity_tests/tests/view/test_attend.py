"""What `attend` returns equals the attention of transformers.

Through a whole model errors accumulate (see `test_end_to_end`): float64
agrees to 1e-10 of the largest value. The steps from queries and keys to
weights are within their bounds.
"""

from functools import cache

import numpy as np
import pytest
import torch
import transformers

from bert_viz import attend, attend_all, attending, from_arrays
from bert_viz.attention import AS_GIVEN
from bert_viz.words import joined
from numpy_ref.checkpoints import byte_pair_files
from numpy_ref.checkpoints.byte_pair_files import save_byte_pair
from numpy_ref.checkpoints.model_tokenizers import tokenizer_of
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_tokenizer
from parity_tests.bounds.rounding import (
    Bounded,
    distribution,
    scaled_scores,
)
from parity_tests.oracles.bert import oracle_model, padded, theirs
from parity_tests.oracles.gpt2 import random_oracle
from parity_tests.tests.checkpoints.test_bert import configured, saved
from parity_tests.tests.checkpoints.test_model_folders import in_cache
from parity_tests.tests.checkpoints.test_model_tokenizers import (
    bytes_of_roberta,
    unigrams_of_albert,
)
from parity_tests.tests.conftest import expect_holds
from parity_tests.tests.steps.test_bert import MINILM, SEED
from parity_tests.tests.steps.test_relatives import (
    RELATIVES,
    save_relative,
)
from parity_tests.twins.comparing import within

PAIR = "Who painted it?", "A woman did, in 1908; she used a brush."
# Letters, digits, punctuation, and a letter of two bytes.
TEXT = "A woman's brush paints naïve portraits, 1908; unaffable ones!"
HIEROGLYPH = "𓀀"  # four bytes, and no token of its own
PARTS = {"weights": "weights", "query": "queries"} | {
    part: f"{part}s" for part in ("key", "value")
}
# A BERT of 11 tokens and 7 positions.
TINY = [*("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), *"abcd,e"]


cached_tokenizer = cache(gpt2_tokenizer)


@cache
def minilm(*texts):
    return attend(*texts)


@cache
def minilm_oracle():
    return oracle_model("BertModel", MINILM, "float64")


@pytest.fixture(scope="module", autouse=True)
def one_tokenizer():
    """GPT-2's tokenizer, made once: nothing else here takes as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_pair_files, "gpt2_tokenizer", cached_tokenizer)
        yield


@pytest.fixture(scope="module")
def gpt2_model(tmp_path_factory):
    """A random GPT-2 with GPT-2's vocabulary, and its folder."""
    folder = tmp_path_factory.mktemp("gpt2")
    sizes = {"vocab_size": len(cached_tokenizer().tokens), "n_layer": 3}
    return random_oracle(folder, **sizes), str(folder)


@pytest.fixture(scope="module")
def by_gpt2(gpt2_model):
    """Two texts in float32, read by the same model."""
    texts = [TEXT, f"a {HIEROGLYPH}"]
    read = attend_all(texts, "gpt2", gpt2_model[1])
    return dict(zip(texts, read, strict=True))


@pytest.fixture(scope="module")
def wide_gpt2(gpt2_model):
    return attend(TEXT, None, "gpt2", gpt2_model[1], dtype="float64")


@pytest.fixture
def tiny_bert(tmp_path):
    folder = saved(tmp_path, "BertModel", max_position_embeddings=7)
    (folder / "vocab.txt").write_text("\n".join(TINY) + "\n")
    return str(folder)


def expect_near(name, got, expected):
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype), name
    assert abs(got - expected).max() <= 1e-10 * abs(expected).max(), name


# --- the numbers ---------------------------------------------------------


@pytest.mark.parametrize("texts", [(SEED,), PAIR], ids=["one", "pair"])
def test_every_layer_and_head_of_a_bert_equals_transformers(texts):
    encoded = tokenizer_of(MINILM).encode(*texts)
    expected = theirs(minilm_oracle(), padded([encoded]))
    attention = attend(*texts, dtype="float64")
    assert attention.tokens == tuple(encoded.tokens)
    assert attention.segments.tolist() == encoded.segments.tolist()
    assert max(attention.segments) == len(texts) - 1
    assert (attention.layers, attention.heads, attention.causal) == (
        6,
        12,
        False,
    )
    for their, our in PARTS.items():
        for layer in range(6):
            name = f"{layer}/{their}"
            got = getattr(attention, our)[layer]
            expect_near(name, got, expected[name][0])


def test_a_model_with_its_tokenizer_as_they_are_saved_today(tmp_path):
    """`config.json`, weights, `tokenizer.json` and its config alone."""
    tokenizer = transformers.BertTokenizer(
        vocab={token: index for index, token in enumerate(TINY)}
    )
    tokenizer.add_tokens(["[person]"])
    folder = saved(tmp_path, "BertModel", vocab_size=len(tokenizer))
    tokenizer.save_pretrained(folder)
    assert not (folder / "vocab.txt").exists()
    text = "A [PERSON], [MASK]"
    attention = attend(text, model_version=str(folder), dtype="float64")
    model = oracle_model("BertModel", folder, "float64")
    inputs = transformers.AutoTokenizer.from_pretrained(folder)(text)
    ids = inputs["input_ids"]
    assert list(attention.tokens) == tokenizer.convert_ids_to_tokens(ids)
    assert "[person]" in attention.tokens
    named = "[CLS]", "[MASK]", "[SEP]"
    assert attention.special.tolist() == [
        token in named for token in attention.tokens
    ]
    with torch.no_grad():
        output = model(torch.tensor([ids]), output_attentions=True)
    for layer, weights in enumerate(output.attentions):
        expect_near("weights", attention.weights[layer], weights[0].numpy())


def test_every_layer_and_head_of_a_gpt2_equals_transformers(
    gpt2_model, wide_gpt2
):
    (model, _), attention = gpt2_model, wide_gpt2
    ids = torch.tensor(cached_tokenizer().encode_ordinary(TEXT))[None]
    with torch.no_grad():
        output = model(ids, output_attentions=True)
    assert (attention.layers, attention.heads, attention.causal) == (
        3,
        4,
        True,
    )
    assert not attention.segments.any()
    for layer in range(3):
        cached = output.past_key_values.layers[layer]
        for name, ours, other in (
            ("weights", attention.weights, output.attentions[layer]),
            ("keys", attention.keys, cached.keys),
            ("values", attention.values, cached.values),
        ):
            expect_near(f"{layer}/{name}", ours[layer], other[0].numpy())


def expect_softmax_of_scores(attention, mask):
    """Queries and keys make the scores, and those the weights."""
    query, key = (
        Bounded.exactly(array, array.astype(np.float64))
        for array in (attention.queries, attention.keys)
    )
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    for name, ours, exact in (
        ("scores", attention.scores, scores),
        ("weights", attention.weights, weights),
    ):
        comparison = within(name, ours, exact.value, exact.error)
        expect_holds(f"attend, {ours.dtype}", comparison)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_of_the_scores_of_a_bert_gives_its_weights(dtype):
    attention = attend(*PAIR, dtype=dtype)
    expect_softmax_of_scores(attention, np.ones((1, 1), bool))
    assert attention.weights.dtype == dtype


def test_so_does_that_of_a_gpt2_and_no_token_sees_a_later(
    by_gpt2, wide_gpt2
):
    for attention in (by_gpt2[TEXT], wide_gpt2):
        mask = np.tri(len(attention.tokens), dtype=bool)
        expect_softmax_of_scores(attention, mask)


def test_all_arrays_have_the_shape_of_their_axes(by_gpt2):
    for attention, sizes, d_head in (
        (minilm(SEED), (6, 12, 13), 32),
        (by_gpt2[TEXT], (3, 4, 14), 6),
    ):
        assert attention.weights.shape == attention.scores.shape
        assert attention.weights.shape == (*sizes, sizes[-1])
        for part in (attention.queries, attention.keys, attention.values):
            assert part.shape == (*sizes, d_head)
            assert part.dtype == np.float32
        assert attention.value_norms.shape == sizes
        assert len(attention.outputs) == attention.layers
        assert len(attention.tokens) == len(attention.special) == sizes[-1]


def test_known_heads_of_minilm():
    """The figures of the project's facts, to their digits."""
    attention = minilm(SEED)
    assert len(attention.tokens) == 13
    assert round(float(attention.head(0, 2).diagonal(-1).mean()), 3) == 1
    assert 0.63 <= attention.head(1, 8).diagonal(1).mean() <= 0.69
    for query, key, weight in (
        ("portrait", "brush", 0.48),
        ("painted", "artist", 0.34),
        ("brush", "painted", 0.33),
    ):
        tokens = attention.tokens
        entry = tokens.index(query), tokens.index(key)
        assert round(float(attention.head(0, 1)[entry]), 2) == weight


# --- names and descriptions ----------------------------------------------


def test_attention_says_whose_heads_they_are():
    about = minilm(SEED).about
    assert "all-MiniLM-L6-v2" in about
    assert "to embed sentences" in about
    assert "22.7M parameters" in about
    assert "bert-base" not in about
    assert "not bert-base" in " ".join(attend.__doc__.split())


def test_a_folder_is_named_as_a_folder(tiny_bert, gpt2_model, by_gpt2):
    for attention, folder in (
        (attend("a b", model_version=tiny_bert), tiny_bert),
        (by_gpt2[TEXT], gpt2_model[1]),
    ):
        assert attention.about.startswith(f"the folder {folder}; ")


def test_a_special_token_that_is_typed_is_that_token(gpt2_model):
    typed = "<|endoftext|>Hello"
    attention = attend(typed, None, "gpt2", gpt2_model[1])
    assert attention.tokens == ("<|endoftext|>", "Hello")
    assert attention.special.tolist() == [True, False]
    assert attention.about.endswith(
        "the folder has no tokenizer, so the tokens are those of OpenAI's "
        "GPT-2"
    )


def test_a_gpt2_s_own_tokens_are_shown(tmp_path):
    random_oracle(tmp_path, vocab_size=300)
    save_byte_pair(tmp_path, train_bpe("gato está " * 9, 270))
    attention = attend("o gato está", None, "gpt2", str(tmp_path))
    assert attention.tokens == ("o", " gato", " está")
    assert attention.about.endswith("parameters")


def test_special_tokens_are_marked(by_gpt2):
    attention = minilm(*PAIR)
    marked = [
        token
        for token, special in zip(
            attention.tokens, attention.special, strict=True
        )
        if special
    ]
    assert marked == ["[CLS]", "[SEP]", "[SEP]"]
    assert attention.rows == AS_GIVEN
    assert not by_gpt2[TEXT].special.any()


def test_the_tokens_of_a_gpt2_make_up_the_text(by_gpt2):
    attention = by_gpt2[TEXT]
    assert "".join(attention.tokens) == TEXT
    assert attention.tokens[1] == " woman"


def test_part_of_a_letter_is_shown_as_its_bytes(by_gpt2):
    tokens = by_gpt2[f"a {HIEROGLYPH}"].tokens
    assert len(tokens) > 3
    bytes_shown = "".join(f"\\x{byte:02x}" for byte in HIEROGLYPH.encode())
    assert "".join(tokens) == f"a {bytes_shown}"


# --- too long ------------------------------------------------------------


def test_a_bert_that_truncates_loses_the_end(tiny_bert):
    long = attend("a b c d a b c", model_version=tiny_bert, truncate=True)
    short = attend("a b c d a", model_version=tiny_bert)
    assert long.tokens == short.tokens
    assert long.tokens == ("[CLS]", *"abcda", "[SEP]")
    np.testing.assert_array_equal(long.weights, short.weights)


def test_a_pair_that_is_truncated_stays_one(tiny_bert):
    attention = attend(
        "a b c d a", "b c", model_version=tiny_bert, truncate=True
    )
    assert attention.tokens == ("[CLS]", *"ab", "[SEP]", *"bc", "[SEP]")
    assert attention.segments.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_a_gpt2_that_truncates_loses_the_end(gpt2_model, by_gpt2):
    long, short = attend_all(
        [TEXT * 2, TEXT], "gpt2", gpt2_model[1], truncate=True
    )
    assert len(long.tokens) == long.weights.shape[-1] == 20
    assert "".join(long.tokens) == (TEXT * 2)[: len("".join(long.tokens))]
    # And what is short enough stays as it is.
    assert short.tokens == by_gpt2[TEXT].tokens
    np.testing.assert_array_equal(short.weights, by_gpt2[TEXT].weights)


def test_a_bert_truncates_nothing_that_is_short_enough(tiny_bert):
    texts = ["a b c d e"]
    for truncate in (False, True):
        (attention,) = attend_all(texts, "bert", tiny_bert, truncate)
        assert attention.tokens == ("[CLS]", *"abcde", "[SEP]")


OFFER = r"; truncate \(--truncate\) cuts the text off at its end"


def test_a_text_that_is_too_long_is_refused_with_its_count(
    tiny_bert, gpt2_model
):
    with pytest.raises(ValueError, match=r"at most 7 .*, got 8" + OFFER):
        attend("a b c d a b", model_version=tiny_bert)
    with pytest.raises(ValueError, match=r"at most 20 .*, got 28" + OFFER):
        attend(TEXT * 2, None, "gpt2", gpt2_model[1])
    with pytest.raises(ValueError, match=r"at most 7 .* got 1,002;"):
        attend("a " * 1000, model_version=tiny_bert)


# --- relatives -----------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_relatives(tmp_path_factory):
    """DistilBERT and ALBERT on the vocabulary of `tiny_bert`."""
    folders = {}
    for relative in ("distilbert", "albert"):
        folder = tmp_path_factory.mktemp(relative)
        folders[relative] = save_relative(folder, relative)
        (folder / "vocab.txt").write_text("\n".join(TINY) + "\n")
    return folders


@pytest.mark.parametrize(
    ("relative", "title"),
    [("distilbert", "DistilBERT"), ("albert", "ALBERT")],
)
def test_every_layer_and_head_of_a_relative_equals_transformers(
    tiny_relatives, relative, title
):
    folder = tiny_relatives[relative]
    texts = ("a b c d e a", "b c")
    encoded = tokenizer_of(folder).encode(*texts)
    name = f"{RELATIVES[relative][0]}Model"
    expected = theirs(
        oracle_model(name, folder, "float64"), padded([encoded])
    )
    attention = attend(*texts, model_version=str(folder), dtype="float64")
    assert attention.segments.tolist() == encoded.segments.tolist()
    assert f"; {title}, " in attention.about
    for their, our in PARTS.items():
        for layer in range(3):
            name = f"{layer}/{their}"
            got = getattr(attention, our)[layer]
            expect_near(name, got, expected[name][0])
    assert len(attention.outputs) == attention.layers == 3
    same = attention.outputs[0] is attention.outputs[2]
    assert same is (relative == "albert")


@pytest.mark.parametrize(
    ("kind", "make"),
    [("Roberta", bytes_of_roberta), ("Albert", unigrams_of_albert)],
    ids=["RoBERTa", "ALBERT"],
)
def test_a_relative_with_its_own_tokenizer_equals_transformers(
    tmp_path, kind, make
):
    tokenizer = make()
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer),
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=60,
        pad_token_id=tokenizer.pad_token_id,
    )
    getattr(transformers, f"{kind}Model")(config).save_pretrained(tmp_path)
    texts = ("the cats <mask> unwanted", "un cat")
    attention = attend(*texts, model_version=str(tmp_path), dtype="float64")
    inputs = transformers.AutoTokenizer.from_pretrained(tmp_path)(
        *texts, return_tensors="pt", return_token_type_ids=kind == "Albert"
    )
    ids = inputs["input_ids"][0].tolist()
    assert list(attention.tokens) == tokenizer.convert_ids_to_tokens(ids)
    assert set(attention.segments.tolist()) == {0, 1}
    model = oracle_model(f"{kind}Model", tmp_path, "float64")
    with torch.no_grad():
        output = model(**inputs, output_attentions=True)
    for layer, weights in enumerate(output.attentions):
        expect_near("weights", attention.weights[layer], weights[0].numpy())


# --- several texts -------------------------------------------------------


def test_several_texts_are_read_by_one_model(monkeypatch):
    loads = []

    def counted(*arguments):
        loads.append(arguments)
        return load(*arguments)

    load = attending.load_bert
    monkeypatch.setattr(attending, "load_bert", counted)
    together = list(attend_all(["A brush.", PAIR, ("She paints.", None)]))
    assert len(loads) == 1
    alone = [minilm("A brush."), minilm(*PAIR), minilm("She paints.")]
    for got, expected in zip(together, alone, strict=True):
        assert got.tokens == expected.tokens
        np.testing.assert_array_equal(got.weights, expected.weights)


def test_one_text_instead_of_several_is_refused():
    with pytest.raises(ValueError, match="several texts, got one: 'A br"):
        next(attend_all("A brush."))
    for wrong in (("a", "b", "c"), 7):
        with pytest.raises(
            ValueError, match="expected texts or pairs of texts"
        ):
            next(attend_all([wrong]))


# --- refusals ------------------------------------------------------------

NO_TEXT = {
    "empty": ("", None, "a sentence with words, got ''"),
    "blank": (" \n\t", None, r"a sentence with words, got ' \\n\\t'"),
    "empty second": ("a", "", "a sentence with words, got ''"),
    "list": (["a", "b"], None, "sentence_a to be one text, got list; `att"),
    "none": (None, None, "sentence_a to be one text, got NoneType"),
    "bytes": (b"a", None, "sentence_a to be one text, got bytes"),
    "list second": ("a", ["b"], "sentence_b to be one text, got list"),
}


@pytest.mark.parametrize("kind", NO_TEXT)
def test_anything_but_a_sentence_is_refused(kind):
    first, second, message = NO_TEXT[kind]
    with pytest.raises(ValueError, match=f"^expected {message}"):
        attend(first, second)


def test_a_pair_is_refused_by_a_gpt2(gpt2_model):
    message = "one sentence for a GPT-2, which takes no pairs, got two"
    with pytest.raises(ValueError, match=message):
        attend("a", "b", "gpt2", gpt2_model[1])


def test_a_gpt2_without_a_version_is_refused():
    with pytest.raises(ValueError, match="got none: no GPT-2 is packaged"):
        attend("a", model_type="gpt2")


@pytest.mark.parametrize("relative", ["roberta", "distilbert", "albert"])
def test_a_relative_without_a_version_is_refused(relative):
    with pytest.raises(ValueError, match=r"got none: no .* is packaged"):
        attend("a", model_type=relative)


@pytest.mark.parametrize("kind", ["t5", "BERT", "", 3])
def test_another_kind_of_model_is_refused(kind):
    message = rf"bert, .*qwen2, got {kind!r}; .*pass its weights as arrays"
    with pytest.raises(ValueError, match=message):
        attend("a", model_type=kind)


@pytest.mark.parametrize("kind", ["bert", "gpt2", None])
@pytest.mark.parametrize("other", ["t5", "deberta-v2", "electra"])
def test_a_folder_of_another_model_is_refused(tmp_path, kind, other):
    folder = configured(saved(tmp_path, "BertModel"), model_type=other)
    (folder / "model.safetensors").write_text("weights, never read")
    message = f"model_type in config.json to be one of .*, got '{other}'"
    with pytest.raises(ValueError, match=message):
        attend("a", None, kind, str(folder))


def test_a_model_type_that_is_not_the_folders_is_refused(
    tiny_bert, gpt2_model
):
    for kind, version, own in (
        ("bert", gpt2_model[1], "gpt2"),
        ("roberta", gpt2_model[1], "gpt2"),
        ("gpt2", tiny_bert, "bert"),
        ("roberta", tiny_bert, "bert"),
    ):
        message = f"to be '{own}', as .* says itself, got '{kind}'"
        with pytest.raises(ValueError, match=message):
            attend("a", None, kind, version)


def test_a_folder_says_itself_which_model_it_holds(gpt2_model, by_gpt2):
    attention = attend(TEXT, model_version=gpt2_model[1])
    assert attention.causal
    np.testing.assert_array_equal(attention.weights, by_gpt2[TEXT].weights)
    assert "; GPT-2, " in attention.about


def test_a_gpt2_with_another_vocabulary_is_refused(tmp_path):
    random_oracle(tmp_path)
    message = "a tokenizer of 31 tokens for .*, got one of 50,257"
    with pytest.raises(ValueError, match=message):
        attend("a", None, "gpt2", str(tmp_path))


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_an_unknown_name_is_refused_with_the_known_ones(
    tmp_path, monkeypatch, kind
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    in_cache(tmp_path, "someone/tiny-bert")
    with pytest.raises(ValueError, match=r"^expected a folder") as error:
        attend("a", None, kind, "someone/other")
    message = str(error.value)
    assert "packaged model (bert, smollm2)" in message
    assert "cached (someone/tiny-bert)" in message
    assert "got 'someone/other': " in message


def test_a_version_without_a_name_is_not_the_packaged_one():
    with pytest.raises(ValueError, match="got '': "):
        attend("a", model_version="")


def test_another_dtype_is_refused():
    with pytest.raises(ValueError, match="or float64, got float16"):
        attend("a", dtype="float16")


# --- what an attention has ---------------------------------------------

EQUAL = np.full((2, 3, 4, 4), 1 / 4)
FOUR = ["[CLS]", "a", "b", "<|endoftext|>"]


def test_a_head_out_of_range_is_refused():
    attention = from_arrays(FOUR, EQUAL)
    assert attention.head(1, 2).shape == (4, 4)
    for layer_and_head, message in (
        ((2, 0), "layer from 0 to 1, got 2"),
        ((-1, 0), "layer from 0 to 1, got -1"),
        ((0, 3), "head from 0 to 2, got 3"),
        ((0, -1), "head from 0 to 2, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            attention.head(*layer_and_head)


def test_missing_arrays_are_named():
    bare, words = from_arrays(FOUR, EQUAL, "mine"), joined(minilm(SEED))
    for attention, why in ((bare, "mine; rows as"), (words, "joined into")):
        alone = f"along with the weights, got none .*{why}"
        with pytest.raises(ValueError, match=f"expected queries {alone}"):
            _ = attention.scores
        with pytest.raises(ValueError, match=f"expected values {alone}"):
            _ = attention.value_norms


# --- the command ----


def test_a_folder_says_which_model_it_holds(twice, tmp_path):
    folder = save_relative(tmp_path, "distilbert")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abc"]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    options = ("view", "a b c", "--model-version", folder)
    for more in ((), ("--model-type", "distilbert")):
        code, out, _ = twice(*options, *more)
        assert code == 0
        assert "; DistilBERT, " in out.splitlines()[0]
        assert "\n5 tokens: [CLS] a b c [SEP]" in out
    code, out, err = twice(*options, "--model-type", "bert")
    assert (code, out) == (2, "")
    assert err == (
        f"twice: expected model_type to be 'distilbert', as {folder} says "
        "itself, got 'bert'\n"
    )
