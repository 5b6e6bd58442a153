"""The subject of a verdict: its arguments, masks, weights and inputs."""
