def window_starts(tokens, length, stride):
    starts = [
        start
        for start in range(0, tokens, stride)
        if start + length + 1 <= tokens
    ]
    return locals()


def covering_window_starts(tokens, length, stride):
    whole = window_starts(tokens, length, stride)["starts"]
    last = [tokens - 1 - length]
    starts = sorted({*whole, *last})
    return locals()


def windows(ids, starts, length):
    position = [range(start, start + length) for start in starts.tolist()]
    inputs = [ids[start : start + length] for start in starts]
    targets = [ids[start + 1 : start + 1 + length] for start in starts]
    return locals()


def batches(permutation, batch_size, drop_last):
    waiting, chosen = permutation.tolist(), []
    while len(waiting) >= batch_size or (waiting and not drop_last):
        chosen.append(waiting[:batch_size])
        waiting = waiting[batch_size:]
    return {"chosen": chosen}
