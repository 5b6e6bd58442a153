// The chosen heads as sentences and as tables, for whoever reads instead of
// looking.

import { element, scrolling, sentenceParts, tableOf } from "./elements.js";
import { strongest } from "./layout.js";
import { matrixOf } from "./panels.js";
import { fixed, signed, summaryOf, weightText, withError } from "./telling.js";

const FULL = 40; // tokens up to which all weights are in the table
const FEW = 5; // keys of each query beyond that

export function summaries(panel, state) {
  return state.heads.map((head) => {
    const matrix = matrixOf(panel, state.layer, head, state);
    const sentence = summaryOf(panel, state.layer, head, matrix);
    return element("p", {}, ...sentenceParts(sentence));
  });
}

export function weightTables(panel, state) {
  return state.heads.map((head) => {
    const matrix = matrixOf(panel, state.layer, head, state);
    const { queries, keys } = matrix;
    const full = Math.max(queries.length, keys.length) <= FULL;
    const title = panel.title ? `${panel.title}: layer` : "Layer";
    const name = `${title} ${state.layer}, head ${head}`;
    const table = full ? fullTable(name, matrix) : shortTable(name, matrix);
    table.dataset.layer = String(state.layer);
    table.dataset.head = String(head);
    return scrolling(name, table);
  });
}

// The error of the columns stands once, in the caption.
function fullTable(name, matrix) {
  const { queries, keys, weights } = matrix;
  const digits = matrix.signed ? signed : fixed;
  const rows = queries.map((query, row) => [
    { token: query.token },
    ...keys.map((_, key) => digits(weights[row * keys.length + key])),
  ]);
  const error = withError(0, Math.max(0, ...matrix.errors)).slice(6);
  const caption =
    `${name}: rows are queries, columns keys; each number is ${error}`;
  const heads = ["query", ...keys.map(({ token }) => ({ token }))];
  return tableOf(caption, heads, rows, { "data-table": "weights" });
}

function shortTable(name, matrix) {
  const { queries, keys } = matrix;
  const numbers = Array.from({ length: FEW }, (_, n) => n + 1);
  const rows = queries.map((query, row) => {
    const best = strongest(matrix, FEW, { query: row });
    const cells = best.map(({ column }) =>
      pairOf(keys[column], weightText(matrix, row * keys.length + column)),
    );
    while (cells.length < FEW) cells.push("");
    return [{ token: query.token }, ...cells];
  });
  const caption = `${name}: for each query its ${FEW} strongest keys`;
  const heads = ["query", ...numbers.map((n) => `key ${n}`)];
  return tableOf(caption, heads, rows, { "data-table": "weights" });
}

function pairOf(unit, text) {
  const parts = sentenceParts([{ token: unit.token }, ` ${text}`]);
  return element("span", {}, ...parts);
}
