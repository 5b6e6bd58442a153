// Marks of heads: dashes and shapes that tell them apart without colour.
// Twelve heads have twelve of each; of more, no two share both.

const DASHES = [
  [],
  [8, 4],
  [2, 3],
  [9, 3, 2, 3],
  [16, 4],
  [2, 7],
  [9, 3, 2, 3, 2, 3],
  [5, 2],
  [16, 3, 5, 3],
  [1, 2],
  [10, 8],
  [4, 4, 1, 4],
];

const turn = (corners, start) =>
  Array.from({ length: corners }, (_, corner) => {
    const angle = ((corner + start) / corners) * 2 * Math.PI;
    return [Math.sin(angle), -Math.cos(angle)];
  });
const PLUS = [
  ...[[-0.35, -1], [0.35, -1], [0.35, -0.35], [1, -0.35], [1, 0.35]],
  ...[[0.35, 0.35], [0.35, 1], [-0.35, 1], [-0.35, 0.35], [-1, 0.35]],
  ...[[-1, -0.35], [-0.35, -0.35]],
];
const SHAPES = [
  ["circle", turn(20, 0)],
  ["square", turn(4, 0.5)],
  ["triangle", turn(3, 0)],
  ["diamond", turn(4, 0)],
  ["wedge", turn(3, 0.5)],
  ["plus", PLUS],
];

// Filled shapes first, then the same hollow.
export function markOf(head) {
  const index = head % 12;
  const [shape, corners] = SHAPES[index % 6];
  const filled = index < 6;
  return {
    dash: DASHES[(head + Math.floor(head / 12)) % 12],
    name: `${filled ? "filled" : "hollow"} ${shape}`,
    corners,
    filled,
  };
}

// The mark as a shape of a scene. A hollow one hides the line behind it.
export function markAt(head, x, y, radius, colour, ground) {
  const { corners, filled } = markOf(head);
  const points = corners.map(([dx, dy]) => [
    x + radius * dx,
    y + radius * dy,
  ]);
  const inside = filled ? colour : ground;
  return { shape: "corners", points, colour, inside };
}
