// Unpacking arrays from text: base64, then zlib, then steps of 1/255 or
// float32. `bert_viz/page/packing.py` is the other half.

const ALPHABET =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SIX_BITS = new Uint8Array(128);
for (let value = 0; value < 64; value += 1) {
  SIX_BITS[ALPHABET.charCodeAt(value)] = value;
}

export function bytesOf(base64) {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((base64.length / 4) * 3 - padding);
  const bits = (index) => SIX_BITS[base64.charCodeAt(index) & 127];
  for (let from = 0, to = 0; from < base64.length; from += 4, to += 3) {
    const four =
      (bits(from) << 18) |
      (bits(from + 1) << 12) |
      (bits(from + 2) << 6) |
      bits(from + 3);
    // Writes beyond the end of a typed array are ignored: the padding.
    bytes[to] = four >> 16;
    bytes[to + 1] = four >> 8;
    bytes[to + 2] = four;
  }
  return bytes;
}

// Byte planes: first come the first bytes of all numbers, then the second
// ones, and so on, because so they compress better.
export function floatsOf(bytes) {
  const count = bytes.length / 4;
  const numbers = new Float32Array(count);
  const byNumber = new Uint8Array(numbers.buffer);
  for (let plane = 0; plane < 4; plane += 1) {
    for (let index = 0; index < count; index += 1) {
      byNumber[4 * index + plane] = bytes[plane * count + index];
    }
  }
  return numbers;
}

async function inflated(bytes) {
  const inflating = new DecompressionStream("deflate");
  const stream = new Blob([bytes]).stream().pipeThrough(inflating);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Steps stay steps, a byte each: 512 tokens have 19 million of them.
async function arrayOf(packed) {
  const bytes = await inflated(bytesOf(packed.data));
  return packed.kind === "steps" ? bytes : floatsOf(bytes);
}

const arrays = new Map();

// Each array is unpacked once, when it is first needed.
export async function unpack(packed) {
  if (!arrays.has(packed)) arrays.set(packed, await arrayOf(packed));
  return arrays.get(packed);
}

// An array that is unpacked already.
export function unpackedNow(packed) {
  return arrays.get(packed);
}
