"""ReLU, and the feed-forward network of 2017 with it."""

from jaxtyping import Float
from torch import Tensor as Array

from ..checked import checked
from ..layers import FeedForward


@checked
def relu(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    y = x.relu()
    return y


class FeedForwardRelu(FeedForward):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
    ) -> Float[Array, "*batch d_model"]:
        inner = self.inner(x)
        activated = relu(inner)
        y = self.output(activated)
        return y
