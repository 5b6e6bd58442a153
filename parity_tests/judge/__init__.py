"""The judge: a verdict on anybody's attention.

    from parity_tests.judge import judge

    report = judge(my_attention)
    report.holds, report.failed, report.cause

`subject` finds out how a function wants to be called, `attention`,
`classes` and `steps` hold what must be true of each, `mutants` are known
mistakes to name a cause by, `files` goes from a file to verdicts.
"""

__all__ = ["judge"]


def __getattr__(name: str):
    # Only now, because it brings Hypothesis and the exact oracle.
    if name != "judge":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from .attention.verdict import judge

    return judge
