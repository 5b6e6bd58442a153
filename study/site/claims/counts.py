"""Parameter counts: how many a GPT-2 has, and ways to count them."""

from parity_tests.claims.order import SIZES, gpt2_config, honest_counts

from ..charts import bars, table

BLOCKS = ("blocks × 12 d²", "blocks × 13 d")
NAMES = {
    "both": "with a head of its own, without those biases",
    "12 L d² alone": "the matrices of the blocks alone",
}
PRINTED = 117_000_000  # what the paper says of "small"


def shown() -> dict:
    counts = honest_counts("small")
    nearest = min(counts.values(), key=lambda count: abs(count - PRINTED))
    return {
        "ways": ways(counts),
        "terms": terms("small"),
        "sizes": sizes(),
        "small": f"{counts['all']:,}",
        "printed": millions(PRINTED),
        "nearest": millions(nearest),
        "apart": millions(abs(nearest - PRINTED)),
    }


def millions(count: float) -> str:
    return f"{count / 1e6:.4g} million"


def ways(counts: dict[str, int]) -> str:
    rows = [
        (NAMES.get(name, name), count, "") for name, count in counts.items()
    ]
    rows += [("as printed", PRINTED, "other")]
    rows.sort(key=lambda row: -row[1])
    return bars(
        ("counted", "parameters"), rows, "Ways to count", "{:,}".format
    )


def terms_of(size: str) -> dict[str, tuple[str, int]]:
    """The terms of the formula, what each is, and its value."""
    config = gpt2_config(size)
    d, layers = config.d_model, config.layers
    return {
        "vocabulary × d": (
            "for each token",
            config.vocabulary * d,
        ),
        "positions × d": (
            "for each position",
            config.positions * d,
        ),
        "blocks × 12 d²": (
            "their matrices",
            12 * layers * d**2,
        ),
        "blocks × 13 d": (
            "their biases and norms",
            13 * layers * d,
        ),
        "2 d": ("the last norm", 2 * d),
    }


def terms(size: str) -> str:
    """The terms; raises ValueError where they are not the whole."""
    values = terms_of(size)
    total = sum(value for _, value in values.values())
    if total != honest_counts(size)["all"]:
        raise ValueError(
            f"expected {honest_counts(size)['all']:,} parameters, "
            f"got {total:,}"
        )
    rows = [
        (f"{term}: {meaning}", value, "")
        for term, (meaning, value) in values.items()
    ]
    return bars(("term", "parameters"), rows, "Terms", "{:,}".format)


def sizes() -> str:
    rows = []
    for size, (layers, d_model) in SIZES.items():
        blocks = sum(terms_of(size)[t][1] for t in BLOCKS)
        every = honest_counts(size)["all"]
        cells = (layers, d_model, blocks, every)
        rows.append(
            (
                size,
                *(f"{cell:,}" for cell in cells),
                f"{blocks / every:.0%}",
            )
        )
    heads = (
        "size",
        "blocks",
        "d",
        "in blocks",
        "all",
        "share of the blocks",
    )
    return table(heads, rows, "The four sizes")
