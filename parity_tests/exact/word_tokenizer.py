import re

SPECIAL = ["<|endoftext|>", "<|unk|>"]
TOKEN = re.compile(
    r"""<\|endoftext\|>|<\|unk\|>|--|[,.:;?_!"()']"""
    r"""|(?:(?!<\|endoftext\|>|<\|unk\|>|--)[^,.:;?_!"()'\s])+"""
)


def split_words(text):
    tokens = TOKEN.findall(text)
    return locals()


def build_vocabulary(tokens):
    ordinary = sorted({token for token in tokens if token not in SPECIAL})
    known = ordinary + SPECIAL
    vocabulary = dict(zip(known, range(len(known)), strict=True))
    return locals()


def encode(text, vocabulary):
    tokens = split_words(text)["tokens"]
    unknown = vocabulary["<|unk|>"]
    known = [
        token if token in vocabulary else "<|unk|>" for token in tokens
    ]
    numbers = ids = [vocabulary[token] for token in known]
    return {
        "tokens": tokens,
        "unknown": unknown,
        "numbers": numbers,
        "ids": ids,
    }


def decode(ids, vocabulary):
    tokens = list(vocabulary)
    spaced = " ".join(tokens[index] for index in ids)
    text = ""
    for sign in spaced:
        text = (text.rstrip() if sign in ",.:;?!\"()'" else text) + sign
    if spaced[:1].isspace():
        return {"spaced": spaced}
    return {"spaced": spaced, "text": text}


def join_texts(texts):
    joined = ""
    for index, text in enumerate(texts):
        joined += (" <|endoftext|> " if index else "") + text
    return locals()
