// Neuron view ("How one weight is computed"): from one query of one head to
// its weights and output, with every number, computed by `arithmetic.js`.

import { drawScene } from "./canvas.js";
import { element, rowOf, scrolling, tableOf } from "./elements.js";
import { scrollAgain, scrolledIn, tokenElement } from "./elements.js";
import { chosenOf, reasonAgainst, stepsOf } from "./neuron.js";
import { headOf } from "./state.js";
import { GAP, LABEL, ROW, TOP, stripsScene } from "./neuron_strips.js";
import { isolated, precise, visible } from "./telling.js";
import { unpackedNow } from "./unpacking.js";

export function drawNeuronView(host, panel, page) {
  const { text } = panel;
  const { state } = page;
  const reason = reasonAgainst(text, state);
  if (reason) {
    host.replaceChildren(element("p", { class: "message" }, reason));
    return;
  }
  const steps = stepsOf(text, state);
  const chosen = chosenOf(text, state, steps);
  const scrolled = scrolledIn(host);
  host.replaceChildren(
    pickers(panel, page, chosen),
    sectionOf(...scoresSection(text, page, steps, chosen)),
    sectionOf(...softmaxSection(text, page, steps, chosen)),
    sectionOf(...outputSection(text, page, steps, chosen)),
  );
  drawStrips(host, panel, page, steps, chosen);
  scrollAgain(host, scrolled);
  showChosen(host, chosen);
}

// --- what is chosen ------------------------------------------------------

function pickers(panel, page, chosen) {
  const { text } = panel;
  const tokens = text.tokens.map((token, at) => [
    at,
    `${at}  ${isolated(visible(token))}`,
  ]);
  const { layer } = page.state;
  const packed = text.neuron[String(layer)];
  const isExact = Object.values(packed).every(({ error }) => error === 0);
  const dimensions = Array.from(
    { length: packed.queries.shape[2] },
    (_, dimension) => [dimension, String(dimension)],
  );
  return element(
    "div",
    { class: "pickers" },
    ...headPicker(panel, page),
    picker("Query", "query", tokens, chosen, panel, page),
    picker("Key", "key", tokens, chosen, panel, page),
    picker("Dimension", "dimension", dimensions, chosen, panel, page),
    element(
      "p",
      { class: "note" },
      `Layer ${layer}, head ${headOf(page.state)}. All tokens take part ` +
        `(${text.rows}), even if other views hide special tokens or merge ` +
        "word pieces. Queries, keys and values are " +
        (isExact
          ? "exactly the model’s, in 32 bits; "
          : "the model’s, rounded to 32 bits; ") +
        "everything else is computed from them in 64 bits and shown to six " +
        "digits.",
    ),
  );
}

// Of several heads, whose numbers these are.
function headPicker(panel, page) {
  const { heads } = page.state;
  if (heads.length < 2) return [];
  const names = heads.map((head) => [head, String(head)]);
  const chosen = { head: headOf(page.state) };
  return [picker("Head", "head", names, chosen, panel, page)];
}

function inPanel({ index }) {
  return `[data-text="${index}"]`;
}

function picker(label, name, options, chosen, panel, page) {
  const select = element("select", { "data-pick": name });
  for (const [value, text] of options) {
    select.append(element("option", { value: String(value) }, text));
  }
  select.value = String(chosen[name]);
  const focus = `${inPanel(panel)} [data-pick="${name}"]`;
  select.addEventListener("change", () =>
    page.change({ [name]: Number(select.value), focus }),
  );
  return element("label", { class: "field" }, label, select);
}

function sectionOf(name, title, formula, figure, ...tables) {
  return element(
    "section",
    { class: "step", "data-step": name },
    element("h3", {}, title),
    element("p", { class: "formula" }, ...formula),
    element("div", { class: "step-grid" }, figure, ...tables),
  );
}

// A number shown to six digits keeps all of them in its value.
function numberOf(value) {
  return element("data", { value: String(value) }, precise(value));
}

// --- query times key -----------------------------------------------------

function scoresSection(text, page, steps, chosen) {
  const { query, keys, products, dots, scores } = steps;
  const { key } = chosen;
  const size = query.length;
  const rows = query.map((number, d) => [
    String(d),
    ...[number, keys[key][d], products[key][d]].map(numberOf),
  ]);
  const table = tableOf(
    "The query times the key, dimension by dimension",
    ["dimension", "query", "key", "query × key"],
    rows,
    { "data-table": "products" },
  );
  table.tBodies[0].rows[chosen.dimension].className = "focused";
  const root = precise(Math.sqrt(size));
  table.append(
    footOf(
      ["sum: the dot product", "", "", numberOf(dots[key])],
      [`score: divided by √${size}`, "", `/ ${root}`, numberOf(scores[key])],
    ),
  );
  return [
    "scores",
    "1  Query times key",
    [
      "The score of a key is its dot product with the query ",
      tokenElement(text.tokens[chosen.query]),
      `, divided by √${size}: multiply dimension by dimension, add up, ` +
        "divide. The table shows the key ",
      tokenElement(text.tokens[key]),
      ".",
    ],
    figureOf("products"),
    scrolling("Products, as a table", table),
  ];
}

function footOf(...rows) {
  return element("tfoot", {}, ...rows.map(rowOf));
}

function figureOf(name) {
  const canvas = element("canvas", { "data-strips": name });
  canvas.setAttribute("aria-hidden", "true");
  return element(
    "div",
    {
      ...{ class: "strips", tabindex: "0", role: "group" },
      "data-figure": name,
      "aria-label":
        "Bars, one for each key and dimension. Arrow keys up and down " +
        "choose the key, left and right the dimension. The table has the " +
        "numbers.",
    },
    canvas,
  );
}

// --- mask and softmax ----------------------------------------------------

function softmaxSection(text, page, steps, chosen) {
  const { dots, scores, allowed, exponentials, total } = steps;
  const { weights, largest } = steps;
  const rows = weights.map((weight, at) => [
    { token: `${at} ${visible(text.tokens[at])}` },
    numberOf(dots[at]),
    numberOf(scores[at]),
    allowed[at] ? "takes part" : "masked: −∞",
    numberOf(exponentials[at]),
    numberOf(weight),
    stepText(text, page.state, chosen.query, at),
  ]);
  const table = tableOf(
    "From dot products to weights",
    [
      ...["key", "dot product", "score", "mask", "exp(score − largest)"],
      ...["weight", "stored in 8 bits"],
    ],
    rows,
    { "data-table": "softmax" },
  );
  table.tBodies[0].rows[chosen.key].className = "focused";
  const totalWeight = weights.reduce((a, b) => a + b, 0);
  table.append(
    footOf(["sum", "", "", "", numberOf(total), numberOf(totalWeight), ""]),
  );
  const mask = maskWords(text);
  return [
    "softmax",
    "2  Mask and softmax",
    [
      `${mask} Softmax: subtract the largest score, ${precise(largest)}, ` +
        `take the exponential, divide by the sum of all, ${precise(total)}.`,
    ],
    scrolling("Scores and weights, as a table", table),
  ];
}

function maskWords({ causal, padding }) {
  const padded = padding.includes(true) ? " Padding is masked." : "";
  if (causal) {
    return `The model is causal: keys after the query are masked.${padded}`;
  }
  return padded.trim() || "Nothing is masked: every token sees every token.";
}

function stepText(text, state, query, key) {
  const [, count, tokens] = text.weights.shape;
  const head = state.layer * count + headOf(state);
  const row = (head * tokens + query) * tokens;
  const step = unpackedNow(text.weights)[row + key];
  return (step / 255).toFixed(3);
}

// --- weights times values ------------------------------------------------

function outputSection(text, page, steps, chosen) {
  const { values, weights, weighted, output } = steps;
  const d = chosen.dimension;
  const rows = weights.map((weight, at) => [
    { token: `${at} ${visible(text.tokens[at])}` },
    ...[weight, values[at][d], weighted[at][d]].map(numberOf),
  ]);
  const table = tableOf(
    `Weights times values, dimension ${d}`,
    ["key", "weight", "value", "weight × value"],
    rows,
    { "data-table": "weighted" },
  );
  table.tBodies[0].rows[chosen.key].className = "focused";
  table.append(footOf(["sum: the output", "", "", numberOf(output[d])]));
  const outputs = tableOf(
    "The output of this head",
    ["dimension", "output"],
    output.map((number, at) => [String(at), numberOf(number)]),
    { "data-table": "output" },
  );
  outputs.tBodies[0].rows[d].className = "focused";
  return [
    "output",
    "3  Weights times values",
    [
      "The output is the sum of the values, each multiplied by its weight. " +
        `The table shows dimension ${d}.`,
    ],
    figureOf("weighted"),
    scrolling("Weights times values, as a table", table),
    scrolling("Output, as a table", outputs),
  ];
}

// --- strips of bars ------------------------------------------------------

function drawStrips(host, panel, page, steps, chosen) {
  for (const name of ["products", "weighted"]) {
    const figure = host.querySelector(`[data-figure="${name}"]`);
    const size = steps.query.length;
    const room = host.clientWidth - LABEL - 2 * GAP;
    const cell = Math.max(2, Math.min(6, Math.floor(room / 2 / size)));
    const drawing = stripsScene(name, panel.text, page, steps, chosen, cell);
    const canvas = figure.querySelector("canvas");
    drawScene(canvas, drawing);
    canvas.style.setProperty("width", `${drawing.width}px`);
    listen(figure, panel, page, chosen, cell, size);
  }
}

function listen(figure, panel, page, chosen, cell, size) {
  const focus = `${inPanel(panel)} [data-figure="${figure.dataset.figure}"]`;
  const tokens = panel.text.tokens.length;
  const choose = (key, dimension) => {
    if (key < 0 || key >= tokens || dimension < 0 || dimension >= size) return;
    page.change({ key, dimension, query: chosen.query, focus });
  };
  figure.addEventListener("click", (event) => {
    const box = figure.querySelector("canvas").getBoundingClientRect();
    const along = event.clientX - box.left - LABEL;
    const strip = size * cell + GAP;
    const key = Math.floor((event.clientY - box.top - TOP) / ROW);
    const dimension = Math.floor((along % strip) / cell);
    choose(key, dimension < size && along >= 0 ? dimension : chosen.dimension);
  });
  figure.addEventListener("keydown", (event) => {
    const step = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
    }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(chosen.key + step[0], chosen.dimension + step[1]);
  });
}

// What is chosen is scrolled into sight, within its box alone.
function showChosen(host, { key }) {
  for (const figure of host.querySelectorAll(".strips")) {
    showWithin(figure, TOP + key * ROW, ROW);
  }
  for (const row of host.querySelectorAll("tr.focused")) {
    showWithin(row.closest(".scrolling"), row.offsetTop, row.offsetHeight);
  }
}

function showWithin(box, top, height) {
  const room = box.clientHeight - 2 * TOP; // less what sticks to its edges
  const above = top - TOP < box.scrollTop;
  const below = top + height - TOP > box.scrollTop + room;
  if (above || below) box.scrollTop = top - TOP - room / 2;
}
