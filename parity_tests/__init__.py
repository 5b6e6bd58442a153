"""What must hold between `numpy_ref` and `torch_impl`, and the proofs.

`recording` watches a call and keeps every named local; `twins` finds what
belongs together; `exact` says what each local should be, `bounds` how far
a correct evaluation may be from it; `replaying` and `comparing` hold the
two sides against each other. The files named `test_…` are the proofs.
"""
