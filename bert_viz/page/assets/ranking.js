// Which heads are shown, in which order: by a metric, by a named pattern.

// The numbers of a metric for each layer and head; of two texts the
// difference. null where a text has no such metric.
export function valuesOf(panel, name) {
  const find = (text) => text.metrics.find((one) => one.name === name);
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
  const names = panel.text.metrics.map((one) => one.name);
  return names.filter((name) => valuesOf(panel, name));
}

export function patternsOf(text, layer, head) {
  return text.patterns.filter((pattern) =>
    pattern.heads.some(([l, h]) => l === layer && h === head),
  );
}

export function allHeads(layers, heads) {
  const found = [];
  for (let layer = 0; layer < layers; layer += 1) {
    for (let head = 0; head < heads; head += 1) found.push({ layer, head });
  }
  return found;
}

// `sort` is a metric's name, or "place" for the order of the model.
export function rankedHeads(panel, layers, heads, options) {
  const { sort, ascending, least, pattern } = options;
  const values = sort === "place" ? null : valuesOf(panel, sort);
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
      text && patternsOf(text, layer, head).some((one) => one.name === name),
  );
}

// The head that has most of a metric, and how much.
export function foremost(values) {
  let best = { layer: 0, head: 0, value: -Infinity };
  values.forEach((row, layer) =>
    row.forEach((value, head) => {
      if (value > best.value) best = { layer, head, value };
    }),
  );
  return best;
}
