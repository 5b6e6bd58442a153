"""A small Llama of `twice train`, and every command that can use it."""

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from bert_viz import attend
from numpy_ref.checkpoints.llama import load_llama
from numpy_ref.checkpoints.llama_config import LlamaConfig
from numpy_ref.training.steps import TrainingSettings
from numpy_ref.variants.llama import llama
from parity_tests.oracles.training import both_trained
from study.command import main
from study.train import run as training_run

from .test_train_command import contents, interrupted

TEXT = "low lower lowest newer newest wider, and the low was wide. " * 9
TINY = (
    *("--architecture", "llama", "--layers", "2", "--d-model", "16"),
    *("--heads", "4", "--context-length", "16", "--batch-size", "2"),
    *("--vocabulary", "270", "--steps", "6", "--save-every", "2"),
    *("--sample-every", "3"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a whole training, and the text that it learned."""
    place = tmp_path_factory.mktemp("llama")
    (place / "story.txt").write_text(TEXT)
    options = ("--file", place / "story.txt", "--out", place / "model")
    with pytest.raises(SystemExit) as stop:
        main(["train", *map(str, options), *TINY])
    assert stop.value.code == 0
    return place / "model", place / "story.txt"


def run_llama(folder, ids):
    checkpoint = load_llama(folder, "float64")
    config = checkpoint.config
    return llama(
        *(ids, checkpoint.model, config.heads, config.key_heads),
        *(config.d_head, config.base, config.epsilon),
    )


def test_transformers_reads_what_was_trained(finished):
    folder, _ = finished
    ids = np.arange(12)[None]
    theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        logits = theirs(torch.from_numpy(ids)).logits.numpy()
    ours = run_llama(folder, ids)[-1]
    # Theirs has norms, softmax and angles in float32.
    assert abs(ours - logits).max() <= 1e-5 * abs(logits).max()
    config = load_llama(folder).config
    assert (config.heads, config.key_heads, config.d_ff) == (4, 2, 42)


def test_interrupted_it_goes_on_as_if_it_had_not_been(
    finished, twice, tmp_path, monkeypatch
):
    folder, story = finished
    out = tmp_path / "again"
    again = ("train", "--file", story, "--out", out, *TINY)
    monkeypatch.setattr(training_run, "train", interrupted(3))
    code, said, _ = twice(*again)
    assert code == 130
    assert "holds the checkpoint of step 2: the same" in said
    monkeypatch.undo()
    code, said, _ = twice(*again)
    assert code == 0
    assert "resuming from step 2." in said
    assert contents(folder) == contents(out)
    code, _, error = twice(*again, "--architecture", "gpt2")
    assert code == 2
    assert "expected --architecture llama, as when" in error


def test_its_steps_are_those_of_autograd_and_torch_optim():
    """As `test_steps` holds a GPT-2's, entry by entry."""
    config = LlamaConfig(60, 16, 24, 8, 40, 2, 4, 2, 1e4, 1e-5)
    settings = TrainingSettings(
        context_length=16,
        batch_size=4,
        dropout=0.0,
        steps=6,
        warm_up=2,
        highest=1e-2,
        lowest=1e-3,
    )
    # A text with something to learn: each token decides the next.
    ids = (7 * np.arange(400)) % 60
    steps = list(both_trained(ids, config, settings))
    for count, step in enumerate(steps, start=1):
        for ours, theirs in (step.losses, step.norms):
            assert abs(ours - theirs) <= 1e-9 * theirs
        assert step.ours.keys() == step.theirs.keys()
        for name, ours in step.ours.items():
            theirs = step.theirs[name]
            room = abs(theirs).max() + settings.highest * count
            assert abs(ours - theirs).max() <= 1e-9 * room, name
    assert steps[-1].losses[0] < steps[0].losses[0] - 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dropout", 0.1), "expected --dropout 0 with --architecture"),
        (("--key-heads", 3), "expected --key-heads to divide --heads 4"),
        (("--d-model", 12), "in pairs, to be even, got 3"),
    ],
)
def test_what_a_llama_cannot_be_is_refused(
    finished, twice, tmp_path, options, message
):
    _, story = finished
    out = ("train", "--file", story, "--out", tmp_path / "new")
    code, _, error = twice(*out, *TINY, *options)
    assert code == 2
    assert message in error
    assert not (tmp_path / "new").exists()


def test_key_heads_of_a_gpt2_are_refused(finished, twice, tmp_path):
    _, story = finished
    code, _, error = twice(
        *("train", "--file", story, "--out", tmp_path / "new"),
        *("--key-heads", 2),
    )
    assert code == 2
    assert "expected --key-heads with --architecture llama" in error


def test_it_writes_and_stops_where_it_is_told_to(finished, twice):
    folder, _ = finished
    asked = ("generate", "--model", folder, "--prompt", "the low", "--seed")
    code, said, error = twice(*asked, 1, "--length", 9)
    assert code == 0
    assert said.startswith("the low")
    assert "trained by `twice train` for 6 of 6 steps" in error
    rest = said.removeprefix("the low").rstrip("\n")
    code, short, _ = twice(*asked, 1, "--length", 9, "--stop", rest[1:3])
    assert short == f"the low{rest[: rest.index(rest[1:3])]}\n"
    code, _, error = twice(*asked, 1, "--length", 99)
    assert code == 2
    assert "expected prompt and length to fit 16 positions, got" in error


def test_a_break_is_told_after_the_text(finished, twice):
    folder, _ = finished
    code, said, _ = twice(
        *("generate", "--model", folder, "--prompt", "the low was"),
        *("--length", 2, "--break", "scale"),
    )
    assert code == 0
    assert "Broken: the scale." in said
    first, *_, logit, likely = said.splitlines()[-6:]
    assert first.startswith("Broken: the scale. The first to move")
    assert logit.startswith("The logit that moved most: ")
    assert likely.startswith("Most likely next: ")


def test_the_walk_goes_through_a_llama(finished, twice):
    folder, _ = finished
    code, said, _ = twice("--model", folder, "--text", "the low was wide")
    assert code == 0
    for stop in (
        "RMSNorm",
        "turned by their positions",
        "the gate, opened",
    ):
        assert stop in said
    assert "2 blocks with 4 heads and 2 key heads each" in said
    assert "next token: " in said
    assert "both sides agree" in said.splitlines()[-1]


def test_its_heads_are_seen_and_groups_share_their_keys(finished):
    folder, _ = finished
    attention = attend("the low was wide", model_version=str(folder))
    assert attention.causal
    assert attention.weights.shape[:2] == (2, 4)
    keys = attention.keys
    np.testing.assert_array_equal(keys[:, 0], keys[:, 1])
    assert abs(keys[:, 1] - keys[:, 2]).max() > 0
    with pytest.raises(ValueError, match="which takes no pairs, got two"):
        attend("a", "b", model_version=str(folder))
    message = "to be 'llama', as .* says itself, got 'gpt2'"
    with pytest.raises(ValueError, match=message):
        attend("a", None, "gpt2", str(folder))
