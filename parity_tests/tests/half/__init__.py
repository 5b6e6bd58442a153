"""Half precision: its bounds, kernels, probes and verdicts."""
