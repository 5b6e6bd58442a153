"""Host: loads a file, and calls what is in it with plain values.

Each method takes and returns what the wire carries, so that a host in
another process is spoken to like one in this process. Foreign code may
raise anything: the answer then has an `error`, and nothing is raised.
"""

import inspect
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from traceback import walk_tb

import numpy as np

from .things import Thing, described, file_of, guarded, text_of
from .values import OBJECT, Converter, copied, returned
from .wire import Record

KEPT_BYTES = 64 << 20
LONGEST = 500  # characters of an error's message
ENVIRONMENT = (ImportError, OSError, MemoryError)
MACHINES = ("cuda", "gpu", "nvidia", "mps", "triton")


class Host:
    """The things of one file, and the instances made of its classes."""

    def __init__(self):
        self.things: dict[str, object] = {}
        self.visible: dict[str, object] = {}
        self.instances: dict[str, object] = {}
        self.kept: dict[str, list] = {}  # the last inputs of a thing
        self.objects: dict[int, object] = {}  # that calls share
        self.alive: deque = deque()  # inputs of calls before, see `keep`
        self.alive_bytes = 0
        self.copies = False  # whether inputs are still somebody else's
        self.device = ""  # where inputs are put, "" for where they are

    @classmethod
    def of(cls, name: str, thing) -> "Host":
        """A host of one thing of this process."""
        host = cls()
        host.things[name], host.copies = thing, True
        plain = guarded(inspect.unwrap, thing, default=thing)
        function = plain.__init__ if isinstance(plain, type) else plain
        host.visible = guarded(getattr, function, "__globals__", {}) or {}
        return host

    def load(self, path: str, seconds: float) -> dict:
        """Run a file; what it defines, and what could not be run."""
        from .source import Unreadable, own_things, run

        try:
            source = run(Path(path), seconds)
        except Unreadable as error:
            return {"error": {"type": "Unreadable", "text": str(error)}}
        self.things = own_things(source)
        self.visible = vars(source.module)
        own = self.visible.get("__name__")
        descriptions = [
            described(name, thing, is_own(thing, own))
            for name, thing in self.things.items()
        ]
        return {
            "things": [
                replace(
                    each,
                    calls=calls_to(each, source.calls),
                    literals=literals_for(each, source.literals),
                )
                for each in descriptions
                if each
            ],
            "notes": source.notes,
        }

    def put_on(self, device: str, library: str) -> dict:
        """Put inputs on a device from now on; an error if it is not
        there."""
        try:
            Converter(library, device=device).array(np.zeros(1, np.float32))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return {"error": error_of(error, None)}
        self.device = device
        return {}

    def describe(self, name: str):
        return described(name, self.things[name])

    # --- calls -----------------------------------------------------------

    def call(self, target: str, arguments: dict, how: dict) -> dict:
        """Call a function or an instance with arguments by name.

        `how` may have `library` and `narrow` (a type of 16 bits), `back`
        (return the inputs as they are afterwards), `reuse` (in the very
        objects of the call before), `seed`, `training`, and for gradients
        `upstream`, `result` (a path to the output) and `of` (names of
        arguments; `parameters` for those of the instance); or `by_hand`,
        the method that then takes `upstream`; `method` is another method
        to be called. `globals` are numbers that the file's own globals
        have during the call.
        """
        with replaced(self.visible, how.get("globals", {})):
            return self.called(target, arguments, how)

    def called(self, target: str, arguments: dict, how: dict) -> dict:
        """What `call` answers, with the file's globals as they are."""
        thing = self.instances.get(target, self.things.get(target))
        thing = self.visible.get(target) if thing is None else thing
        thing = getattr(thing, how["method"]) if "method" in how else thing
        converter = Converter(
            how.get("library", "numpy"),
            how.get("narrow", ""),
            self.visible,
            self.device,
        )
        try:
            inputs = copied(arguments) if self.copies else arguments
            given = {
                name: self.shared(value)
                if getattr(value, "record_name", "") == OBJECT
                else converter.given(value)
                for name, value in inputs.items()
            }
            if how.get("reuse"):
                given = self.reused(target, given)
            self.keep(given)
            prepare(thing, how)
            if "by_hand" in how:
                return by_hand(thing, given, how, converter)
            if "upstream" in how:
                return gradients(thing, given, how, converter)
            narrow = converter.narrow
            answer = {"value": returned(invoke(thing, given), narrow)}
            if how.get("back"):
                never = converter.library == "jax"  # do its arrays change
                after = inputs if never else given
                answer["back"] = {
                    name: returned(value, narrow)
                    for name, value in after.items()
                }
            return answer
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return {"error": error_of(error, thing)}

    def shared(self, record: Record):
        """The object that several calls get, made for the first."""
        if record.number not in self.objects:
            self.objects = {record.number: self.visible[record.made_by]()}
        return self.objects[record.number]

    def reused(self, target: str, given: dict) -> dict:
        """The objects of the call before, with the new numbers in them."""
        before = self.kept.get(target, {})
        for name, value in given.items():
            old = before.get(name)
            same = getattr(old, "shape", None) == getattr(value, "shape", 0)
            if same and not hasattr(old, "at"):  # JAX's arrays never change
                old[...] = value
                given[name] = old
        self.kept[target] = given
        return given

    def keep(self, given: dict) -> None:
        """Keep inputs for a while, so that no other gets their `id`.

        What a file remembers by `id` would else be met by chance, and its
        verdict be another from run to run. Inputs that are reused on
        purpose meet it each time.
        """
        self.alive.append(given)
        self.alive_bytes += size_of(given)
        while self.alive_bytes > KEPT_BYTES:
            self.alive_bytes -= size_of(self.alive.popleft())

    # --- classes ---------------------------------------------------------

    def build(self, name: str, arguments: dict, how: dict) -> dict:
        """Make an instance, called `how["instance"]`, at evaluation.

        Returns its parameters: name, shape, and the type of their owner.
        """
        kind = self.things[name]
        converter = Converter("numpy", visible=self.visible)
        try:
            given = {
                n: self.configured(v) or converter.given(v)
                for n, v in arguments.items()
            }
            instance = invoke(kind, given)
            if hasattr(instance, "named_parameters"):
                dtype = how.get("dtype", "float64")
                to_precision(instance, dtype, self.device)
            self.instances[how["instance"]] = instance
            return self.parameters(how["instance"])
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return {"error": error_of(error, kind)}

    def parameters(self, instance: str) -> dict:
        """The parameters of an instance: name, shape, and owner's type;
        of those that are not many numbers, the `numbers` as well.

        A `lazy` one has shapes only after its first call.
        """
        thing = self.instances[instance]
        try:
            if any(map(is_lazy, all_parameters(thing))):
                return {"parameters": [], "buffers": [], "lazy": True}
            arrays = [*parameters_of(thing)]
            parameters = [
                (label, tuple(np.shape(array)), owner)
                for label, array, owner in arrays
            ]
            return {
                "parameters": parameters,
                "buffers": buffers_of(thing),
                "numbers": {
                    label: np.asarray(array).copy()
                    for label, array, _ in arrays
                    if prod(np.shape(array)) <= FEW
                },
            }
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return {"error": error_of(error, thing)}

    def configured(self, value):
        """A configuration: of the file's own class, if one is named."""
        if not isinstance(value, Record):
            return None
        kind = self.visible.get(value.record_name)
        if not isinstance(kind, type):
            return None
        made = guarded(inspect.signature, kind)  # a dict's has none
        names = made.parameters if made else {}
        takes_any = any(
            each.kind is each.VAR_KEYWORD for each in names.values()
        )
        known = {
            name: size
            for name, size in value.members.items()
            if name in names or (takes_any and hasattr(kind, name))
        }
        chosen = value.members if takes_any else known
        configuration = guarded(partial(kind, **chosen))
        if configuration is None:  # it may refuse what it does not know
            configuration = kind(**known)
        if callable(configuration):  # an attention
            return configuration
        with_missing(configuration, value.members)
        return configuration

    def assign(self, instance: str, arrays: dict) -> dict:
        """Give parameters these numbers, by their names."""
        thing = self.instances[instance]
        try:
            for label, _, owner in list(parameters_of(thing)):
                if label in arrays:
                    put(thing, label, arrays[label], owner)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return {"error": error_of(error, thing)}
        return {}

    def forget(self, instance: str) -> dict:
        """Let go of an instance."""
        self.instances.pop(instance, None)
        self.kept.pop(instance, None)
        return {}


def with_missing(configuration, members: dict) -> None:
    """Add what it does not have: as entries of a dict, or else as
    attributes."""
    if isinstance(configuration, dict):
        own, add = configuration, type(configuration).__setitem__
    else:
        own, add = guarded(vars, configuration, default={}), setattr
    for name, size in members.items():
        if name not in own:  # an attribute of the class may be there
            guarded(add, configuration, name, size)


def calls_to(thing: Thing, calls: dict) -> tuple[str, ...]:
    """The calls of a function, or of the instances of a class."""
    return calls.get(
        f"{thing.name}()" if thing.is_class else thing.name, ()
    )


def literals_for(thing: Thing, literals: dict) -> tuple:
    """What its file gives by names that are in its source."""
    words = set(re.findall(r"\w+", thing.source))
    return tuple(pair for pair in literals.items() if pair[0] in words)


def size_of(given: dict) -> int:
    """The bytes of the arrays among some inputs."""
    return sum(getattr(value, "nbytes", 0) for value in given.values())


def is_own(thing, module: str) -> bool:
    return guarded(getattr, thing, "__module__", None) == module


def invoke(thing, given: dict):
    """Call by name, but for what can only be given by its place."""
    method = callable_of(thing)
    signature = guarded(inspect.signature, method)
    parameters = signature.parameters if signature else {}
    by_place = [
        name
        for name, each in parameters.items()
        if each.kind is each.POSITIONAL_ONLY and name in given
    ]
    if [each.kind for each in parameters.values()] == [
        inspect.Parameter.VAR_POSITIONAL
    ]:
        by_place = list(given)  # of what hands on whatever it is given
    values = [given[name] for name in by_place]
    named = {n: v for n, v in given.items() if n not in by_place}
    with np.errstate(all="ignore"):
        return method(*values, **named)


def callable_of(thing):
    """A function or a class itself; of an instance, its method."""
    from .things import CALLS

    if callable(thing):
        return thing
    return next(getattr(thing, m) for m in CALLS if hasattr(thing, m))


@contextmanager
def replaced(visible: dict, numbers: dict) -> Iterator[None]:
    """The globals of a file, some of them replaced for a while."""
    before = {name: visible[name] for name in numbers if name in visible}
    visible.update((name, numbers[name]) for name in before)
    try:
        yield
    finally:
        visible.update(before)


def prepare(thing, how: dict) -> None:
    """Seed what is random, and put a module in training or evaluation."""
    if "seed" in how:
        np.random.seed(how["seed"])
        if how.get("library") == "torch":
            import torch

            torch.manual_seed(how["seed"])
    if hasattr(thing, "named_parameters"):
        thing.train(bool(how.get("training")))
        cut_off(thing)


def gradients(thing, given: dict, how: dict, converter) -> dict:
    """By autograd, of arguments or parameters; None for one unused."""
    import torch

    leaves = {n: given[n].requires_grad_() for n in how["of"]}
    if how.get("parameters"):
        leaves |= {
            f"parameter {name}": parameter.requires_grad_()
            for name, parameter in thing.named_parameters()
        }
    output = at_path(invoke(thing, given), how.get("result", ()))
    if not output.requires_grad:
        value = returned(output, converter.narrow)
        return {"value": value, "gradients": None}
    upstream = converter.array(how["upstream"])
    parts = torch.autograd.grad(
        output, list(leaves.values()), upstream, allow_unused=True
    )
    pairs = zip(leaves, parts, strict=True)
    return {
        "value": returned(output, converter.narrow),
        "gradients": {
            name: None if part is None else returned(part, converter.narrow)
            for name, part in pairs
        },
    }


def by_hand(thing, given: dict, how: dict, converter) -> dict:
    """What the method that is the class's own returns for a gradient of
    the output, right after the forward."""
    output = returned(invoke(thing, given))
    method = getattr(thing, how["by_hand"])
    with np.errstate(all="ignore"):
        back = method(converter.array(how["upstream"].copy()))
    return {"value": output, "back": returned(back)}


def at_path(value, path):
    """A part of a result: by indices, keys, or names of members."""
    for step in path:
        is_name = isinstance(step, str) and not isinstance(value, dict)
        value = getattr(value, step) if is_name else value[step]
    return value


# --- parameters ----------------------------------------------------------


def to_precision(module, dtype: str, device: str = "") -> None:
    """Parameters, buffers, and tensors that are plain attributes; on a
    device, where one is named."""
    import torch

    kind = getattr(torch, dtype)
    module.to(kind).eval()
    if device:
        module.to(device)
    for holder, name, tensor in tensors_beside(module):
        if device:
            holder[name] = tensor = tensor.to(device)
        if tensor.is_floating_point():
            holder[name] = tensor.to(kind)


def cut_off(module) -> None:
    """What is kept of calls before has no part in a gradient."""
    for holder, name, tensor in tensors_beside(module):
        if tensor.grad_fn is not None:
            holder[name] = tensor.detach()


def tensors_beside(module) -> list[tuple[dict, str, object]]:
    """Buffers, and tensors that are plain attributes: what holds each,
    its name, and the tensor."""
    from torch import Tensor

    return [
        (holder, name, tensor)
        for owner in module.modules()
        for holder in (vars(owner), owner._buffers)
        for name, tensor in holder.items()
        if isinstance(tensor, Tensor)
    ]


def parameters_of(instance) -> Iterator[tuple[str, object, str]]:
    """Name, array and type of the owner, for each array of weights."""
    if hasattr(instance, "named_parameters"):
        owners = dict(instance.named_modules(remove_duplicate=False))
        every = instance.named_parameters(remove_duplicate=False)
        for name, parameter in every:
            owner = owners[name.rpartition(".")[0]]
            yield name, parameter.detach(), owner_name(owner)
        return
    yield from arrays_in(instance, "", 0)


def all_parameters(instance) -> list:
    if hasattr(instance, "named_parameters"):
        return list(instance.parameters())
    return []


def is_lazy(parameter) -> bool:
    return "Uninitialized" in type(parameter).__name__


FEW = 64  # numbers of a parameter that are told: one for each head

CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")


def owner_name(owner) -> str:
    """The type of what holds a parameter.

    A Linear that is not PyTorch's own may hold its matrix turned. Of a
    group norm it tells how many groups it has.
    """
    names = [base.__name__ for base in type(owner).__mro__]
    known = ("LayerNorm", "Conv1D", "Embedding", "RMSNorm")
    for base in type(owner).__mro__:
        is_torch = base.__module__.startswith("torch.nn")
        if is_torch and base.__name__ in ("Linear", *CONVOLUTIONS):
            return base.__name__
        if is_torch and base.__name__ == "GroupNorm":
            return f"GroupNorm of {owner.num_groups}"
    own = next((name for name in known if name in names), "")
    return own or f"own {names[0]}"


def arrays_in(holder, prefix: str, depth: int):
    """The float arrays among the attributes of an object of NumPy."""
    if depth > 3:
        return
    if isinstance(holder, list | tuple):
        members = enumerate(holder)
    elif isinstance(holder, dict):
        members = holder.items()
    else:
        members = guarded(vars, holder, default={}).items()
    for name, value in list(members):
        label = f"{prefix}{name}"
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "f" and value.ndim > 0:
                yield label, value, f"own {type(holder).__name__}"
        elif isinstance(value, list | tuple | dict) or hasattr(
            value, "__dict__"
        ):
            yield from arrays_in(value, f"{label}.", depth + 1)


def put(instance, label: str, array: np.ndarray, owner: str) -> None:
    """Give one parameter its numbers."""
    if hasattr(instance, "named_parameters"):
        import torch

        every = instance.named_parameters(remove_duplicate=False)
        parameter = dict(every)[label]
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(array.copy()))
        return
    *path, last = label.split(".")
    holder = instance
    for name in path:
        holder = member(holder, name)
    if isinstance(holder, dict):
        holder[last] = array.copy()
    elif isinstance(holder, list):
        holder[int(last)] = array.copy()
    elif isinstance(holder, tuple):
        holder[int(last)][...] = array
    else:
        setattr(holder, last, array.copy())


def member(holder, name: str):
    if isinstance(holder, list | tuple):
        return holder[int(name)]
    return (
        holder[name] if isinstance(holder, dict) else getattr(holder, name)
    )


def buffers_of(instance) -> list[str]:
    if hasattr(instance, "named_buffers"):
        return [name for name, _ in instance.named_buffers()]
    return []


# --- errors --------------------------------------------------------------


def error_of(error: BaseException, thing) -> dict:
    """An error in plain values; its text may raise, too.

    `environment` tells what no function of numbers is to blame for: a
    missing package or file, no network, no GPU, no memory.
    """
    text = text_of(guarded(str, error))[:LONGEST]
    plain = guarded(inspect.unwrap, thing, default=thing)
    lines = [
        line
        for frame, line in walk_tb(error.__traceback__)
        if frame.f_code.co_filename in files_of(plain)
    ]
    lowered = text.lower()
    no_machine = isinstance(error, RuntimeError | AssertionError) and any(
        machine in lowered for machine in MACHINES
    )
    return {
        "type": type(error).__name__[:100],
        "text": text,
        "line": lines[-1] if lines else 0,
        "environment": isinstance(error, ENVIRONMENT) or no_machine,
        "missing": missing_name(error),
    }


def files_of(thing) -> set[str]:
    """The files that a function, a class or an instance comes from."""
    kind = thing if isinstance(thing, type) else type(thing)
    functions = [thing] + [
        guarded(getattr, kind, name, None)
        for name in ("__init__", "forward", "__call__")
    ]
    files = {file_of(function) for function in functions}
    return {
        name
        for name in files
        if name
        and not name.endswith(".ipynb")
        and "site-packages" not in name
    }


def missing_name(error: BaseException) -> str:
    """The name that a NameError misses, "" for any other error."""
    name = (
        getattr(error, "name", "") if isinstance(error, NameError) else ""
    )
    return name if isinstance(name, str) else ""
