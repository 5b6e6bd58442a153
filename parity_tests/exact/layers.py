from ..bounds import affine, like, product, where


def linear(x, params):
    projected = product("...i,oi->...o", x, params.weight)
    y = affine(x, params.weight, params.bias)
    return locals()


def dropout(x, keep, rate):
    kept = where(keep, x, 0)
    y = kept.over(like(x, 1) - rate)
    return locals()
