"""The study site: equation, NumPy and PyTorch side by side, with values."""

import sys

# Jupyter brings a package with grammars for every kind of address, which
# jsonschema compiles as it is imported. No notebook's schema has one.
sys.modules.setdefault("rfc3987_syntax", None)
