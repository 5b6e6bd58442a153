"""GPT-2 on one page, beside `gpt2` and beside transformers' own."""

import ast
import inspect

import pytest
import torch

from numpy_ref import gpt2_on_one_page
from numpy_ref.gpt2 import gpt2
from numpy_ref.gpt2_on_one_page import next_token_logits, write
from parity_tests.oracles.gpt2 import oracle_and_ours, random_ids
from parity_tests.twins.finding import twin_files

A_PAGE = 80  # lines


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """transformers' GPT-2 with random weights, and the same read by us."""
    return oracle_and_ours(tmp_path_factory.mktemp("gpt2"), n_layer=3)


def sizes(ours):
    return ours.model, ours.config.heads, ours.config.epsilon


@pytest.mark.parametrize("positions", [1, 2, 7, 20])
def test_its_logits_are_those_of_gpt2_and_of_transformers(both, positions):
    oracle, ours = both
    ids = random_ids(positions)
    logits = next_token_logits(ids, *sizes(ours))
    *_, expected = gpt2(ids, *sizes(ours))
    with torch.no_grad():
        theirs = oracle(torch.from_numpy(ids)[None]).logits[0].numpy()
    largest = abs(theirs).max()
    assert logits.shape == theirs.shape
    assert abs(logits - expected).max() <= 1e-10 * largest
    assert abs(logits - theirs).max() <= 1e-10 * largest


def test_it_writes_what_transformers_writes(both):
    oracle, ours = both
    prompt = random_ids(4, seed=2)
    oracle.generation_config.eos_token_id = None  # it writes on after it
    theirs = oracle.generate(
        torch.from_numpy(prompt)[None],
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        max_new_tokens=12,
        do_sample=False,
    )
    written = write(prompt, 12, *sizes(ours))
    assert written.tolist() == theirs[0].tolist()
    assert len({*written[4:].tolist()}) > 1  # more than one token again


def test_it_is_a_page_that_imports_nothing_but_named_steps():
    source = inspect.getsource(gpt2_on_one_page)
    assert source.count("\n") <= A_PAGE
    named = {file.removesuffix(".py") for file in twin_files()}
    own = [
        node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert {*own} <= named
