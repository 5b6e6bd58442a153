"""Training a GPT-2: first weights, AdamW for all of them, steps, a run.

`initial_weights` is where a model begins, `steps` goes from one state to
the next, `checkpoint` saves a run so that it goes on bit for bit.
"""
