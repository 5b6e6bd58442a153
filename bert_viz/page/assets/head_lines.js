// Lines of the head view, and the numbers at their ends.
//
// A `view` has the `page`, the `units` that are shown, the `matrices` of the
// chosen heads, and as `preview` the row or column that is pointed at.

import { colourOfHead, signColour } from "./colours.js";
import { linesOf } from "./layout.js";
import { markAt, markOf } from "./marks.js";
import { plainWeight } from "./telling.js";

const MOST_LINES = 3000;
const MOST_MARKS = 120;

// The row, the column or both whose lines alone are shown: pointed at, or
// kept.
export function focusOf(view) {
  return view.preview || keptFocus(view);
}

export function keptFocus(view) {
  const { token, query, key } = view.page.state;
  const find = (units, position) =>
    units.findIndex((unit) => unit.positions.includes(position));
  const row = find(view.units.queries, query);
  const column = find(view.units.keys, token === null ? key : token);
  return {
    ...(row < 0 ? {} : { query: row }),
    ...(column < 0 ? {} : { key: column }),
  };
}

// The lines of all chosen heads; `count` of them are strong enough, and
// `shown` are drawn.
export function lineShapes(view, focus, geometry) {
  const { heads } = view.page.state;
  const limit = Math.floor(MOST_LINES / heads.length);
  const byHead = view.matrices.map((matrix) =>
    linesOf(matrix, view.page.state, limit, focus),
  );
  const shapes = byHead.flatMap(({ lines }, at) =>
    linesOfHead(view, at, lines, geometry),
  );
  const count = byHead.reduce((total, head) => total + head.count, 0);
  const shown = byHead.reduce((total, head) => total + head.lines.length, 0);
  return { shapes, count, shown };
}

function linesOfHead(view, at, lines, { left, right, top, row }) {
  const { heads } = view.page.state;
  const several = heads.length > 1;
  const middle = (index) => top + (index + 0.5) * row;
  const ends = lines.map((line) => ({
    y1: middle(line.row),
    y2: middle(line.column),
    weight: line.weight,
  }));
  const drawnLines = ends.map(({ y1, y2, weight }) => ({
    ...{ shape: "line", x1: left, y1, x2: right, y2 },
    ...strokeOf(view, heads[at], weight, several),
  }));
  if (!several) return drawnLines;
  const share = 0.2 + (0.6 * (at + 0.5)) / heads.length;
  const marks = ends
    .slice(-Math.max(2, Math.floor(MOST_MARKS / heads.length)))
    .map(({ y1, y2, weight }) =>
      markAt(
        heads[at],
        left + share * (right - left),
        y1 + share * (y2 - y1),
        3 + 2 * Math.min(1, Math.abs(weight)),
        colourOfHead(heads[at], view.page.theme),
        view.page.colours.ground,
      ),
    );
  return [...drawnLines, ...marks];
}

// One head has solid lines, several have dashes of their own. In a difference
// less is dashed, and only their marks tell heads apart.
function strokeOf(view, head, weight, several) {
  const strength = Math.min(1, Math.abs(weight));
  const { theme } = view.page;
  const stroke = {
    width: 0.75 + 3 * strength,
    opacity: 0.2 + 0.8 * Math.sqrt(strength),
  };
  if (view.matrices[0].signed) {
    const dash = weight < 0 ? [5, 4] : [];
    return { ...stroke, colour: signColour(weight, theme), dash };
  }
  const dash = several ? markOf(head).dash : [];
  return { ...stroke, colour: colourOfHead(head, theme), dash };
}

// The number beside a token of the other column.
export function valueBeside(view, focus, side, at) {
  const row = side === "key" ? focus.query : at;
  const column = side === "key" ? at : focus.key;
  if (row === undefined || column === undefined) return "";
  const best = strongestHead(view, row, column);
  const { heads } = view.page.state;
  const name = heads.length > 1 ? `head ${heads[best.at]}: ` : "";
  return name + plainWeight(best.matrix, best.entry);
}

function strongestHead(view, row, column) {
  const all = view.matrices.map((matrix, at) => ({
    at,
    matrix,
    entry: row * matrix.keys.length + column,
  }));
  const size = ({ matrix, entry }) => Math.abs(matrix.weights[entry]);
  return all.reduce((best, next) => (size(next) > size(best) ? next : best));
}
