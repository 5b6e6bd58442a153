// Saving the current view as a file: PNG, SVG or CSV.

import { drawScene, pictureOf } from "./canvas.js";
import { csvOf } from "./csv.js";
import { HEAD_COLUMNS, headRows, headScene } from "./head_saving.js";
import { METRIC_COLUMNS, metricsRows, metricsScene } from "./metrics_view.js";
import { modelColumns, modelRows, modelScene } from "./model_view.js";
import { NEURON_COLUMNS, neuronRows, neuronScene } from "./neuron_saving.js";
import { beside, svgOf } from "./scene.js";

const SCENES = {
  head: headScene,
  model: modelScene,
  neuron: neuronScene,
  metrics: metricsScene,
};
const COLUMNS = {
  head: () => HEAD_COLUMNS,
  model: modelColumns,
  neuron: () => NEURON_COLUMNS,
  metrics: () => METRIC_COLUMNS,
};
const ROWS = {
  head: headRows,
  model: modelRows,
  neuron: neuronRows,
  metrics: metricsRows,
};

// All panels of a view in one scene, or null when there is nothing to draw.
function sceneOf(panels, page) {
  const scenes = panels
    .flatMap((panel) => SCENES[page.state.view](panel, page))
    .filter(Boolean);
  return scenes.length ? beside(scenes) : null;
}

// Returns "" or why there is nothing to save.
export async function save(kind, panels, page) {
  const { view } = page.state;
  const name = `attention-${view}.${kind}`;
  if (kind === "csv") {
    const rows = panels.flatMap((panel) => ROWS[view](panel, page));
    if (!rows.length) return "There are no numbers to save here.";
    const text = csvOf([COLUMNS[view](panels[0]), ...rows]);
    download(name, new Blob([text], { type: "text/csv" }));
    return "";
  }
  const drawing = sceneOf(panels, page);
  if (!drawing) return "There is nothing to draw here.";
  const blob = kind === "svg" ? svgBlob(drawing) : await pngBlob(drawing);
  download(name, blob);
  return "";
}

function svgBlob(drawing) {
  return new Blob([svgOf(drawing, pictureOf)], { type: "image/svg+xml" });
}

function pngBlob(drawing) {
  const canvas = document.createElement("canvas");
  drawScene(canvas, drawing, 2);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

export function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser may still be reading it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
