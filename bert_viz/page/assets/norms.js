// Norms: what each token contributes, weight times transformed value.

import { matrixOfText } from "./panels.js";
import { headOf } from "./state.js";
import { unpackedNow } from "./unpacking.js";

// For the head that is shown. Between tokens only, because the norm of a sum
// is not the sum of the norms of a word's pieces. null where not known.
export function normsOf({ text }, state) {
  if (!text.value_norms) return null;
  const { layer } = state;
  const head = headOf(state);
  const options = { ...state, words: false };
  const matrix = matrixOfText(text, layer, head, options);
  const [, count, tokens] = text.value_norms.shape;
  const from = (layer * count + head) * tokens;
  const all = unpackedNow(text.value_norms).subarray(from, from + tokens);
  const valueNorms = matrix.keys.map((key) => all[key.positions[0]]);
  const contributed = contributions(matrix.weights, valueNorms);
  return { matrix, valueNorms, ...contributed };
}

// `norms` are weight times norm of value, `shares` the same divided by the sum
// of the row; `moved` counts the rows in which another key is the largest.
export function contributions(weights, valueNorms) {
  const columns = valueNorms.length;
  const norms = weights.map((weight, at) => weight * valueNorms[at % columns]);
  const shares = new Float32Array(norms.length);
  const rows = columns ? norms.length / columns : 0;
  let moved = 0;
  for (let row = 0; row < rows; row += 1) {
    const span = [row * columns, (row + 1) * columns];
    const ofRow = norms.subarray(...span);
    const total = ofRow.reduce((sum, norm) => sum + norm, 0);
    ofRow.forEach((norm, at) => {
      shares[span[0] + at] = total ? norm / total : 0;
    });
    const before = weights.subarray(...span);
    if (argmax(before) !== argmax(ofRow)) moved += 1;
  }
  return { norms, shares, moved, rows };
}

function argmax(numbers) {
  return numbers.reduce(
    (best, number, at) => (number > numbers[best] ? at : best),
    0,
  );
}
