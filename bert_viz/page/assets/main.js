// The page: its state, and one drawing for each change of it.

import { makeControls, showState } from "./controls.js";
import { byId, element } from "./elements.js";
import { drawHeadView } from "./head_view.js";
import { drawMetricsView } from "./metrics_view.js";
import { drawModelView } from "./model_view.js";
import { drawNeuronView } from "./neuron_view.js";
import { panelsOf, refusal } from "./panels.js";
import { download, save } from "./saving.js";
import { drawSentences } from "./sentence.js";
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
// A page in a frame has no address of its own, but can give a copy of itself.
const inFrame = window.parent !== window;
const source = inFrame ? document.documentElement.outerHTML : "";
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
  remember(fragmentOf(page.state), Object.keys(changes).every(isQuiet));
  await draw(started);
  if (focus) focusOn(focus);
}

function focusOn(name) {
  const heads = byId("heads").querySelector('[tabindex="0"]');
  const host = byId(`view-${page.state.view}`);
  const target = name === "heads" ? heads : host.querySelector(name);
  if (target) target.focus();
}

// What changes while one drags or types is no step that Back returns to.
const QUIET = ["threshold", "least", "dimension", "theme"];
const isQuiet = (name) => QUIET.includes(name);

// A page in a frame may not be allowed to change its address.
function remember(fragment, quietly) {
  const address = `#${fragment}`;
  byId("link").setAttribute("href", address);
  try {
    if (quietly) history.replaceState(null, "", address);
    else if (address !== location.hash) history.pushState(null, "", address);
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
  paint(started);
}

// All that is needed is unpacked.
function paint(started) {
  setTheme();
  showState(page);
  const { view } = page.state;
  const panels = panelsOf(data, page.state.text);
  const fit = panels.filter((panel) => !refusal(panel, page.state));
  drawSentences(page, fit);
  const { offsetHeight } = byId("bar");
  document.documentElement.style.setProperty("--bar", `${offsetHeight}px`);
  hostsIn(byId(`view-${view}`), panels).forEach((host, at) =>
    drawPanel(host, panels[at]),
  );
  showWords(fit);
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

let told = ""; // what the words and tables are about

// Neither depends on the view, and the table of 512 tokens takes a second.
function showWords(panels) {
  const { layer, heads, special, words, between, text } = page.state;
  const open = byId("table-details").open;
  const shown = [layer, heads, special, words, between, text, open];
  if (JSON.stringify(shown) === told) return;
  told = JSON.stringify(shown);
  const summary = panels.flatMap((panel) => summaries(panel, page.state));
  byId("summary").replaceChildren(...summary);
  byId("tables").replaceChildren(
    ...(open ? panels.flatMap((one) => weightTables(one, page.state)) : []),
  );
}

// --- light and dark ------------------------------------------------------

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const onPaper = matchMedia("print"); // in light colours, whatever is chosen

function setTheme() {
  const { theme } = page.state;
  const own = prefersDark.matches ? "dark" : "light";
  const chosen = theme === "auto" ? own : theme;
  page.theme = onPaper.matches ? "light" : chosen;
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

const NARROW = 640; // pixels; there the options are folded away

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
  onPaper.addEventListener("change", () => paint(performance.now()));
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

// The link of a page in a frame saves a copy that opens at this view.
function makeLink() {
  if (!inFrame) return;
  const packed = byId("data").textContent;
  byId("link").textContent = "save this view as a page";
  byId("link").addEventListener("click", (event) => {
    event.preventDefault();
    const start = fragmentOf(page.state);
    const fresh = JSON.stringify({ ...data, start }).replace(/</g, "\\u003c");
    const text = `<!doctype html>\n${source.replace(packed, () => fresh)}`;
    download("attention.html", new Blob([text], { type: "text/html" }));
  });
}

describe();
makeLink();
makeControls(page);
byId("options").open = innerWidth > NARROW;
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
