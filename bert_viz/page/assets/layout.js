// Layout: which weights become lines, and how large pictures are reduced.

const BINS = 256;
const FIVE = 5; // strongest lines of a query
const NARROWEST = 80; // pixels of a thumbnail
const WIDEST = 240;

// The lines of a matrix by a rule, in the row and the column that `focus` has,
// if any. `lines` says which: "least", weights of at least `threshold`; "five",
// the strongest of each query; or "half", the fewest that make up half of its
// row. Of more than `most` only the strongest are kept, so that drawing stays
// quick; `count` is how many there were. The weakest come first, to lie below
// the others.
export function linesOf(matrix, rule, most, focus = {}) {
  const { weights } = matrix;
  const strong = [];
  const isChosen = chooser(matrix, rule);
  forEachEntry(matrix, focus, (entry) => {
    if (weights[entry] !== 0 && isChosen(entry)) strong.push(entry);
  });
  const few = strong.length <= most;
  const kept = few ? strong : largest(strong, weights, most);
  const lines = kept.map((entry) => lineAt(matrix, entry));
  lines.sort((a, b) => Math.abs(a.weight) - Math.abs(b.weight));
  return { lines, count: strong.length };
}

function chooser(matrix, { lines, threshold }) {
  const { weights, queries, keys } = matrix;
  if (lines === "least") {
    return (entry) => Math.abs(weights[entry]) >= threshold;
  }
  const chosen = new Set();
  queries.forEach((_, row) => {
    const count = lines === "five" ? FIVE : keys.length;
    const best = strongest(matrix, count, { query: row });
    const half = best.reduce((sum, line) => sum + Math.abs(line.weight), 0) / 2;
    let sum = 0;
    for (const { column, weight } of best) {
      if (lines === "half" && sum >= half) break;
      sum += Math.abs(weight);
      chosen.add(row * keys.length + column);
    }
  });
  return (entry) => chosen.has(entry);
}

// Visits indices into `weights`: all, or those of the chosen row and of the
// chosen column. Loops, because an array of all entries of 512 tokens is slow.
function forEachEntry({ queries, keys }, { query, key }, visit) {
  const all = query === undefined && key === undefined;
  for (let row = 0; row < queries.length; row += 1) {
    const base = row * keys.length;
    if (all || row === query) {
      for (let column = 0; column < keys.length; column += 1) {
        visit(base + column);
      }
    } else if (key !== undefined) visit(base + key);
  }
}

// The `most` largest, by a histogram instead of sorting them all.
function largest(entries, weights, most) {
  const binOf = (entry) =>
    Math.min(BINS - 1, Math.round(Math.abs(weights[entry]) * (BINS - 1)));
  const counts = new Array(BINS).fill(0);
  for (const entry of entries) counts[binOf(entry)] += 1;
  let bin = BINS;
  let above = 0;
  while (above + counts[bin - 1] <= most) above += counts[(bin -= 1)];
  let left = most - above;
  return entries.filter((entry) => {
    const own = binOf(entry);
    return own >= bin || (own === bin - 1 && left-- > 0);
  });
}

// The `count` strongest weights, strongest first. One pass: sorting all
// weights of 512 tokens would take longer than drawing them.
export function strongest(matrix, count, focus = {}) {
  const { weights } = matrix;
  const size = (entry) => Math.abs(weights[entry]);
  const best = [];
  let least = 0; // what another entry has to exceed
  forEachEntry(matrix, focus, (entry) => {
    if (size(entry) <= least) return;
    if (best.length === count) best.pop();
    let at = best.length;
    while (at > 0 && size(best[at - 1]) < size(entry)) at -= 1;
    best.splice(at, 0, entry);
    if (best.length === count) least = size(best[count - 1]);
  });
  return best.map((entry) => lineAt(matrix, entry));
}

function lineAt({ weights, keys }, entry) {
  return {
    row: Math.floor(entry / keys.length),
    column: entry % keys.length,
    weight: weights[entry],
  };
}

// Pooling to at most `size` rows and columns: of each block the number
// farthest from 0, because a mean would hide a single strong weight.
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

// Columns of thumbnails: all heads of a layer side by side, or an equal part
// of them, so that no row mixes two layers; else as many as there is room for.
export function columnsFor(heads, width) {
  const room = Math.max(1, Math.floor(width / NARROWEST));
  for (let columns = Math.min(heads, room); columns > 1; columns -= 1) {
    if (heads % columns === 0 && width / columns < WIDEST) return columns;
  }
  return Math.min(heads, room);
}

// Height of a token's row in pixels: many tokens stand closer.
export function rowHeight(tokens) {
  return tokens > 60 ? 16 : 24;
}

// A matrix of such numbers in at most `most` rows and columns, and its masked
// cells: those that hide all that they stand for.
export function pooledMatrix({ masked, queries, keys }, numbers, most) {
  const size = [queries.length, keys.length, most];
  const few = pooled(numbers, ...size);
  if (!masked.length) return { ...few, masked };
  const open = pooled(
    masked.map((hidden) => (hidden ? 0 : 1)),
    ...size,
  );
  return {
    ...few,
    masked: Array.from(open.numbers, (number) => number === 0),
  };
}
