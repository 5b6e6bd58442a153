"""A package that re-exports what one of its modules defines."""

from .modules import TokenMixer

__all__ = ["TokenMixer"]
