// Scenes: lists of shapes (line, text, box, corners, pixels). What is on a
// canvas and what is saved are the same scene, drawn by `canvas.js` and
// written as SVG here.

const FONT = "system-ui, sans-serif";

export function scene(width, height, ground, shapes) {
  return { width, height, ground, shapes };
}

// Several scenes in a row.
export function beside(scenes) {
  const gap = 40;
  let from = 0;
  const shapes = scenes.flatMap((part) => {
    const moved = part.shapes.map((shape) => movedBy(shape, from));
    from += part.width + gap;
    return moved;
  });
  const height = Math.max(...scenes.map((part) => part.height));
  return scene(from - gap, height, scenes[0].ground, shapes);
}

function movedBy(shape, by) {
  const moved = { ...shape };
  for (const name of ["x", "x1", "x2"]) {
    if (name in shape) moved[name] = shape[name] + by;
  }
  if (shape.points) moved.points = shape.points.map(([x, y]) => [x + by, y]);
  return moved;
}

// `pictureOf` turns pixels into the address of an image.
export function svgOf({ width, height, ground, shapes }, pictureOf) {
  const write = {
    line: svgLine,
    text: svgText,
    box: svgBox,
    corners: svgCorners,
    pixels: (shape) => svgPixels(shape, pictureOf),
  };
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" ` +
      `height="${round(height)}" font-family="${FONT}">`,
    tag("rect", { width: "100%", height: "100%", fill: ground }),
    ...shapes.map((shape) => write[shape.shape](shape)),
    "</svg>\n",
  ].join("\n");
}

function round(number) {
  return Math.round(number * 100) / 100;
}

function tag(name, attributes, inside = "") {
  const words = Object.entries(attributes)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([key, value]) => ` ${key}="${escaped(String(value))}"`);
  return inside
    ? `<${name}${words.join("")}>${inside}</${name}>`
    : `<${name}${words.join("")}/>`;
}

// For XML: no mark-up, and none of the characters that it cannot hold.
export function escaped(text) {
  const signs = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return Array.from(text)
    .map((part) => (isForbidden(part.codePointAt(0)) ? "\ufffd" : part))
    .join("")
    .replace(/[&<>"]/g, (sign) => signs[sign]);
}

function isForbidden(code) {
  const control = code < 32 && ![9, 10, 13].includes(code);
  const half = code >= 0xd800 && code <= 0xdfff;
  return control || half || code === 0xfffe || code === 0xffff;
}

function svgLine({ x1, y1, x2, y2, colour, width, opacity, dash }) {
  return tag("line", {
    x1: round(x1),
    y1: round(y1),
    x2: round(x2),
    y2: round(y2),
    stroke: colour,
    "stroke-width": round(width),
    "stroke-opacity": opacity === undefined ? "" : round(opacity),
    "stroke-dasharray": (dash || []).join(" "),
  });
}

// From left to right, whatever letters it begins with.
export function leftToRight(text) {
  return `\u2066${text}\u2069`;
}

function svgText({ x, y, text, colour, size, anchor, bold }) {
  const attributes = {
    x: round(x),
    y: round(y),
    fill: colour,
    "font-size": size,
    "text-anchor": anchor === "start" ? "" : anchor,
    "font-weight": bold ? "bold" : "",
  };
  return tag("text", attributes, escaped(leftToRight(text)));
}

function svgBox({ x, y, width, height, colour }) {
  return tag("rect", {
    x: round(x),
    y: round(y),
    width: round(width),
    height: round(height),
    fill: colour,
  });
}

function svgCorners({ points, inside, colour }) {
  return tag("polygon", {
    points: points.map((point) => point.map(round).join(",")).join(" "),
    fill: inside,
    stroke: colour,
    "stroke-width": 1.5,
  });
}

function svgPixels({ x, y, width, height, pixels }, pictureOf) {
  return tag("image", {
    x: round(x),
    y: round(y),
    width: round(width),
    height: round(height),
    preserveAspectRatio: "none",
    "image-rendering": "pixelated",
    href: pictureOf(pixels),
  });
}
