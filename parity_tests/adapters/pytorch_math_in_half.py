"""PyTorch's attention as plain products, each rounded to half precision.

`SDPBackend.MATH`, with `allow_fp16_bf16_reduction_math_sdp`, which is off
unless asked for; it holds on the CPU, too.
"""

from torch.backends import cuda
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, is_causal=False, scale=None
):
    before = cuda.fp16_bf16_reduction_math_sdp_allowed()
    cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=attn_mask,
                is_causal=is_causal,
                scale=scale,
            )
    finally:
        cuda.allow_fp16_bf16_reduction_math_sdp(before)
