"""A run of training: begun or gone on with, shown, saved now and then."""

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy import ndarray as Array
from rich.console import Console
from rich.progress import Progress

from numpy_ref.checked import check_at_least, check_divides
from numpy_ref.checkpoints.gpt2_config import Gpt2Config, parameter_count
from numpy_ref.checkpoints.model_folders import in_millions
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train as learn_merges
from numpy_ref.tokenizers.gpt2_vocabulary import END_OF_TEXT, gpt2_merges
from numpy_ref.training.checkpoint import (
    Training,
    begin_folder,
    has_training,
    load_tokenizer,
    load_training,
    save_training,
)
from numpy_ref.training.initial_weights import initial_gpt2
from numpy_ref.training.steps import (
    Taken,
    TrainingSettings,
    beginner,
    train,
)

from .writing import Choices, write

WARM_UP = 20  # steps, or a tenth of all where that is less
FALL = 0.1  # the last learning rate, as a share of the highest
SAMPLE = 40  # tokens


@dataclass(frozen=True)
class Wanted:
    """What a training is made of; `--` options bear these names."""

    tokenizer: str = "bpe"
    vocabulary: int = 512
    layers: int = 4
    d_model: int = 128
    heads: int = 4
    length: int = 128
    batch_size: int = 8
    steps: int = 400
    rate: float = 3e-3
    dropout: float = 0.1
    dtype: str = "float32"
    seed: int = 0


def run(
    folder: Path,
    text: str,
    about: str,
    wanted: Wanted,
    given: set[str],
    save_every: int,
    sample_every: int,
) -> bool:
    """Train to the last step; False when the user stopped it before.

    `given` are the options that must fit what a folder has begun with.
    Raises ValueError for wrong options, for a training that diverges, and
    when no checkpoint can be written; the last one then stays.
    """
    check_at_least("--save-every", save_every, 1)
    check_at_least("--sample-every", sample_every, 0)
    if has_training(folder):
        training = load_training(folder)
        check_same(training, text, about, wanted, given, folder)
        verb = f"going on from step {training.learner.step}"
    else:
        training = begun(folder, text, about, wanted)
        verb = "beginning with random weights"
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.encode_ordinary(text)
    print(described(training, len(ids), folder), f"{verb}.", sep="\n")
    return keep_training(
        folder, training, ids, tokenizer, save_every, sample_every
    )


def begun(folder: Path, text: str, about: str, wanted: Wanted) -> Training:
    """A folder with a checkpoint of step 0."""
    check_wanted(wanted)
    merges = (
        gpt2_merges()
        if wanted.tokenizer == "gpt2"
        else learn_merges(text, wanted.vocabulary, (END_OF_TEXT,))
    )
    tokenizer = BytePairTokenizer(merges, (END_OF_TEXT,))
    check_at_least(
        f"tokens of the text for a window of {wanted.length}",
        len(tokenizer.encode_ordinary(text)),
        wanted.length + 1,
    )
    config = Gpt2Config(
        vocabulary=len(tokenizer.tokens),
        positions=wanted.length,
        d_model=wanted.d_model,
        d_inner=4 * wanted.d_model,
        layers=wanted.layers,
        heads=wanted.heads,
        epsilon=1e-5,
    )
    generator = np.random.default_rng(wanted.seed)
    learner = beginner(initial_gpt2(config, generator, wanted.dtype))
    training = Training(
        learner,
        generator,
        config,
        settings_of(wanted),
        hash_of(text),
        about,
    )
    try:
        begin_folder(folder, config, merges)
        save_training(folder, training)
    except OSError as error:
        raise ValueError(
            f"expected to write a model into {folder}, got {error.strerror}"
        ) from error
    return training


def settings_of(wanted: Wanted) -> TrainingSettings:
    return TrainingSettings(
        length=wanted.length,
        batch_size=wanted.batch_size,
        dropout=wanted.dropout,
        steps=wanted.steps,
        warm_up=min(WARM_UP, wanted.steps // 10),
        highest=wanted.rate,
        lowest=FALL * wanted.rate,
    )


def check_wanted(wanted: Wanted) -> None:
    """Raise ValueError for options that no training can have."""
    for name in ("layers", "d_model", "length", "batch_size", "steps"):
        check_at_least(f"--{name.replace('_', '-')}", vars(wanted)[name], 1)
    check_at_least("--seed", wanted.seed, 0)
    check_divides("--heads", wanted.heads, "--d-model", wanted.d_model)
    if not 0 < wanted.rate < float("inf"):
        raise ValueError(
            f"expected --rate to be greater than 0, got {wanted.rate}"
        )
    if not 0 <= wanted.dropout < 1:
        raise ValueError(
            f"expected --dropout from 0 to below 1, got {wanted.dropout}"
        )


def check_same(
    training: Training,
    text: str,
    about: str,
    wanted: Wanted,
    given: set[str],
    folder: Path,
) -> None:
    """Raise ValueError when a training is to go on as another one."""
    if training.text != hash_of(text):
        raise ValueError(
            f"expected the text that {folder} learns, {training.about}, "
            f"got {about}, which is another"
        )
    config, settings = training.config, training.settings
    begun_with = {
        "layers": config.layers,
        "d_model": config.d_model,
        "heads": config.heads,
        "length": settings.length,
        "batch_size": settings.batch_size,
        "steps": settings.steps,
        "rate": settings.highest,
        "dropout": settings.dropout,
        "dtype": training.learner.params.norm.weight.dtype.name,
    }
    for name in sorted(given & begun_with.keys()):
        if vars(wanted)[name] != begun_with[name]:
            raise ValueError(
                f"expected --{name.replace('_', '-')} {begun_with[name]}, "
                f"with which {folder} was begun, got {vars(wanted)[name]}"
            )


def described(training: Training, tokens: int, folder: Path) -> str:
    """What learns what."""
    config, settings = training.config, training.settings
    return (
        f"A GPT-2 of {in_millions(parameter_count(config))} "
        f"({config.layers} layers, {config.heads} heads, d_model "
        f"{config.d_model}, vocabulary {config.vocabulary:,}) learns "
        f"{training.about} ({tokens:,} tokens), {settings.steps:,} steps "
        f"of {settings.batch_size} × {settings.length} tokens, into "
        f"{folder};"
    )


def keep_training(
    folder: Path,
    training: Training,
    ids: Array,
    tokenizer: BytePairTokenizer,
    save_every: int,
    sample_every: int,
) -> bool:
    """Step after step, with a bar; what is printed is the loss's mean."""
    saved, losses, began = training.learner.step, [], time.perf_counter()
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task(
                "training",
                total=training.settings.steps,
                completed=training.learner.step,
            )
            for learner, taken in train(
                training.learner,
                ids,
                training.generator,
                training.config,
                training.settings,
            ):
                training = training._replace(learner=learner)
                losses.append(taken.loss)
                progress.update(
                    bar,
                    completed=taken.step,
                    description=f"loss {taken.loss:.3f}",
                )
                last = taken.step == training.settings.steps
                if taken.step % save_every == 0 or last:
                    save(folder, training, saved)
                    saved = taken.step
                    seconds = (time.perf_counter() - began) / len(losses)
                    print(line(taken, losses, seconds), flush=True)
                    losses, began = [], time.perf_counter()
                if sample_every and (
                    taken.step % sample_every == 0 or last
                ):
                    print(f"    {sample(training, ids, tokenizer)!r}")
    except KeyboardInterrupt:
        step = load_training(folder).learner.step
        print(
            f"Stopped. {folder} has the checkpoint of step {step}: the "
            "same command goes on from there."
        )
        return False
    print(f"Done: twice generate --model {folder} --prompt 'I had always'")
    return True


def line(taken: Taken, losses: list[float], seconds: float) -> str:
    return (
        f"step {taken.step:5}  loss {np.mean(losses):.3f}  "
        f"norm {taken.norm:.2f}  rate {taken.rate:.1e}  "
        f"{1000 * seconds:.0f} ms a step  saved"
    )


def save(folder: Path, training: Training, saved: int) -> None:
    """Raises ValueError, which says that the old checkpoint stays."""
    try:
        save_training(folder, training)
    except OSError as error:
        raise ValueError(
            f"expected to write the checkpoint of step "
            f"{training.learner.step} into {folder}, got {error.strerror}; "
            f"that of step {saved} is still there"
        ) from error


def sample(
    training: Training, ids: Array, tokenizer: BytePairTokenizer
) -> str:
    """A few tokens after the beginning of the text.

    With chance of its own, so that looking changes nothing.
    """
    positions = training.config.positions
    prompt = ids[: min(8, max(1, positions - 1))]
    choices = replace(Choices(), seed=training.learner.step)
    return "".join(
        write(
            prompt,
            training.learner.params,
            training.config,
            tokenizer,
            min(SAMPLE, positions - len(prompt)),
            choices,
        )
    )


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
