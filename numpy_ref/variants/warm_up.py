r"""Warm-up schedule of 2017: up along a line, down along a square root.

Adam's running means know little in the first steps, and large steps then
do harm. So the learning rate begins near 0 (Vaswani et al. 2017, section
5.3; "Noam" in tensor2tensor). `optimizer.learning_rate` has the schedule
that came after it.
"""

from ..checked import check_at_least, checked


@checked
def warm_up_rate(
    step: int,
    d_model: int,
    warm_up_steps: int,
) -> float:
    r"""Learning rate with warm-up; steps count from 1.

    $\eta_t = d_\text{model}^{-1/2} \min(t^{-1/2}, t \, w^{-3/2})$
    (Vaswani et al. 2017, section 5.3, equation 3)

    Both terms are $w^{-1/2}$ at step w, the last one of the warm-up: the
    peak is $(d_\text{model} \, w)^{-1/2}$. The paper has w = 4000. Raises
    ValueError for a number below 1.
    """
    check_at_least("step", step, 1)
    check_at_least("d_model", d_model, 1)
    check_at_least("warm_up_steps", warm_up_steps, 1)
    rising = step * warm_up_steps**-1.5
    falling = step**-0.5
    rate = d_model**-0.5 * min(rising, falling)
    return rate
