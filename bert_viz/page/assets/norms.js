// What is handed over: the norm of weight times transformed value.

import { matrixOfText } from "./panels.js";
import { unpackedNow } from "./unpacking.js";

// For the first chosen head. Of tokens only, because the norm of a word's
// sum is not the sum of its pieces' norms. null where norms are not known.
export function normsOf({ text }, state) {
  if (!text.value_norms) return null;
  const { layer, heads } = state;
  const options = { ...state, words: false };
  const matrix = matrixOfText(text, layer, heads[0], options);
  const [, count, tokens] = text.value_norms.shape;
  const from = (layer * count + heads[0]) * tokens;
  const all = unpackedNow(text.value_norms).subarray(from, from + tokens);
  const sizes = matrix.keys.map((key) => all[key.places[0]]);
  return { matrix, sizes, ...handedOver(matrix.weights, sizes) };
}

// `handed` are weight times norm, `shares` the same over the sum of the row;
// `largestMoves` counts the rows whose largest is another one then.
export function handedOver(weights, sizes) {
  const columns = sizes.length;
  const handed = weights.map((weight, at) => weight * sizes[at % columns]);
  const shares = new Float32Array(handed.length);
  const rows = columns ? handed.length / columns : 0;
  let largestMoves = 0;
  for (let row = 0; row < rows; row += 1) {
    const span = [row * columns, (row + 1) * columns];
    const own = handed.subarray(...span);
    const total = own.reduce((sum, one) => sum + one, 0);
    own.forEach((one, at) => {
      shares[span[0] + at] = total ? one / total : 0;
    });
    const before = weights.subarray(...span);
    if (largestAt(before) !== largestAt(own)) largestMoves += 1;
  }
  return { handed, shares, largestMoves, rows };
}

function largestAt(numbers) {
  return numbers.reduce(
    (best, one, at) => (one > numbers[best] ? at : best),
    0,
  );
}
