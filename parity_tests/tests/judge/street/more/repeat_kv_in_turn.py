"""Wrong: all key heads in turn, not each next to itself."""


def repeat_kv(hidden_states, n_rep: int):
    """hidden_states: (batch, key heads, tokens, d)"""
    b, h, t, d = hidden_states.shape
    repeated = hidden_states[:, None].expand(b, n_rep, h, t, d)
    return repeated.reshape(b, n_rep * h, t, d)
