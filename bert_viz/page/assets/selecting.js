// Selecting what is shown of a text: which tokens, as pieces or words, from
// which segment to which.
//
// A unit is what has a row or column of its own: a token, or all the pieces
// of a word. `positions` are those of its tokens.

const BETWEEN = {
  all: [null, null],
  aa: [0, 0],
  ab: [0, 1],
  ba: [1, 0],
  bb: [1, 1],
};

export function unitsOf(text, words) {
  const units = [];
  text.tokens.forEach((token, position) => {
    const last = units[units.length - 1];
    if (words && last && last.word === text.word_ids[position]) {
      last.positions.push(position);
      last.token += withoutPrefix(text, token);
    } else {
      units.push({
        token: words ? withoutPrefix(text, token) : token,
        positions: [position],
        word: text.word_ids[position],
        special: text.special[position],
        segment: text.segments[position],
      });
    }
  });
  return units;
}

// A BERT's piece that continues a word begins with ##.
function withoutPrefix(text, token) {
  return !text.causal && token.startsWith("##") ? token.slice(2) : token;
}

// Whether a query may look at a key: at no later one, in a causal model, and
// at no padding.
export function maySee(text, query, key) {
  return !(text.causal && key > query) && !text.padding[key];
}

// Whether a text has a mask at all.
export function isMasked({ causal, padding }) {
  return causal || padding.includes(true);
}

// Which cells are masked: no token of the query may look at one of the key.
// None are listed where a text has no mask.
export function maskedBetween(text, queries, keys) {
  if (!isMasked(text)) return [];
  return queries.flatMap((query) =>
    keys.map(
      (key) =>
        !query.positions.some((from) =>
          key.positions.some((to) => maySee(text, from, to)),
        ),
    ),
  );
}

export function hasPair(text) {
  return text.segments.some((segment) => segment === 1);
}

// The units of the rows and of the columns.
export function shownUnits(text, { special, words, between }) {
  const all = unitsOf(text, words);
  const units = all.filter((unit) => special || !unit.special);
  const [from, to] = hasPair(text) ? BETWEEN[between] : BETWEEN.all;
  const inside = (segment) => (unit) =>
    segment === null || unit.segment === segment;
  return {
    queries: units.filter(inside(from)),
    keys: units.filter(inside(to)),
  };
}

// The weights of one head between units: summed over a key's tokens, averaged
// over a query's, so that rows with all their keys still sum to 1. `steps`
// are the head's packed weights between all tokens.
export function weightsBetween(steps, tokens, queries, keys) {
  const columns = keys.length;
  const weights = new Float32Array(queries.length * columns);
  const columnOf = new Int32Array(tokens).fill(-1);
  keys.forEach((key, column) => {
    for (const position of key.positions) columnOf[position] = column;
  });
  queries.forEach((query, row) => {
    const step = 1 / (255 * query.positions.length);
    for (const position of query.positions) {
      for (let key = 0; key < tokens; key += 1) {
        if (columnOf[key] < 0) continue;
        weights[row * columns + columnOf[key]] +=
          steps[position * tokens + key] * step;
      }
    }
  });
  return weights;
}
