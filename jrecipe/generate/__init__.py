"""New examples from a network that has learned what examples look like (D3)."""

from jrecipe.generate.flow import Generator, fit_generator
from jrecipe.generate.source import GeneratedSource

__all__ = ["GeneratedSource", "Generator", "fit_generator"]
