"""Wrong: √d_model. moxing is the model, tou a head, weidu a width."""

import numpy as np


class DuoTouZhuyili:
    def __init__(self, moxing_weidu, tou_shu):
        rng = np.random.default_rng(3)
        self.tou_shu = tou_shu
        names = ("w_chaxun", "w_jian", "w_zhi", "w_shuchu")
        for name in names:
            matrix = rng.normal(size=(moxing_weidu, moxing_weidu))
            setattr(self, name, matrix / moxing_weidu**0.5)

    def fen(self, x):
        return np.stack(np.split(x, self.tou_shu, axis=-1), axis=1)

    def forward(self, x):
        chaxun = self.fen(x @ self.w_chaxun)
        jian = self.fen(x @ self.w_jian)
        zhi = self.fen(x @ self.w_zhi)
        fenshu = chaxun @ jian.swapaxes(2, 3)
        fenshu = fenshu / np.sqrt(x.shape[-1])
        quanzhong = np.exp(fenshu - fenshu.max(3, keepdims=True))
        quanzhong = quanzhong / quanzhong.sum(3, keepdims=True)
        parts = quanzhong @ zhi
        joined = np.moveaxis(parts, 1, 2).reshape(x.shape)
        return joined @ self.w_shuchu
