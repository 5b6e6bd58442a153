"""Saturation: what softmax and its gradients do without the root."""

from study.variance.measures import TOKENS, share

from ..charts import Axis, Series, chart
from .measured import BARE, SCALED, decades, measures, over_widths

SIDES = {
    "bare": ("without the root", BARE, "circle"),
    "scaled": ("with 1/√dₖ", SCALED, "square"),
}
LINES = ("solid", "dashed", "dotted", "thick")


def shown() -> dict:
    narrow, *_, wide = measures().widths
    return {
        "rows": rows(),
        "entropy": entropy(),
        "jacobian": norms("jacobian", "norm of ∂p/∂s"),
        "gradient": norms("gradient", "norm of ∂o/∂q"),
        "keys": TOKENS,
        "narrow": narrow.d_head,
        "wide": wide.d_head,
        "greatest": f"{measures().rows[wide.d_head].bare[0]:.3f}",
        "greatest_scaled": f"{measures().rows[wide.d_head].scaled[0]:.3f}",
        "median_narrow": f"{narrow.bare.jacobian_median:.2f}",
        "median_wide": f"{wide.bare.jacobian_median:.1g}",
        "median_scaled": f"{wide.scaled.jacobian_median:.2f}",
        "rms_narrow": f"{narrow.bare.gradient_rms:.2f}",
        "rms_wide": f"{wide.bare.gradient_rms:.2f}",
    }


def rows() -> str:
    """One row of weights, largest first: two plots."""
    ranks = range(1, TOKENS + 1)
    x = Axis("keys, largest weight first", 1, TOKENS, (1, 4, 16, 64), True)
    y = Axis("weight", 0, 1, (0, 0.5, 1))
    captions = {
        "bare": "The wider the head, the nearer the first weight to one: "
        "all others go to nothing.",
        "scaled": "The same queries and keys, divided by the root: at each "
        "width the row looks alike, and many keys have a share.",
    }
    return "\n".join(
        chart(
            f"One row of weights, {SIDES[side][0]}",
            caption,
            (x, y),
            [
                Series(
                    f"dₖ = {d_head}",
                    list(
                        zip(ranks, getattr(row, side).tolist(), strict=True)
                    ),
                    hue,
                    line,
                    "",
                )
                for hue, (line, (d_head, row)) in enumerate(
                    zip(LINES, measures().rows.items(), strict=True)
                )
            ],
        )
        for side, caption in captions.items()
    )


def entropy() -> str:
    y = Axis(
        "entropy; 100% is equal weights",
        0,
        1,
        (0, 0.5, 1),
        False,
        "{:.0%}".format,
    )
    return chart(
        "The entropy of a row",
        "Without the root, it falls towards nothing: one key takes all. "
        "With it, it stays near that of equal weights.",
        (over_widths(), y),
        [
            Series(
                name,
                [
                    (width.d_head, share(getattr(width, side)))
                    for width in measures().widths
                ],
                hue,
                "solid",
                mark,
            )
            for side, (name, hue, mark) in SIDES.items()
        ],
    )


def norms(name: str, title: str) -> str:
    """Median and root mean square of a gradient's norm."""
    captions = {
        "jacobian": "Without the root, the median plunges, while the root "
        "mean square only sinks. With it, both stay.",
        "gradient": "Without the root, the median vanishes, and the root "
        "mean square grows. With it, both stay.",
    }
    titles = {
        "jacobian": "The gradient through softmax",
        "gradient": "The gradient of a query",
    }
    series = [
        Series(
            f"{words}, {side_name}",
            [
                (
                    width.d_head,
                    getattr(getattr(width, side), f"{name}_{kind}"),
                )
                for width in measures().widths
            ],
            hue,
            line,
            mark,
        )
        for side, (side_name, hue, mark) in SIDES.items()
        for kind, words, line in (
            ("median", "median", "solid"),
            ("rms", "root mean square", "dashed"),
        )
    ]
    every = [y for each in series for _, y in each.points]
    return chart(
        titles[name],
        captions[name],
        (over_widths(), decades(title, every)),
        series,
    )
