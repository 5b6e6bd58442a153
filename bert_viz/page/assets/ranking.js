// Ranking heads: sorted by a metric, filtered by a pattern.

import { linkValues } from "./links.js";

// The values of a metric for each layer and head, or their difference for two
// texts. null where a text has no such metric.
export function valuesOf(panel, name) {
  const find = (text) => text.metrics.find((metric) => metric.name === name);
  const ours = find(panel.text);
  if (!ours) return null;
  if (!panel.other) return ours.values;
  const others = find(panel.other);
  if (!others) return null;
  return ours.values.map((row, layer) =>
    row.map((value, head) => others.values[layer][head] - value),
  );
}

export function metricNames(panel) {
  const names = panel.text.metrics.map((metric) => metric.name);
  return names.filter((name) => valuesOf(panel, name));
}

export function patternsOf(text, layer, head) {
  return text.patterns.filter((pattern) =>
    pattern.heads.some((named) => named[0] === layer && named[1] === head),
  );
}

export function allHeads(layers, heads) {
  const all = [];
  for (let layer = 0; layer < layers; layer += 1) {
    for (let head = 0; head < heads; head += 1) all.push({ layer, head });
  }
  return all;
}

// What heads are sorted by, or null for the model's order. `sort` is "model",
// "link" for the weight between the two chosen tokens, or a metric's name.
export function sortValues(panel, options) {
  const { sort } = options;
  if (sort === "link") return linkValues(panel, options);
  return sort === "model" ? null : valuesOf(panel, sort);
}

// The heads that are shown, in their order.
export function rankedHeads(panel, layers, heads, options) {
  const { ascending, least, pattern } = options;
  const values = sortValues(panel, options);
  const all = allHeads(layers, heads).map(({ layer, head }) => ({
    layer,
    head,
    value: values ? values[layer][head] : null,
  }));
  const kept = all.filter(
    ({ layer, head, value }) =>
      (value === null || least === null || value >= least) &&
      (!pattern || isNamed(panel, layer, head, pattern)),
  );
  if (!values) return kept;
  const sign = ascending ? 1 : -1;
  return kept.sort((a, b) => sign * (a.value - b.value));
}

function isNamed(panel, layer, head, name) {
  return [panel.text, panel.other].some(
    (text) =>
      text &&
      patternsOf(text, layer, head).some((pattern) => pattern.name === name),
  );
}

// The head with the largest value of a metric, and that value.
export function largestHead(values) {
  let largest = { layer: 0, head: 0, value: -Infinity };
  values.forEach((row, layer) =>
    row.forEach((value, head) => {
      if (value > largest.value) largest = { layer, head, value };
    }),
  );
  return largest;
}
