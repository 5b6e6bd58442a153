// Numbers and tokens in words. A sentence is a list of texts, of { token },
// so that a token is never taken for a part of the sentence, and of
// { number }, which no line breaks.

import { patternsOf, valuesOf } from "./ranking.js";
import { strongest } from "./layout.js";

const LONGEST = 40;
const UNSEEN = /^[\p{C}\p{M}\p{Z}]+$/u; // no letter and no sign

// What cannot be seen is shown by a sign; what is long is cut.
export function visible(token, longest = LONGEST) {
  if (token === "") return "(empty)";
  const shown = token
    .replace(/^ +| +$/g, (spaces) => "·".repeat(spaces.length))
    .replace(/\r\n|[\n\r]/g, "↵")
    .replace(/\t/g, "⇥");
  if (UNSEEN.test(shown)) return codesOf(token);
  const letters = Array.from(shown.slice(0, 4 * longest));
  if (letters.length <= longest) return shown;
  return letters.slice(0, longest).join("") + "…";
}

// A token that has nothing to see, by its first characters' numbers.
function codesOf(token) {
  const codes = Array.from(token).slice(0, 4);
  const words = codes.map((one) => one.codePointAt(0).toString(16));
  return `(U+${words.join(" U+").toUpperCase()})`;
}

// In a line with other text, where no element keeps it apart: a token may
// turn the direction of what follows, and may try to end its isolation.
export function isolated(token) {
  return `\u2068${token.replace(/\u2069/g, "")}\u2069`;
}

// With a true minus, and none before a zero.
export function fixed(number, digits = 3) {
  const text = number.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

// Enough digits that what is multiplied by hand comes out the same.
export function precise(number) {
  if (number === 0) return "0";
  const small = Math.abs(number) < 1e-4;
  const text = small ? number.toExponential(5) : number.toPrecision(6);
  return text.replace(/-/g, "−");
}

export function withError(number, error) {
  return `${fixed(number)} ± ${fixed(Math.ceil(error * 1000 - 1e-6) / 1000)}`;
}

export function signed(number, digits = 3) {
  const text = fixed(number, digits);
  return /^[^−]*[1-9]/.test(text) ? `+${text}` : text;
}

export function weightText(matrix, at) {
  const weight = matrix.weights[at];
  const error = matrix.errors[at % matrix.keys.length];
  const text = withError(weight, error);
  return matrix.signed && weight > 0 ? `+${text}` : text;
}

// A head in words: its names, its strongest weights, how spread it is.
export function summaryOf(panel, layer, head, matrix) {
  return [
    panel.title ? `${panel.title}: layer` : "Layer",
    ` ${layer}, head ${head}. `,
    ...namesOf(panel, layer, head),
    ...strongestOf(matrix),
    ...spreadOf(panel, layer, head),
  ];
}

function namesOf(panel, layer, head) {
  const found = patternsOf(panel.text, layer, head);
  if (panel.other) return [];
  if (!found.length) return ["No pattern that is named here. "];
  const names = found.map((one) => `${one.name} (${one.words})`);
  return [`Named ${names.join("; ")}. `];
}

function strongestOf(matrix) {
  const found = strongest(matrix, 3);
  if (!found.length) return ["No weight is shown. "];
  const parts = [
    matrix.signed ? "The largest differences: " : "The strongest weights: ",
  ];
  found.forEach(({ row, column }, number) => {
    const at = row * matrix.keys.length + column;
    parts.push(
      ...(number ? ["; "] : []),
      { token: matrix.queries[row].token },
      " to ",
      { token: matrix.keys[column].token },
      " ",
      { number: weightText(matrix, at) },
    );
  });
  return [...parts, ". "];
}

function spreadOf(panel, layer, head) {
  if (panel.other) return [];
  const entropy = panel.text.metrics.find((one) => one.name === "entropy");
  const values = entropy && valuesOf(panel, "entropy");
  if (!values) return [];
  return [
    `Entropy, of all tokens, ${fixed(values[layer][head])}, where 1 is ` +
      "equal weights and 0 one key alone.",
  ];
}
