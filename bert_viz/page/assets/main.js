// The page: its state, and one drawing for each change of it.

import { makeControls, showState } from "./controls.js";
import { byId, element } from "./elements.js";
import { drawHeadView } from "./head_view.js";
import { drawMetricsView } from "./metrics_view.js";
import { drawModelView } from "./model_view.js";
import { drawNeuronView } from "./neuron_view.js";
import { panelsOf, refusal } from "./panels.js";
import { save } from "./saving.js";
import { fragmentOf, stateOf } from "./state.js";
import { summaries, weightTables } from "./table_view.js";
import { unpack } from "./unpacking.js";

const VIEWS = {
  model: drawModelView,
  head: drawHeadView,
  neuron: drawNeuronView,
  metrics: drawMetricsView,
};

const data = JSON.parse(byId("data").textContent);
const limits = limitsOf(data);
const page = { data, change, state: stateOf(data.start, limits) };
const drawnIn = {};
let lastDraw = null;
let newest = 0; // drawings are counted; this is the newest

function limitsOf({ layers, heads, texts }) {
  const names = (kind) =>
    texts.flatMap((text) => text[kind].map(({ name }) => name));
  const sizes = texts.flatMap(({ neuron }) =>
    Object.values(neuron || {}).map((layer) => layer.queries.shape[2]),
  );
  return {
    ...{ layers, heads },
    tokens: Math.max(...texts.map((text) => text.tokens.length)),
    dimensions: Math.max(1, ...sizes),
    metrics: names("metrics"),
    patterns: names("patterns"),
  };
}

// --- changes -------------------------------------------------------------

// `focus` is what takes the keyboard focus after the drawing: "heads", or a
// selector within the view.
async function change({ focus, ...changes }) {
  const started = performance.now();
  page.state = { ...page.state, ...changes };
  if (!page.state.several) page.state.heads = page.state.heads.slice(0, 1);
  remember(fragmentOf(page.state));
  await draw(started);
  if (focus) focusOn(focus);
}

function focusOn(name) {
  const heads = byId("heads").querySelector('[tabindex="0"]');
  const host = byId(`view-${page.state.view}`);
  const target = name === "heads" ? heads : host.querySelector(name);
  if (target) target.focus();
}

// A page in a frame may not be allowed to change its address.
function remember(fragment) {
  byId("link").setAttribute("href", `#${fragment}`);
  try {
    history.replaceState(null, "", `#${fragment}`);
  } catch {
    // The link has the fragment all the same.
  }
}

function readAddress() {
  const fragment = location.hash.slice(1) || data.start;
  page.state = stateOf(fragment, limits);
  byId("link").setAttribute("href", `#${fragmentOf(page.state)}`);
}

// --- drawing -------------------------------------------------------------

async function draw(started) {
  const own = (newest += 1);
  await Promise.all(packedFor(page.state).map(unpack));
  if (own !== newest) return; // the state has changed since
  setTheme();
  showState(page);
  const { view } = page.state;
  const panels = panelsOf(data, page.state.text);
  hostsIn(byId(`view-${view}`), panels).forEach((host, at) =>
    drawPanel(host, panels[at]),
  );
  showWords(panels);
  note(view, performance.now() - started);
}

function note(view, took) {
  lastDraw = { view, took };
  if (!(view in drawnIn)) drawnIn[view] = took;
}

// The arrays that a view needs unpacked.
function packedFor({ view, layer }) {
  return data.texts.flatMap((text) => {
    const neuron = (view === "neuron" && text.neuron) || {};
    const norms = view === "metrics" ? [text.value_norms] : [];
    const vectors = Object.values(neuron[String(layer)] || {});
    return [text.weights, ...norms, ...vectors].filter(Boolean);
  });
}

function hostsIn(view, panels) {
  const names = panels.map((panel) => panel.title).join();
  const old = view.querySelector(":scope > .panels");
  if (!old || old.dataset.names !== names) {
    const hosts = panels.map(({ title, index }) =>
      element(
        "div",
        { class: "panel", "data-text": String(index) },
        ...(title ? [element("h3", {}, title)] : []),
        element("div", { class: "host" }),
      ),
    );
    const fresh = element("div", { class: "panels" }, ...hosts);
    fresh.dataset.names = names;
    if (old) old.replaceWith(fresh);
    else view.append(fresh);
  }
  return Array.from(view.querySelectorAll(".host"));
}

function drawPanel(host, panel) {
  const { view } = page.state;
  const reason = reasonAgainst(panel);
  if (reason) {
    const message = element("p", { class: "message" }, reason);
    host.replaceChildren(message);
  } else VIEWS[view](host, panel, page);
}

// Why a panel cannot be shown, or "".
function reasonAgainst(panel) {
  const { state } = page;
  return refusal(panel, state) || noDifference(panel, state.view);
}

function noDifference(panel, view) {
  if (!panel.other || view !== "neuron") return "";
  return "A weight belongs to one text: choose the first or the second.";
}

function showWords(panels) {
  const fit = panels.filter((panel) => !refusal(panel, page.state));
  const summary = fit.flatMap((panel) => summaries(panel, page.state));
  byId("summary").replaceChildren(...summary);
  const tables = byId("tables");
  const open = byId("table-details").open;
  tables.replaceChildren(
    ...(open ? fit.flatMap((panel) => weightTables(panel, page.state)) : []),
  );
}

// --- light and dark ------------------------------------------------------

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function setTheme() {
  const { theme } = page.state;
  const own = prefersDark.matches ? "dark" : "light";
  page.theme = theme === "auto" ? own : theme;
  document.documentElement.dataset.theme = page.theme;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  page.colours = {
    ink: colour("ink"),
    muted: colour("muted"),
    ground: colour("ground"),
    chosen: colour("chosen"),
  };
}

// --- start ---------------------------------------------------------------

function describe() {
  const texts = data.texts.map(({ tokens, rows, causal }) => {
    const mask = causal ? "; causal" : "";
    return `${tokens.length} tokens; ${rows}${mask}`;
  });
  byId("about").textContent = `${data.about}. ${texts.join(" — ")}.`;
}

function listen() {
  const again = () => draw(performance.now());
  addEventListener("hashchange", () => {
    readAddress();
    again();
  });
  prefersDark.addEventListener("change", again);
  byId("table-details").addEventListener("toggle", again);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's bars come and go
    width = innerWidth;
    again();
  });
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", async () => {
      const panels = panelsOf(data, page.state.text).filter(
        (panel) => !reasonAgainst(panel),
      );
      const message = await save(button.dataset.save, panels, page);
      byId("save-message").textContent = message;
    });
  }
}

describe();
makeControls(page);
readAddress();
listen();
const ready = draw(0); // timed from the opening of the page

window.attentionPage = Object.freeze({
  ready,
  get drawnIn() {
    return { ...drawnIn };
  },
  get lastDraw() {
    return lastDraw && { ...lastDraw };
  },
  get state() {
    return { ...page.state };
  },
});
