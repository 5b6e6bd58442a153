"""Script: a call of a judged thing, as Python that runs without the judge.

The thing is imported from its file, an instance built and given its
weights, and called; where gradients were asked for, with these.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from parity_tests.judge.candidate.values import (
    CONFIGURATION,
    HOLDER,
    OBJECT,
)
from parity_tests.judge.candidate.wire import BFLOAT16, Record
from parity_tests.judge.classes.body import drawn
from parity_tests.judge.classes.building import names_asked, unmangled
from parity_tests.judge.verdict.example import expression, written

UNWRITTEN = ("seed", "training", "reuse")
IMPORTS = {"torch": ["import torch"], "jax": ["import jax.numpy as jnp"]}


@dataclass(frozen=True)
class Call:
    """A call that was made, and what was answered."""

    host: object  # a `Remote`
    target: str
    arguments: dict
    how: dict
    answer: dict
    build: tuple | None = None  # the name, arguments and how of its class
    weights: dict = field(default_factory=dict)
    before: "Call | None" = None  # that it follows, with what was kept

    @property
    def value(self):
        """What the last line returns."""
        return self.answer["back" if self.by_hand else "value"]

    @property
    def by_hand(self) -> str:
        """The method that is called after the forward, "" where none."""
        return self.how.get("by_hand", "")

    @property
    def gradients(self) -> dict:
        return self.answer.get("gradients") or {}

    def script(self, seed: int | None = None) -> str | None:
        """Python that makes the call; None where it cannot be written.

        `seed` is that of an instance's weights.
        """
        kind = self.host.kind_of(self.target)
        start = import_of(self.host.path, kind)
        if start is None or any(map(self.how.get, UNWRITTEN)):
            return None
        library = self.how.get("library", "numpy")
        lines = [*self.instance(library, seed)] if self.build else []
        lines += self.lines(library)
        if self.gradients:
            lines += self.backward(library)
        if self.by_hand:
            lines += [self.upstream(library)]
            lines += [f"output = module.{self.by_hand}(upstream)"]
        if None in lines:
            return None
        imports = ["import numpy as np", *IMPORTS.get(library, ())]
        if self.how.get("narrow") == BFLOAT16 and library != "torch":
            imports.insert(0, "import ml_dtypes  # NumPy's bfloat16")
        return "\n".join([*imports, start, "", *lines])

    def lines(self, library: str) -> list:
        """Lines that make its arguments, and the call; before them those
        of the calls that it follows."""
        lines = self.before.lines(library) if self.before else []
        follows = self.how.get("follows", {})
        for name, value in self.arguments.items():
            if name in follows:
                path = "".join(f"[{step!r}]" for step in follows[name])
                lines.append(f"{name} = output{path}")
            else:
                lines += self.argument(name, value, library)
        passed = ", ".join(f"{name}={name}" for name in self.arguments)
        return [*lines, f"output = {self.called}({passed})"]

    def argument(self, name: str, value, library: str) -> Iterator:
        """Lines that make an argument; None for what is too large."""
        if getattr(value, "record_name", "") == OBJECT:
            if not self.before:  # else it is the one of the call before
                yield import_of(self.host.path, value.made_by)
                yield f"{name} = {value.made_by}()"
            return
        if isinstance(value, Record):
            yield from self.record(name, value, library)
            return
        yield written(name, value, library, self.how.get("narrow", ""))
        if self.gradients and name in self.how["of"]:
            yield f"{name}.requires_grad_()"

    def backward(self, library: str) -> Iterator:
        """Lines that send a gradient back from the output."""
        path = "".join(f"[{step!r}]" for step in self.how["result"])
        yield self.upstream(library)
        yield f"output{path}.backward(upstream)"

    def upstream(self, library: str) -> str | None:
        """The line that makes a gradient of the output."""
        upstream = np.ascontiguousarray(self.how["upstream"])
        narrow = self.how.get("narrow", "")
        return written("upstream", upstream, library, narrow)

    @property
    def called(self) -> str:
        if not self.build:
            return self.target
        thing = self.host.things.get(self.build[0])
        method = thing.method if thing else ""
        is_plain = method in ("", "forward", "__call__")
        is_module = self.how.get("library") == "torch"
        if is_plain and (is_module or method != "forward"):
            return "module"
        return f"module.{method}"

    def record(
        self, name: str, record: Record, library="numpy"
    ) -> Iterator:
        """Lines that make a record: of the file's own class, or of none.

        A configuration has the sizes that its class is asked for or takes.
        """
        own = self.host.things.get(record.record_name)
        kind = own.name if own else "SimpleNamespace"
        yield (
            import_of(self.host.path, kind)
            if own
            else "from types import SimpleNamespace"
        )
        if not self.is_configuration(record):
            members = (
                f"{n}={expression(part, library)}"
                for n, part in record.members.items()
            )
            text = f"{name} = {kind}({', '.join(members)})"
            yield None if "=None" in text else text
            return
        source = self.host.things[self.host.kind_of(self.target)].source
        taken = {each.name for each in own.parameters} if own else set()
        asked = taken.union(names_asked(source, name))
        sizes = {n: v for n, v in record.members.items() if n in asked}
        entries = rf"\b{unmangled(name)}(\[|\.get\()"
        if own is None and re.search(entries, source):
            yield f"{name} = {sizes}"
            return
        is_taken = {n: own is None or n in taken for n in sizes}
        passed = [f"{n}={v!r}" for n, v in sizes.items() if is_taken[n]]
        yield f"{name} = {kind}({', '.join(passed)})"
        for size, value in sizes.items():
            if not is_taken[size]:
                yield f"{name}.{size} = {value!r}"

    def is_configuration(self, record: Record) -> bool:
        if record.record_name == HOLDER:
            return False
        return self.build is not None or record.record_name == CONFIGURATION

    def instance(self, library: str, seed: int | None) -> Iterator:
        """Lines that build the instance and give it its weights."""
        name, arguments, how = self.build
        records = [n for n, v in arguments.items() if isinstance(v, Record)]
        for record in records:
            yield from self.record(record, arguments[record])
        parts = {
            n: n if n in records else expression(v, library)
            for n, v in arguments.items()
        }
        if None in parts.values():
            yield None
            return
        passed = ", ".join(f"{n}={part}" for n, part in parts.items())
        yield f"module = {name}({passed})"
        if self.weights:
            yield weights_written(self.weights, seed)
        if library != "torch":
            for label in self.weights:
                place = self.place_of(label)
                yield f"module.{place} = weights[{label!r}]"
            return
        yield f"module.to(torch.{how.get('dtype', 'float64')}).eval()"
        if self.weights:
            yield (
                "tensors = {n: torch.as_tensor(w) for n, w in "
                "weights.items()}\n"
                "module.load_state_dict(tensors, strict=False)"
            )

    def place_of(self, label: str) -> str:
        """Where a weight stands: "heads.0.w" is heads[0].w, and "p.q.w"
        is p['q']['w'] where a dict holds it."""
        first, *steps = label.split(".")
        in_dict = self.host.owners.get(label) == "own dict"
        return first + "".join(
            f"[{step}]"
            if step.isdecimal()
            else f"[{step!r}]"
            if in_dict
            else f".{step}"
            for step in steps
        )


def weights_written(weights: dict, seed: int | None) -> str | None:
    """The weights as they are drawn for a layer (`classes/body.py`)."""
    parameters = [(name, w.shape, "") for name, w in weights.items()]
    dtype = next(iter(weights.values())).dtype.name
    same = seed is not None and drawn(parameters, seed, dtype)
    if not same or not all(
        np.array_equal(weights[name], same[name]) for name in weights
    ):
        return written("weights", weights, "numpy", "")
    shapes = {name: shape for name, shape, _ in parameters}
    are_flat = all(len(shape) in (1, 2) for shape in shapes.values())
    features = "shape[-1]" if are_flat else "(1, *shape[:2])[-1]"
    return (
        f"random = np.random.default_rng({seed})\n"
        f"shapes = {shapes}\n"
        "weights = {\n"
        f"    name: (random.normal(size=shape) * 1.5 / {features} ** 0.5)"
        f".astype({dtype!r})\n"
        "    for name, shape in shapes.items()\n}"
    )


def import_of(path: Path, name: str) -> str | None:
    """The line that imports the judged thing, in the file's folder."""
    folder, packages = path.resolve().parent, []
    while (folder / "__init__.py").is_file():
        packages.insert(0, folder.name)
        folder = folder.parent
    module = ".".join([*packages, path.stem])
    if not name.isidentifier():
        return None
    if path.suffix == ".ipynb":
        return f"# in a cell below that of {name}, in {path.name}"
    if all(part.isidentifier() for part in module.split(".")):
        return f"from {module} import {name}"
    return (
        f"from runpy import run_path\n"
        f"{name} = run_path({path.name!r})[{name!r}]"
    )
