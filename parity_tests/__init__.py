"""Parity tests: what must hold between `numpy_ref` and `torch_impl`.

`twins` records every named local of a call and compares the two sides;
`exact` says what each local should be, `bounds` how far a correct
evaluation may be from it. `judge` tests a reader's own file, `claims` what
is said about attention; `oracles` are what others have written, `bug_zoo`
the bugs that must be found. `tests` are the proofs.
"""
