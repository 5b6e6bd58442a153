"""Rules for twins: what two sources must share, read from them alone.

So a new function is held to them without anyone writing a test for it.
"""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from .recording import HOLDERS, snake_case

# What makes or changes a name without a plain assignment.
HIDING = (ast.AugAssign, ast.AnnAssign, ast.NamedExpr, ast.Delete)

# What has no twin, and why: a room, a file, or a step of a file.
WITHOUT_TWIN = {
    "checkpoints/": "reads and writes files",
    "tokenizers/": "text to ids for use, in dicts and lists",
    "training/": "from state to state; torch.optim changes in place",
    "checked.py": "finds wrong shapes; a tool, no step of the data",
    "files.py": "reads and writes files",
    "fast/attention_on_threads.py": "writes into buffers, on threads",
    "fast/prefill.py": "the steps of both caches again, on threads",
    "fast/threads.py": "runs other steps; PyTorch has threads inside",
    "example.py": "numbers for both sides, no step of the data",
    "gpt2_on_one_page.py": "the steps of gpt2.py again, on one page",
    "variants/llama_on_one_page.py": "the steps of llama.py again",
    "fast/heads_of_ranks.py": "adds up over processes; NumPy takes turns",
    "fast/split_heads_over_ranks.py:heads_of_rank": "cuts parameters",
    "fast/split_heads_over_ranks.py:rank_heads": "a module has its sizes",
    "fast/ring_of_ranks.py": "sends and receives; NumPy takes turns",
    "normal_distribution.py": "PyTorch brings torch.special.ndtr",
    "variants/qwen2.py": "a module knows whether it has a bias",
    "parameters.py": "nn.Module brings state_dict of its own",
    "generation.py:Decoding": "reads into a cache",
    "generation.py:generate": "yields; what it calls has twins",
    "generation.py:gpt2_decoding": "makes what reads into a cache",
    "key_value_cache.py:KeyValueCache": "is written into",
    "variants/llama_cache.py:llama_decoding": "as `gpt2_decoding`",
    "loss.py:cross_entropy_backward": "autograd finds its own",
    "windows.py:WindowDataset": "what DataLoader asks for; NumPy slices",
    "windows.py:window_loader": "makes PyTorch's DataLoader, an oracle",
}


# What has no gradient by hand, and why; else, every step that turns
# floats into floats has one.
WITHOUT_GRADIENT = {
    "sinusoidal_positions": "nothing in it is learned",
    "alibi_bias": "nothing in it is learned",
    "bert_embedding": "BERT is read here, not trained",
    "pooler": "BERT is read here, not trained",
    "masked_language_head": "BERT is read here, not trained",
    "distil_bert_embedding": "as BERT, read here, not trained",
    "albert_embedding": "as BERT, read here, not trained",
    "masked_language_head_tanh": "as BERT, read here, not trained",
    "top_k": "writes; nothing is learned from it",
    "min_p": "writes; nothing is learned from it",
    "repetition_penalty": "writes; nothing is learned from it",
    "nucleus": "writes; nothing is learned from it",
    "log_sum_exp": "a part of `cross_entropy`, which has one",
    "round_to": "a staircase, flat between its steps",
    "add_in_half": "shows how a sum gets stuck; nothing learns from it",
    "sum_in_half": "shows how a sum gets stuck; nothing learns from it",
    "split_key_attention": "for writing; nothing is learned from it",
    "attention_delta": "a part of attention's gradient",
    "block_weights": "a part of attention's gradient",
}

# Floats that go in and have no gradient, in any step: where a token
# stands is given, and nothing to be learned.
GIVEN = ("cosine", "sine")


def complaints(file: str, reference: str, twin: str) -> list[str]:
    """Complaints: what keeps two sources from being twins, if anything."""
    sides = {"numpy_ref": steps_of(reference), "torch_impl": steps_of(twin)}
    ours, theirs = (twinned(file, steps) for steps in sides.values())
    listed = []
    for name in ours.keys() ^ theirs.keys():
        side = "torch_impl" if name in ours else "numpy_ref"
        listed.append(f"{name} has no twin in {side}")
    for name in ours.keys() & theirs.keys():
        listed += differences(name, ours[name], theirs[name])
    gradients = gradients_of(reference)
    for name, node in [*ours.items(), *theirs.items(), *gradients.items()]:
        listed += [f"{name}: {bad}" for bad in unruly(node)]
    listed += misplaced_gradients(reference)
    listed += field_differences(fields(reference), fields(twin))
    if constants(reference) != constants(twin):
        listed.append(
            f"the constants differ: {constants(reference)} in numpy_ref, "
            f"{constants(twin)} in torch_impl"
        )
    return [f"{file}: {complaint}" for complaint in sorted(listed)]


def twinned(file: str, steps: dict) -> dict:
    """Without the steps that have no twin, for a reason."""
    return {
        name: node for name, node in steps.items() if has_twin(file, name)
    }


def file_has_twin(file: str) -> bool:
    """Whether a file, by its path in its tree, must stand in both."""
    return WITHOUT_TWIN.keys().isdisjoint(_rooms_and(file))


def has_twin(file: str, name: str) -> bool:
    return f"{file}:{name}" not in WITHOUT_TWIN


def reason_without_twin(file: str, name: str) -> str:
    """Why a step stands on one side only. Raises LookupError for others."""
    for known in (f"{file}:{name}", *_rooms_and(file)):
        if known in WITHOUT_TWIN:
            return WITHOUT_TWIN[known]
    raise LookupError(f"expected {file}:{name} in the table of no twins")


def _rooms_and(file: str) -> list[str]:
    """A file and the rooms that it stands in, as the table has them."""
    rooms = PurePosixPath(file).parents
    return [file, *(f"{room}/" for room in rooms)]


def steps_of(source: str) -> dict[str, ast.FunctionDef]:
    """Functions by name, and each module's `forward` by the module's.

    A class that is neither a module nor a set of fields is one, too; a
    gradient is not, because PyTorch finds its own.
    """
    steps = {
        node.name: node
        for node in functions_of(source)
        if not is_gradient(node)
    }
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            parts = {getattr(p, "name", None): p for p in node.body}
            if "forward" in parts:
                steps[snake_case(node.name)] = parts["forward"]
            elif not _fields_of(node):
                steps[node.name] = parts["__init__"]
    return steps


def functions_of(source: str) -> list[ast.FunctionDef]:
    """The functions of a file, but for its helpers, from the top."""
    return [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name[0] != "_"
    ]


def is_gradient(node: ast.FunctionDef) -> bool:
    return node.name.endswith("_backward")


def gradients_of(source: str) -> dict[str, ast.FunctionDef]:
    """The gradients by hand, by name."""
    return {
        node.name: node
        for node in functions_of(source)
        if is_gradient(node)
    }


def misplaced_gradients(source: str) -> Iterator[str]:
    """A gradient stands under its step and takes what that takes.

    Before it comes the gradient of what the step returns, `d_weights` for
    `weights`, in the same shape. Of several results it is the first; the
    others are shown in the open, or kept for the gradient.
    """
    functions = functions_of(source)
    for above, node in zip([None, *functions], functions, strict=False):
        if not is_gradient(node):
            continue
        if above is None or f"{above.name}_backward" != node.name:
            yield f"{node.name} does not stand under its step"
            continue
        *taken, result = arguments_of(above)
        first = f"d_{returned_name(above)}: {first_result(result)}"
        *got, _ = arguments_of(node)
        # What was kept on the way there may come next, by its name.
        kept = [line for line in got if line.split(":")[0] in others(above)]
        expected = [first, *kept, *taken]
        if got != expected:
            yield f"{node.name} takes {got}, and should take {expected}"


def others(node: ast.FunctionDef) -> list[str]:
    """The names of a step's results but for the first."""
    (value,) = returned(node)
    parts = value.elts[1:] if isinstance(value, ast.Tuple) else []
    return [ast.unparse(part) for part in parts]


def first_result(annotation: str) -> str:
    """The annotation of a result, or of the first of several."""
    node = ast.parse(annotation, mode="eval").body
    several = isinstance(node, ast.Subscript) and isinstance(
        node.slice, ast.Tuple
    )
    if several and ast.unparse(node.value) == "tuple":
        return ast.unparse(node.slice.elts[0])
    return annotation


def returned_name(node: ast.FunctionDef) -> str:
    """What a step calls its result, or the first of several."""
    (value,) = returned(node)
    first = value.elts[0] if isinstance(value, ast.Tuple) else value
    return ast.unparse(first)


def returned(node: ast.FunctionDef) -> list[ast.expr]:
    """What stands behind each `return`."""
    return [
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Return)
    ]


def differences(name: str, ours, theirs) -> Iterator[str]:
    """What two functions must have in common, and have not."""
    views = {
        "signatures": signature,
        "steps": step_names,
        "decorators": decorators,
    }
    for what, view in views.items():
        if view(ours) != view(theirs):
            yield (
                f"{name}: the {what} differ: {view(ours)} in numpy_ref, "
                f"{view(theirs)} in torch_impl"
            )


def signature(node: ast.FunctionDef) -> list[str]:
    """What a step takes, but for its parameters, then its result."""
    return [
        line
        for line in arguments_of(node)
        if line.split(":")[0] not in HOLDERS
    ]


def arguments_of(node: ast.FunctionDef) -> list[str]:
    """`name: annotation = default` of each argument, then the result's."""
    arguments = node.args.args
    missing = len(arguments) - len(node.args.defaults)
    defaults = [""] * missing + [
        f" = {ast.unparse(default)}" for default in node.args.defaults
    ]
    lines = [
        ast.unparse(argument) + default
        for argument, default in zip(arguments, defaults, strict=True)
    ]
    return [*lines, ast.unparse(node.returns) if node.returns else ""]


def step_names(node: ast.FunctionDef) -> list[str]:
    """The names a function assigns, in the order of its source."""
    return [name for name, _ in assigned(node)]


def assigned(node: ast.AST) -> Iterator[tuple[str, ast.Assign]]:
    """Each name that is assigned, in order, with its assignment."""
    assigns = [p for p in ast.walk(node) if isinstance(p, ast.Assign)]
    pairs = [
        (name, assign)
        for assign in assigns
        for target in assign.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    ]
    pairs.sort(key=lambda pair: (pair[0].lineno, pair[0].col_offset))
    return ((name.id, assign) for name, assign in pairs)


def decorators(node: ast.FunctionDef) -> list[str]:
    return [ast.unparse(part) for part in node.decorator_list]


def unruly(node: ast.FunctionDef) -> Iterator[str]:
    """Ways in which a local could have two meanings, or none."""
    yield from _odd_arguments(node)
    names = [*step_names(node), *_fixed_arguments(node)]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"{name} is assigned more than once"
    returns = [p for p in ast.walk(node) if isinstance(p, ast.Return)]
    if len(returns) > 1:
        yield "there is more than one return"
    for part in ast.walk(node):
        if isinstance(part, HIDING):
            yield f"`{ast.unparse(part)}` hides a step"
        if isinstance(part, ast.Return) and not _only_names(part.value):
            yield f"`{ast.unparse(part)}` returns what has no name"
        if _writes_into(part):
            yield f"`{ast.unparse(part)}` changes a value in place"


def _odd_arguments(node: ast.FunctionDef) -> Iterator[str]:
    arguments = node.args
    odd = (arguments.vararg, arguments.kwarg, arguments.kwonlyargs)
    if any(odd) or arguments.posonlyargs:
        yield "its arguments are not plain ones"


def _fixed_arguments(node: ast.FunctionDef) -> list[str]:
    """The arguments, but for those that a loop carries on."""
    loops = [
        p for p in ast.walk(node) if isinstance(p, ast.For | ast.While)
    ]
    carried = {name for loop in loops for name, _ in assigned(loop)}
    return [a.arg for a in node.args.args if a.arg not in carried]


def _writes_into(node: ast.AST) -> bool:
    """An entry assigned, `out=`, or a method like `add_`."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", "")
        into = any(keyword.arg == "out" for keyword in node.keywords)
        return into or (name.endswith("_") and not name.endswith("__"))
    targets = node.targets if isinstance(node, ast.Assign) else []
    return not all(map(_only_names, targets))


def _only_names(node: ast.expr | None) -> bool:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    parts = [p.value if isinstance(p, ast.Starred) else p for p in parts]
    return all(isinstance(part, ast.Name) for part in parts)


def constants(source: str) -> dict[str, str]:
    """Constants: what a file assigns outside of functions, as source."""
    return {
        ast.unparse(node.targets[0]): ast.unparse(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
    }


def fields(source: str) -> dict[str, list[str]]:
    """The annotated fields of each class that has any."""
    classes = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    ]
    return {c.name: _fields_of(c) for c in classes if _fields_of(c)}


def _fields_of(node: ast.ClassDef) -> list[str]:
    return [
        ast.unparse(p) for p in node.body if isinstance(p, ast.AnnAssign)
    ]


def field_differences(ours: dict, theirs: dict) -> Iterator[str]:
    """A dataclass of parameters and its module bear the same fields."""
    for name in ours.keys() | theirs.keys():
        if ours.get(name) != theirs.get(name):
            yield (
                f"the fields of {name} differ: {ours.get(name)} in "
                f"numpy_ref, {theirs.get(name)} in torch_impl"
            )
