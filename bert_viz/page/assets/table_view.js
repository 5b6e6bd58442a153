// Text alternatives: the chosen heads as sentences and as tables.

import { element, scrolling, sentenceParts, tableOf } from "./elements.js";
import { strongest } from "./layout.js";
import { matrixOf } from "./panels.js";
import { errorText, fixed, signed, summaryOf } from "./telling.js";
import { weightText } from "./telling.js";

const FULL = 40; // tokens up to which all weights are in the table
const FEW = 5; // keys of each query beyond that
const MASKED = "—";

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

// The caption has the error of all columns, once.
function fullTable(name, matrix) {
  const { queries, keys, weights, masked } = matrix;
  const digits = matrix.signed ? signed : fixed;
  const rows = queries.map((query, row) => [
    { token: query.token },
    ...keys.map((_, key) => {
      const at = row * keys.length + key;
      return masked[at] ? MASKED : digits(weights[at]);
    }),
  ]);
  const error = errorText(matrix);
  const hidden = masked.includes(true) ? `; ${MASKED} is masked` : "";
  const caption =
    `${name}: rows are queries, columns are keys; ` +
    `each number is ${error}${hidden}`;
  const heads = ["query", ...keys.map(({ token }) => ({ token }))];
  return tableOf(caption, heads, rows, { "data-table": "weights" });
}

function shortTable(name, matrix) {
  const { queries, keys } = matrix;
  const ranks = Array.from({ length: FEW }, (_, index) => index + 1);
  const rows = queries.map((query, row) => {
    const best = strongest(matrix, FEW, { query: row });
    const cells = best.map(({ column }) =>
      pairOf(keys[column], weightText(matrix, row * keys.length + column)),
    );
    while (cells.length < FEW) cells.push("");
    return [{ token: query.token }, ...cells];
  });
  const caption = `${name}: the ${FEW} strongest keys of each query`;
  const heads = ["query", ...ranks.map((rank) => `key ${rank}`)];
  return tableOf(caption, heads, rows, { "data-table": "weights" });
}

function pairOf(unit, text) {
  const parts = sentenceParts([{ token: unit.token }, ` ${text}`]);
  return element("span", {}, ...parts);
}
