// The neuron view as a scene and as rows of a table, to be saved.

import { chosenOf, neuronOf, reasonAgainst } from "./neuron.js";
import { stripsScene } from "./neuron_strips.js";

export function neuronScene(panel, page) {
  const { text } = panel;
  if (reasonAgainst(text, page.state)) return null;
  const found = neuronOf(text, page.state);
  const chosen = chosenOf(text, page.state, found);
  const of = (name) => stripsScene(name, text, page, found, chosen, 6);
  return [of("products"), of("weighted")];
}

export const NEURON_COLUMNS = [
  ...["text", "layer", "head", "query place", "step", "key place"],
  ...["dimension", "number"],
];

// Every number of the arithmetic, a row each.
export function neuronRows(panel, page) {
  const { text } = panel;
  if (reasonAgainst(text, page.state)) return [];
  const found = neuronOf(text, page.state);
  const { query } = chosenOf(text, page.state, found);
  const { layer, heads } = page.state;
  const start = [panel.number + 1, layer, heads[0], query];
  const flat = (step, numbers) =>
    numbers.map((number, d) => [...start, step, "", d, number]);
  const each = (step, numbers) =>
    numbers.map((number, key) => [...start, step, key, "", number]);
  const both = (step, rows) =>
    rows.flatMap((numbers, key) =>
      numbers.map((number, d) => [...start, step, key, d, number]),
    );
  return [
    ...flat("query", found.query),
    ...both("key", found.keys),
    ...both("query times key", found.products),
    ...each("sum", found.sums),
    ...each("score", found.scores),
    ...each("weight", found.weights),
    ...both("value", found.values),
    ...both("weight times value", found.weighted),
    ...flat("output", found.output),
  ];
}
