// Links: how strongly each head goes from one token to another.

import { maySee } from "./selecting.js";
import { unpackedNow } from "./unpacking.js";

// The weight of every layer and head from the chosen query to the chosen key;
// of a difference, what the second text has more. null without both.
export function linkValues(panel, { query, key }) {
  const ours = linkOf(panel.text, query, key);
  if (!ours || !panel.other) return ours;
  const others = linkOf(panel.other, query, key);
  if (!others) return null;
  return ours.map((row, layer) =>
    row.map((weight, head) => others[layer][head] - weight),
  );
}

function linkOf(text, query, key) {
  const [layers, heads, tokens] = text.weights.shape;
  if (query === null || key === null) return null;
  if (query >= tokens || key >= tokens) return null;
  const steps = unpackedNow(text.weights);
  const weightOf = (layer, head) =>
    steps[((layer * heads + head) * tokens + query) * tokens + key] / 255;
  return Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: heads }, (_none, head) => weightOf(layer, head)),
  );
}

// The strongest heads from a query to a key: none where it is masked.
export function strongestLinks(panel, query, key, count) {
  const values = linkValues(panel, { query, key });
  const isOpen = [panel.text, panel.other].some(
    (text) => text && maySee(text, query, key),
  );
  if (!values || !isOpen) return [];
  const all = values.flatMap((row, layer) =>
    row.map((weight, head) => ({ layer, head, weight })),
  );
  const size = ({ weight }) => Math.abs(weight);
  return all.sort((a, b) => size(b) - size(a)).slice(0, count);
}
