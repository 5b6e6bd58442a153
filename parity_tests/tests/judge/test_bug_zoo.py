"""The bug zoo: every bug is rejected; what is right but different is not.

The cause that is named for each is pinned: a wrong cause is worse than
none.
"""

import ast
from pathlib import Path

import pytest

from parity_tests import bug_zoo, judge
from parity_tests.judge.attention.conventions import NOTHING_DECLARED
from parity_tests.judge.candidate.host import Host
from parity_tests.judge.files.judging import judge_candidates
from parity_tests.judge.verdict.loop import Budget
from parity_tests.judge.verdict.report import Report

ZOO, JUDGE = Path(bug_zoo.__path__[0]), Path(judge.__path__[0])
BUGS = sorted(path.stem for path in ZOO.glob("[!_]*.py"))
RIGHT = sorted(path.stem for path in (ZOO / "right").glob("[!_]*.py"))

# One of each kind, for every run: a function of query, key and value, a
# class, and a step.
QUICK_BUGS = (
    "no_scale",
    "heads_split_without_transpose",
    "causal_mask_one_too_far",
)
QUICK_RIGHT = ("tile_by_tile",)

BUDGET = Budget(10, shrunk=0)

# The cause that is named for a bug; None where it is unknown. To be read
# beside the `Cause:` of its file.
CAUSES = {
    "attends_across_the_batch": (
        "attention runs along the batch, not the tokens"
    ),
    "bias_for_each_head": "the output bias is added once for each head",
    "cache_offset_forgotten": (
        "the cache is forgotten: the last queries are taken for the first"
    ),
    "causal_dropped_by_mask": (
        "causal is dropped when another mask is given"
    ),
    "causal_mask_one_too_far": "one future position is visible",
    "causal_mask_without_past": "the past is ignored",
    "causal_only_with_mask": "causal acts only when another mask is given",
    "cosine_with_its_own_frequency": (
        "the cosine has a frequency of its own: 2i + 1, not 2i"
    ),
    "dropout_always_on": (
        "the output is random: dropout stays on at evaluation"
    ),
    "dropout_before_softmax": None,
    "dropout_made_in_forward": (
        "the output is random: dropout stays on at evaluation"
    ),
    "fill_not_assigned": "neither causal nor another mask has an effect",
    "filled_with_almost_zero": (
        "masked scores become 0, or nearly so, in place of -inf"
    ),
    "filled_with_minus_10000": "masked scores get -1e4 in place of -inf",
    "first_pair_merged": (
        "the first known pair is merged, not the one learned earliest"
    ),
    "first_tile_masked": None,
    "fused_dropout_always_on": (
        "the output is random: dropout stays on at evaluation"
    ),
    "heads_in_one_softmax": "the softmax runs over heads and keys together",
    "heads_merged_without_transpose": (
        "the heads are merged without transposing back"
    ),
    "heads_split_without_transpose": (
        "the heads are split by reshape, without a transpose"
    ),
    "heads_woven_together": "the heads are merged feature by feature",
    "inputs_changed": "it modifies its inputs in place",
    "key_heads_tiled": (
        "the heads are tiled, 0 1 0 1, not each repeated, 0 0 1 1"
    ),
    "keys_for_values": "the keys are averaged, not the values",
    "labels_shifted_twice": "the targets are shifted by one a second time",
    "last_tile_padded": None,
    "last_window_lost": (
        "the last window is lost where it ends with the text"
    ),
    "layer_norm_epsilon_outside": "epsilon is added outside the root",
    "layer_norm_unbiased": (
        "the variance is unbiased: divided by d - 1, not d"
    ),
    "loss_of_probabilities": (
        "the softmax is applied twice: probabilities are taken for logits"
    ),
    "mask_added_as_number": "the mask is added as 0 and 1",
    "mask_after_softmax": (
        "the mask comes after the softmax, with no renormalisation"
    ),
    "mask_cut_from_the_wrong_rows": (
        "the rows of the causal mask are those of later tokens"
    ),
    "mask_dropped_by_causal": "another mask is dropped when causal is on",
    "mask_inverted": "the causal mask is inverted",
    "mask_of_another_text": (
        "masks are repeated for heads in another order than heads stand in "
        "the batch"
    ),
    "masked_row_gets_the_mean": (
        "a fully masked row gets the mean of all values, not zeros"
    ),
    "masked_tile_leaves_a_zero": None,
    "masks_joined_with_or": "masks are joined with or, not and",
    "maximum_of_masked_keys": (
        "the maximum is taken over masked keys, too: the rest underflows"
    ),
    "merge_heads_by_reshape": (
        "the heads are merged without transposing back"
    ),
    "no_scale": "the scale is missing",
    "no_scale_in_einsum": "the scale is missing",
    "no_shift_by_maximum": "the maximum is not subtracted: exp overflows",
    "one_future_key": "one future position is visible",
    "output_projection_forgotten": "the output projection is left out",
    "padding_counts_in_the_mean": "the mean counts ignored targets, too",
    "padding_on_queries": (
        "the padding lies along the queries, not the keys"
    ),
    "parts_merged_without_maximum": None,
    "query_through_key_weights": (
        "the queries go through the key's projection"
    ),
    "repeated_ids_overwrite": (
        "gradients of a repeated token overwrite each other"
    ),
    "rms_norm_epsilon_outside": "epsilon is added outside the root",
    "rms_norm_times_root": "it is multiplied by the root, not divided",
    "rotary_from_the_first": (
        "the positions given are ignored: 0, 1, 2 … are taken"
    ),
    "rotary_pairs_mixed": (
        "the angles are laid out for neighbours, and the pairs are halves"
    ),
    "scale_after_softmax": "the scale comes after the softmax, not before",
    "scale_by_d_model": "the scale is 1/√d_model, not 1/√d_head",
    "scale_by_heads": "the scale is 1/√heads, not 1/√d_head",
    "scale_by_number_of_keys": "the scale is 1/√(number of keys), not 1/√d",
    "scale_by_value_width": (
        "the scale is 1/√(width of the values), not 1/√d"
    ),
    "scale_twice": "the scale is 1/d, not 1/√d, as if applied twice",
    "scale_upside_down": "the scores are multiplied by √d",
    "scale_without_root": "the scale is 1/d, not 1/√d, as if applied twice",
    "scores_times_mask": (
        "masked scores become 0, or nearly so, in place of -inf"
    ),
    "sinks_left_out": "the sinks are left out",
    "soft_cap_after_mask": "scores are capped at 5 after the mask",
    "softmax_in_half_precision": (
        "only about 2 digits are kept, as in float16"
    ),
    "softmax_over_everything": (
        "the softmax runs over everything, the batch included"
    ),
    "softmax_over_heads": "the softmax runs over the heads",
    "softmax_over_queries": (
        "the softmax runs over the queries, not the keys"
    ),
    "softmax_over_the_first_axis": (
        "the softmax runs over the first axis, not the last"
    ),
    "softmax_twice": "the softmax is applied twice",
    "split_heads_by_reshape": (
        "the heads are split by reshape, without a transpose"
    ),
    "swiglu_activation_too_late": (
        "the activation comes after the product"
    ),
    "tiles_scaled_the_wrong_way": None,
    "token_masked_from_itself": (
        "a token does not see itself, the first one excepted"
    ),
    "value_through_key_weights": (
        "the values go through the key's projection"
    ),
    "window_one_too_wide": (
        "the window is one key too wide: it does not count its own"
    ),
}


# What is said in place of a cause.
KNOWN = {
    "dropout_before_softmax": (
        "only training is wrong: what dropout drops, or by how much the "
        "rest is scaled up"
    ),
}


def slow_but(quick: tuple[str, ...], names: list[str]) -> list:
    """The names as parameters, all of them slow but those."""
    return [
        pytest.param(name, marks=() if name in quick else pytest.mark.slow)
        for name in names
    ]


def reports(name: str) -> list[Report]:
    """The verdicts on what a file of the zoo defines."""
    host = Host()
    answer = host.load(str(ZOO / f"{name}.py"), 20.0)
    return [
        *judge_candidates(
            host, answer["things"], None, NOTHING_DECLARED, BUDGET
        )
    ]


@pytest.mark.parametrize("name", slow_but(QUICK_BUGS, BUGS))
def test_a_bug_is_rejected(name):
    (rejected,) = (r for r in reports(name) if r.verdict != "holds")
    assert rejected.verdict == "rejected", rejected
    assert rejected.cause == CAUSES[name]
    if name in KNOWN:
        assert rejected.known == KNOWN[name]


@pytest.mark.parametrize("name", slow_but(QUICK_RIGHT, RIGHT))
def test_what_is_right_but_different_holds(name):
    assert {r.verdict for r in reports(f"right/{name}")} == {"holds"}


def test_each_bug_says_where_it_comes_from_and_what_is_wrong():
    assert set(CAUSES) == set(BUGS)
    for name in BUGS:
        text = ast.get_docstring(tree_of(ZOO / f"{name}.py"))
        assert "\nOrigin: " in text, name
        assert "\nCause: " in text, name


@pytest.mark.slow
def test_the_zoo_and_the_judge_share_no_import():
    for path in ZOO.rglob("[!_]*.py"):
        packages = {name.split(".")[0] for name in imports(path)}
        assert packages <= {"torch", "numpy", "math", "itertools"}, path
    for path in JUDGE.rglob("*.py"):
        assert not any("zoo" in name for name in imports(path)), path


def imports(path: Path) -> set[str]:
    """The dotted names of what a file imports."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            names |= {f"{start}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.slow
def test_the_zoo_and_the_judge_share_no_code():
    known_bodies = set().union(*map(bodies, JUDGE.rglob("*.py")))
    for path in ZOO.rglob("[!_]*.py"):
        assert not bodies(path) & known_bodies, path.name
    assert bodies(ZOO / "no_scale.py")


def bodies(path: Path) -> set[str]:
    """The bodies of functions, of two statements and more."""
    return {
        "\n".join(ast.dump(part) for part in node.body)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and len(node.body) > 1
    }


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
