"""The pages of claims: their numbers, computed once more in other ways."""

import re
from fractions import Fraction
from math import exp, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from torch.nn.functional import scaled_dot_product_attention

from numpy_ref import example
from parity_tests.claims import order as claims_of_order
from parity_tests.tests.tools.numerals import numerals
from study.site import charts
from study.site.charts import Axis, Series, chart
from study.site.claims import (
    causal,
    counts,
    heads,
    measured,
    order,
    scale,
    temperature,
)
from study.site.claims.pages import (
    CLAIMS,
    TEXTS,
    claim_pages,
    held_by,
    source_of_test,
)
from study.site.heat import heat
from study.site.kept import Kept
from study.site.pages import walk
from torch_impl.gpt2 import Gpt2

ROW = re.compile(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>")
EXACT = re.compile(r"<td[^>]*title=\"([^\"]+)\"")
SHOWN = re.compile(r"<td[^>]*>([^<]*)</td>")


def rows(html: str, cell: re.Pattern = EXACT) -> dict[str, list[str]]:
    """The rows of a table: all digits of its numbers, by the row's head."""
    return {head: cell.findall(rest) for head, rest in ROW.findall(html)}


def matrices(html: str) -> list[np.ndarray]:
    """The numbers of each heat table."""
    return [
        np.array(
            [
                [float(number) for number in EXACT.findall(rest)]
                for _, rest in ROW.findall(table)
            ]
        )
        for table in html.split('<table class="heat">')[1:]
    ]


# --- each claim ----------------------------------------------------------


def test_the_variances_drawn_are_those_of_these_queries_and_keys():
    for d_head, numbers in rows(scale.plot()).items():
        width = int(d_head)
        query, key = (
            generator.normal(size=(measured.SAMPLES, width))
            for generator in [np.random.default_rng([measured.SEED, width])]
            for _ in range(2)
        )
        product = np.einsum("nd,nd->n", query, key)
        squares = product**2 / np.einsum("nd,nd->n", query, query)
        variance, of_scores, claimed, one = map(float, numbers)
        assert variance == pytest.approx(width * squares.mean(), rel=1e-12)
        assert of_scores == pytest.approx(squares.mean(), rel=1e-12)
        assert (claimed, one) == (width, 1)


def test_a_variance_that_chance_does_not_explain_fails_the_build(
    monkeypatch,
):
    wrong = measured.measures()._replace(
        widths=[w._replace(holds=False) for w in measured.measures().widths]
    )
    monkeypatch.setattr(measured, "measure", lambda *_: wrong)
    with pytest.raises(ValueError, match="expected variances of d_k and 1"):
        measured.measures.__wrapped__()


def test_the_weights_at_each_temperature_are_powers_of_two():
    scores = np.array(example.SCORES_IN_LN_2[2][:3])
    drawn = rows(temperature.plot())
    assert len(drawn) == len(temperature.TEMPERATURES)
    pairs = zip(temperature.TEMPERATURES, drawn.values(), strict=True)
    for tau, numbers in pairs:
        powers = 2.0 ** ((scores - scores.max()) / tau)
        np.testing.assert_allclose(
            [*map(float, numbers)], powers / powers.sum(), rtol=1e-13
        )


def test_the_slider_begins_with_what_a_pencil_finds():
    weights = tuple(
        Fraction(number).limit_denominator(100)
        for (number,) in rows(temperature.slider()).values()
    )
    assert weights == example.WEIGHTS[2][:3]
    at = temperature.START
    assert temperature.TEMPERATURES[at] == 1
    assert f'value="{at}"' in temperature.slider()
    shown = temperature.shown()
    assert shown["at_one"] == "1/7, 2/7, 4/7"
    assert shown["at_cold"] == "1/21, 4/21, 16/21"


def test_the_causal_tables_are_those_of_another_attention():
    drawn = dict(zip((True, False), matrices(causal.moved()), strict=True))
    assert not np.triu(drawn[True], 1).any()
    for masked, table in drawn.items():
        random = causal.generator()
        x = random.normal(size=(causal.POSITIONS, causal.D_MODEL))
        params = claims_of_order.random_head(random, causal.D_MODEL)

        def attend(x, params=params, masked=masked):
            query, key, value = (
                torch.from_numpy(x @ each.weight.T + each.bias)
                for each in (params.query, params.key, params.value)
            )
            return scaled_dot_product_attention(
                query[None], key[None], value[None], is_causal=masked
            )[0].numpy()

        for token in range(causal.POSITIONS):
            changed = x.copy()
            changed[token] = random.normal(size=causal.D_MODEL)
            moved = np.abs(attend(changed) - attend(x)).max(axis=-1)
            np.testing.assert_allclose(
                table[:, token], moved, rtol=1e-10, atol=1e-12
            )


def test_two_heads_are_drawn_by_their_formula_and_one_by_its_bound():
    for gap, numbers in rows(heads.plot()).items():
        two, formula = map(float, numbers[:2])
        assert formula == sqrt(2) / (1 + exp(float(gap)))
        assert two == pytest.approx(formula, abs=1e-15)
    best = {
        name: float(number)
        for name, (number,) in rows(heads.least_errors()).items()
    }
    assert min(best.values()) == best["the best"] == sqrt(2) / 4


def test_swapped_tokens_keep_the_outputs_that_a_pencil_finds():
    mask = np.array(example.MASK)
    straight, swapped = matrices(order.both(mask))
    found = np.array(example.CONTEXT, dtype=float)
    np.testing.assert_allclose(straight, found, rtol=1e-14)
    np.testing.assert_allclose(swapped[2:], found[2:], rtol=1e-14)
    assert (np.abs(swapped[:2] - found[[1, 0]]) > 0.1).all()
    straight, swapped = matrices(order.both(order.EVERY))
    np.testing.assert_allclose(swapped, straight[order.SWAP], rtol=1e-14)


def test_the_terms_are_the_parameters_of_the_twin():
    with torch.device("meta"):
        twin = Gpt2(50257, 1024, 768, 4 * 768, 12)
    counted = sum(array.numel() for array in twin.parameters())
    drawn = [int(row[0]) for row in rows(counts.terms("small")).values()]
    assert sum(drawn) == counted
    assert counts.shown()["small"] == f"{counted:,}"


def test_a_term_that_is_missing_fails_the_build(monkeypatch):
    whole = counts.terms_of("small")
    whole.pop("2 d")
    monkeypatch.setattr(counts, "terms_of", lambda size: whole)
    with pytest.raises(ValueError, match="expected 124,439,808 parameters"):
        counts.terms("small")


# --- their texts ---------------------------------------------------------


def test_each_claim_has_a_page_with_a_test_a_step_and_a_plot_or_table(
    tmp_path,
):
    pages = dict(claim_pages(Kept(tmp_path, "now")))
    assert pages == dict(claim_pages(Kept(tmp_path, "now")))  # as kept
    assert pages.keys() == {f"claims/{n}" for n in (*CLAIMS, "index")}
    for name in CLAIMS:
        page = pages[f"claims/{name}"]
        assert "**The claim.**" in page
        assert "$$" in page
        assert "## What would refute it" in page
        assert "](../sources/parity_tests-tests-claims-test_" in page
        assert "](../reference/" in page
        assert "<svg" in page or "<table" in page
        assert f"({name}.md)" in pages["claims/index"]


TYPED = [*TEXTS.list_templates(extensions=["md"]), "walk.md"]


@pytest.mark.parametrize("name", TYPED)
def test_no_number_is_typed_in_a_text(name):
    path = walk.TEXT
    if name != path.name:
        path = TEXTS.get_template(name).filename
    text = Path(path).read_text("utf-8")
    math = re.compile(r"\$\$.*?\$\$|\$[^$]+\$|\{\{.*?\}\}", re.S)
    assert numerals(math.sub("", text)) == []


def test_a_number_that_nothing_measures_fails_the_build():
    text = TEXTS.from_string("It is {{ width }}.")
    with pytest.raises(UndefinedError, match="width"):
        text.render()


def test_a_test_is_shown_as_it_stands_and_one_that_is_gone_is_refused():
    code = source_of_test(
        "parity_tests/tests/claims/test_order.py",
        "test_nothing_comes_through_from_the_future",
    )
    assert code.startswith('@pytest.mark.parametrize("since", [1, 3, 6])')
    assert code.endswith("assert leaked.earlier_gradient > 0.1")
    with pytest.raises(ValueError, match="expected test_gone in"):
        held_by("test_order.py", "test_gone")


# --- charts and tables ---------------------------------------------------


def test_a_point_stands_where_its_axes_say():
    x = Axis("x", 1, 100, (1, 10, 100), logarithmic=True)
    y = Axis("y", 0, 4, (0, 4))
    left, down = charts.place(x, y, (10, 1))
    assert float(left) == (charts.LEFT + charts.RIGHT) / 2
    share = (charts.BOTTOM - float(down)) / (charts.BOTTOM - charts.TOP)
    assert share == 1 / 4


def test_a_point_outside_of_the_plot_is_refused():
    axes = Axis("x", 0, 1, (0, 1)), Axis("y", 0, 1, (0, 1))
    with pytest.raises(
        ValueError, match=r"expected y from 0 to 1, got 1\.5"
    ):
        chart("", "", axes, [Series("a", [(0.5, 1.5)], 0)])


def test_a_chart_has_its_numbers_as_a_table():
    axes = Axis("x", 0, 1, (0, 1)), Axis("y", 0, 1, (0, 1))
    both = [
        Series("a", [(0, 0.25), (1, 0.5)], 0),
        Series("b", [(1, 1 / 3)], 1),
    ]
    html = chart("T", "What one sees.", axes, both)
    assert rows(html) == {"0": ["0.25"], "1": ["0.5", repr(1 / 3)]}
    assert 'aria-label="T: y over x"' in html
    assert "What one sees." in html


def test_what_is_cut_off_a_tensor_is_said():
    html = heat(np.zeros((5, 13, 2)), axes=("token", "feature"))
    assert html.count("<table") == 4
    assert "the first 4 of 5 tables, the first 12 of 13 tokens" in html
    assert "cut" not in heat(np.zeros((4, 12, 12)))


# --- the walk ------------------------------------------------------------


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_walk_draws_an_attention_that_pytorch_finds_too():
    page = walk.walk_page()
    query, key, value, weights, context = (
        np.stack(matrices(section(page, title)))
        for title in ("Queries", "Keys", "Values", "Weights", "Context")
    )
    assert query.shape == (2, 11, 4)
    theirs = scaled_dot_product_attention(
        *map(torch.from_numpy, (query, key, value)), is_causal=True
    )
    np.testing.assert_allclose(context, theirs.numpy(), rtol=1e-12)
    np.testing.assert_allclose(weights @ value, context, rtol=1e-12)
    assert not np.triu(weights, 1).any()


def test_the_walk_goes_on_through_the_block():
    page = walk.walk_page()
    (x,), (residual,), (out,), (normed,) = (
        matrices(section(page, title))
        for title in (
            *("The input", "The residual"),
            *("Out of the block", "Layer norm"),
        )
    )
    assert x.shape == residual.shape == out.shape == (11, 8)
    epsilon, size = 1e-5, x.shape[-1:]
    theirs = torch.nn.functional.layer_norm(
        torch.from_numpy(x), size, eps=epsilon
    )
    np.testing.assert_allclose(normed, theirs.numpy(), rtol=1e-10)
    assert "the first 12 of 32 features" in section(page, "GELU")


def test_the_walk_s_tokens_are_the_sentence():
    page = walk.walk_page()
    shown = rows(section(page, "Ids"), SHOWN)
    assert "".join(shown["token"]).replace("␣", " ") == walk.SENTENCE
    vocabulary = dict(zip(shown["id"], shown["token"], strict=True))
    assert [vocabulary[index] for index in shown["id"]] == shown["token"]
    assert len({*vocabulary.values()}) == len(vocabulary) == 6
    characters = rows(section(page, "Characters"), SHOWN)
    assert bytes(map(int, characters["byte"])).decode() == walk.SENTENCE


def test_a_stop_that_the_text_leaves_out_fails_the_build(
    monkeypatch, tmp_path
):
    text = walk.TEXT.read_text("utf-8").replace('{{ stop("mask") }}', "")
    short = tmp_path / "walk.md"
    short.write_text(text, "utf-8")
    monkeypatch.setattr(walk, "TEXT", short)
    with pytest.raises(ValueError, match="expected the stops"):
        walk.walk_page()


def test_two_sides_that_differ_are_not_drawn(monkeypatch):
    monkeypatch.setattr(
        type(walk.the_walk().tally), "holds", property(lambda _: False)
    )
    with pytest.raises(ValueError, match="expected both sides to agree"):
        walk.walk_page()


def test_a_stop_that_is_none_is_refused():
    with pytest.raises(ValueError, match="expected a stop of the walk"):
        walk.shown_at("nothing")


def test_the_variances_in_the_text_of_the_root_are_those_of_the_widest():
    shown = scale.shown()
    low, high = map(float, shown["band"].split(" and "))
    bare = float(shown["variance"].replace(",", ""))
    assert low <= bare / shown["widest"] <= high
    assert low <= float(shown["variance_of_scores"]) <= high
