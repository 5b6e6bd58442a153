// The model of the neuron view: the chosen query, key and dimension, and the
// steps from them to weights and output, or why there are none.

import { arithmeticOf } from "./arithmetic.js";
import { maySee } from "./selecting.js";
import { headOf } from "./state.js";
import { unpackedNow } from "./unpacking.js";

export function reasonAgainst(text, { layer, heads }) {
  const known = text.neuron && Object.keys(text.neuron);
  if (!known) {
    return (
      "This page has only weights, not the queries, keys and values that " +
      "they are computed from. bert_viz.attend(…) has them, unless word " +
      "pieces are joined, or special tokens left out without renormalising " +
      "the rows, before the page is written."
    );
  }
  if (known.includes(String(layer))) return "";
  const has = known.length
    ? `only of layer ${known.join(", ")}, not of layer ${layer}. Choose ` +
      "another layer, or write"
    : "of no layer. Write";
  return (
    `This page holds queries, keys and values ${has} the page again with ` +
    `neuron_layers=(${layer},).`
  );
}

// Every step for the chosen query of the head that is shown.
export function stepsOf(text, state) {
  const packed = text.neuron[String(state.layer)];
  const [, tokens, size] = packed.queries.shape;
  const vectors = {
    ...{ tokens, size },
    queries: unpackedNow(packed.queries),
    keys: unpackedNow(packed.keys),
    values: unpackedNow(packed.values),
  };
  const query = queryOf(text, state);
  const allowed = text.tokens.map((_, key) => maySee(text, query, key));
  return arithmeticOf(vectors, headOf(state), query, allowed);
}

// Without a choice, the first token that is not special.
function queryOf(text, { query }) {
  const count = text.tokens.length;
  if (query !== null && query < count) return query;
  return Math.max(0, text.special.indexOf(false));
}

// Without a choice of the key, the one with the largest weight.
export function chosenOf(text, state, { weights, query }) {
  const { key, dimension } = state;
  const known = key !== null && key < weights.length;
  return {
    query: queryOf(text, state),
    key: known ? key : weights.indexOf(Math.max(...weights)),
    dimension: Math.min(dimension, query.length - 1),
  };
}
