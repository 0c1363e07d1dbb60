// SHA-1 (FIPS 180-4) and HMAC (RFC 2104) on bytes, without waiting: the browser's own digest is
// asynchronous and missing on pages that did not come by https.

const BLOCK = 64;
const rotate = (word, by) => (word << by) | (word >>> (32 - by));

/** The digest of a Uint8Array, 20 bytes. */
export function sha1(bytes) {
  const blocks = Math.ceil((bytes.length + 9) / BLOCK);
  const padded = new Uint8Array(blocks * BLOCK);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 0x20000000));
  view.setUint32(padded.length - 4, bytes.length << 3);

  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0]);
  const schedule = new Int32Array(80);
  for (let start = 0; start < padded.length; start += BLOCK) {
    for (let t = 0; t < 80; t++) {
      schedule[t] =
        t < 16
          ? view.getInt32(start + 4 * t)
          : rotate(schedule[t - 3] ^ schedule[t - 8] ^ schedule[t - 14] ^ schedule[t - 16], 1);
    }
    let [a, b, c, d, e] = state;
    for (let t = 0; t < 80; t++) {
      let mixed;
      if (t < 20) mixed = ((b & c) | (~b & d)) + 0x5a827999;
      else if (t < 40) mixed = (b ^ c ^ d) + 0x6ed9eba1;
      else if (t < 60) mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
      else mixed = (b ^ c ^ d) + 0xca62c1d6;
      const next = (rotate(a, 5) + mixed + e + schedule[t]) | 0;
      [a, b, c, d, e] = [next, a, rotate(b, 30), c, d];
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
  }
  const digest = new Uint8Array(20);
  const out = new DataView(digest.buffer);
  state.forEach((word, place) => out.setInt32(4 * place, word));
  return digest;
}

/** HMAC-SHA-1 of a message under a key, both Uint8Array. */
export function hmacSha1(key, message) {
  const block = new Uint8Array(BLOCK);
  block.set(key.length > BLOCK ? sha1(key) : key);
  const keyed = (mask, tail) => {
    const bytes = new Uint8Array(BLOCK + tail.length);
    bytes.set(block.map((byte) => byte ^ mask));
    bytes.set(tail, BLOCK);
    return sha1(bytes);
  };
  return keyed(0x5c, keyed(0x36, message));
}

export default sha1;
