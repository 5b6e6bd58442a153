// Scenes on a canvas.

import { leftToRight } from "./scene.js";

const FONT = "system-ui, sans-serif";
const LONGEST_SIDE = 16000; // of a canvas, which browsers limit

// The canvas takes the size of the scene, at the screen's resolution.
export function drawScene(canvas, scene, sharpness = devicePixelRatio) {
  const longest = Math.max(scene.width, scene.height, 1);
  const scale = Math.min(Math.max(sharpness, 1), LONGEST_SIDE / longest);
  const context = clearedContext(
    canvas,
    Math.max(1, Math.round(scene.width * scale)),
    Math.max(1, Math.round(scene.height * scale)),
  );
  context.setTransform(scale, 0, 0, scale, 0, 0);
  if (scene.ground) {
    context.fillStyle = scene.ground;
    context.fillRect(0, 0, scene.width, scene.height);
  }
  for (const shape of scene.shapes) DRAW[shape.shape](context, shape);
}

// Setting the size allocates memory even if it is the same; so only if new.
function clearedContext(canvas, width, height) {
  const context = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  } else {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
  }
  return context;
}

const DRAW = {
  line(context, { x1, y1, x2, y2, colour, width, opacity = 1, dash = [] }) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.globalAlpha = opacity;
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
    context.globalAlpha = 1;
  },
  text(context, { x, y, text, colour, size, anchor = "start", bold }) {
    context.fillStyle = colour;
    context.font = `${bold ? "bold " : ""}${size}px ${FONT}`;
    context.textAlign = { start: "left", middle: "center", end: "right" }[
      anchor
    ];
    context.fillText(leftToRight(text), x, y);
  },
  box(context, { x, y, width, height, colour }) {
    context.fillStyle = colour;
    context.fillRect(x, y, width, height);
  },
  corners(context, { points, inside, colour }) {
    context.setLineDash([]);
    context.lineWidth = 1.5;
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.closePath();
    context.fillStyle = inside;
    context.strokeStyle = colour;
    context.fill();
    context.stroke();
  },
  pixels(context, { x, y, width, height, pixels }) {
    context.imageSmoothingEnabled = false;
    context.drawImage(canvasOf(pixels), x, y, width, height);
  },
};

// A canvas with one pixel for each of these pixels.
export function canvasOf(pixels, canvas = document.createElement("canvas")) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  const image = new ImageData(pixels.bytes, pixels.width, pixels.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

export function pictureOf(pixels) {
  return canvasOf(pixels).toDataURL("image/png");
}
