// The state of the page as the fragment of its address, and back.

export const DEFAULTS = {
  view: "model",
  layer: 0,
  heads: [0],
  several: false,
  head: null,
  token: null,
  query: null,
  key: null,
  dimension: 0,
  lines: "five",
  threshold: 0.05,
  special: true,
  words: false,
  between: "all",
  text: "both",
  sort: "model",
  ascending: false,
  least: null,
  pattern: "",
  theme: "auto",
};

const CHOICES = {
  view: ["model", "head", "neuron", "metrics"],
  lines: ["five", "half", "least"],
  between: ["all", "ab", "ba", "aa", "bb"],
  text: ["both", "first", "second", "difference"],
  theme: ["auto", "light", "dark"],
};

// A reader for each part of the state: the value of a word, or undefined
// for a word that cannot be read. `limits` has the numbers of layers, heads,
// tokens and dimensions, and the names of metrics and patterns.
function readers(limits) {
  const among = (choices) => (word) =>
    choices.includes(word) ? word : undefined;
  const below = (limit) => (word) => whole(word, limit);
  const yes = (word) => ({ 0: false, 1: true })[word];
  return {
    view: among(CHOICES.view),
    layer: below(limits.layers),
    heads: (word) => headsOf(word, limits.heads),
    several: yes,
    head: below(limits.heads),
    token: below(limits.tokens),
    query: below(limits.tokens),
    key: below(limits.tokens),
    dimension: below(limits.dimensions),
    lines: among(CHOICES.lines),
    threshold: (word) => number(word, 0, 1),
    special: yes,
    words: yes,
    between: among(CHOICES.between),
    text: among(CHOICES.text),
    sort: among(["model", "link", ...limits.metrics]),
    ascending: yes,
    least: (word) => number(word, -1e9, 1e9),
    pattern: among(["", ...limits.patterns]),
    theme: among(CHOICES.theme),
  };
}

function whole(word, limit) {
  const value = /^\d{1,9}$/.test(word) ? Number(word) : limit;
  return value < limit ? value : undefined;
}

function number(word, least, most) {
  const value = word.trim() === "" ? NaN : Number(word);
  return value >= least && value <= most ? value : undefined;
}

function headsOf(word, limit) {
  const heads = word.split(",").map((part) => whole(part, limit));
  const known = heads.filter((head) => head !== undefined);
  return known.length ? [...new Set(known)] : undefined;
}

function decoded(text) {
  try {
    return decodeURIComponent(text.replace(/\+/g, " "));
  } catch {
    return "";
  }
}

// The defaults, overridden by a fragment. Nonsense in it is ignored.
export function stateOf(fragment, limits) {
  const state = { ...DEFAULTS };
  // A minimum weight was once the only rule.
  if (/(^|[#&])threshold=/.test(fragment)) state.lines = "least";
  const read = readers(limits);
  for (const part of fragment.replace(/^#/, "").split("&")) {
    const [name, word = ""] = part.split("=").map(decoded);
    const known = Object.prototype.hasOwnProperty.call(read, name);
    const value = known ? read[name](word) : undefined;
    if (value !== undefined) state[name] = value;
  }
  if (!state.several) state.heads = state.heads.slice(0, 1);
  return state;
}

// Of several chosen heads, the one whose numbers are shown.
export function headOf({ heads, head }) {
  return heads.includes(head) ? head : heads[0];
}

// The fragment of a state; null is left out.
export function fragmentOf(state) {
  const words = Object.keys(DEFAULTS)
    .filter((name) => state[name] !== null)
    .map((name) => `${name}=${encodeURIComponent(asText(state[name]))}`);
  return words.join("&").replace(/%20/g, "+").replace(/%2C/g, ",");
}

function asText(value) {
  if (value === true || value === false) return value ? "1" : "0";
  return Array.isArray(value) ? value.join(",") : String(value);
}
