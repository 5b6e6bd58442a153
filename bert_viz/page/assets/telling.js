// Wording: numbers, tokens and sentences. A sentence is a list of texts, of
// { token }, so that a token never reads as part of the sentence, and of
// { number }, which no line break divides.

import { patternsOf, valuesOf } from "./ranking.js";
import { strongest } from "./layout.js";

const LONGEST = 40;
const INVISIBLE = /^[\p{C}\p{M}\p{Z}]+$/u; // no letter, digit or sign

// A token made visible: signs for white space; long tokens are cut.
export function visible(token, longest = LONGEST) {
  if (token === "") return "(empty)";
  const shown = token
    .replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length))
    .replace(/\r\n|[\n\r]/g, "↵")
    .replace(/\t/g, "⇥");
  if (INVISIBLE.test(shown)) return codesOf(token);
  const letters = Array.from(shown.slice(0, 4 * longest));
  if (letters.length <= longest) return shown;
  return letters.slice(0, longest).join("") + "…";
}

// An invisible token, as the code points of its first characters.
function codesOf(token) {
  const codes = Array.from(token).slice(0, 4);
  const words = codes.map((code) => code.codePointAt(0).toString(16));
  return `(U+${words.join(" U+").toUpperCase()})`;
}

// A token isolated from other text in its line, where no element does so: it
// may reverse the direction of what follows, or try to end its isolation.
export function isolated(token) {
  return `\u2068${token.replace(/\u2069/g, "")}\u2069`;
}

// Fixed digits, with a true minus sign, and none before a zero.
export function fixed(number, digits = 3) {
  const text = number.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

// Six digits: enough to check a product by hand.
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
  if (matrix.masked[at]) return "masked";
  const weight = matrix.weights[at];
  const error = matrix.errors[at % matrix.keys.length];
  const text = withError(weight, error);
  return matrix.signed && weight > 0 ? `+${text}` : text;
}

// The same where the error is stated once, beside all numbers.
export function plainWeight(matrix, at) {
  if (matrix.masked[at]) return "masked";
  const weight = matrix.weights[at];
  return matrix.signed ? signed(weight) : fixed(weight);
}

// How far any number of a matrix may be from the model's.
export function errorText({ errors }) {
  return withError(0, Math.max(0, ...errors)).slice(6);
}

// A head in words: its patterns, its strongest weights, its entropy.
export function summaryOf(panel, layer, head, matrix) {
  return [
    panel.title ? `${panel.title}: layer` : "Layer",
    ` ${layer}, head ${head}. `,
    ...patternText(panel, layer, head),
    ...strongestOf(matrix),
    ...entropyText(panel, layer, head),
  ];
}

function patternText(panel, layer, head) {
  const patterns = patternsOf(panel.text, layer, head);
  if (panel.other) return [];
  if (!patterns.length) return ["No known pattern. "];
  const texts = patterns.map(({ name, condition }) => `${name} (${condition})`);
  return [`Pattern: ${texts.join("; ")}. `];
}

function strongestOf(matrix) {
  const lines = strongest(matrix, 3);
  if (!lines.length) return ["No weight is shown. "];
  const parts = [
    matrix.signed ? "Largest differences: " : "Strongest weights: ",
  ];
  lines.forEach(({ row, column }, rank) => {
    const at = row * matrix.keys.length + column;
    parts.push(
      ...(rank ? ["; "] : []),
      { token: matrix.queries[row].token },
      " to ",
      { token: matrix.keys[column].token },
      " ",
      { number: weightText(matrix, at) },
    );
  });
  return [...parts, ". "];
}

function entropyText(panel, layer, head) {
  if (panel.other) return [];
  const values = valuesOf(panel, "entropy");
  if (!values) return [];
  return [
    `Entropy over all tokens: ${fixed(values[layer][head])}, where 1 is ` +
      "equal weights and 0 a single key.",
  ];
}
