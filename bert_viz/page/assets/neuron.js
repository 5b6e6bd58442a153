// What the neuron view is about: which query, key and dimension, and the
// arithmetic of them, or why there is none.

import { arithmeticOf } from "./arithmetic.js";
import { unpackedNow } from "./unpacking.js";

export function reasonAgainst(text, { layer, heads }) {
  const known = text.neuron && Object.keys(text.neuron);
  if (!known) {
    return (
      "Only weights were given to this page, no queries, keys and values: " +
      "there is no arithmetic to show. bert_viz.attend(…) reads them; " +
      "word pieces joined before have none, nor have rows without special " +
      "tokens that were not renormalised."
    );
  }
  if (known.includes(String(layer))) return "";
  const has = known.length ? `of layer ${known.join(", ")}` : "of no layer";
  return (
    `This page holds queries, keys and values ${has}, not of layer ` +
    `${layer}. Choose another layer, or write the page again with ` +
    `neuron_layers=(${layer},) for page_of or write_page.`
  );
}

// All of the arithmetic for the chosen query of the first chosen head.
export function neuronOf(text, state) {
  const packed = text.neuron[String(state.layer)];
  const [, tokens, size] = packed.queries.shape;
  const vectors = {
    ...{ tokens, size },
    queries: unpackedNow(packed.queries),
    keys: unpackedNow(packed.keys),
    values: unpackedNow(packed.values),
  };
  const query = queryOf(text, state);
  return arithmeticOf(vectors, state.heads[0], query, text.causal);
}

// Without a choice the first token that is not special.
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
