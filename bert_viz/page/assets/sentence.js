// The sentence, which is the control: a click on a token shows what it looks
// at and what looks at it, in every view; a click on a second one ranks the
// heads by the weight from the first to the second.

import { element, byId, roving, sentenceParts, setStop } from "./elements.js";
import { strongest } from "./layout.js";
import { strongestLinks } from "./links.js";
import { matrixOf, unitsShown } from "./panels.js";
import { unitsOf } from "./selecting.js";
import { headOf } from "./state.js";
import { fixed, signed, visible, weightText } from "./telling.js";

const LINKS = 5; // heads that are named from one token to the other
const KEYS = 3; // tokens that are named on either side of one
const HINT =
  "Choose a token: what it looks at, and what looks at it. " +
  "A second one: which heads link the two.";

export function drawSentences(page, panels) {
  const host = byId("sentences");
  const { words, text } = page.state;
  const looks = JSON.stringify([words, text, panels.length]);
  if (host.dataset.looks !== looks) {
    host.replaceChildren(...panels.map((panel) => sentenceOf(panel, page)));
    host.dataset.looks = looks;
  }
  panels.forEach((panel, at) => markTokens(host.children[at], panel, page));
  const told = panels.map((panel) => chosenText(panel, page));
  byId("chosen").replaceChildren(...(told.some(Boolean) ? told : [HINT]));
}

function sentenceOf(panel, page) {
  const units = unitsOf(panel.text, page.state.words);
  const tokens = units.map((unit) =>
    element(
      "button",
      {
        ...{ type: "button", class: unit.special ? "chip special" : "chip" },
        "data-token": String(unit.positions[0]),
      },
      element("span", { class: "token" }, visible(unit.token)),
    ),
  );
  const label = panel.title ? `${panel.title}: tokens` : "Tokens";
  const row = element(
    "div",
    { class: "sentence", role: "toolbar", "aria-label": label },
    ...tokens,
  );
  roving(row, () => Array.from(row.children));
  setStop(tokens);
  row.addEventListener("click", ({ target }) => {
    const chip = target.closest(".chip");
    if (!chip) return;
    page.change(choiceAfter(page.state, Number(chip.dataset.token)));
  });
  return row;
}

// The first click chooses a token, the second, on another, a pair.
function choiceAfter({ token, sort }, clicked) {
  const order = sort === "link" ? "model" : sort;
  const none = { token: null, query: null, key: null, sort: order };
  if (token === clicked) return none;
  if (token === null) return { ...none, token: clicked, query: clicked };
  return { token: null, query: token, key: clicked, sort: "link" };
}

// --- what is chosen ------------------------------------------------------

function markTokens(row, panel, page) {
  const { state } = page;
  const chosen = [state.token, state.query, state.key];
  const weights = weightsOfToken(panel, state);
  for (const chip of row.children) {
    const position = Number(chip.dataset.token);
    const [from, to] = weights(position);
    chip.setAttribute("aria-pressed", String(chosen.includes(position)));
    chip.style.setProperty("--from", String(from));
    chip.style.setProperty("--to", String(to));
  }
}

// For each token how much the chosen one looks at it, and it at that.
function weightsOfToken(panel, state) {
  const focus = focusOn(panel, state);
  if (!focus) return () => [0, 0];
  const { matrix, row, column } = focus;
  const { queries, keys, weights } = matrix;
  const at = (units, position) =>
    units.findIndex(({ positions }) => positions.includes(position));
  const size = (query, key) =>
    query < 0 || key < 0 ? 0 : Math.abs(weights[query * keys.length + key]);
  return (position) => [
    size(row, at(keys, position)),
    size(at(queries, position), column),
  ];
}

// The row and the column of the chosen token in the head that is shown.
function focusOn(panel, state) {
  const { token, layer } = state;
  if (token === null) return null;
  const units = unitsShown(panel, state);
  const find = (side) =>
    side.findIndex(({ positions }) => positions.includes(token));
  const [row, column] = [find(units.queries), find(units.keys)];
  if (row < 0 && column < 0) return null;
  return { matrix: matrixOf(panel, layer, headOf(state), state), row, column };
}

function chosenText(panel, page) {
  const { token, query, key } = page.state;
  const count = panel.text.tokens.length;
  if (token !== null) return tokenText(panel, page.state);
  if (query === null || key === null) return null;
  if (query >= count || key >= count) return null;
  return element(
    "span",
    { class: "links" },
    ...linkParts(panel, page, query, key),
    ...(query === key ? [] : linkParts(panel, page, key, query)),
  );
}

function linkParts(panel, page, query, key) {
  const { tokens } = panel.text;
  const links = strongestLinks(panel, query, key, LINKS);
  const ends = [{ token: tokens[query] }, " → ", { token: tokens[key] }, ": "];
  const write = panel.other ? signed : fixed;
  const buttons = links.map(({ layer, head, weight }) => {
    const which = { "data-layer": String(layer), "data-head": String(head) };
    const button = element(
      "button",
      { class: "small link", type: "button", ...which },
      `L${layer} H${head}`,
      element("span", { class: "number" }, write(weight)),
    );
    button.addEventListener("click", () =>
      page.change({ view: "head", layer, heads: [head], focus: "heads" }),
    );
    return button;
  });
  const masked = links.length ? [] : ["masked in every head"];
  return [
    element("span", { class: "ends" }, ...sentenceParts(ends)),
    ...buttons,
    ...masked,
  ];
}

function tokenText(panel, state) {
  const focus = focusOn(panel, state);
  if (!focus) return null;
  const { matrix, row, column } = focus;
  const { queries, keys } = matrix;
  const parts = [`L${state.layer} H${headOf(state)}: `];
  const name = row < 0 ? keys[column] : queries[row];
  parts.push({ token: name.token }, " looks at ");
  const [query, key] = [{ query: row }, { key: column }];
  parts.push(...strongestOn("key", matrix, row < 0 ? null : query));
  parts.push("; looked at by ");
  parts.push(...strongestOn("query", matrix, column < 0 ? null : key));
  return element("span", {}, ...sentenceParts([...parts, "."]));
}

function strongestOn(side, matrix, focus) {
  const best = focus ? strongest(matrix, KEYS, focus) : [];
  if (!best.length) return ["nothing shown here"];
  return best.flatMap(({ row, column }, rank) => {
    const unit = side === "key" ? matrix.keys[column] : matrix.queries[row];
    const number = weightText(matrix, row * matrix.keys.length + column);
    return [rank ? ", " : "", { token: unit.token }, " ", { number }];
  });
}
