// Which weights become lines, where things stand, how many become few.

const BINS = 256;

// The lines of a matrix: those at least `threshold` strong, of one row or
// one column if `focus` says so. Of more than `most` the strongest, so that
// drawing stays quick; `found` says how many there were. The weakest come
// first, to lie under the others.
export function linesOf(matrix, threshold, most, focus = {}) {
  const { weights } = matrix;
  const strong = [];
  forEachPlace(matrix, focus, (place) => {
    const size = Math.abs(weights[place]);
    if (size > 0 && size >= threshold) strong.push(place);
  });
  const few = strong.length <= most;
  const kept = few ? strong : largest(strong, weights, most);
  const lines = kept.map((place) => lineAt(matrix, place));
  lines.sort((a, b) => Math.abs(a.weight) - Math.abs(b.weight));
  return { lines, found: strong.length };
}

// Loops, because an array of all the places of 512 tokens is slow.
function forEachPlace({ queries, keys }, { query, key }, visit) {
  const [row, rows] = span(query, queries.length);
  const [column, columns] = span(key, keys.length);
  for (let r = row; r < rows; r += 1) {
    const base = r * keys.length;
    for (let c = column; c < columns; c += 1) visit(base + c);
  }
}

function span(one, all) {
  return one === undefined ? [0, all] : [one, one + 1];
}

// The `most` largest, by counting instead of sorting them all.
function largest(places, weights, most) {
  const binOf = (place) =>
    Math.min(BINS - 1, Math.round(Math.abs(weights[place]) * (BINS - 1)));
  const counts = new Array(BINS).fill(0);
  for (const place of places) counts[binOf(place)] += 1;
  let bin = BINS;
  let above = 0;
  while (above + counts[bin - 1] <= most) above += counts[(bin -= 1)];
  let left = most - above;
  return places.filter((place) => {
    const own = binOf(place);
    return own >= bin || (own === bin - 1 && left-- > 0);
  });
}

// The strongest few, the strongest first. One pass: sorting all weights of
// 512 tokens would take longer than drawing them.
export function strongest(matrix, count, focus = {}) {
  const { weights } = matrix;
  const size = (place) => Math.abs(weights[place]);
  const best = [];
  let least = 0; // what a further one has to exceed
  forEachPlace(matrix, focus, (place) => {
    if (size(place) <= least) return;
    if (best.length === count) best.pop();
    let at = best.length;
    while (at > 0 && size(best[at - 1]) < size(place)) at -= 1;
    best.splice(at, 0, place);
    if (best.length === count) least = size(best[count - 1]);
  });
  return best.map((place) => lineAt(matrix, place));
}

function lineAt({ weights, keys }, place) {
  return {
    row: Math.floor(place / keys.length),
    column: place % keys.length,
    weight: weights[place],
  };
}

// A matrix with at most `size` rows and columns: of each block the number
// that is farthest from 0, because a mean would hide a lone strong weight.
export function pooled(numbers, rows, columns, size) {
  const fewRows = Math.min(rows, size);
  const fewColumns = Math.min(columns, size);
  const few = new Float32Array(fewRows * fewColumns);
  for (let row = 0; row < rows; row += 1) {
    const base = Math.floor((row * fewRows) / rows) * fewColumns;
    for (let column = 0; column < columns; column += 1) {
      const to = base + Math.floor((column * fewColumns) / columns);
      const number = numbers[row * columns + column];
      if (Math.abs(number) > Math.abs(few[to])) few[to] = number;
    }
  }
  return { numbers: few, rows: fewRows, columns: fewColumns };
}

// Height of a token's row: many tokens stand closer.
export function rowHeight(tokens) {
  return tokens > 60 ? 16 : 24;
}
