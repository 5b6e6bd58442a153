// The controls above the views, and what they change in the state.

import { drawScene } from "./canvas.js";
import { colourOfHead } from "./colours.js";
import { byId, element, roving, setStop } from "./elements.js";
import { markAt, markOf } from "./marks.js";
import { scene } from "./scene.js";
import { hasPair } from "./selecting.js";
import { fixed } from "./telling.js";

// --- once ----------------------------------------------------------------

export function makeControls(page) {
  const { data } = page;
  fill(byId("layer"), numbers(data.layers));
  const metrics = names(data, "metrics");
  fill(byId("sort"), [
    ["model", "layer and head"],
    ...metrics.map(twice),
    ["link", "weight between two chosen tokens"],
  ]);
  const patterns = names(data, "patterns");
  fill(byId("pattern"), [["", "any"], ...patterns.map(twice)]);
  makeHeads(page);
  makeTabs(page);
  byId("between-field").hidden = !data.texts.some(hasPair);
  byId("text-field").hidden = data.texts.length < 2;
  for (const [id, read] of Object.entries(READ)) {
    const event = id === "threshold" ? "input" : "change";
    byId(id).addEventListener(event, ({ target }) =>
      page.change({ [id]: read(target) }),
    );
  }
}

const twice = (name) => [name, name];
const numbers = (count) =>
  Array.from({ length: count }, (_, index) => twice(String(index)));

const valueOf = (control) => control.value;
const READ = {
  layer: ({ value }) => Number(value),
  lines: valueOf,
  threshold: ({ value }) => Number(value),
  special: ({ checked }) => !checked, // the box says "hide"
  words: ({ checked }) => checked,
  several: ({ checked }) => checked,
  ascending: ({ checked }) => checked,
  between: valueOf,
  text: valueOf,
  sort: valueOf,
  least: ({ value }) => (value === "" ? null : Number(value)),
  pattern: valueOf,
  theme: valueOf,
};

function names(data, kind) {
  const all = data.texts.flatMap((text) => text[kind].map(({ name }) => name));
  return [...new Set(all)];
}

function fill(select, choices) {
  for (const [value, text] of choices) {
    select.append(element("option", { value }, text));
  }
}

function makeHeads(page) {
  const group = byId("heads");
  for (let head = 0; head < page.data.heads; head += 1) {
    const canvas = element("canvas", { "aria-hidden": "true" });
    const button = element(
      "button",
      { type: "button", "data-head": String(head) },
      canvas,
      String(head),
    );
    button.setAttribute("aria-label", `Head ${head}, ${markOf(head).name}`);
    button.addEventListener("click", () =>
      page.change(headsAfter(page.state, head)),
    );
    group.append(button);
  }
  roving(group, () => Array.from(group.children));
}

// Choose one head, or add or remove one of several; the last one stays. The
// numbers that are shown are those of the head that was added last.
function headsAfter({ heads, several }, head) {
  if (!several) return { heads: [head], head: null };
  if (!heads.includes(head)) {
    return { heads: [...heads, head].sort((a, b) => a - b), head };
  }
  const others = heads.filter((other) => other !== head);
  return { heads: others.length ? others : heads, head: null };
}

function makeTabs(page) {
  const tabs = byId("views");
  const all = () => Array.from(tabs.children);
  for (const tab of all()) {
    const change = () => page.change({ view: tab.dataset.view });
    tab.addEventListener("click", change);
  }
  roving(tabs, all);
}

// --- at every change -----------------------------------------------------

export function showState(page) {
  const { state } = page;
  for (const tab of byId("views").children) {
    const chosen = tab.dataset.view === state.view;
    tab.setAttribute("aria-selected", String(chosen));
    byId(`view-${tab.dataset.view}`).hidden = !chosen;
  }
  const tabs = Array.from(byId("views").children);
  setStop(tabs, tabs.find((tab) => tab.dataset.view === state.view));
  for (const field of document.querySelectorAll("[data-for]")) {
    field.hidden = !field.dataset.for.split(" ").includes(state.view);
  }
  for (const id of Object.keys(READ)) setValue(byId(id), state[id]);
  byId("special").checked = !state.special;
  byId("threshold-value").textContent = fixed(state.threshold, 2);
  byId("threshold").disabled = state.lines !== "least";
  for (const id of ["ascending", "least"]) {
    byId(id).disabled = state.sort === "model";
  }
  showHeads(page);
  byId("notes").textContent = notesOf(state);
}

function setValue(control, value) {
  const { activeElement } = document;
  const typing = control.type === "number" && control === activeElement;
  if (control.type === "checkbox") control.checked = Boolean(value);
  else if (!typing) control.value = value === null ? "" : String(value);
}

function showHeads(page) {
  const { heads } = page.state;
  const buttons = Array.from(byId("heads").children);
  buttons.forEach((button, head) => {
    button.setAttribute("aria-pressed", String(heads.includes(head)));
    drawScene(button.firstChild, swatchOf(head, page));
  });
  const focused = buttons.find((button) => button === document.activeElement);
  setStop(buttons, focused || buttons[heads[0]]);
}

// A sample of the head's line with its mark.
function swatchOf(head, { theme, colours }) {
  const colour = colourOfHead(head, theme);
  const line = { shape: "line", x1: 0, y1: 16, x2: 32, y2: 16, colour };
  return scene(32, 20, null, [
    { ...line, width: 2, dash: markOf(head).dash },
    markAt(head, 16, 6, 4.5, colour, colours.ground),
  ]);
}

function notesOf({ special, words }) {
  const notes = [];
  if (!special) {
    notes.push("Special tokens are hidden; rows are not renormalised.");
  }
  if (words) {
    notes.push(
      "Word pieces are merged: summed as keys, averaged as queries. A key’s " +
        "error grows with its number of pieces.",
    );
  }
  return notes.join(" ");
}
