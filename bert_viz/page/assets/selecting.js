// What of a text is shown: which tokens, as pieces or words, from which
// segment to which.
//
// A unit is what stands in one row or column: a token, or all the pieces of
// a word. `places` are its tokens.

const BETWEEN = {
  all: [null, null],
  aa: [0, 0],
  ab: [0, 1],
  ba: [1, 0],
  bb: [1, 1],
};

export function unitsOf(text, words) {
  const units = [];
  text.tokens.forEach((token, place) => {
    const last = units[units.length - 1];
    if (words && last && last.word === text.words[place]) {
      last.places.push(place);
      last.token += withoutMark(text, token);
    } else {
      units.push({
        token: words ? withoutMark(text, token) : token,
        places: [place],
        word: text.words[place],
        special: text.special[place],
        segment: text.segments[place],
      });
    }
  });
  return units;
}

// A piece of a BERT that goes on with a word begins with ##.
function withoutMark(text, token) {
  return !text.causal && token.startsWith("##") ? token.slice(2) : token;
}

export function hasPair(text) {
  return text.segments.some((segment) => segment === 1);
}

// The rows and the columns.
export function shownUnits(text, { special, words, between }) {
  const units = unitsOf(text, words).filter((u) => special || !u.special);
  const [from, to] = hasPair(text) ? BETWEEN[between] : BETWEEN.all;
  const inside = (segment) => (unit) =>
    segment === null || unit.segment === segment;
  return {
    queries: units.filter(inside(from)),
    keys: units.filter(inside(to)),
  };
}

// The weights of one head between units: keys summed, queries averaged, so
// that rows with all their keys still sum to 1. `steps` are all its tokens'.
export function weightsBetween(steps, tokens, queries, keys) {
  const columns = keys.length;
  const weights = new Float32Array(queries.length * columns);
  const columnOf = new Int32Array(tokens).fill(-1);
  keys.forEach((key, column) => {
    for (const place of key.places) columnOf[place] = column;
  });
  queries.forEach((query, row) => {
    const one = 1 / (255 * query.places.length);
    for (const place of query.places) {
      for (let key = 0; key < tokens; key += 1) {
        if (columnOf[key] < 0) continue;
        weights[row * columns + columnOf[key]] +=
          steps[place * tokens + key] * one;
      }
    }
  });
  return weights;
}
