"""The other steps and gradients: spellings, and their properties."""
