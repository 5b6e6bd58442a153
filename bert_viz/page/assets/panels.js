// A panel shows one text, or the difference of two.

import { maskedBetween, shownUnits, weightsBetween } from "./selecting.js";
import { unpackedNow } from "./unpacking.js";

const NAMES = ["First text", "Second text"];

export function panelsOf(data, which) {
  const [first, second] = data.texts;
  const left = { title: second ? NAMES[0] : "", text: first, index: 0 };
  if (!second) return [left];
  const right = { title: NAMES[1], text: second, index: 1 };
  const difference = {
    title: "Second text minus first text",
    text: first,
    other: second,
    index: 0,
  };
  return {
    first: [left],
    second: [right],
    both: [left, right],
    difference: [difference],
  }[which];
}

// Why there can be no difference, or "".
export function refusal(panel, options) {
  if (!panel.other) return "";
  const ours = shownUnits(panel.text, options);
  const others = shownUnits(panel.other, options);
  const same = (side) => ours[side].length === others[side].length;
  if (same("queries") && same("keys")) return "";
  return (
    "A difference needs two texts with the same number of tokens; these " +
    `have ${ours.queries.length} and ${others.queries.length} queries, ` +
    `${ours.keys.length} and ${others.keys.length} keys. ` +
    "Compare them side by side."
  );
}

// The weights of one head as a panel shows them. `errors` has, for each
// column, how far a weight may be from the model's.
export function matrixOf(panel, layer, head, options) {
  const ours = matrixOfText(panel.text, layer, head, options);
  if (!panel.other) return ours;
  const others = matrixOfText(panel.other, layer, head, options);
  return {
    weights: ours.weights.map((weight, at) => others.weights[at] - weight),
    masked: ours.masked.map((masked, at) => masked && others.masked[at]),
    queries: paired(ours.queries, others.queries),
    keys: paired(ours.keys, others.keys),
    errors: ours.errors.map((error, at) => error + others.errors[at]),
    signed: true,
  };
}

export function matrixOfText(text, layer, head, options) {
  const { queries, keys } = shownUnits(text, options);
  const steps = stepsOf(text, layer, head);
  return {
    weights: weightsBetween(steps, text.tokens.length, queries, keys),
    masked: maskedOf(text, options, queries, keys),
    queries,
    keys,
    errors: keys.map((key) => key.positions.length * text.weights.error),
    signed: false,
  };
}

const masks = new WeakMap(); // of each text, by what is shown of it

// The masked cells are the same for all heads, so they are found once.
function maskedOf(text, { special, words, between }, queries, keys) {
  const shown = JSON.stringify([special, words, between]);
  const known = masks.get(text) ?? new Map();
  masks.set(text, known);
  if (!known.has(shown)) known.set(shown, maskedBetween(text, queries, keys));
  return known.get(shown);
}

// A view into the array of all heads, not a copy.
function stepsOf(text, layer, head) {
  const all = unpackedNow(text.weights);
  const [, heads, tokens] = text.weights.shape;
  const size = tokens * tokens;
  const from = (layer * heads + head) * size;
  return all.subarray(from, from + size);
}

export function unitsShown(panel, options) {
  const ours = shownUnits(panel.text, options);
  if (!panel.other) return ours;
  const others = shownUnits(panel.other, options);
  return {
    queries: paired(ours.queries, others.queries),
    keys: paired(ours.keys, others.keys),
  };
}

// Where two texts differ, both tokens are shown.
function paired(ours, others) {
  return ours.map((unit, at) => {
    const other = others[at].token;
    if (unit.token === other) return unit;
    return { ...unit, token: `${unit.token} | ${other}` };
  });
}
