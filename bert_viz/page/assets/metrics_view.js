// Metrics view: what the numbers mean, which heads have names, and why a
// weight is no influence, with the norms as evidence.

import { drawScene } from "./canvas.js";
import { pixelsOf } from "./colours.js";
import { element, scrolling, tableOf } from "./elements.js";
import { pooled, strongest } from "./layout.js";
import { legendOf } from "./legend.js";
import { normsOf } from "./norms.js";
import { allHeads, foremost, metricNames, valuesOf } from "./ranking.js";
import { scene } from "./scene.js";
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
  const place = { "data-layer": String(layer), "data-head": String(head) };
  const button = element(
    "button",
    { class: "small", type: "button", ...place },
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
  const rows = texts.flatMap((text, number) =>
    text.patterns.map((pattern) => [
      texts.length > 1
        ? `${["First", "Second"][number]} text: ${pattern.name}`
        : pattern.name,
      pattern.words,
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
    const none = "No head has a name: none is within the bounds.";
    return part("Named patterns", element("p", {}, none));
  }
  const heads = ["pattern", "its bounds", "heads, with the metric"];
  const table = tableOf("Heads by what they do", heads, rows, {
    "data-table": "patterns",
  });
  return part("Named patterns", scrolling("Named patterns", table));
}

// --- metrics -------------------------------------------------------------

function metricsPart(panel, page) {
  const { layer, heads } = page.state;
  const rows = metricNames(panel).map((name) => {
    const metric = panel.text.metrics.find((one) => one.name === name);
    const values = valuesOf(panel, name);
    const most = foremost(values);
    const write = panel.other ? signed : fixed;
    return [
      name,
      metric.definition,
      metric.source,
      panel.other ? "0" : fixed(metric.equal),
      write(values[layer][heads[0]]),
      headButton(page, most.layer, most.head, write(most.value)),
    ];
  });
  const table = tableOf(
    panel.other
      ? "Each metric, of the second text less that of the first"
      : "Each metric, computed from the model's weights before they were " +
          "rounded to 8 bits, with all tokens",
    [
      ...["metric", "definition", "source", "equal weights"],
      ...[`L${layer} H${heads[0]}`, "the most"],
    ],
    rows,
    { "data-table": "metrics" },
  );
  return part("Metrics", scrolling("Metrics", table));
}

// Built when it is opened: a cell for every head and metric.
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
  "A weight says how much of a token's value is taken, not how much that " +
  "value matters. A large weight on a token whose value is small gives " +
  "little; and after the head come the residual, the norm and the " +
  "feed-forward layer. So no weight on this page explains what the model " +
  "decides. One step nearer is the norm of what is handed over, " +
  "‖α f(x)‖, where f(x) is the value in the width of the model " +
  "(Kobayashi et al. 2020). It is no influence either.";

function influencePart(panel, page) {
  const warning = element("p", { class: "warning" }, WARNING);
  const title = "Weights are not influence";
  const norms = panel.other ? null : normsOf(panel, page.state);
  if (!norms) {
    const reason = panel.other
      ? "Choose one text, or both side by side, to see the norms."
      : "This page has no norms: they need the values and the output layers.";
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
    element("p", {}, movesText(page.state, norms)),
    element(
      "div",
      { class: "evidence" },
      element(
        "div",
        {},
        scrolling("Weights and norms, as pictures", canvas),
        legendOf(false, page.theme),
      ),
      scrolling("Weights beside norms", normTable(page.state, norms)),
    ),
  );
}

function movesText({ layer, heads }, { largestMoves, rows }) {
  return (
    `In layer ${layer}, head ${heads[0]}, the key with the largest weight ` +
    "is not the one that hands over most for " +
    `${largestMoves} of ${rows} queries.`
  );
}

function normTable({ layer, heads }, norms) {
  const { matrix, sizes, handed } = norms;
  const { keys, queries } = matrix;
  const rows = strongest(matrix, STRONGEST).map(({ row, column, weight }) => {
    const at = row * keys.length + column;
    const error = matrix.errors[column];
    return [
      { token: queries[row].token },
      { token: keys[column].token },
      withError(weight, error),
      fixed(sizes[column]),
      withError(handed[at], error * sizes[column]),
    ];
  });
  return tableOf(
    `The ${rows.length} largest weights of layer ${layer}, head ` +
      `${heads[0]}, and what they hand over`,
    ["query", "key", "weight α", "‖f(x)‖", "‖α f(x)‖"],
    rows,
    { "data-table": "norms" },
  );
}

function normScene(panel, page, { matrix, shares }) {
  const { queries, keys, weights } = matrix;
  const { colours, theme } = page;
  const pictures = [weights, shares].map((numbers, at) => {
    const few = pooled(numbers, queries.length, keys.length, SIZE);
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
  const which = panel.other ? "second minus first" : panel.number + 1;
  return metricNames(panel).flatMap((name) => {
    const metric = panel.text.metrics.find((one) => one.name === name);
    const { definition, source, equal } = metric;
    const values = valuesOf(panel, name);
    return allHeads(data.layers, data.heads).map(({ layer, head }) => [
      ...[which, name, definition, source, panel.other ? 0 : equal],
      ...[layer, head, values[layer][head].toFixed(6)],
    ]);
  });
}
