// Signs requests to the server API with the shared secret. Only for pages of operators: whoever
// holds the secret may do everything.

import { hmacSha1, sha1 } from "./sha1-esm.js";

const utf8 = (text) => new TextEncoder().encode(text);
const base64Url = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

/** Bytes of a whole number, big-endian, without leading zeros. */
function bigEndian(number) {
  const bytes = [];
  for (let left = number; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return Uint8Array.from(bytes);
}

export class ChannelStreamSigner {
  /** The secret that the server is configured with. */
  constructor(secret) {
    this.secret = secret;
  }

  /** A value for the header X-Channelstream-Secret, good for a minute from `atMs` on. */
  signRequest(atMs = Date.now()) {
    const key = sha1(utf8(`itsdangerous.Signersigner${this.secret}`));
    const signed = `channelstream.${base64Url(bigEndian(Math.floor(atMs / 1000)))}`;
    return `${signed}.${base64Url(hmacSha1(key, utf8(signed)))}`;
  }
}
