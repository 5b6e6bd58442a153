"""Llama on one page, beside `llama` and beside transformers' own."""

import ast
import inspect

import pytest
import torch

from numpy_ref.checkpoints.llama import load_llama
from numpy_ref.variants import llama_on_one_page
from numpy_ref.variants.llama_on_one_page import next_token_logits, write
from parity_tests.oracles.llama import (
    random_ids,
    random_oracle,
    run_llama,
    without_float32,
)
from parity_tests.twins.finding import twin_files

A_PAGE = 90  # lines


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """transformers' Llama with random weights, and the same read by us."""
    folder = tmp_path_factory.mktemp("llama")
    oracle = random_oracle(folder)
    return oracle, load_llama(folder, "float64")


@pytest.mark.parametrize("positions", [1, 2, 7, 20])
def test_its_logits_are_those_of_llama_and_of_transformers(both, positions):
    oracle, ours = both
    ids = random_ids(positions)
    logits = next_token_logits(ids, ours.model, ours.config)
    *_, expected = run_llama(ours, ids)
    with torch.no_grad(), without_float32(oracle):
        theirs = oracle(torch.from_numpy(ids)[None]).logits[0].numpy()
    largest = abs(theirs).max()
    assert logits.shape == theirs.shape
    assert abs(logits - expected).max() <= 1e-10 * largest
    assert abs(logits - theirs).max() <= 1e-10 * largest


def test_it_writes_what_transformers_writes(both):
    oracle, ours = both
    prompt = random_ids(4)
    oracle.generation_config.eos_token_id = None  # it writes on after it
    theirs = oracle.generate(
        torch.from_numpy(prompt)[None],
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        max_new_tokens=12,
        do_sample=False,
    )
    written = write(prompt, 12, ours.model, ours.config)
    assert written.tolist() == theirs[0].tolist()
    assert len({*written[4:].tolist()}) > 1  # more than one token again


def test_it_is_a_page_that_imports_nothing_but_named_steps():
    source = inspect.getsource(llama_on_one_page)
    assert source.count("\n") <= A_PAGE
    named = {
        file.removesuffix(".py").split("/")[-1] for file in twin_files()
    }
    own = [
        node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert {*own} <= named
