"""Numbers for each head: metrics, patterns, norms, rollout, a map."""
