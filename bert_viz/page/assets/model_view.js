// Model view ("All heads"): every head of every layer as a thumbnail, rows
// being queries and columns keys, in the model's order or by a metric.

import { canvasOf } from "./canvas.js";
import { pixelsOf } from "./colours.js";
import { element, roving, setStop } from "./elements.js";
import { enlarge, makeEnlarged } from "./enlarged.js";
import { columnsFor, pooledMatrix } from "./layout.js";
import { legendOf } from "./legend.js";
import { matrixOf, unitsShown } from "./panels.js";
import { metricNames, patternsOf, rankedHeads } from "./ranking.js";
import { sortValues, valuesOf } from "./ranking.js";
import { scene } from "./scene.js";
import { isMasked } from "./selecting.js";
import { fixed, isolated, signed, visible } from "./telling.js";

const SIZE = 96; // of a thumbnail, in pixels

const drawn = new WeakMap(); // what each host shows now

export function drawModelView(host, panel, page) {
  const { state, theme } = page;
  const { special, words, between, text } = state;
  const { sort, ascending, least, pattern } = state;
  const ends = sort === "link" ? [state.query, state.key] : [];
  const looks = JSON.stringify([special, words, between, text, theme]);
  const order = JSON.stringify([sort, ascending, least, pattern, ends]);
  let view = drawn.get(host);
  if (!view || view.looks !== looks || !host.contains(view.grid)) {
    view = build(host, panel, page, looks);
    drawn.set(host, view);
  }
  view.page = page;
  const columns = columnsFor(page.data.heads, host.clientWidth);
  view.grid.style.setProperty("--columns", String(columns));
  if (view.order !== order) arrange(view, panel, page, order);
  markChosen(view, state);
  markTokens(view, panel, state);
}

function build(host, panel, page, looks) {
  const grid = element("div", {
    class: "thumbnails",
    role: "group",
    "aria-label": "Heads: arrow keys move, Enter opens",
  });
  const note = element("p", { class: "note", "aria-live": "polite" });
  const isSigned = Boolean(panel.other);
  const legend = legendOf(isSigned, page.theme, isMasked(panel.text));
  const enlarged = makeEnlarged();
  host.replaceChildren(note, grid, legend, enlarged.box);
  const kept = { looks, order: null, canvases: new Map() };
  const view = { grid, note, enlarged, panel, ...kept };
  roving(grid, () => Array.from(grid.children));
  grid.addEventListener("click", (event) => open(view, event));
  grid.addEventListener("pointermove", (event) => show(view, event, event));
  grid.addEventListener("focusin", (event) => show(view, event, null));
  grid.addEventListener("pointerleave", () => hide(view));
  grid.addEventListener("focusout", () => hide(view));
  grid.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") hide(view);
  });
  return view;
}

function show(view, { target }, pointer) {
  const button = target.closest("button");
  if (!button) hide(view);
  else enlarge(view.enlarged, button, pointer, view.panel, view.page);
}

function hide(view) {
  view.enlarged.box.hidden = true;
}

// With a finger the first tap enlarges a thumbnail, and the second opens it.
function open(view, event) {
  const button = event.target.closest("button");
  if (!button) return;
  if (event.pointerType === "touch" && view.tapped !== button) {
    view.tapped = button;
    show(view, event, event);
    return;
  }
  hide(view);
  const { layer, head } = button.dataset;
  view.page.change({
    view: "head",
    layer: Number(layer),
    heads: [Number(head)],
    focus: "heads",
  });
}

function arrange(view, panel, page, order) {
  const { layers, heads } = page.data;
  const ranked = rankedHeads(panel, layers, heads, page.state);
  view.order = order;
  view.grid.replaceChildren(
    ...ranked.map((head) => thumbnail(view, panel, page, head)),
  );
  const note = noteOf(panel, page.state, ranked.length, layers * heads);
  view.note.textContent = `${note} A click or Enter opens a head.`;
}

function noteOf(panel, state, shown, all) {
  const filter = state.pattern ? ` with the pattern “${state.pattern}”` : "";
  const order = orderText(panel, state, shown === all);
  return `${shown} of ${all} heads${filter}, ${order}.`;
}

function orderText(panel, state, isAll) {
  const { sort, ascending, least } = state;
  if (sortValues(panel, state)) {
    const first = ascending ? "smallest" : "largest";
    const bound = least === null ? "" : `, at least ${least}`;
    const by = sort === "link" ? linkText(panel, state) : sort;
    return `sorted by ${by}, ${first} first${bound}`;
  }
  if (sort === "model" && isAll) return "one row for each layer";
  if (sort === "link") return "in the model’s order: no two tokens are chosen";
  const reason = sort === "model" ? "" : `: ${sort} does not apply here`;
  return `in the model’s order${reason}`;
}

function linkText({ text }, { query, key }) {
  const name = (position) => isolated(visible(text.tokens[position]));
  return `the weight from ${name(query)} to ${name(key)}`;
}

function thumbnail(view, panel, page, { layer, head, value }) {
  const name = `${layer} ${head}`;
  if (!view.canvases.has(name)) {
    const pixels = pixelsOfHead(panel, page, layer, head);
    const canvas = canvasOf(pixels);
    canvas.classList.toggle("coarse", pixels.width < SIZE / 2);
    canvas.dataset.layer = String(layer);
    canvas.dataset.head = String(head);
    canvas.setAttribute("aria-hidden", "true");
    view.canvases.set(name, canvas);
  }
  const which = { "data-layer": String(layer), "data-head": String(head) };
  return element(
    "button",
    { class: "thumbnail", type: "button", ...which },
    element("span", { class: "picture" }, view.canvases.get(name)),
    ...captionOf(panel, page.state, layer, head, value),
  );
}

function captionOf(panel, state, layer, head, value) {
  const number = value === null ? "" : valueText(panel, state, value);
  const patterns = panel.other ? [] : patternsOf(panel.text, layer, head);
  const names = patterns.map(({ name }) => name);
  return [
    element(
      "span",
      { class: "head-name" },
      element("span", {}, `L${layer} H${head}`),
      element("span", { class: "number" }, number),
    ),
    element("span", { class: "names" }, names.join(", ")),
  ];
}

// A weight has three digits, as everywhere.
function valueText(panel, { sort }, value) {
  const digits = sort === "link" ? 3 : 2;
  return panel.other ? signed(value, digits) : fixed(value, digits);
}

function pixelsOfHead(panel, page, layer, head) {
  const matrix = matrixOf(panel, layer, head, page.state);
  const few = pooledMatrix(matrix, matrix.weights, SIZE);
  return pixelsOf(few, matrix.signed, page.theme);
}

function markChosen(view, { layer, heads }) {
  const buttons = Array.from(view.grid.children);
  const isChosen = ({ dataset }) =>
    Number(dataset.layer) === layer && heads.includes(Number(dataset.head));
  for (const button of buttons) {
    button.setAttribute("aria-current", String(isChosen(button)));
  }
  setStop(buttons, buttons.find(isChosen));
}

// The row and the column of the chosen tokens, as lines on every thumbnail.
function markTokens(view, panel, state) {
  const { token, query, key } = state;
  const { queries, keys } = unitsShown(panel, state);
  const mark = (name, units, position) => {
    const at = units.findIndex((unit) => unit.positions.includes(position));
    const share = `${(100 * (at + 0.5)) / units.length}%`;
    view.grid.style.setProperty(`--${name}-at`, share);
    view.grid.classList.toggle(`with-${name}`, at >= 0);
  };
  mark("row", queries, query);
  mark("column", keys, token === null ? key : token);
}

// --- saving --------------------------------------------------------------

export function modelScene(panel, page) {
  const { data, state, colours } = page;
  const ranked = rankedHeads(panel, data.layers, data.heads, state);
  const [across, down] = [SIZE + 16, SIZE + 32];
  const shapes = ranked.flatMap(({ layer, head, value }, at) => {
    const x = 16 + across * (at % data.heads);
    const y = 40 + down * Math.floor(at / data.heads);
    const number = value === null ? "" : `  ${valueText(panel, state, value)}`;
    return [
      {
        ...{ shape: "pixels", x, y, width: SIZE, height: SIZE },
        pixels: pixelsOfHead(panel, page, layer, head),
      },
      {
        ...{ shape: "text", x, y: y + SIZE + 14, size: 11 },
        ...{ text: `L${layer} H${head}${number}`, colour: colours.ink },
      },
    ];
  });
  const start = panel.title ? `${panel.title}: ` : "";
  const all = data.layers * data.heads;
  const text = `${start}${noteOf(panel, state, ranked.length, all)}`;
  const width = 16 + across * data.heads;
  const height = 48 + down * Math.ceil(ranked.length / data.heads);
  return scene(width, height, colours.ground, [
    { shape: "text", x: 16, y: 24, text, size: 13, colour: colours.ink },
    ...shapes,
  ]);
}

// The numbers behind the order: every metric of the heads that are shown.
export function modelRows(panel, { data, state }) {
  const names = metricNames(panel);
  const which = panel.other ? "second minus first" : panel.index + 1;
  const ranked = rankedHeads(panel, data.layers, data.heads, state);
  return ranked.map(({ layer, head }) => [
    ...[which, layer, head],
    ...names.map((name) => valuesOf(panel, name)[layer][head].toFixed(6)),
  ]);
}

export function modelColumns(panel) {
  return ["text", "layer", "head", ...metricNames(panel)];
}
