"""Jeder Kopf ist ein eigenes Modul; die Wörter sind deutsch."""

import torch
from torch import nn


class _Kopf(nn.Module):
    def __init__(self, modell_breite, kopf_breite, max_laenge):
        super().__init__()
        self.anfrage = nn.Linear(modell_breite, kopf_breite)
        self.schluessel = nn.Linear(modell_breite, kopf_breite)
        self.wert = nn.Linear(modell_breite, kopf_breite)
        unten = torch.ones(max_laenge, max_laenge).tril()
        self.register_buffer("sichtbar", unten.bool())

    def forward(self, eingabe):
        anfragen = self.anfrage(eingabe)
        aehnlich = anfragen @ self.schluessel(eingabe).transpose(1, 2)
        aehnlich = aehnlich / anfragen.size(2) ** 0.5
        zeit = eingabe.size(1)
        verdeckt = ~self.sichtbar[:zeit, :zeit]
        gewichte = aehnlich.masked_fill(verdeckt, float("-inf")).softmax(2)
        return gewichte @ self.wert(eingabe)


class Aufmerksamkeit(nn.Module):
    """Kausale Aufmerksamkeit, keine Stelle sieht eine spätere."""

    def __init__(self, modell_breite, anzahl_köpfe, max_laenge):
        super().__init__()
        breite = modell_breite // anzahl_köpfe
        self.köpfe = nn.ModuleList(
            _Kopf(modell_breite, breite, max_laenge)
            for _ in range(anzahl_köpfe)
        )
        self.ausgabe = nn.Linear(modell_breite, modell_breite)

    def forward(self, eingabe):
        teile = [kopf(eingabe) for kopf in self.köpfe]
        return self.ausgabe(torch.cat(teile, dim=2))
