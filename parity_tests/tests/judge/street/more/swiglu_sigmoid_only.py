"""Wrong: the gate is a sigmoid; that is a GLU."""

import numpy as np


class SwiGLU:
    def __init__(self, d_model, d_ff, seed=0):
        random = np.random.default_rng(seed)
        self.W_gate = random.normal(size=(d_model, d_ff))
        self.W_up = random.normal(size=(d_model, d_ff))
        self.W_down = random.normal(size=(d_ff, d_model))

    def forward(self, x):
        gate = x @ self.W_gate
        opened = 1.0 / (1.0 + np.exp(-gate))
        return (opened * (x @ self.W_up)) @ self.W_down
