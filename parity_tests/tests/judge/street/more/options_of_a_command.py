"""Wrong: the scale is that of all heads. A command's options have the
sizes, and how wide the first weights are spread."""

import argparse

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.n_head, self.n_embd = args.n_head, args.n_embd
        self.to_qkv = nn.Linear(args.n_embd, 3 * args.n_embd)
        self.to_out = nn.Linear(args.n_embd, args.n_embd)
        for layer in (self.to_qkv, self.to_out):
            nn.init.normal_(layer.weight, std=args.first_spread)

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.n_head, -1)).transpose(1, 2)
            for part in self.to_qkv(x).chunk(3, dim=-1)
        )
        weights = (q @ k.mT / self.n_embd**0.5).softmax(dim=-1)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--n-embd", type=int, default=64)
    parser.add_argument("--n-head", type=int, default=4)
    parser.add_argument("--first-spread", type=float, default=0.02)
    layer = SelfAttention(parser.parse_args())
    print(layer(torch.randn(2, 9, layer.n_embd)).shape)
