// Head view ("Lines"): lines from the queries on the left to the keys on the
// right, for one or several heads of a layer.

import { drawScene } from "./canvas.js";
import { element, sentenceParts, setStop, tokenElement } from "./elements.js";
import { focusOf, keptFocus, lineShapes, valueBeside } from "./head_lines.js";
import { rowHeight, strongest } from "./layout.js";
import { matrixOf, unitsShown } from "./panels.js";
import { scene } from "./scene.js";
import { errorText, fixed, weightText } from "./telling.js";

const MOST_IN_SIGHT = 30; // rows; with more, the readout is sticky
const HIGHEST = 2400; // of the canvas, in pixels
const FAR = 400; // pixels to scroll before it is drawn again
const HINT =
  "Point at a token, or move to it with Tab and the arrow keys, to see only " +
  "its lines, with their weights. A click or Enter keeps it, Escape lets go.";

const NOTHING = { token: null, query: null, key: null };

const drawn = new WeakMap(); // what each host shows now

export function drawHeadView(host, panel, page) {
  const units = unitsShown(panel, page.state);
  const view = keptView(host, panel, page, units);
  view.page = page;
  view.matrices = page.state.heads.map((head) =>
    matrixOf(panel, page.state.layer, head, page.state),
  );
  redraw(view);
}

// The columns of tokens stay when only the head changes.
function keptView(host, panel, page, units) {
  const { special, words, between, text } = page.state;
  const signature = JSON.stringify([special, words, between, text]);
  const old = drawn.get(host);
  if (old && old.signature === signature && host.contains(old.canvas)) {
    return old;
  }
  const view = { ...build(host, panel, units), signature, preview: null };
  drawn.set(host, view);
  listen(view);
  return view;
}

function build(host, panel, units) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  const middle = element("div", { class: "lines" }, canvas);
  const queries = column("query", "Queries", units.queries);
  const keys = column("key", "Keys", units.keys);
  const live = { role: "status", tabindex: "0", "aria-label": "Weights" };
  const readout = element("p", { class: "readout", ...live });
  const rows = Math.max(units.queries.length, units.keys.length);
  readout.classList.toggle("in-sight", rows > MOST_IN_SIGHT);
  const note = element("p", { class: "note" });
  const grid = element(
    "div",
    { class: "head-grid", "data-panel": String(panel.index) },
    element("div", { class: "column-title" }, "from (query)"),
    element("div"),
    element("div", { class: "column-title" }, "to (key)"),
    queries,
    middle,
    keys,
  );
  const row = rowHeight(rows);
  grid.style.setProperty("--row", `${row}px`);
  host.replaceChildren(note, grid, readout);
  const elements = { host, grid, canvas, middle, queries, keys, readout };
  return { ...elements, note, units, row };
}

function column(side, label, units) {
  const options = units.map((unit, at) =>
    element(
      "div",
      { role: "option", class: "row", [`data-${side}`]: String(at) },
      tokenElement(unit.token),
      element("span", { class: "value" }),
    ),
  );
  setStop(options);
  const list = { role: "listbox", class: `column ${side}` };
  return element("div", { ...list, "aria-label": label }, ...options);
}

// --- pointing, and the keyboard ------------------------------------------

function listen(view) {
  const { grid } = view;
  const preview = (event) => show(view, focusAt(event.target));
  grid.addEventListener("pointerover", preview);
  grid.addEventListener("focusin", preview);
  grid.addEventListener("pointerleave", () => show(view, null));
  grid.addEventListener("focusout", () => show(view, null));
  grid.addEventListener("click", (event) => keep(view, event.target));
  grid.addEventListener("keydown", (event) => onKey(view, event));
  followScrolling(view);
}

function focusAt(target) {
  const row = target.closest && target.closest(".row");
  if (!row) return null;
  const { query, key } = row.dataset;
  return query === undefined ? { key: Number(key) } : { query: Number(query) };
}

function show(view, focus) {
  if (JSON.stringify(focus) === JSON.stringify(view.preview)) return;
  view.preview = focus;
  redraw(view);
}

function keep(view, target) {
  const focus = focusAt(target);
  if (!focus) return;
  const [side] = Object.keys(focus);
  const units = side === "query" ? view.units.queries : view.units.keys;
  const [position] = units[focus[side]].positions;
  const again = view.page.state[side] === position;
  view.page.change({ token: null, [side]: again ? null : position });
}

function onKey(view, event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "Enter" || key === " ") keep(view, target);
  else if (key === "Escape") view.page.change(NOTHING);
  else if (!moveFrom(view, target, key)) return;
  event.preventDefault();
}

// Up and down within a column, left and right to the other one.
function moveFrom(view, target, key) {
  const { queries, keys } = view;
  const own = target.parentElement === keys ? keys : queries;
  const rows = Array.from(own.children);
  const at = rows.indexOf(target);
  const last = rows.length - 1;
  const along = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: last };
  const across = { ArrowLeft: queries, ArrowRight: keys }[key];
  const to = across
    ? across.children[Math.min(at, across.children.length - 1)]
    : rows[along[key]];
  if (to) {
    setStop(Array.from(to.parentElement.children), to);
    to.focus();
  }
  return Boolean(to);
}

// --- drawing -------------------------------------------------------------

function redraw(view) {
  const focus = focusOf(view);
  const { row } = view;
  const right = Math.max(view.middle.clientWidth - 4, 40);
  const part = partInSight(view);
  const geometry = { left: 4, right, top: -part.top, row };
  const { shapes, count, shown } = lineShapes(view, focus, geometry);
  drawScene(view.canvas, scene(right + 4, part.height, null, shapes));
  view.part = part;
  view.canvas.style.setProperty("top", `${part.top}px`);
  view.canvas.style.setProperty("height", `${part.height}px`);
  view.readout.replaceChildren(...sentenceParts(readoutOf(view, focus)));
  view.note.textContent = noteOf(view, count, shown);
  markRows(view, focus);
}

// With many tokens the canvas covers only a part, around what is in sight:
// all the lines of 512 tokens would be a picture 8,000 pixels high.
function partInSight({ middle, row, units }) {
  const all = row * Math.max(units.queries.length, units.keys.length, 1);
  const height = Math.min(all, HIGHEST);
  const centre = innerHeight / 2 - middle.getBoundingClientRect().top;
  const top = Math.max(0, Math.min(centre - height / 2, all - height));
  return { top: Math.round(top), height };
}

// Scrolled so far that the part's edge would come into sight?
function followScrolling(view) {
  const follow = () => {
    if (!view.canvas.isConnected) removeEventListener("scroll", follow);
    else if (!view.host.offsetParent) return; // hidden
    else if (Math.abs(partInSight(view).top - view.part.top) > FAR) {
      redraw(view);
    }
  };
  addEventListener("scroll", follow, { passive: true });
}

function markRows(view, focus) {
  const kept = keptFocus(view);
  const sides = [
    ["query", view.queries],
    ["key", view.keys],
  ];
  for (const [side, own] of sides) {
    const focused = focus[side];
    Array.from(own.children).forEach((row, at) => {
      const chosen = String(at === kept[side]);
      const text = valueBeside(view, focus, side, at);
      row.classList.toggle("focused", at === focused);
      // Writing the same text again would lay out the page again.
      if (row.ariaSelected !== chosen) row.ariaSelected = chosen;
      if (row.lastChild.textContent !== text) row.lastChild.textContent = text;
    });
  }
}

// The focused tokens in full, and their strongest weights in each head.
function readoutOf(view, { query, key }) {
  const parts = [
    ...(query === undefined ? [] : readoutOfSide(view, { query })),
    ...(key === undefined ? [] : readoutOfSide(view, { key })),
  ];
  return parts.length ? parts : [HINT];
}

function readoutOfSide(view, focus) {
  const { heads } = view.page.state;
  const { queries, keys } = view.units;
  const isQuery = focus.query !== undefined;
  const unit = isQuery ? queries[focus.query] : keys[focus.key];
  const parts = [
    `${isQuery ? "Query" : "Key"} ${unit.positions[0]}: `,
    { token: unit.token, full: true },
    isQuery ? " looks at" : " is looked at by",
    heads.length > 1 ? ":" : "",
  ];
  view.matrices.forEach((matrix, at) => {
    parts.push(at ? "; " : " ");
    if (heads.length > 1) parts.push(`in head ${heads[at]} `);
    const best = strongest(matrix, heads.length > 3 ? 1 : 3, focus);
    best.forEach(({ row, column }, rank) => {
      const other = isQuery ? keys[column] : queries[row];
      const entry = row * matrix.keys.length + column;
      parts.push(rank ? ", " : "", { token: other.token });
      parts.push(" ", { number: weightText(matrix, entry) });
    });
    if (!best.length) parts.push("nothing shown here");
  });
  return [...parts, ". "];
}

function noteOf(view, count, shown) {
  const { lines, threshold } = view.page.state;
  const { signed } = view.matrices[0];
  const noun = (signed ? "difference" : "weight") + (count === 1 ? "" : "s");
  const which = {
    least: ` of at least ${fixed(threshold, 2)}`,
    five: ": the five strongest of each query",
    half: ": the fewest that make up half of each query’s row",
  }[lines];
  const all = `${count} ${noun}${which}`;
  const sign = signed
    ? " Solid lines: more in the second text; dashed lines: less."
    : "";
  const rest =
    shown === count ? "" : `, of which the ${shown} strongest are drawn`;
  const error = errorText(view.matrices[0]);
  return `${all}${rest}. Each is ${error}.${sign}`;
}
