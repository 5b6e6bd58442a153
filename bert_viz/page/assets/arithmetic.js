// One query of one head, from its query vector to its output, every step
// kept: q k, their sum, over the root of d, the mask, softmax, times v.
//
// Numbers come as float32, as the model had them; here is counted in 64
// bits, so that what is shown follows from what is shown.

// `vectors` has queries, keys and values of one layer, one after the other:
// head, then token, then dimension.
export function arithmeticOf(vectors, head, query, causal) {
  const { tokens, size } = vectors;
  const row = (array, token) => {
    const from = (head * tokens + token) * size;
    return Array.from(array.subarray(from, from + size));
  };
  const places = Array.from({ length: tokens }, (_, place) => place);
  const q = row(vectors.queries, query);
  const keys = places.map((place) => row(vectors.keys, place));
  const values = places.map((place) => row(vectors.values, place));
  const products = keys.map((key) => times(q, key));
  const sums = products.map(sum);
  const scores = sums.map((one) => one / Math.sqrt(size));
  const allowed = places.map((place) => !causal || place <= query);
  const { largest, powers, total, weights } = softmax(scores, allowed);
  const weighted = values.map((value, place) =>
    value.map((number) => weights[place] * number),
  );
  const output = q.map((_, d) => sum(weighted.map((value) => value[d])));
  return {
    query: q,
    keys,
    values,
    products,
    sums,
    scores,
    allowed,
    largest,
    powers,
    total,
    weights,
    weighted,
    output,
  };
}

// Less the largest score, which changes no weight and lets no power be too
// large for a number. What the mask forbids counts 0.
export function softmax(scores, allowed) {
  const largest = Math.max(...scores.filter((_, at) => allowed[at]));
  const powers = scores.map((score, at) =>
    allowed[at] ? Math.exp(score - largest) : 0,
  );
  const total = sum(powers);
  const weights = powers.map((power) => power / total);
  return { largest, powers, total, weights };
}

export function times(a, b) {
  return a.map((number, at) => number * b[at]);
}

export function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
