"""A backward by hand: the method of a class that computes gradients.

Autograd makes the gradients of PyTorch from the forward, and they are
asked there; NumPy's are written by hand, and may be wrong where each
output is right.
"""

from parity_tests.judge.candidate.things import Thing


def backward_not_asked(thing: Thing) -> dict[str, str]:
    """What a report says of a backward that was not asked.

    Without it, half of what a layer does in training was not asked.
    """
    if not thing.backward:
        return {}
    return {"its backward": f"{thing.backward} was not called"}
