// Saving the neuron view: as a scene, and as rows of a table.

import { chosenOf, stepsOf, reasonAgainst } from "./neuron.js";
import { stripsScene } from "./neuron_strips.js";
import { headOf } from "./state.js";

export function neuronScene(panel, page) {
  const { text } = panel;
  if (reasonAgainst(text, page.state)) return null;
  const steps = stepsOf(text, page.state);
  const chosen = chosenOf(text, page.state, steps);
  const of = (name) => stripsScene(name, text, page, steps, chosen, 6);
  return [of("products"), of("weighted")];
}

export const NEURON_COLUMNS = [
  ...["text", "layer", "head", "query position", "step", "key position"],
  ...["dimension", "number"],
];

// Every number of every step, a row each.
export function neuronRows(panel, page) {
  const { text } = panel;
  if (reasonAgainst(text, page.state)) return [];
  const steps = stepsOf(text, page.state);
  const { query } = chosenOf(text, page.state, steps);
  const head = headOf(page.state);
  const start = [panel.index + 1, page.state.layer, head, query];
  const flat = (step, numbers) =>
    numbers.map((number, d) => [...start, step, "", d, number]);
  const each = (step, numbers) =>
    numbers.map((number, key) => [...start, step, key, "", number]);
  const both = (step, rows) =>
    rows.flatMap((numbers, key) =>
      numbers.map((number, d) => [...start, step, key, d, number]),
    );
  return [
    ...flat("query", steps.query),
    ...both("key", steps.keys),
    ...both("query times key", steps.products),
    ...each("dot product", steps.dots),
    ...each("score", steps.scores),
    ...each("weight", steps.weights),
    ...both("value", steps.values),
    ...both("weight times value", steps.weighted),
    ...flat("output", steps.output),
  ];
}
