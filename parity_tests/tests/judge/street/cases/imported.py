"""Nothing of its own: the attention comes from the file beside it."""

from tiled import attention

__all__ = ["attention"]
