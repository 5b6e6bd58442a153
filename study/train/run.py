"""Running a training: started or resumed, shown, checkpointed."""

import hashlib
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy import ndarray as Array
from rich.console import Console
from rich.progress import Progress

from numpy_ref.checked import check_at_least, check_divides, check_even
from numpy_ref.checkpoints.gpt2_config import Gpt2Config
from numpy_ref.checkpoints.llama_config import BASE, LlamaConfig
from numpy_ref.checkpoints.model_folders import in_millions
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.gpt2_vocabulary import END_OF_TEXT, gpt2_merges
from numpy_ref.tokenizers.token_bytes import TokenBytes
from numpy_ref.training.architectures import (
    ARCHITECTURES,
    Config,
    architecture_of,
)
from numpy_ref.training.checkpoint import (
    Training,
    begin_folder,
    has_training,
    load_tokenizer,
    load_training,
    save_training,
)
from numpy_ref.training.steps import (
    StepMetrics,
    TrainingSettings,
    initial_state,
    train,
)

from ..generate.writing import SamplingSettings, write
from .lock import locked
from .stop import Stop

WARM_UP = 20  # steps, or a tenth of all where that is less
DECAY = 0.1  # the last learning rate, as a share of the peak
SAMPLE = 40  # tokens


@dataclass(frozen=True)
class TrainOptions:
    """The options of a training, named as on the command line."""

    architecture: str = "gpt2"
    tokenizer: str = "bpe"
    vocabulary: int = 512
    layers: int = 4
    d_model: int = 128
    heads: int = 4
    key_heads: int | None = None
    context_length: int = 128
    batch_size: int = 8
    steps: int = 400
    rate: float = 3e-3
    dropout: float | None = None
    dtype: str = "float32"
    seed: int = 0


def run(
    folder: Path,
    text: str,
    about: str,
    options: TrainOptions,
    explicit: set[str],
    save_every: int,
    sample_every: int,
) -> int:
    """Train to the last step; the signal that stopped it before, or 0.

    `explicit` are the options that the user typed: when a training is
    resumed, they must agree with it. Raises ValueError for wrong options,
    for a folder in which another training is at work, for a training that
    diverges, and when no checkpoint can be written; the last one then
    stays.
    """
    check_at_least("--save-every", save_every, 1)
    check_at_least("--sample-every", sample_every, 0)
    new = None
    if not has_training(folder):
        new = new_training(text, about, options)
    with locked(folder), Stop() as stop:
        if new is not None:
            begin(folder, *new)
        training = load_training(folder)
        check_same(training, text, about, options, explicit, folder)
        tokenizer = load_tokenizer(folder)
        ids = tokenizer.encode_ordinary(text)
        step = training.state.step
        start = (
            f"resuming from step {step}"
            if new is None
            else "starting from random weights"
        )
        print(
            description(training, len(ids), folder), f"{start}.", sep="\n"
        )
        return train_and_save(
            folder, training, ids, tokenizer, save_every, sample_every, stop
        )


def new_training(
    text: str, about: str, options: TrainOptions
) -> tuple[Training, Array]:
    """A training at step 0, and the merges of its tokenizer."""
    check_options(options)
    merges = (
        gpt2_merges()
        if options.tokenizer == "gpt2"
        else train_bpe(text, options.vocabulary, (END_OF_TEXT,))
    )
    tokenizer = BytePairTokenizer(merges, (END_OF_TEXT,))
    check_at_least(
        "the number of tokens in the text, for a context length of "
        f"{options.context_length},",
        len(tokenizer.encode_ordinary(text)),
        options.context_length + 1,
    )
    config = config_of(options, len(tokenizer.tokens))
    generator = np.random.default_rng(options.seed)
    initial = ARCHITECTURES[options.architecture].initial
    state = initial_state(initial(config, generator, options.dtype))
    training = Training(
        state,
        generator,
        config,
        settings_of(options),
        hash_of(text),
        about,
    )
    return training, merges


def config_of(options: TrainOptions, vocabulary: int) -> Config:
    """The sizes of a new model.

    A Llama's feed-forward network has three matrices, where a GPT-2's has
    two; with two thirds of the width it learns as many numbers.
    """
    sizes = {
        "vocabulary": vocabulary,
        "positions": options.context_length,
        "d_model": options.d_model,
        "layers": options.layers,
        "heads": options.heads,
        "epsilon": 1e-5,
    }
    if options.architecture == "gpt2":
        return Gpt2Config(**sizes, d_ff=4 * options.d_model)
    return LlamaConfig(
        **sizes,
        d_head=options.d_model // options.heads,
        d_ff=8 * options.d_model // 3,
        key_heads=key_heads_of(options),
        base=BASE,
    )


def key_heads_of(options: TrainOptions) -> int:
    """Key heads of a Llama: one for two heads, where that is possible."""
    if options.key_heads is not None:
        return options.key_heads
    return options.heads // (1 if options.heads % 2 else 2)


def dropout_of(options: TrainOptions) -> float:
    """Dropout's rate: a tenth for a GPT-2, none for a Llama."""
    if options.dropout is not None:
        return options.dropout
    return 0.1 if options.architecture == "gpt2" else 0.0


def begin(folder: Path, training: Training, merges: Array) -> None:
    """Begin a folder, with a checkpoint of step 0."""
    try:
        begin_folder(folder, training.config, merges)
        save_training(folder, training)
    except OSError as error:
        raise ValueError(
            f"expected to write a model into {folder}, got {error.strerror}"
        ) from error


def settings_of(options: TrainOptions) -> TrainingSettings:
    return TrainingSettings(
        context_length=options.context_length,
        batch_size=options.batch_size,
        dropout=dropout_of(options),
        steps=options.steps,
        warm_up=min(WARM_UP, options.steps // 10),
        highest=options.rate,
        lowest=DECAY * options.rate,
    )


def check_options(options: TrainOptions) -> None:
    """Raise ValueError for options out of range."""
    for name in (
        "layers",
        "d_model",
        "context_length",
        "batch_size",
        "steps",
    ):
        check_at_least(
            f"--{name.replace('_', '-')}", vars(options)[name], 1
        )
    check_at_least("--seed", options.seed, 0)
    check_divides("--heads", options.heads, "--d-model", options.d_model)
    check_architecture(options)
    if not 0 < options.rate < float("inf"):
        raise ValueError(
            f"expected --rate to be greater than 0, got {options.rate}"
        )
    if not 0 <= dropout_of(options) < 1:
        raise ValueError(
            "expected --dropout to be at least 0 and below 1, "
            f"got {options.dropout}"
        )


def check_architecture(options: TrainOptions) -> None:
    """Raise ValueError for options that the architecture cannot have."""
    if options.architecture == "gpt2":
        if options.key_heads is not None:
            raise ValueError(
                "expected --key-heads with --architecture llama, got it "
                "with gpt2, which has as many key heads as heads"
            )
        return
    check_divides(
        "--key-heads", key_heads_of(options), "--heads", options.heads
    )
    check_even(
        "--d-model / --heads, which RoPE takes in pairs,",
        options.d_model // options.heads,
    )
    if dropout_of(options):
        raise ValueError(
            "expected --dropout 0 with --architecture llama, which drops "
            f"nothing, got {options.dropout}"
        )


def check_same(
    training: Training,
    text: str,
    about: str,
    options: TrainOptions,
    explicit: set[str],
    folder: Path,
) -> None:
    """Raise ValueError for a text or options unlike those before."""
    if training.text != hash_of(text):
        raise ValueError(
            f"expected the text that {folder} was trained on, "
            f"{training.about}, got {about}, which differs"
        )
    config, settings = training.config, training.settings
    architecture = architecture_of(config)
    options = replace(options, dropout=dropout_of(options))
    before = {
        "architecture": architecture.name,
        "key_heads": getattr(config, "key_heads", config.heads),
        "layers": config.layers,
        "d_model": config.d_model,
        "heads": config.heads,
        "context_length": settings.context_length,
        "batch_size": settings.batch_size,
        "steps": settings.steps,
        "rate": settings.highest,
        "dropout": settings.dropout,
        "dtype": training.state.params.norm.weight.dtype.name,
    }
    for name in sorted(explicit & before.keys()):
        if vars(options)[name] != before[name]:
            raise ValueError(
                f"expected --{name.replace('_', '-')} {before[name]}, as "
                f"when {folder} was begun, got {vars(options)[name]}"
            )


def description(training: Training, tokens: int, folder: Path) -> str:
    """The model, the text and the plan, in a sentence."""
    config, settings = training.config, training.settings
    architecture = architecture_of(config)
    learned = in_millions(architecture.count(config))
    return (
        f"A {architecture.title} of {learned} "
        f"(layers {config.layers}, heads {config.heads}, d_model "
        f"{config.d_model}, vocabulary {config.vocabulary:,}) learns "
        f"{training.about} ({tokens:,} tokens) in {settings.steps:,} steps "
        f"of {settings.batch_size} × {settings.context_length} tokens, "
        f"saved in {folder},"
    )


def train_and_save(
    folder: Path,
    training: Training,
    ids: Array,
    tokenizer: TokenBytes,
    save_every: int,
    sample_every: int,
    stop: Stop,
) -> int:
    """Train step by step; at each checkpoint, print the mean loss."""
    saved, losses, began = training.state.step, [], time.perf_counter()
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task(
                "training",
                total=training.settings.steps,
                completed=training.state.step,
            )
            for state, metrics in train(
                training.state,
                ids,
                training.generator,
                training.config,
                training.settings,
            ):
                training = training._replace(state=state)
                losses.append(metrics.loss)
                progress.update(
                    bar,
                    completed=metrics.step,
                    description=f"loss {metrics.loss:.3f}",
                )
                last = metrics.step == training.settings.steps
                # Read once: a signal that comes later stops the next step.
                stopping = stop.signal
                if metrics.step % save_every == 0 or last or stopping:
                    save(folder, training, saved)
                    saved = metrics.step
                    seconds = (time.perf_counter() - began) / len(losses)
                    print(line(metrics, losses, seconds), flush=True)
                    losses, began = [], time.perf_counter()
                if sample_every and (
                    metrics.step % sample_every == 0 or last
                ):
                    print(f"    {sample(training, ids, tokenizer)!r}")
                if stopping:
                    break
    except KeyboardInterrupt:
        saved = load_training(folder).state.step
    if saved < training.settings.steps:
        print(
            f"Stopped. {folder} holds the checkpoint of step {saved}: the "
            "same command resumes from there."
        )
        return stop.signal or signal.SIGINT
    print(
        f"Done. Next: twice generate --model {folder} "
        "--prompt 'I had always'"
    )
    return 0


def line(metrics: StepMetrics, losses: list[float], seconds: float) -> str:
    return (
        f"step {metrics.step:5}  loss {np.mean(losses):.3f}  "
        f"norm {metrics.norm:.2f}  rate {metrics.rate:.1e}  "
        f"{1000 * seconds:.0f} ms per step  saved"
    )


def save(folder: Path, training: Training, saved: int) -> None:
    """Raises ValueError, which names the checkpoint that stays."""
    try:
        save_training(folder, training)
    except OSError as error:
        raise ValueError(
            f"expected to write the checkpoint of step "
            f"{training.state.step} into {folder}, got {error.strerror}; "
            f"that of step {saved} is still there"
        ) from error


def sample(training: Training, ids: Array, tokenizer: TokenBytes) -> str:
    """Generate a few tokens after the beginning of the text.

    With a generator of its own, so that sampling changes no training.
    """
    positions = training.config.positions
    prompt = ids[: min(8, max(1, positions - 1))]
    sampling = replace(SamplingSettings(), seed=training.state.step)
    config = training.config
    decoding = architecture_of(config).decoding(
        training.state.params, config, positions
    )
    length = min(SAMPLE, positions - len(prompt))
    end = config.vocabulary - 1
    return "".join(
        write(prompt, decoding, tokenizer.tokens, length, sampling, [end])
    )


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
