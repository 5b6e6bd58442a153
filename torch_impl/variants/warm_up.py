"""Warm-up schedule of 2017: up along a line, down along a square root."""

from ..checked import check_at_least, checked


@checked
def warm_up_rate(
    step: int,
    d_model: int,
    warm_up_steps: int,
) -> float:
    check_at_least("step", step, 1)
    check_at_least("d_model", d_model, 1)
    check_at_least("warm_up_steps", warm_up_steps, 1)
    rising = step * warm_up_steps**-1.5
    falling = step**-0.5
    rate = d_model**-0.5 * min(rising, falling)
    return rate
