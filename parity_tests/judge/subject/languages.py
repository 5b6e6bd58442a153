"""Names in other languages: each word that is known, in English.

Portuguese, Spanish, French, German, and Chinese in Latin letters, without
accents. What a name is for is then told by the patterns for English.
"""

import re
import unicodedata

WORDS = {
    "attention": "atencao atencion aufmerksamkeit zhuyili",
    "self_attention": "autoatencao autoatencion selbstaufmerksamkeit",
    "model": "modelo modele modell moxing",
    "head": "cabeca cabeza tete kopf tou",
    "heads": "cabecas cabezas tetes kopfe koepfe toushu",
    "query": "consulta requete anfrage abfrage chaxun",
    "queries": "consultas requetes anfragen abfragen",
    "key": "chave clave llave cle clef schlussel schluessel jian",
    "keys": "chaves claves llaves cles clefs",
    "value": "valor valeur wert zhi",
    "values": "valores valeurs werte",
    "input": "entrada entree eingabe eingang shuru",
    "output": "saida salida sortie ausgabe ausgang shuchu",
    "hidden": "oculta oculto cachee verborgen yincang",
    "context": "contexto contexte kontext shangxiawen",
    "seq": "sequencia secuencia sequenz xulie",
    "block": "bloco bloque bloc",
    "batch": "lote lot",
    "mask": "mascara masque maske yanma",
    "memory": "memoria memoire gedaechtnis gedachtnis jiyi",
    "padding": "relleno preenchimento remplissage tianchong",
    "bias": "vies sesgo biais pianzhi",
    "dropout": "descarte diuqi",
    "rate": "taxa tasa taux",
    "weights": "pesos poids gewichte quanzhong",
    "num": "numero nombre anzahl quantidade cantidad shu shuliang",
    "max": "maximo maxima maximal maximale zuida",
    "dim": (
        "dimensao dimension dimensiones largura ancho largeur breite weidu"
    ),
    "size": "tamanho tam tamano taille grosse groesse daxiao",
    "length": "comprimento longitud longueur lange laenge changdu",
    "layer": "camada capa couche schicht ceng",
    "projection": "projecao proyeccion projektion touying",
}
ENGLISH = {
    foreign: word
    for word, every in WORDS.items()
    for foreign in every.split()
}
SMALL = {"de", "do", "da", "del", "der", "des", "du", "por", "par", "pro"}
LAST = {"dim", "size", "length", "layer", "projection"}  # in English


def in_english(name: str) -> str:
    """The name with its words in English, in their English order; as it
    is where none of them is known.

    >>> in_english("tamanho_da_cabeça"), in_english("AtencionCausal")
    ('head_size', 'attention_causal')
    >>> in_english("dim_head"), in_english("SelfAttention")
    ('dim_head', 'SelfAttention')
    """
    parts = re.sub(r"([a-z])([A-Z])", r"\1_\2", without_accents(name))
    words = parts.lower().split("_")
    if not ENGLISH.keys() & {*words}:
        return name
    known = [ENGLISH.get(word, word) for word in words if word not in SMALL]
    return "_".join(sorted(known, key=LAST.__contains__))


def without_accents(name: str) -> str:
    decomposed = unicodedata.normalize("NFD", name.replace("ß", "ss"))
    return "".join(c for c in decomposed if not unicodedata.combining(c))
