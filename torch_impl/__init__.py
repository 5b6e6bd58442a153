"""Every step from text to attention, in PyTorch.

The files, the functions and the named steps are those of `numpy_ref`;
there stand the equations too. A function with parameters to learn is an
`nn.Module` here, and its `state_dict` carries the names that the
dataclasses bear there.
"""
