// A thumbnail enlarged, with its tokens and the cell that is pointed at.

import { drawScene } from "./canvas.js";
import { pixelsOf } from "./colours.js";
import { element, sentenceParts } from "./elements.js";
import { pooledMatrix, strongest } from "./layout.js";
import { matrixOf } from "./panels.js";
import { scene } from "./scene.js";
import { isolated, visible, weightText } from "./telling.js";

const SIZE = 288; // of the picture, in pixels
const LABELS = 96; // of the tokens beside it
const MOST_LABELS = 24; // rows that have room for a token
const AWAY = 8; // from the thumbnail
const POINTED = "#ff5a1f";

// One for each view; it lies over the page, and takes no click.
export function makeEnlarged() {
  const canvas = element("canvas", { "aria-hidden": "true" });
  const caption = element("p", { role: "status" });
  const box = element("div", { class: "enlarged" }, canvas, caption);
  box.hidden = true;
  return { box, canvas, caption };
}

// Enlarges the head of a thumbnail, at the cell below a pointer, or at its
// largest weight without one.
export function enlarge(enlarged, thumbnail, pointer, panel, page) {
  const { layer, head } = thumbnail.dataset;
  const matrix = matrixOf(panel, Number(layer), Number(head), page.state);
  const picture = thumbnail.querySelector("canvas").getBoundingClientRect();
  const cell = (pointer && cellAt(matrix, picture, pointer)) || largest(matrix);
  if (!cell) return;
  drawScene(enlarged.canvas, enlargedScene(matrix, cell, page));
  const { row, column } = cell;
  enlarged.caption.replaceChildren(
    ...sentenceParts([
      { token: matrix.queries[row].token },
      " → ",
      { token: matrix.keys[column].token },
      " ",
      { number: weightText(matrix, row * matrix.keys.length + column) },
      `, layer ${layer}, head ${head}`,
    ]),
  );
  enlarged.box.hidden = false;
  place(enlarged.box, thumbnail.getBoundingClientRect());
}

function largest(matrix) {
  return strongest(matrix, 1)[0];
}

function cellAt({ queries, keys }, picture, { clientX, clientY }) {
  const along = (clientX - picture.left) / picture.width;
  const down = (clientY - picture.top) / picture.height;
  const inside = along >= 0 && along < 1 && down >= 0 && down < 1;
  if (!inside) return null;
  return {
    row: Math.floor(down * queries.length),
    column: Math.floor(along * keys.length),
  };
}

// Beside the thumbnail where there is room, else below it, else above.
function place(box, around) {
  const { offsetWidth: width, offsetHeight: height } = box;
  const put = (left, top) => {
    const lowest = innerHeight - height - AWAY;
    box.style.setProperty("left", `${left}px`);
    box.style.setProperty("top", `${Math.max(AWAY, Math.min(top, lowest))}px`);
  };
  const [right, left] = [around.right + AWAY, around.left - AWAY - width];
  const below = around.bottom + AWAY;
  if (right + width < innerWidth) put(right, around.top);
  else if (left > 0) put(left, around.top);
  else if (below + height < innerHeight) put(AWAY, below);
  else put(AWAY, around.top - AWAY - height);
}

function enlargedScene(matrix, { row, column }, page) {
  const { colours, theme } = page;
  const { queries, keys } = matrix;
  const few = pooledMatrix(matrix, matrix.weights, SIZE);
  const [high, wide] = [SIZE / queries.length, SIZE / keys.length];
  const [left, top] = [LABELS, 24];
  const picture = {
    ...{ shape: "pixels", x: left, y: top, width: SIZE, height: SIZE },
    pixels: pixelsOf(few, matrix.signed, theme),
  };
  const labels = queries.map((query, at) => ({
    ...{ shape: "text", x: left - 6, y: top + (at + 0.5) * high + 4 },
    ...{ text: isolated(visible(query.token, 12)), size: 11 },
    ...{ anchor: "end", bold: at === row },
    colour: at === row ? colours.ink : colours.muted,
  }));
  const share = (column + 0.5) / keys.length;
  const name = {
    ...{ shape: "text", x: left + share * SIZE, y: 15, size: 11 },
    ...{ text: isolated(visible(keys[column].token, 12)), bold: true },
    anchor: share < 0.25 ? "start" : share > 0.75 ? "end" : "middle",
    colour: colours.ink,
  };
  const [x, y] = [left + column * wide, top + row * high];
  const [right, bottom] = [x + wide, y + high];
  const frame = [
    { x1: x, y1: y, x2: right, y2: y },
    { x1: right, y1: y, x2: right, y2: bottom },
    { x1: right, y1: bottom, x2: x, y2: bottom },
    { x1: x, y1: bottom, x2: x, y2: y },
  ].map((edge) => ({ shape: "line", ...edge, colour: POINTED, width: 2 }));
  return scene(LABELS + SIZE + 8, SIZE + 32, colours.ground, [
    picture,
    name,
    ...(queries.length > MOST_LABELS ? [labels[row]] : labels),
    ...frame,
  ]);
}
