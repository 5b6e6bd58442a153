// Strips of bars for the neuron view: a row for each key, a bar for each
// dimension.

import { signColour } from "./colours.js";
import { scene } from "./scene.js";
import { isolated, visible } from "./telling.js";

export const ROW = 24;
export const TOP = 76; // of the keys; the query is above them
export const LABEL = 112;
export const GAP = 24; // between two strips
const LONGEST_TITLE = 88;

// Two strips of bars for each key; above them the query, or the output.
export function stripsScene(name, text, page, steps, chosen, cell) {
  const [left, right] =
    name === "products"
      ? [steps.keys, steps.products]
      : [steps.values, steps.weighted];
  const above = name === "products" ? steps.query : steps.output;
  const titles =
    name === "products"
      ? ["key", "query × key", "query"]
      : ["value", "weight × value", "output"];
  const width = above.length * cell;
  const down = ROW * text.tokens.length;
  const from = [LABEL, LABEL + width + GAP];
  const aboveFrom = name === "products" ? from[0] : from[1];
  const { colours } = page;
  const shapes = [
    ...chosenShapes(chosen, from, cell, width, down, colours.chosen),
    label(titles[2], aboveFrom - 8, 26, colours.ink, "end"),
    ...bars(above, largestOf([above]), aboveFrom, 12, cell, page),
    ...titles
      .slice(0, 2)
      .map((title, at) =>
        label(title, from[at], TOP - 22, colours.ink),
      ),
    ...[left, right].map((rows, at) =>
      label(scaleOf(rows), from[at], TOP - 7, colours.muted),
    ),
    ...text.tokens.flatMap((token, at) => [
      label(
        `${at} ${isolated(visible(token, 12))}`,
        LABEL - 8,
        TOP + at * ROW + 16,
        colours.ink,
        "end",
        at === chosen.key,
      ),
    ]),
    ...stripShapes(left, from[0], cell, page),
    ...stripShapes(right, from[1], cell, page),
  ];
  const end = from[1] + Math.max(width, LONGEST_TITLE) + GAP;
  return scene(end, TOP + down + 8, colours.ground, shapes);
}

function stripShapes(rows, x, cell, page) {
  const largest = largestOf(rows);
  return rows.flatMap((numbers, at) =>
    bars(numbers, largest, x, TOP + at * ROW, cell, page),
  );
}

function scaleOf(rows) {
  return `±${largestOf(rows).toPrecision(3)}`;
}

function largestOf(rows) {
  let largest = 0;
  for (const row of rows) {
    for (const number of row) largest = Math.max(largest, Math.abs(number));
  }
  return largest;
}

function label(text, x, y, colour, anchor = "start", bold = false) {
  return { shape: "text", x, y, text, colour, anchor, bold, size: 12 };
}

// Bars go up above 0 and down below it, so that no colour is needed.
function bars(numbers, largest, x, y, cell, { theme }) {
  const half = ROW / 2 - 1;
  return numbers.map((number, at) => {
    const height = largest ? (Math.abs(number) / largest) * half : 0;
    return {
      shape: "box",
      x: x + at * cell,
      y: number < 0 ? y + half : y + half - height,
      width: Math.max(cell - 1, 1),
      height: Math.max(height, 0.5),
      colour: signColour(number, theme),
    };
  });
}

// Behind the bars: the chosen key's row and the chosen dimension's column.
function chosenShapes({ key, dimension }, from, cell, width, down, colour) {
  return from.flatMap((x) => [
    {
      ...{ shape: "box", x, y: TOP + key * ROW - 1, width, height: ROW },
      colour,
    },
    {
      ...{ shape: "box", x: x + dimension * cell - 0.5, y: TOP - 1 },
      ...{ width: cell, height: down, colour },
    },
  ]);
}
