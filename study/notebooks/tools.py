"""Notebook tools: show a step's two sources, run both, compare.

`show` prints a step's two sources below its equation; `both` runs it in
NumPy and in PyTorch and asserts that every named step is equal; `agree`
and `by_hand` compare it with somebody else's numbers. Their bounds are
those of the tests. `check` looks at a reader's answer, `solve` at ours.
"""

import ast
import html
import inspect
import re
import textwrap
import time
import warnings
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
import torch
from IPython.display import HTML, Image, Markdown, display
from torch import nn

from numpy_ref import example
from parity_tests.exact import exact_steps
from parity_tests.twins.case import to_torch
from parity_tests.twins.comparing import Tally, within
from parity_tests.twins.finding import Twin, find_twins
from parity_tests.twins.gradients import output_name
from parity_tests.twins.recording import record, snake_case
from parity_tests.twins.replaying import compare, numpy_params, to_numpy
from parity_tests.twins.rules import reason_without_twin

from .answers import is_missing
from .references import REFERENCES, cited_in


def say(sentence: str) -> None:
    """Display a sentence whose numbers are computed, not typed."""
    display(Markdown(textwrap.dedent(sentence)))


def the_text() -> tuple[str, str]:
    """The Verdict (Wharton 1908), or the sample text; and which it is."""
    with warnings.catch_warnings():
        # From a progress bar that nobody draws.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from ..text import corpus as texts
    try:
        corpus = texts.read_corpus("the-verdict")
        return corpus, "*The Verdict* by Edith Wharton"
    except texts.OfflineError:
        return texts.sample(), (
            "the sample text, because *The Verdict* is not cached and "
            "cannot be downloaded"
        )


# What a docstring says of errors is not for the reader of an equation.
RAISES = re.compile(r"\s*Raises\s\w+Error[^.]*\.")

# --- sources --------------------------------------------------------------


def show(*steps: Callable) -> None:
    """Show each step: what it does, its equation, both its sources."""
    for step in steps:
        twin = twin_of(step)
        display(Markdown(f"{title(step)} {without_examples(step)}"))
        ours = source_of(step)
        if twin is None:
            display(HTML(columns({without_twin(step): ours})))
            continue
        theirs = source_of(getattr(twin.torch, "forward", twin.torch))
        module = inspect.isclass(twin.torch)
        name = f"PyTorch, {twin.torch.__name__}" if module else "PyTorch"
        display(HTML(columns({"NumPy": ours, name: theirs})))


def title(step: Callable) -> str:
    """A step's name, and its file."""
    return f"**{step.__name__}**, in {file_of(step)}."


def file_of(step: Callable) -> str:
    _, _, file = step.__module__.partition(".")
    return file.replace(".", "/") + ".py"


def without_examples(step: Callable) -> str:
    """The docstring, as Markdown, up to its examples and without errors."""
    words = RAISES.sub("", inspect.getdoc(step).split(">>>")[0])
    # Joined: a line that begins with + inside of an equation is no list.
    paragraphs = [part.split() for part in words.strip().split("\n\n")]
    return "\n\n".join(map(" ".join, paragraphs))


def source_of(step: Callable) -> str:
    """The source without docstring and decorators."""
    function = inspect.unwrap(step)
    lines, _ = inspect.getsourcelines(function)
    source = textwrap.dedent("".join(lines))
    (node,) = ast.parse(source).body
    rows = source.split("\n")
    if ast.get_docstring(node) is not None:
        first = node.body[0]
        del rows[first.lineno - 1 : first.end_lineno]
    return "\n".join(rows[node.lineno - 1 :]).strip()


def columns(sources: dict[str, str]) -> str:
    """Sources side by side, or one below the other on a narrow page."""
    return (
        '<div style="display: flex; flex-wrap: wrap; gap: 1.5em">'
        + "".join(map(column, sources, sources.values()))
        + "</div>"
    )


def column(name: str, source: str) -> str:
    return (
        '<div style="flex: 1 1 22em; min-width: 0">'
        f"<div><b>{html.escape(name)}</b></div>"
        '<pre style="font: 11px/1.4 monospace; margin: 0.3em 0; '
        "white-space: pre; "
        f'overflow-x: auto">{html.escape(source)}</pre></div>'
    )


def without_twin(step: Callable) -> str:
    """Which side a function without a twin is on, and why."""
    reason = reason_without_twin(file_of(step), step.__name__)
    theirs = step.__module__.startswith("torch_impl")
    return f"{'PyTorch' if theirs else 'NumPy'} only: {reason}"


def twin_of(step: Callable | nn.Module) -> Twin | None:
    """The twin of a NumPy function, or of a PyTorch module."""
    name = snake_case(type(step).__name__)
    if not isinstance(step, nn.Module):
        name = step.__name__
    twins = [twin for twin in find_twins() if twin.name == name]
    return twins[0] if twins else None


# --- both sides -----------------------------------------------------------


def both(step: Callable | nn.Module, **arguments):
    """Run a step in NumPy and in PyTorch; return NumPy's result.

    `step` is a function of `numpy_ref` or, where there are weights, a
    module of `torch_impl`, whose weights NumPy then takes. Arguments are
    NumPy's. Raises AssertionError unless each named step of PyTorch's
    run, and of all the steps inside it, is equal to NumPy's to within the
    bound for that step.
    """
    twin = twin_of(step)
    theirs = step if isinstance(step, nn.Module) else twin.torch
    tensors = {name: to_torch(value) for name, value in arguments.items()}
    with torch.no_grad():
        _, calls = record(theirs, **tensors)
    tally = Tally()
    for comparison in compare(calls):
        assert comparison.holds, str(comparison)
        tally.add(comparison)
    say(f"✓ {twin.name}: {agreement(tally)}")
    return twin.reference(**arguments, **params_of(calls[0]))


def agreement(tally: Tally) -> str:
    """What was compared, in a sentence."""
    plural = "s" if tally.compared != 1 else ""
    steps = f"{tally.compared:,} named step{plural}"
    worst = tally.worst
    if not worst.difference:
        return f"NumPy and PyTorch are equal in {steps}."
    return (
        f"NumPy and PyTorch agree in {steps}; the worst is "
        f"{worst.difference:.1g} apart, {worst.share:.0%} of its bound."
    )


def params_of(call) -> dict:
    """The parameters of a call, as NumPy's side takes them."""
    params = numpy_params(call)
    return {} if params is None else {"params": params}


def agree(
    step: Callable | nn.Module, theirs, at: str | None = None, **arguments
):
    """Compare a step with somebody else's numbers; return ours.

    `at` is one of its named steps, else the result. Raises AssertionError
    when they are further apart than two correct evaluations can be.
    """
    ours, bound = value_and_bound(step, at, arguments)
    theirs = np.asarray(to_numpy(theirs))
    name = twin_of(step).name
    comparison = within(name, ours, theirs.astype(ours.dtype), bound)
    assert comparison.holds, str(comparison)
    return ours


def value_and_bound(step, at: str | None, arguments: dict):
    """NumPy's value of a named step, and how far others may be off."""
    twin = twin_of(step)
    params = {}
    if isinstance(step, nn.Module):
        tensors = {n: to_torch(value) for n, value in arguments.items()}
        with torch.no_grad():
            _, calls = record(step, **tensors)
        params = params_of(calls[0])
    _, calls = record(twin.reference, **arguments, **params)
    name = at or output_name(twin)
    exact = exact_steps(twin.name, arguments, params.get("params"))
    return calls[0].steps[name], 2 * exact[name].error


def by_hand(
    step: Callable | nn.Module,
    pencil,
    at: str | None = None,
    unit: float = 1.0,
    unit_name: str = "",
    rows: tuple[str, ...] = example.TOKENS,
    **arguments,
) -> None:
    """Show values found by hand beside NumPy's; assert that they agree."""
    expected = unit * np.array(pencil, dtype=np.float64)
    ours = agree(step, expected, at, **arguments)
    if unit_name:
        say(f"In units of {unit_name}:")
    width = len(pencil[0])
    heading = ["token", *["by hand"] * width, *["in NumPy"] * width]
    lines = [
        line_of(*heading),
        line_of(*["--:"] * len(heading)),
    ]
    for name, exact, row in zip(rows, pencil, ours / unit, strict=True):
        decimals = (f"{entry:.4f}" for entry in row)
        lines.append(line_of(name, *map(Fraction, exact), *decimals))
    display(Markdown("\n".join(lines)))


def line_of(*cells) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


# --- plots ----------------------------------------------------------------


def draw_weights(
    panels: dict[str, np.ndarray], tokens, caption: str = ""
) -> None:
    """Heat maps of weights, with their numbers: one row per query."""
    from matplotlib import pyplot

    size = min(1.2 + 0.45 * len(tokens), 4.8)
    figure, row = pyplot.subplots(
        1, len(panels), figsize=(size * len(panels), size), squeeze=False
    )
    for axes, (name, weights) in zip(row[0], panels.items(), strict=True):
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        positions = range(len(tokens))
        axes.set_xticks(positions, tokens, rotation=45, ha="right")
        axes.set_yticks(positions, tokens)
        axes.set_title(name, fontsize=10)
        axes.tick_params(labelsize=8)
        if len(tokens) <= MOST_NUMBERED:
            write_numbers(axes, weights)
    row[0][0].set_ylabel("query")
    figure.supxlabel("key", fontsize=10)
    finish(figure, caption)


MOST_NUMBERED = 8


def write_numbers(axes, weights: np.ndarray) -> None:
    for (query, key), weight in np.ndenumerate(weights):
        colour = "white" if weight > 0.5 else "black"
        axes.text(
            *(key, query, f"{weight:.2f}"),
            ha="center",
            va="center",
            color=colour,
            fontsize=8,
        )


def finish(figure, caption: str = "") -> None:
    """Show a figure now, with its caption."""
    from matplotlib import pyplot

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    pyplot.show()
    if caption:
        say(f"*{caption}*")


def picture(drawn) -> None:
    """Show a plot of `bert_viz`, described in its alternative text.

    Points are as large as those of the page around it; a plot that is
    wider than the page is made to fit.
    """
    from bert_viz.plots.describing import description_of, title_of
    from bert_viz.plots.saving import file_of

    figure = drawn.figure.figure  # an Axes may be in a part of a figure
    words = title_of(figure), description_of(figure)
    width = round(figure.get_figwidth() * PIXELS)
    data = file_of(figure, ".png", *words)
    display(Image(data, width=width, alt=words[1]))


PIXELS = 84  # of a picture, for an inch of a figure


def table(heading: Iterable, rows: Iterable[Iterable]) -> None:
    """Show a table: rows of texts and numbers below a heading."""
    heading = [*heading]
    lines = [line_of(*heading), line_of(*["---"] * len(heading))]
    for row in rows:
        cells = (str(cell).replace("|", r"\|") for cell in row)
        lines.append(line_of(*cells))
    display(Markdown("\n".join(lines)))


def in_turn(functions: dict[str, Callable], rounds: int = 12) -> dict:
    """The median time of each function, run in turn."""
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(runs)) for name, runs in times.items()}


# --- questions ------------------------------------------------------------


def check(question: Callable, answer, **given) -> None:
    """Say whether an answer is right, and what is wrong if it is not."""
    if is_missing(answer):
        say("○ Not answered yet.")
    else:
        say(question(answer, **given).text)


def solve(question: Callable, answer, **given) -> None:
    """The same check on our own answer, which must pass."""
    verdict = question(answer, **given)
    assert verdict.right, f"{question.__name__}: {verdict.text}"
    say("✓ The answer in the folded cell passes the same check.")


# --- where each idea comes from -------------------------------------------


def origins(ideas: dict[str, Callable]) -> dict[str, int]:
    """Show a table of ideas, their functions, and the works cited there.

    Return the year in which each was first published.
    """
    lines = [line_of("idea", "function", "comes from"), "|---|---|---|"]
    years = {}
    for idea, step in ideas.items():
        sources = sources_of(step)
        lines.append(line_of(idea, place_of(step), "; ".join(sources)))
        years[idea] = min(int(source[-4:]) for source in sources)
    display(Markdown("\n".join(lines)))
    return years


def sources_of(step: Callable) -> list[str]:
    """What a function's docstring cites, or else its file's."""
    cited = cited_in(inspect.getdoc(step))
    return cited or cited_in(inspect.getmodule(step).__doc__)


def place_of(step: Callable) -> str:
    return f"{step.__name__}, {file_of(step)}"


def references() -> None:
    """Show every work that the notebooks and all docstrings cite."""
    lines = [f"- {text}" for text in REFERENCES.values()]
    display(Markdown("\n".join(lines)))


def plain(text: str) -> str:
    """A token made visible: a space as ␣, a line break as ⏎."""
    return text.replace(" ", "␣").replace("\n", "⏎")
