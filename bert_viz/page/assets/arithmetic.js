// Scaled dot-product attention of one query in one head, every step kept:
// products, dot product, division by √d, mask, softmax, weights times values.
//
// Numbers come as float32, as the model has them, and are computed on in 64
// bits, so that what is shown follows from what is shown.

// `vectors` has queries, keys and values of one layer as flat arrays: by head,
// then token, then dimension. `allowed` says of each key whether the query may
// look at it.
export function arithmeticOf(vectors, head, query, allowed) {
  const { tokens, size } = vectors;
  const row = (array, token) => {
    const from = (head * tokens + token) * size;
    return Array.from(array.subarray(from, from + size));
  };
  const positions = Array.from({ length: tokens }, (_, index) => index);
  const q = row(vectors.queries, query);
  const keys = positions.map((position) => row(vectors.keys, position));
  const values = positions.map((position) => row(vectors.values, position));
  const products = keys.map((key) => times(q, key));
  const dots = products.map(sum);
  const scores = dots.map((dot) => dot / Math.sqrt(size));
  const softmaxed = softmax(scores, allowed);
  const { weights } = softmaxed;
  const weighted = values.map((value, position) =>
    value.map((number) => weights[position] * number),
  );
  const output = q.map((_, d) => sum(weighted.map((value) => value[d])));
  return {
    query: q,
    keys,
    values,
    products,
    dots,
    scores,
    allowed,
    ...softmaxed,
    weighted,
    output,
  };
}

// Softmax over the allowed keys. The largest score is subtracted first: that
// changes no weight, and no exponential can overflow. Masked keys get 0.
export function softmax(scores, allowed) {
  const largest = Math.max(...scores.filter((_, at) => allowed[at]));
  const exponentials = scores.map((score, at) =>
    allowed[at] ? Math.exp(score - largest) : 0,
  );
  const total = sum(exponentials);
  const weights = exponentials.map((exponential) => exponential / total);
  return { largest, exponentials, total, weights };
}

export function times(a, b) {
  return a.map((number, at) => number * b[at]);
}

export function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
