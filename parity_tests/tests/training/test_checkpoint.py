"""Training that stops and goes on, and a folder that transformers reads."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from numpy_ref.checkpoints.gpt2 import load_gpt2
from numpy_ref.gpt2 import gpt2
from numpy_ref.parameters import state_dict
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.rank_files import save_ranks
from numpy_ref.training.checkpoint import (
    Training,
    begin_folder,
    has_training,
    load_tokenizer,
    load_training,
    save_training,
)
from numpy_ref.training.initial_weights import initial_gpt2
from numpy_ref.training.steps import TrainingSettings, initial_state, train
from parity_tests.oracles.training import config_of

MERGES = train_bpe("low lower lowest", 260, ("<|endoftext|>",))
CONFIG = config_of(vocabulary=257 + len(MERGES), d_model=8, d_ff=20)
SETTINGS = TrainingSettings(
    context_length=8, batch_size=2, steps=20, warm_up=3
)
IDS = np.random.default_rng(0).integers(0, CONFIG.vocabulary, 99)


def beginning(dtype="float32", seed=0) -> Training:
    generator = np.random.default_rng(seed)
    state = initial_state(initial_gpt2(CONFIG, generator, dtype))
    return Training(state, generator, CONFIG, SETTINGS, "hash", "a text")


def after(training: Training, steps: int) -> Training:
    """The same training so many steps later."""
    taken = train(training.state, IDS, training.generator, CONFIG, SETTINGS)
    for _, (state, _) in zip(range(steps), taken, strict=False):
        training = training._replace(state=state)
    return training


@pytest.fixture(scope="module")
def five():
    """Training after five steps."""
    return after(beginning(), 5)


@pytest.fixture
def folder(tmp_path, five):
    """A folder with a checkpoint of five steps."""
    begin_folder(tmp_path / "model", CONFIG, MERGES)
    save_training(tmp_path / "model", five)
    return tmp_path / "model"


def bits(training: Training) -> dict[str, bytes]:
    state = training.state
    arrays = {
        f"{kind}.{name}": array
        for kind, arrays in {
            "params": state_dict(state.params),
            **state.moments._asdict(),
        }.items()
        for name, array in arrays.items()
    }
    contents = {name: array.tobytes() for name, array in arrays.items()}
    state = json.dumps(training.generator.bit_generator.state)
    return contents | {"generator": state.encode()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_five_steps_and_five_are_ten_bit_for_bit(tmp_path, dtype):
    begin_folder(tmp_path, CONFIG, MERGES)
    first = after(beginning(dtype), 5)
    save_training(tmp_path, first)
    loaded = load_training(tmp_path)
    assert bits(loaded) == bits(first)
    # Products of arrays that lie otherwise may round otherwise.
    for name, array in state_dict(loaded.state.params).items():
        was = state_dict(first.state.params)[name]
        assert array.strides == was.strides
    assert loaded[2:] == (CONFIG, SETTINGS, "hash", "a text")
    five_more = bits(after(loaded, 5))
    assert five_more == bits(after(beginning(dtype), 10))
    assert five_more["generator"] != bits(first)["generator"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transformers_reads_the_same_model(tmp_path, dtype):
    begin_folder(tmp_path, CONFIG, MERGES)
    training = after(beginning(dtype), 2)
    save_training(tmp_path, training)
    oracle, loading = GPT2LMHeadModel.from_pretrained(
        tmp_path,
        attn_implementation="eager",
        dtype=torch.float64,
        output_loading_info=True,
    )
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    ids = IDS[:20].reshape(2, 10)
    with torch.no_grad():
        theirs = oracle.eval()(torch.from_numpy(ids)).logits.numpy()
    ours = load_gpt2(tmp_path, "float64")
    logits = gpt2(ids, ours.model, CONFIG.heads, CONFIG.epsilon)[-1]
    assert abs(logits - theirs).max() <= 1e-10 * abs(theirs).max()
    for name, array in state_dict(ours.model).items():
        trained = state_dict(training.state.params)[name]
        np.testing.assert_array_equal(array, trained)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_holds_one_checkpoint_and_nothing_else(folder):
    assert set(files(folder)) == {
        *("config.json", "tokenizer.json", "tokenizer_config.json"),
        "model.safetensors",
        "training-5.safetensors",
    }
    save_training(folder, after(load_training(folder), 1))
    assert set(files(folder)) == {
        *("config.json", "tokenizer.json", "tokenizer_config.json"),
        "model.safetensors",
        "training-6.safetensors",
    }


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize(
    ("error", "half"),
    [(errno.ENOSPC, True), (errno.EACCES, False), (errno.EROFS, False)],
)
def test_a_full_disk_or_no_leave_to_write_keeps_the_old_checkpoint(
    folder, five, monkeypatch, call, half, error
):
    before, calls = files(folder), []
    write_bytes = Path.write_bytes

    def full(path, data):
        calls.append(path)
        if len(calls) <= call:
            return write_bytes(path, data)
        if half:
            write_bytes(path, data[: len(data) // 2])
        raise OSError(error, os.strerror(error))

    later = after(load_training(folder), 1)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=os.strerror(error)):
        save_training(folder, later)
    monkeypatch.undo()
    now = files(folder)
    assert {name: now[name] for name in before} == before
    assert bits(load_training(folder)) == bits(five)
    save_training(folder, later)
    assert bits(load_training(folder)) == bits(later)
    assert len(files(folder)) == len(before)


# Reads the numbers of moments, and forks for each a process that saves.
KILLED_WHILE_SAVING = """
import os, sys
from pathlib import Path
from numpy_ref.training.steps import train
from numpy_ref.training.checkpoint import load_training, save_training
import numpy as np
folder, count = Path(sys.argv[1]), 0
training = load_training(folder)
ids = np.random.default_rng(0).integers(0, training.config.vocabulary, 99)

def moment():
    global count
    count += 1
    if count > most:
        os._exit(7)

def watch(event, arguments):
    happens = event in ("open", "os.rename", "os.remove")
    if happens and str(folder) in str(arguments[0]):
        moment()

def write_bytes(path, data):
    with open(path, "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        moment()
        file.write(data[len(data) // 2 :])

steps = train(
    training.state, ids, training.generator, training.config,
    training.settings,
)
state, _ = next(steps)
for line in sys.stdin:
    if os.fork():
        print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
        continue
    most = int(line)
    sys.addaudithook(watch)
    Path.write_bytes = write_bytes
    save_training(folder, training._replace(state=state))
    os._exit(0)
"""


@pytest.mark.slow
def test_killed_at_any_moment_of_saving_it_goes_on_from_the_last(folder):
    """The process ends before each opening, renaming, removing of a file,
    and in the middle of each writing."""
    first = bits(load_training(folder))
    six = after(load_training(folder), 1)
    seen = set()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_SAVING, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for moment in range(20):
            print(moment, file=process.stdin, flush=True)
            code = int(process.stdout.readline())
            contents = bits(load_training(folder))
            seen.add(load_training(folder).state.step)
            if code == 0:
                break
            assert code == 7
            assert contents in (first, bits(six))
            if contents != first:
                break
    assert moment >= 5
    assert seen == {5, 6}
    save_training(folder, six)
    assert len(files(folder)) == 5


def test_another_model_is_not_written_over(folder):
    with pytest.raises(ValueError, match="a folder without model"):
        begin_folder(folder, CONFIG, MERGES)


def test_a_model_of_transformers_is_no_training(tmp_path):
    begin_folder(tmp_path, CONFIG, MERGES)
    assert not has_training(tmp_path)
    save_training(tmp_path, beginning())
    assert has_training(tmp_path)
    GPT2LMHeadModel.from_pretrained(tmp_path).save_pretrained(tmp_path)
    assert not has_training(tmp_path)
    with pytest.raises(ValueError, match="a model of `twice train`"):
        load_training(tmp_path)


def test_the_tokenizer_comes_back(folder):
    tokenizer = load_tokenizer(folder)
    expected = BytePairTokenizer(MERGES, ("<|endoftext|>",))
    assert tokenizer.tokens == expected.tokens
    assert len(tokenizer.tokens) == CONFIG.vocabulary
    assert tokenizer.tokens[-1] == b"<|endoftext|>"
    text = "lower é<|endoftext|>"
    ids = tokenizer.encode(text)
    np.testing.assert_array_equal(ids, expected.encode(text))
    assert tokenizer.decode(ids) == text


def test_transformers_reads_the_same_tokenizer(folder):
    theirs = AutoTokenizer.from_pretrained(folder)
    for text in ("low lower, lowest", "<|endoftext|>low 日本 😀\n"):
        ids = load_tokenizer(folder).encode(text).tolist()
        assert theirs(text)["input_ids"] == ids
    assert theirs.eos_token_id == CONFIG.vocabulary - 1
    assert len(theirs) == CONFIG.vocabulary


def test_a_folder_from_before_keeps_its_tokenizer(folder):
    expected = load_tokenizer(folder).tokens
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    save_ranks(MERGES, folder / "tokenizer.tiktoken")
    assert load_tokenizer(folder).tokens == expected
