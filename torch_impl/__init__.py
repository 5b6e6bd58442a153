"""The twins: every step from text to attention, in PyTorch.

The files, the functions and the named steps are those of `numpy_ref`,
where the equations stand. A function with parameters to learn is an
`nn.Module` here, and its `state_dict` carries the names that the
dataclasses bear there.

Modules differ from PyTorch's own in one way: what is no parameter
(`heads`, `mask`, the choices of dropout) is an argument of `forward`, so
that both sides get the same. `train()` and `eval()` change nothing.
"""
