// Saving the head view: as a scene, and as rows of a table.

import { colourOfHead } from "./colours.js";
import { focusOf, lineShapes, valueBeside } from "./head_lines.js";
import { rowHeight } from "./layout.js";
import { markAt } from "./marks.js";
import { matrixOf, unitsShown } from "./panels.js";
import { scene } from "./scene.js";
import { isolated, visible } from "./telling.js";

export function headScene(panel, page) {
  const units = unitsShown(panel, page.state);
  const matrices = page.state.heads.map((head) =>
    matrixOf(panel, page.state.layer, head, page.state),
  );
  const view = { units, matrices, page, preview: null };
  const focus = focusOf(view);
  const row = rowHeight(Math.max(units.queries.length, units.keys.length));
  const geometry = { left: 180, right: 520, top: 64, row };
  const { shapes } = lineShapes(view, focus, geometry);
  const rows = Math.max(units.queries.length, units.keys.length);
  const labels = [
    ...titleShapes(panel, page),
    ...labelShapes(view, focus, "query", { ...geometry, x: 172 }),
    ...labelShapes(view, focus, "key", { ...geometry, x: 528 }),
  ];
  const height = geometry.top + row * rows + 16;
  return scene(860, height, page.colours.ground, [...shapes, ...labels]);
}

function titleShapes(panel, { state, colours, theme }) {
  const several = state.heads.length > 1;
  const start = panel.title ? `${panel.title}: layer` : "Layer";
  const text = `${start} ${state.layer}, ${several ? "heads" : "head"}`;
  const title = { shape: "text", x: 16, y: 26, text, size: 14 };
  const colour = (head) => colourOfHead(head, theme);
  const heads = state.heads.flatMap((head, at) => [
    markAt(head, 24 + 56 * at, 44, 5, colour(head), colours.ground),
    {
      ...{ shape: "text", x: 36 + 56 * at, y: 48, text: String(head) },
      ...{ size: 13, colour: colours.ink },
    },
  ]);
  return [{ ...title, colour: colours.ink }, ...heads];
}

function labelShapes(view, focus, side, { x, top, row }) {
  const units = side === "query" ? view.units.queries : view.units.keys;
  const { ink } = view.page.colours;
  return units.map((unit, at) => {
    const value = valueBeside(view, focus, side, at);
    const token = isolated(visible(unit.token, 22));
    const parts = side === "query" ? [value, token] : [token, value];
    return {
      shape: "text",
      x,
      y: top + (at + 0.5) * row + 4,
      text: parts.filter(Boolean).join("  "),
      colour: ink,
      size: 12,
      anchor: side === "query" ? "end" : "start",
      bold: focus[side] === at,
    };
  });
}

export function headRows(panel, page) {
  const { layer, heads } = page.state;
  const which = panel.other ? "second minus first" : panel.index + 1;
  return heads.flatMap((head) => {
    const matrix = matrixOf(panel, layer, head, page.state);
    const { queries, keys, weights, errors } = matrix;
    return Array.from(weights, (weight, at) => [
      which,
      layer,
      head,
      queries[Math.floor(at / keys.length)].positions[0],
      queries[Math.floor(at / keys.length)].token,
      keys[at % keys.length].positions[0],
      keys[at % keys.length].token,
      weight.toFixed(6),
      errors[at % keys.length].toFixed(6),
    ]);
  });
}

export const HEAD_COLUMNS = [
  ...["text", "layer", "head", "query position", "query"],
  ...["key position", "key", "weight", "error"],
];
