"""Where a kernel rounds, found from outside: the profile of a black box.

A kernel rounds its output, and that hides what it rounds inside; unless
the exact output is 0, or lies where the output's rounding changes. Each
probe is such an input, and each way to compute predicts its output.
"""

from dataclasses import dataclass, replace

from parity_tests.bounds.half_precision import Profile

from .asking import UNCLEAR, Asked, Finding, Kernel
from .probes_of_scores import (
    accumulation_of_scores,
    badly_rounded,
    roundings_of_scores,
)
from .probes_of_weights import (
    IN_HALF,
    UNNORMALISED,
    UNROUNDED,
    accumulation_of_context,
    accumulation_of_sum,
    error_of_exp,
    flushes,
    roundings_of_weights,
    summed_weights,
)

SEVERAL = 272  # keys: whole vectors, and whole tiles, of another code path
FAST = 1e-5  # an exp that is off by more is made for speed
MARGIN = 3  # times the error of exp that was seen, which is not the worst
ROUNDINGS = {"never": 0, "product": 1, "scaled score": 1, "both": 2}
ALL_ROUNDED = ("both", "both", False)  # the widest, where nothing fits


@dataclass(frozen=True)
class Sizes:
    """Numbers of features: where 1 / sqrt(d) is exact, and where not."""

    exact: int = 16
    inexact: int | None = None  # that which the format rounds worst


FALLBACK = Sizes(64, 128)  # which all fused kernels take


def profile_of(
    kernel: Kernel, dtype: str, sizes: Sizes | None = None
) -> tuple[Profile, dict]:
    """Where the kernel rounds, and what was seen.

    It is called with (batch, tokens, features) arrays in half precision,
    one query in each, and 16 keys or a multiple of it. What no prediction
    fits is "unclear", and the profile is then the wider one. It is not
    where sums go wrong that are exact in any precision: that is no
    rounding, and the narrow profile lets nothing of it pass.
    """
    if sizes is not None:
        return probed(Asked(kernel, dtype), sizes)
    try:
        return probed(Asked(kernel, dtype), Sizes())
    except Exception:
        return probed(Asked(kernel, dtype), FALLBACK)


def probed(asked: Asked, sizes: Sizes) -> tuple[Profile, dict]:
    exact = sizes.exact
    inexact = sizes.inexact or badly_rounded(asked)
    seen: dict = {
        "scores": roundings_of_scores(asked, inexact),
        "weights": roundings_of_weights(asked, exact, 16),
        "weights of many keys": roundings_of_weights(asked, exact, SEVERAL),
        "sum of scores": accumulation_of_scores(asked, max(exact, 64)),
        "sum of few weights": accumulation_of_sum(asked, exact, False),
        "sum of many weights": accumulation_of_sum(asked, exact, True),
        "few products": accumulation_of_context(asked, exact, 16),
        "many products": accumulation_of_context(asked, exact, 256),
        "subnormals": flushes(asked, exact),
    }
    profile = Profile(
        asked.dtype,
        **of_scores(seen["scores"]),
        scores_in=precision(seen["sum of scores"]),
        flushes_subnormals=seen["subnormals"],
    )
    profile = of_weights(asked, profile, seen, exact)
    off = seen.get("exp is off by", 0.0)
    return replace(
        profile,
        sum_in=added_in(
            seen["sum of few weights"], seen["sum of many weights"], off
        ),
        context_in=added_in(
            seen["few products"], seen["many products"], off
        ),
    ), seen


def precision(finding: Finding) -> str:
    return "half" if finding.name == "half" else "float32"


def added_in(few: Finding, many: Finding, exp_is_off: float) -> str:
    """The precision of a sum of a few numbers and of many.

    Where an exp that is off rescales the sums from tile to tile, many
    numbers do not add up in float32 either: then the few decide.
    """
    if exp_is_off > FAST:
        return precision(few)
    return "half" if "half" in (few.name, many.name) else "float32"


def of_scores(finding: Finding) -> dict:
    hypothesis = finding.name
    scaled, rounded, scale = (
        ALL_ROUNDED if hypothesis == UNCLEAR else hypothesis
    )
    other = (scaled, rounded, not scale)
    if finding.fits.get(other, 0) == finding.fits.get(hypothesis, 1):
        scale = "either"  # a rounded scale is too near to the exact one
    return {
        "scaled_before": scaled,
        "score_roundings": ROUNDINGS[rounded],
        "scale_rounded": scale,
    }


def of_weights(asked: Asked, profile: Profile, seen: dict, features: int):
    """The profile, with what the weights show."""
    few, many = seen["weights"].name, seen["weights of many keys"].name
    names = {few, many}
    if UNCLEAR in names or len(names) > 1:
        return replace(profile, weights="either", summed="either")
    if few == UNROUNDED:
        weights: dict = {}
    elif few == UNNORMALISED:
        seen["summed"] = summed_weights(asked, features)
        which = seen["summed"].name
        summed = "either" if which == UNCLEAR else which
        weights = {"weights": "rounded", "summed": summed}
    else:
        weights = {"weights": "rounded", "normalised": True}
    if few.startswith(IN_HALF):
        return replace(profile, softmax="half", **weights)
    off = max(error_of_exp(asked, features, few, n) for n in (16, SEVERAL))
    seen["exp is off by"] = off
    error = float(f"{MARGIN * off:.1e}")
    return replace(
        profile,
        **weights,
        exp_error=max(Profile.exp_error, error),
        rescale_error=max(Profile.rescale_error, error),
    )
