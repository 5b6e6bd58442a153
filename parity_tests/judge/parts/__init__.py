"""Parts of a Llama as people write them: norms, gates, RoPE, caches."""
