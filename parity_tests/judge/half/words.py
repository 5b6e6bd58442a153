"""A profile in words, and words to a profile."""

from dataclasses import fields, replace
from functools import cache

from parity_tests.bounds.half_precision import FORMATS, Profile

from .asking import UNCLEAR, Finding

BEFORE = "before they are normalised"
AFTER = "after they are normalised"
UNROUNDED_SUMMED = "the unrounded ones are summed"
# What is said of a profile, where a field has such a value.
SAID: dict[str, dict] = {
    "scaled_before": {
        "query": "query scaled in {half} before the product",
        "key": "key scaled in {half} before the product",
        "both": "query and key scaled in {half} before the product",
    },
    "scale_rounded": {
        True: "scale rounded to {half}",
        "either": "scale rounded to {half} or not (not clear)",
    },
    "score_roundings": {
        1: "scores rounded to {half} once",
        2: "products and scaled scores rounded to {half}",
    },
    "softmax": {"half": "softmax in {half}"},
    "weights": {
        "unrounded": "weights unrounded",
        "rounded": "weights rounded to {half}",
        "either": "weights rounded to {half} or not (not clear)",
    },
    "normalised": {True: AFTER},
    "summed": {
        "rounded": "the rounded ones are summed",
        "either": "which ones are summed is not clear",
    },
    "scores_in": {"half": "scores accumulate in {half}"},
    "sum_in": {"half": "weights are summed in {half}"},
    "context_in": {"half": "the context accumulates in {half}"},
    "output_roundings": {2: "output rounded twice"},
    "exp_error": {},
    "rescale_error": {},
    "smallest_block": {},
    "flushes_subnormals": {True: "flushes subnormals"},
}
NUMBERS = {
    "exp_error": "exp off by {}",
    "rescale_error": "rescaled by an exp off by {}",
    "smallest_block": "tiles of at least {} keys",
}
ACCUMULATIONS = "scores_in", "sum_in", "context_in"
NOT_CLEAR = f": {UNCLEAR}"
IN_FLOAT32 = "accumulates in float32"
NAMED = {
    "inside float32": Profile(),
    "weights rounded": Profile(weights="rounded"),
    "scores and weights rounded": Profile(
        score_roundings=2, weights="rounded", normalised=True
    ),
    "all in half": Profile(
        score_roundings=2,
        softmax="half",
        weights="rounded",
        normalised=True,
        scores_in="half",
        sum_in="half",
        context_in="half",
    ),
}
# From least to most: what comes later rounds more.
ORDER: dict[str, tuple] = {
    "scaled_before": ("nothing", "query", "key", "both"),
    "softmax": ("float32", "half"),
    "weights": ("unrounded", "rounded", "either"),
}


def in_words(profile: Profile, seen: dict | None = None) -> str:
    """Where a kernel rounds, as a report says it; and what no prediction
    fits of what was `seen`."""
    said = []
    for field, words in SAID.items():
        value = getattr(profile, field)
        if value in words:
            said.append(words[value].format(half=profile.dtype))
        elif field in NUMBERS and value != getattr(Profile, field):
            said.append(NUMBERS[field].format(number(value)))
    if all(getattr(profile, part) == "float32" for part in ACCUMULATIONS):
        said.append(IN_FLOAT32)
    sentence = "; ".join(in_order(profile, said))
    for when in (BEFORE, AFTER):
        sentence = sentence.replace(f"; {when}", f" {when}")
    return "; ".join([sentence, *not_clear(seen or {})])


def in_order(profile: Profile, said: list[str]) -> list[str]:
    """Which weights are summed is said where it makes a difference."""
    early = profile.weights == "rounded" and not profile.normalised
    if not early or profile.softmax == "half":
        return said
    at = (
        said.index(SAID["weights"]["rounded"].format(half=profile.dtype))
        + 1
    )
    if profile.summed == "unrounded":
        said.insert(at, UNROUNDED_SUMMED)
    return [*said[:at], BEFORE, *said[at:]]


def not_clear(seen: dict) -> list[str]:
    """Which probes of `profile_of` fit no prediction: what is taken to be
    then is the wider assumption, or nothing wider where sums are wrong."""
    return [
        f"{name}{NOT_CLEAR}"
        for name, finding in seen.items()
        if isinstance(finding, Finding) and finding.name == UNCLEAR
    ]


def number(value: float) -> str:
    """Short, where that is the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def profile_from(words: str, dtype: str | None = None) -> Profile:
    """The profile that words say: those of `in_words`, names, key=value.

    Parts are separated by commas or semicolons, and the later ones change
    what the earlier ones say: "scores and weights rounded, exp_error=1e-4".
    Raises ValueError for a part that is none of these.
    """
    if not words.strip():
        raise ValueError(f"expected a profile, got {words!r}")
    profile = Profile(dtype or formats_in(words))
    for when in (BEFORE, AFTER):
        words = words.replace(f" {when}", f"; {when}")
    for part in filter(str.strip, words.replace(",", ";").split(";")):
        profile = changed(profile, " ".join(part.split()))
    return profile


def formats_in(words: str) -> str:
    """The format that is named, or else bfloat16."""
    without = words.replace("bfloat16", "")
    return "float16" if "float16" in without else Profile.dtype


def changed(profile: Profile, part: str) -> Profile:
    """The profile, with what one part says."""
    if part.endswith(NOT_CLEAR):
        return profile
    if part in NAMED:
        return replace(NAMED[part], dtype=profile.dtype)
    if part in known_words():
        return replace(profile, **known_words()[part])
    for field, words in NUMBERS.items():
        before, after = words.split("{}")
        if part.startswith(before) and part.endswith(after):
            text = part[len(before) : len(part) - len(after)]
            return replace(profile, **{field: value_of(field, text)})
    name, equals, text = part.partition("=")
    name = name.strip()
    if not equals or name not in {field.name for field in fields(Profile)}:
        known = ", ".join(f'"{name}"' for name in NAMED)
        raise ValueError(
            f"expected a profile: {known}, or key=value, with one of the "
            f"keys {', '.join(field.name for field in fields(Profile))}; "
            f'got "{part}"'
        )
    return replace(profile, **{name: value_of(name, text.strip())})


@cache
def known_words() -> dict[str, dict]:
    """What each phrase sets."""
    known: dict[str, dict] = {
        BEFORE: {"normalised": False},
        UNROUNDED_SUMMED: {"summed": "unrounded"},
        IN_FLOAT32: dict.fromkeys(ACCUMULATIONS, "float32"),
    }
    for field, words in SAID.items():
        for value, phrase in words.items():
            for half in FORMATS:
                known[phrase.format(half=half)] = {field: value}
    return known


def values_of(field: str) -> tuple:
    """The words that a field takes."""
    if field == "dtype":
        return tuple(FORMATS)
    if field in ORDER:
        return ORDER[field]
    if field == "summed":
        return "unrounded", "rounded", "either"
    return "float32", "half"


def value_of(field: str, text: str):
    """A field's value; raises ValueError for one that it cannot have."""
    default = getattr(Profile, field)
    if isinstance(default, str):
        expected, given = values_of(field), text
    elif isinstance(default, bool):
        known = {"true": True, "false": False}
        if field == "scale_rounded":
            known["either"] = "either"
        expected, given = (
            tuple(known.values()),
            known.get(text.lower(), text),
        )
    else:
        return number_of(field, text)
    if given not in expected:
        choices = ", ".join(map(str, expected))
        raise ValueError(f'expected {field}: {choices}; got "{text}"')
    return given


MOST = {
    "score_roundings": 2,
    "output_roundings": 2,
    "smallest_block": 2**20,
}


def number_of(field: str, text: str) -> float:
    least = 1 if field in ("output_roundings", "smallest_block") else 0
    most = MOST.get(field, 0.5)
    try:
        value = type(getattr(Profile, field))(text)
    except ValueError:
        value = -1
    if not least <= value <= most:
        raise ValueError(
            f"expected {field}: a number from {least} to {most}; "
            f'got "{text}"'
        )
    return value


def rounds_more(claimed: Profile, found: Profile) -> list[str]:
    """Where a kernel rounds more than it says: each in a few words."""
    more = []
    for field in SAID:
        said, seen = getattr(claimed, field), getattr(found, field)
        if is_more(field, said, seen):
            more.append(
                f"{spelled(field, seen, found.dtype)}, said: {said}"
            )
    return more


def spelled(field: str, value, dtype: str) -> str:
    if field in NUMBERS:
        return NUMBERS[field].format(number(value))
    words = SAID[field].get(value, f"{field}={value}")
    return words.format(half=dtype)


def is_more(field: str, said, seen) -> bool:
    """Whether what was seen is worse than what was said, or other."""
    if field == "smallest_block":
        return False
    if field == "normalised":
        return said != seen
    if field in ("scale_rounded", "summed"):
        return said != seen and "either" not in (said, seen)
    if field in ORDER:
        return ORDER[field].index(seen) > ORDER[field].index(said)
    if field in ACCUMULATIONS:
        return (said, seen) == ("float32", "half")
    return seen > said
