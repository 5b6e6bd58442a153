"""Mal: al unir las cabezas falta volver a transponer."""

import torch
from torch import nn


class AtencionMultiCabeza(nn.Module):
    def __init__(self, dim_modelo, num_cabezas, tasa=0.1):
        super().__init__()
        self.num_cabezas = num_cabezas
        self.dim_cabeza = dim_modelo // num_cabezas
        self.capa_consulta = nn.Linear(dim_modelo, dim_modelo)
        self.capa_clave = nn.Linear(dim_modelo, dim_modelo)
        self.capa_valor = nn.Linear(dim_modelo, dim_modelo)
        self.salida = nn.Linear(dim_modelo, dim_modelo)
        self.apagado = nn.Dropout(tasa)

    def en_cabezas(self, x):
        partes = x.unflatten(2, (self.num_cabezas, self.dim_cabeza))
        return partes.transpose(1, 2)

    def forward(self, consulta, clave, valor, mascara=None):
        q = self.en_cabezas(self.capa_consulta(consulta))
        k = self.en_cabezas(self.capa_clave(clave))
        v = self.en_cabezas(self.capa_valor(valor))
        puntos = torch.matmul(q, k.mT) / self.dim_cabeza**0.5
        if mascara is not None:
            puntos = puntos.masked_fill(mascara[:, None] == 0, -1e9)
        pesos = self.apagado(puntos.softmax(dim=3))
        contexto = torch.matmul(pesos, v)
        return self.salida(contexto.reshape(consulta.shape))
