"""The other steps and gradients: their properties, and the verdict."""
