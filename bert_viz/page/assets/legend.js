// What a colour means, in numbers.

import { canvasOf } from "./canvas.js";
import { colourOfDifference, colourOfWeight } from "./colours.js";
import { element } from "./elements.js";
import { fixed } from "./telling.js";

const STEPS = 128;

// Along the bar go the roots, as the colours do.
export function legendOf(isSigned, theme) {
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
    element("figcaption", {}, isSigned ? SIGNED_WORDS : WORDS),
  );
}

function shortest(number) {
  return fixed(number, Number.isInteger(number) ? 0 : 2);
}

const WORDS =
  "Weight, queries down and keys across; the colour goes by its square " +
  "root, so that small ones differ.";
const SIGNED_WORDS =
  "Difference of weights, second text minus first, by its square root. " +
  "Of up to 48 tokens, a cell that is less has a hole.";
