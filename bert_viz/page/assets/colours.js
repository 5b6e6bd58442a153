// Colours of weights, of differences, and of heads.

// Viridis at seventeen points; between them, linear interpolation will do.
const VIRIDIS = [
  ...[[68, 1, 84], [72, 24, 106], [71, 45, 123], [66, 64, 134]],
  ...[[59, 82, 139], [51, 99, 141], [44, 114, 142], [38, 130, 142]],
  ...[[33, 145, 140], [31, 160, 137], [40, 174, 128], [63, 188, 115]],
  ...[[94, 201, 98], [132, 212, 75], [173, 220, 48], [216, 226, 25]],
  [253, 231, 37],
];

const HEADS = {
  light: [
    ...["#1f5fbf", "#b3261e", "#1b7a3d", "#8a4fbf", "#9a5800", "#00727f"],
    ...["#b0307a", "#5a6a00", "#404a9e", "#7a4a2b", "#006d5b", "#5f6368"],
  ],
  dark: [
    ...["#7fb0ff", "#ff8a80", "#6fd08c", "#c9a0ff", "#f2b45a", "#5ccfe0"],
    ...["#ff8ac6", "#c3cf5a", "#a3abff", "#d8a480", "#57d3b8", "#b8bcc2"],
  ],
};

// Less than 0, 0, more than 0.
const DIVERGING = {
  light: [[178, 86, 10], [244, 243, 240], [31, 95, 191]],
  dark: [[242, 163, 94], [38, 41, 46], [127, 176, 255]],
};

function mixed(stops, share) {
  const along = share * (stops.length - 1);
  const from = Math.min(Math.floor(along), stops.length - 2);
  const part = along - from;
  return stops[from].map((start, channel) =>
    Math.round(start + part * (stops[from + 1][channel] - start)),
  );
}

function ramp(stops) {
  return Array.from({ length: 256 }, (_, step) => mixed(stops, step / 255));
}

// 256 colours each, by the square root of a weight, because most weights are
// small and would all look alike.
const WEIGHT_RAMP = ramp(VIRIDIS);
const DIFFERENCE_RAMP = {
  light: ramp(DIVERGING.light),
  dark: ramp(DIVERGING.dark),
};

export function colourOfWeight(weight) {
  return WEIGHT_RAMP[Math.round(255 * Math.sqrt(Math.min(weight, 1)))];
}

// `number` from -1 to 1, 0 in the middle.
export function colourOfDifference(number, theme) {
  const root = Math.sign(number) * Math.sqrt(Math.min(Math.abs(number), 1));
  return DIFFERENCE_RAMP[theme][Math.round(127.5 + 127.5 * root)];
}

export function colourOfHead(head, theme) {
  return HEADS[theme][head % HEADS[theme].length];
}

export function signColour(number, theme) {
  const [less, , more] = DIVERGING[theme];
  return css(number < 0 ? less : more);
}

function css([red, green, blue]) {
  return `rgb(${red},${green},${blue})`;
}

// A masked cell is no weight of 0: its query cannot look there. It is hatched,
// since grey alone could pass for a small difference.
const GROUND = { light: [221, 221, 221], dark: [112, 115, 120] };
const LINE = { light: [168, 168, 168], dark: [154, 158, 164] };

export function colourOfMasked(x, y, theme) {
  return ((x + y) % 3 === 2 ? LINE : GROUND)[theme];
}

// The pixels of a matrix, in which some cells may be masked. Where cells are
// large enough, a negative number leaves a hole in its cell, so that colour
// alone does not carry the sign.
export function pixelsOf(matrix, signed, theme) {
  const { numbers, masked = [], rows, columns } = matrix;
  const patterned = signed || masked.includes(true);
  const zoom = patterned && Math.max(rows, columns) <= 48 ? 3 : 1;
  const width = columns * zoom;
  const bytes = new Uint8ClampedArray(4 * width * rows * zoom);
  for (let y = 0; y < rows * zoom; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const row = Math.floor(y / zoom);
      const cell = row * columns + Math.floor(x / zoom);
      const number = numbers[cell];
      const middle = zoom === 3 && y % 3 === 1 && x % 3 === 1;
      const shown = middle && number < 0 ? 0 : number;
      const colour = signed
        ? colourOfDifference(shown, theme)
        : colourOfWeight(shown);
      const pixel = masked[cell] ? colourOfMasked(x, y, theme) : colour;
      bytes.set(pixel, 4 * (y * width + x));
      bytes[4 * (y * width + x) + 3] = 255;
    }
  }
  return { bytes, width, height: rows * zoom };
}
