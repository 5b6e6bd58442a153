"""Training checkpoint: a folder that transformers can read, and more.

`config.json`, `model.safetensors` and `tokenizer.json` are as transformers
writes them; `training-….safetensors` has the moments.
Whatever else decides the next step, such as the step and the generator's
state, stands in the header of `model.safetensors`. So the one moment in
which that file is replaced takes the whole folder from one step to
another; before, the old checkpoint holds, and after, the new.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array
from numpy.random import Generator

from ..checkpoints.byte_pair_files import byte_pair_of, save_byte_pair
from ..checkpoints.names import to_theirs
from ..checkpoints.tensors import FILE, stored_tensors, tensors_of, write
from ..files import remove_left_parts, write_whole
from ..parameters import from_state_dict, state_dict
from ..tokenizers.token_bytes import TokenBytes
from .adamw import Moments
from .architectures import Config, architecture_in, architecture_of
from .steps import TrainingSettings, TrainState

KEY = "training"
MOMENTS = "training-{}.safetensors"


class Training(NamedTuple):
    """Training: its state, and all that decides the next step.

    `text` is the SHA-256 of the text that is learned from, `about` its
    description in words.
    """

    state: TrainState
    generator: Generator
    config: Config
    settings: TrainingSettings
    text: str
    about: str


def begin_folder(
    folder: Path, config: Config, merges: Int[Array, "merge 2"]
) -> None:
    """Write what stays the same; there is no checkpoint yet.

    Raises ValueError for a folder that holds another model, and OSError
    when it cannot be written.
    """
    if (folder / FILE).exists():
        raise ValueError(
            f"expected a folder without {FILE}, got {folder} with one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    save_byte_pair(folder, merges)
    text = json.dumps(architecture_of(config).entries(config), indent=2)
    write_whole(folder / "config.json", f"{text}\n".encode())


def save_training(folder: Path, training: Training) -> None:
    """Replace the checkpoint of a folder, wholly or not at all.

    Raises OSError when there is no space, or no permission, to write; the
    old checkpoint then stays.
    """
    state = training.state
    moments = folder / MOMENTS.format(state.step)
    write(
        moments,
        {
            f"{kind}.{name}": array
            for kind, arrays in state.moments._asdict().items()
            for name, array in arrays.items()
        },
    )
    architecture = architecture_of(training.config)
    names = architecture.names(training.config, architecture.prefix)
    tensors = to_theirs(names, state_dict(state.params))
    write(folder / FILE, tensors, {KEY: json.dumps(rest_of(training))})
    for other in folder.glob(MOMENTS.format("*")):
        if other != moments:
            other.unlink()
    remove_left_parts(folder)


def rest_of(training: Training) -> dict:
    """What decides the next step besides the tensors, for the header."""
    return {
        "step": training.state.step,
        "generator": training.generator.bit_generator.state,
        "settings": asdict(training.settings),
        "text": training.text,
        "about": training.about,
    }


def has_training(folder: Path) -> bool:
    """Whether training has left a checkpoint here."""
    return (folder / FILE).is_file() and KEY in header_of(folder / FILE)


def header_of(path: Path) -> dict[str, str]:
    """What stands in a file of tensors besides them."""
    from safetensors import safe_open

    tensors_of(path)  # raises for a broken file
    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def load_training(folder: Path) -> Training:
    """Load the training of a folder, as it was saved, to the last bit.

    Raises ValueError for a folder that `save_training` did not write.
    """
    header = header_of(folder / FILE)
    if KEY not in header:
        raise ValueError(
            f"expected a model of `twice train` in {folder}, got another"
        )
    rest = json.loads(header[KEY])
    settings = rest["settings"]
    settings["betas"] = tuple(settings["betas"])
    generator = np.random.default_rng()
    generator.bit_generator.state = rest["generator"]
    state, config = load_state(folder, rest["step"])
    return Training(
        *(state, generator, config, TrainingSettings(**settings)),
        *(rest["text"], rest["about"]),
    )


def load_state(folder: Path, step: int) -> tuple[TrainState, Config]:
    """The model of a folder and its moments, and its sizes."""
    (dtype, *_) = {
        tensor.dtype for tensor in stored_tensors(folder).values()
    }
    architecture = architecture_in(folder)
    loaded = architecture.load(
        folder, {"F32": "float32", "F64": "float64"}[dtype]
    )
    # In memory as in training: else products round in other ways.
    arrays = {
        name: np.ascontiguousarray(array)
        for name, array in state_dict(loaded.model).items()
    }
    stored = tensors_of(folder / MOMENTS.format(step))
    moments = Moments(
        *(
            {name: stored[f"{kind}.{name}"].read() for name in arrays}
            for kind in Moments._fields
        )
    )
    params = from_state_dict(architecture.parameters, arrays)
    state = TrainState(params, moments, step)
    return state, loaded.config


def load_tokenizer(folder: Path) -> TokenBytes:
    """The tokenizer of a folder that training has begun."""
    config = architecture_in(folder).read_config(folder)
    return byte_pair_of(folder, config.vocabulary)
