r"""Gated DeltaNet: a state that forgets, and that is corrected.

The state of `linear_attention` only grows: what is written under one key
stays there, below what is written later. Here two things are done about
it. All of it fades by a factor, the decay $\alpha$. And before a value is
written, what the state already answers to its key is taken off: only the
correction is written, by a share $\beta$ of it (the delta rule).

1. Token by token: three lines, as the paper defines it.
2. Chunk by chunk: all corrections of a chunk at once. Each depends on
   those before it, so that they are the solution of a triangular system
   (the WY form).

Keys should have a length of 1 (`use_qk_l2norm` elsewhere) and $\beta$ lie
between 0 and 1; longer keys are corrected too far, and the state may
grow without end. Decays are given as logarithms, at most 0: products of
many decays are then sums, and no quotient is 0 / 0.

Axes: as in `linear_attention`, whose state this is: keys by values. The
paper's is transposed. Queries are not scaled here; Qwen3-Next divides
them by the root of d_head.
"""

from math import inf

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..checked import check_at_least, checked
from ..masks import causal_mask


@checked
def gated_delta_step(
    state: Float[Array, "*batch d_head d_value"],
    query: Float[Array, "*batch d_head"],
    key: Float[Array, "*batch d_head"],
    value: Float[Array, "*batch d_value"],
    log_decay: Float[Array, "*batch"],
    beta: Float[Array, "*batch"],
) -> tuple[
    Float[Array, "*batch d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    r"""The gated delta rule for one token: fade, correct, then ask.

    $F_i = \alpha_i S_{i-1}$, $u_i = \beta_i (v_i - F_i^\top k_i)$,
    $S_i = F_i + k_i u_i^\top$, $o_i = S_i^\top q_i$ (Yang et al. 2025,
    section 3.1)

    What is recalled has faded already: first the decay, then the
    correction.
    """
    decay = np.exp(log_decay)[..., None, None]
    faded = decay * state
    recalled = (faded * key[..., :, None]).sum(axis=-2)
    missing = value - recalled
    correction = beta[..., None] * missing
    written = key[..., :, None] * correction[..., None, :]
    new_state = faded + written
    output = (new_state * query[..., :, None]).sum(axis=-2)
    return output, new_state


@checked
def recurrent_gated_delta(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    log_decay: Float[Array, "*batch position"],
    beta: Float[Array, "*batch position"],
    state: Float[Array, "*batch d_head d_value"],
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    r"""The gated delta rule token by token, and the state that is left.

    $S_i = \alpha_i (I - \beta_i k_i k_i^\top) S_{i-1} + \beta_i k_i
    v_i^\top$, $o_i = S_i^\top q_i$ (Yang et al. 2025, section 3.1)

    `state` is what an earlier text has left, zeros without one.
    """
    outputs = []
    for position in range(query.shape[-2]):
        output, state = gated_delta_step(
            state,
            query[..., position, :],
            key[..., position, :],
            value[..., position, :],
            log_decay[..., position],
            beta[..., position],
        )
        outputs.append(output)
    context = np.stack(outputs, axis=-2)
    new_state = state
    return context, new_state


@checked
def recurrent_gated_delta_backward(
    d_context: Float[Array, "*batch position d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    log_decay: Float[Array, "*batch position"],
    beta: Float[Array, "*batch position"],
    state: Float[Array, "*batch d_head d_value"],
) -> tuple[
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch position"],
    Float[Array, "*batch position"],
    Float[Array, "*batch d_head d_value"],
]:
    r"""Gradient of the context: through the text from its end.

    A state gets a gradient from its own output and from all tokens after
    it: $dS_i = q_i \, do_i^\top + \alpha_{i+1} dF_{i+1}$. From there
    $dq_i = S_i \, do_i$, $du_i = dS_i^\top k_i$, $dv_i = \beta_i du_i$,
    $d\beta_i = du_i \cdot (v_i - F_i^\top k_i)$, $dF_i = dS_i - k_i
    dv_i^\top$, $dk_i = dS_i u_i - F_i dv_i$, and $d \log \alpha_i = \sum
    dF_i \odot F_i$.
    """
    states = [state]
    for position in range(query.shape[-2]):
        _, state = gated_delta_step(
            state,
            query[..., position, :],
            key[..., position, :],
            value[..., position, :],
            log_decay[..., position],
            beta[..., position],
        )
        states.append(state)
    d_query, d_key, d_value, d_log_decay, d_beta, d_state = _from_the_end(
        d_context, states, query, key, value, log_decay, beta
    )
    return d_query, d_key, d_value, d_log_decay, d_beta, d_state


def _from_the_end(d_context, states, query, key, value, log_decay, beta):
    """The gradients of all tokens, and of the state before the first."""
    d_state, of_tokens = np.zeros_like(states[0]), []
    for position in reversed(range(query.shape[-2])):
        *of_token, d_state = _step_backward(
            d_context[..., position, :],
            d_state,
            states[position],
            states[position + 1],
            query[..., position, :],
            key[..., position, :],
            value[..., position, :],
            log_decay[..., position],
            beta[..., position],
        )
        of_tokens.insert(0, of_token)
    axes = (-2, -2, -2, -1, -1)  # the last two are numbers, not features
    kinds = zip(zip(*of_tokens, strict=True), axes, strict=True)
    return *(np.stack(kind, axis) for kind, axis in kinds), d_state


def _step_backward(
    d_output,
    d_later,
    state,
    new_state,
    query,
    key,
    value,
    log_decay,
    beta,
):
    """One token back: the gradients of what came in, the state's last."""
    decay = np.exp(log_decay)[..., None, None]
    faded = decay * state
    missing = value - (faded * key[..., :, None]).sum(axis=-2)
    correction = beta[..., None] * missing
    d_query = (new_state * d_output[..., None, :]).sum(axis=-1)
    d_new_state = d_later + query[..., :, None] * d_output[..., None, :]
    d_correction = (d_new_state * key[..., :, None]).sum(axis=-2)
    d_value = beta[..., None] * d_correction
    d_beta = (d_correction * missing).sum(axis=-1)
    d_faded = d_new_state - key[..., :, None] * d_value[..., None, :]
    as_written = (d_new_state * correction[..., None, :]).sum(axis=-1)
    as_recalled = (faded * d_value[..., None, :]).sum(axis=-1)
    d_key = as_written - as_recalled
    d_log_decay = (d_faded * faded).sum(axis=(-2, -1))
    d_state = decay * d_faded
    return d_query, d_key, d_value, d_log_decay, d_beta, d_state


@checked
def decay_ratios(
    log_decay: Float[Array, "*batch position"],
) -> Float[Array, "*batch position position"]:
    r"""Decay ratios: how much of what j wrote is left when i asks.

    $\Gamma_{ij} = \prod_{j < l \le i} \alpha_l = \gamma_i / \gamma_j$ for
    $j \le i$, and 0 for a later j (Yang et al. 2025, section 2.1), with
    $\gamma_i = \prod_{l \le i} \alpha_l$

    The causal mask, with decays in it: where nothing decays it is ones.

    >>> decay_ratios(np.log([1.0, 0.5, 0.5])).round(12)
    array([[1.  , 0.  , 0.  ],
           [0.5 , 1.  , 0.  ],
           [0.25, 0.5 , 1.  ]])
    """
    log_total = np.cumsum(log_decay, axis=-1)
    log_ratio = log_total[..., :, None] - log_total[..., None, :]
    causal = causal_mask(log_decay.shape[-1], log_decay.shape[-1])
    # A later j would have a ratio above 1, and one that may overflow.
    allowed = np.where(causal, log_ratio, -inf)
    ratios = np.exp(allowed)
    return ratios


@checked
def decay_ratios_backward(
    d_ratios: Float[Array, "*batch position position"],
    log_decay: Float[Array, "*batch position"],
) -> Float[Array, "*batch position"]:
    r"""Gradient: a decay counts in each ratio that spans it.

    $d \log \alpha_l = \sum_{j < l \le i} \Gamma_{ij} \, d\Gamma_{ij}$, by
    way of the logarithms of $\gamma$: row sums less column sums, summed
    from the end
    """
    ratios = decay_ratios(log_decay)
    d_allowed = d_ratios * ratios
    d_log_ratio = d_allowed
    d_log_total = d_log_ratio.sum(axis=-1) - d_log_ratio.sum(axis=-2)
    from_the_end = np.cumsum(d_log_total[..., ::-1], axis=-1)
    d_log_decay = from_the_end[..., ::-1]
    return d_log_decay


@checked
def forward_substitution(
    lower: Float[Array, "*batch row row"],
    right: Float[Array, "*batch row column"],
) -> Float[Array, "*batch row column"]:
    r"""Forward substitution: a triangular system, solved row by row.

    $X = (I + L)^{-1} B$, with the part of `lower` below its diagonal
    as L: $x_i = b_i - \sum_{j < i} L_{ij} x_j$
    """
    solution = _substituted(lower, right)
    return solution


@checked
def forward_substitution_backward(
    d_solution: Float[Array, "*batch row column"],
    lower: Float[Array, "*batch row row"],
    right: Float[Array, "*batch row column"],
) -> tuple[
    Float[Array, "*batch row row"],
    Float[Array, "*batch row column"],
]:
    r"""Gradient: the transposed system, solved from its last row.

    $dB = (I + L)^{-\top} dX$, and $dL = -dB \, X^\top$ below the diagonal
    """
    solution = _substituted(lower, right)
    # Read backwards, an upper triangle is a lower one.
    reversed_lower = lower.swapaxes(-2, -1)[..., ::-1, ::-1]
    reversed_right = d_solution[..., ::-1, :]
    d_right = _substituted(reversed_lower, reversed_right)[..., ::-1, :]
    d_lower = -np.tril(d_right @ solution.swapaxes(-2, -1), -1)
    return d_lower, d_right


def _substituted(lower, right):
    """PyTorch brings `torch.linalg.solve_triangular`."""
    solution = right.copy()
    for row in range(1, right.shape[-2]):
        known = lower[..., row : row + 1, :row] @ solution[..., :row, :]
        solution[..., row : row + 1, :] -= known
    return solution


@checked
def gated_delta_chunk(
    state: Float[Array, "*batch d_head d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    log_decay: Float[Array, "*batch position"],
    beta: Float[Array, "*batch position"],
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    r"""The gated delta rule for a chunk: all its corrections at once.

    Correction i is $\beta_i$ times what is missing of $v_i$, when the
    state before the chunk and the corrections before i are recalled:
    $u_i = \beta_i (v_i - \gamma_i S^\top k_i - \sum_{j < i} \Gamma_{ij}
    (k_i \cdot k_j) \, u_j)$. That is a triangular system,
    $(I + L) U = \beta V - \beta \gamma K S$ with $L = \beta \, (\Gamma
    \odot K K^\top)$ below the diagonal. Then

    $O = \gamma Q S + (\Gamma \odot Q K^\top) U$,
    $S' = \gamma_C S + (\gamma_C / \gamma \, K)^\top U$
    (Yang et al. 2025, section 3.3)

    The paper prints the causal mask M in place of the last $\Gamma$, in
    $O$. Then a query would see corrections that have not faded; only with
    $\Gamma$ the numbers are those of `recurrent_gated_delta`. Its W
    solves the system without decays, and fades afterwards: that is the
    `recall` here.
    """
    row_beta = beta[..., :, None]
    ratios = decay_ratios(log_decay)
    left_of_state = np.exp(np.cumsum(log_decay, axis=-1))[..., :, None]
    lower = row_beta * ratios * (key @ key.swapaxes(-2, -1))
    new_values = forward_substitution(lower, row_beta * value)
    recall = forward_substitution(lower, row_beta * left_of_state * key)
    corrections = new_values - recall @ state
    earlier = (left_of_state * query) @ state
    weights = ratios * (query @ key.swapaxes(-2, -1))
    output = earlier + weights @ corrections
    faded = left_of_state[..., -1:, :] * state
    left_of_key = ratios[..., -1, :, None] * key
    new_state = faded + left_of_key.swapaxes(-2, -1) @ corrections
    return output, new_state


@checked
def chunkwise_gated_delta(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    log_decay: Float[Array, "*batch position"],
    beta: Float[Array, "*batch position"],
    state: Float[Array, "*batch d_head d_value"],
    chunk: int,
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    """The gated delta rule chunk by chunk, and the state that is left.

    The numbers are those of `recurrent_gated_delta`. The last chunk may
    be shorter. Raises ValueError for a `chunk` below 1.
    """
    check_at_least("chunk", chunk, 1)
    outputs = []
    for start in range(0, query.shape[-2], chunk):
        rows = slice(start, start + chunk)
        output, state = gated_delta_chunk(
            state,
            query[..., rows, :],
            key[..., rows, :],
            value[..., rows, :],
            log_decay[..., rows],
            beta[..., rows],
        )
        outputs.append(output)
    context = np.concatenate(outputs, axis=-2)
    new_state = state
    return context, new_state
