// Metrics view: which heads have named patterns, what each metric means, and
// why a weight is not influence, with norms as evidence.

import { drawScene } from "./canvas.js";
import { pixelsOf } from "./colours.js";
import { element, scrolling, tableOf } from "./elements.js";
import { pooledMatrix, strongest } from "./layout.js";
import { legendOf } from "./legend.js";
import { normsOf } from "./norms.js";
import { allHeads, largestHead, metricNames, valuesOf } from "./ranking.js";
import { scene } from "./scene.js";
import { isMasked } from "./selecting.js";
import { headOf } from "./state.js";
import { fixed, signed, withError } from "./telling.js";

const SIZE = 240; // of the two pictures
const STRONGEST = 8;

export function drawMetricsView(host, panel, page) {
  host.replaceChildren(
    patternsPart(panel, page),
    metricsPart(panel, page),
    everyHeadPart(panel, page),
    influencePart(panel, page),
  );
}

// Opens the head in the head view.
function headButton(page, layer, head, number) {
  const which = { "data-layer": String(layer), "data-head": String(head) };
  const button = element(
    "button",
    { class: "small", type: "button", ...which },
    `L${layer} H${head}`,
    element("span", { class: "number" }, number),
  );
  button.addEventListener("click", () =>
    page.change({ view: "head", layer, heads: [head], focus: "heads" }),
  );
  return button;
}

function part(title, ...children) {
  return element("section", {}, element("h3", {}, title), ...children);
}

// --- patterns ------------------------------------------------------------

function patternsPart(panel, page) {
  const texts = [panel.text, panel.other].filter(Boolean);
  const rows = texts.flatMap((text, index) =>
    text.patterns.map((pattern) => [
      texts.length > 1
        ? `${["First", "Second"][index]} text: ${pattern.name}`
        : pattern.name,
      pattern.condition,
      element(
        "div",
        { class: "heads-found" },
        ...pattern.heads.map(([layer, head, value]) =>
          headButton(page, layer, head, fixed(value, 2)),
        ),
      ),
    ]),
  );
  if (!rows.length) {
    const none = "No head has a named pattern.";
    return part("Named patterns", element("p", {}, none));
  }
  const heads = ["pattern", "condition", "heads, with the metric"];
  const table = tableOf("Heads by what they do", heads, rows, {
    "data-table": "patterns",
  });
  return part("Named patterns", scrolling("Named patterns", table));
}

// --- metrics -------------------------------------------------------------

function metricsPart(panel, page) {
  const { layer } = page.state;
  const head = headOf(page.state);
  const rows = metricNames(panel).map((name) => {
    const metric = panel.text.metrics.find((known) => known.name === name);
    const values = valuesOf(panel, name);
    const largest = largestHead(values);
    const write = panel.other ? signed : fixed;
    return [
      name,
      metric.definition,
      metric.source,
      panel.other ? "0" : fixed(metric.equal),
      write(values[layer][head]),
      headButton(page, largest.layer, largest.head, write(largest.value)),
    ];
  });
  const table = tableOf(
    panel.other
      ? "Each metric, second text minus first"
      : "Each metric, computed over all tokens from the model’s weights " +
          "before they were rounded to 8 bits",
    [
      ...["metric", "definition", "source", "equal weights"],
      ...[`L${layer} H${head}`, "largest"],
    ],
    rows,
    { "data-table": "metrics" },
  );
  return part("Metrics", scrolling("Metrics", table));
}

// Built when it is first opened: a cell for every head and metric.
function everyHeadPart(panel, page) {
  const details = element(
    "details",
    { "data-details": "every-head" },
    element("summary", {}, "Every metric of every head"),
  );
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const names = metricNames(panel);
    const { layers, heads } = page.data;
    const rows = allHeads(layers, heads).map(({ layer, head }) => [
      `L${layer} H${head}`,
      ...names.map((name) => fixed(valuesOf(panel, name)[layer][head])),
    ]);
    const title = "Every metric of every head";
    const table = tableOf(title, ["head", ...names], rows);
    details.append(scrolling(title, table));
  });
  return details;
}

// --- weights are not influence -------------------------------------------

const WARNING =
  "A weight says how much of a token’s value is taken, not how much that " +
  "value matters. A large weight on a small value contributes little; and " +
  "after the head come the residual connection, the layer norm and the " +
  "feed-forward network. So no weight on this page explains what the model " +
  "decides. One step closer is the norm of what a token contributes, " +
  "‖α f(x)‖, where f(x) is the value projected to the width of the model " +
  "(Kobayashi et al. 2020). That is not influence either.";

function influencePart(panel, page) {
  const warning = element("p", { class: "warning" }, WARNING);
  const title = "Weights are not influence";
  const norms = panel.other ? null : normsOf(panel, page.state);
  if (!norms) {
    const reason = panel.other
      ? "Choose one text, or both side by side, to see the norms."
      : "This page has no norms: they need values and output projections.";
    return part(title, warning, element("p", { class: "message" }, reason));
  }
  const canvas = element("canvas", { "data-norms": "" });
  canvas.setAttribute("aria-hidden", "true");
  const drawing = normScene(panel, page, norms);
  drawScene(canvas, drawing);
  canvas.style.setProperty("width", `${drawing.width}px`);
  return part(
    title,
    warning,
    element("p", {}, movedText(page.state, norms)),
    element(
      "div",
      { class: "evidence" },
      element(
        "div",
        {},
        scrolling("Weights and norms, as pictures", canvas),
        legendOf(false, page.theme, isMasked(panel.text)),
      ),
      scrolling("Weights beside norms", normTable(page.state, norms)),
    ),
  );
}

function movedText(state, { moved, rows }) {
  return (
    `In layer ${state.layer}, head ${headOf(state)}, for ${moved} of ${rows} queries ` +
    "the key with the largest weight is not the one that contributes most."
  );
}

function normTable(state, contributed) {
  const { matrix, valueNorms, norms } = contributed;
  const { keys, queries } = matrix;
  const rows = strongest(matrix, STRONGEST).map(({ row, column, weight }) => {
    const at = row * keys.length + column;
    const error = matrix.errors[column];
    return [
      { token: queries[row].token },
      { token: keys[column].token },
      withError(weight, error),
      fixed(valueNorms[column]),
      withError(norms[at], error * valueNorms[column]),
    ];
  });
  return tableOf(
    `The ${rows.length} largest weights of layer ${state.layer}, head ` +
      `${headOf(state)}, and what they contribute`,
    ["query", "key", "weight α", "‖f(x)‖", "‖α f(x)‖"],
    rows,
    { "data-table": "norms" },
  );
}

function normScene(panel, page, { matrix, shares }) {
  const { colours, theme } = page;
  const pictures = [matrix.weights, shares].map((numbers, at) => {
    const few = pooledMatrix(matrix, numbers, SIZE);
    return {
      ...{ shape: "pixels", x: at * (SIZE + 24), y: 24 },
      ...{ width: SIZE, height: SIZE },
      pixels: pixelsOf(few, false, theme),
    };
  });
  const titles = ["weight α", "‖α f(x)‖, as a share of its row"];
  const labels = titles.map((text, at) => ({
    ...{ shape: "text", x: at * (SIZE + 24), y: 14, size: 13, text },
    colour: colours.ink,
  }));
  const width = 2 * SIZE + 24;
  return scene(width, SIZE + 32, colours.ground, [...labels, ...pictures]);
}

// --- saving --------------------------------------------------------------

export function metricsScene(panel, page) {
  const norms = panel.other ? null : normsOf(panel, page.state);
  return norms && normScene(panel, page, norms);
}

export const METRIC_COLUMNS = [
  ...["text", "metric", "definition", "source", "equal weights"],
  ...["layer", "head", "value"],
];

export function metricsRows(panel, { data }) {
  const which = panel.other ? "second minus first" : panel.index + 1;
  return metricNames(panel).flatMap((name) => {
    const metric = panel.text.metrics.find((known) => known.name === name);
    const { definition, source, equal } = metric;
    const values = valuesOf(panel, name);
    return allHeads(data.layers, data.heads).map(({ layer, head }) => [
      ...[which, name, definition, source, panel.other ? 0 : equal],
      ...[layer, head, values[layer][head].toFixed(6)],
    ]);
  });
}
