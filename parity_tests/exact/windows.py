def window_starts(tokens, context_length, stride):
    starts = [
        start
        for start in range(0, tokens, stride)
        if start + context_length + 1 <= tokens
    ]
    return locals()


def covering_window_starts(tokens, context_length, stride):
    whole = window_starts(tokens, context_length, stride)["starts"]
    last = [tokens - 1 - context_length]
    starts = sorted({*whole, *last})
    return locals()


def windows(ids, starts, context_length):
    position = [
        range(start, start + context_length) for start in starts.tolist()
    ]
    inputs = [ids[start : start + context_length] for start in starts]
    targets = [
        ids[start + 1 : start + 1 + context_length] for start in starts
    ]
    return locals()


def batches(permutation, batch_size, drop_last):
    waiting, chosen = permutation.tolist(), []
    while len(waiting) >= batch_size or (waiting and not drop_last):
        chosen.append(waiting[:batch_size])
        waiting = waiting[batch_size:]
    return {"chosen": chosen}
