"""The judge: a verdict on any implementation of attention.

    from parity_tests.judge import judge

    report = judge(my_attention)
    report.holds, report.failed, report.cause

`candidate` is what runs beside a judged file; `verdict` is the one loop
and the one diagnosis. `subject` reads names, docstrings and weights;
`attention`, `classes` and `steps` find out how a thing wants to be called,
and have the properties that must hold; `mutants` are wrong implementations
by which a cause is named; `files` goes from a file to its verdicts.
"""

__all__ = ["judge"]


def __getattr__(name: str):
    # Only now, because it brings Hypothesis and the exact oracle.
    if name != "judge":
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    from .files.judging import judge

    return judge
