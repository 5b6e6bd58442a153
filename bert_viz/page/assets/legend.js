// The legend: a bar of colours with their numbers.

import { canvasOf } from "./canvas.js";
import { colourOfDifference, colourOfWeight } from "./colours.js";
import { element } from "./elements.js";
import { fixed } from "./telling.js";

const STEPS = 128;

// The bar is linear in the square root, as the colours are.
export function legendOf(isSigned, theme, isMasked) {
  const least = isSigned ? -1 : 0;
  const at = (share) => {
    const root = least + share * (1 - least);
    return Math.sign(root) * root * root;
  };
  const bytes = new Uint8ClampedArray(4 * STEPS);
  for (let step = 0; step < STEPS; step += 1) {
    const number = at(step / (STEPS - 1));
    const colour = isSigned
      ? colourOfDifference(number, theme)
      : colourOfWeight(number);
    bytes.set([...colour, 255], 4 * step);
  }
  const canvas = canvasOf({ bytes, width: STEPS, height: 1 });
  canvas.setAttribute("aria-hidden", "true");
  const numbers = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    element("span", {}, shortest(at(share))),
  );
  return element(
    "figure",
    { class: "legend" },
    canvas,
    element("div", { class: "legend-numbers" }, ...numbers),
    element(
      "figcaption",
      {},
      `${isSigned ? SIGNED_WORDS : WORDS}${isMasked ? MASKED_WORDS : ""}`,
    ),
  );
}

function shortest(number) {
  return fixed(number, Number.isInteger(number) ? 0 : 2);
}

const WORDS =
  "Weights: rows are queries, columns are keys. Colours follow the square " +
  "root, so that small weights can be told apart.";
const MASKED_WORDS =
  " Hatched cells are masked: that query may not look at that key.";
const SIGNED_WORDS =
  "Differences of weights, second text minus first; colours follow the " +
  "square root. With up to 48 tokens, a negative cell has a hole.";
