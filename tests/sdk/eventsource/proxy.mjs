// A TCP proxy that can be broken, as lines between a browser and a server are.

import { connect, createServer } from "node:net";

/** Passes bytes on to `port`. */
export async function startProxy(port) {
  const pairs = new Set();
  let isDeaf = false;
  /** The heads of the requests that came, whole or in their beginnings. */
  const heads = [];
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    const pair = { near, far };
    pairs.add(pair);
    near.once("data", (bytes) => heads.push(bytes.toString("latin1")));
    near.on("data", (bytes) => far.write(bytes));
    // Bytes that were read here are lost: the server believes that they have arrived.
    far.on("data", (bytes) => isDeaf || near.write(bytes));
    for (const end of [near, far]) {
      end.on("error", () => {});
      end.on("close", () => {
        if (pair.holdsFar && end === near) return;
        near.destroy();
        far.destroy();
        pairs.delete(pair);
      });
    }
  });
  const listen = (at) => new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(at, "127.0.0.1", resolve);
  });
  await listen(0);
  const { port: at } = server.address();
  return {
    origin: `http://127.0.0.1:${at}`,
    heads,
    /** Tears every connection on both sides. */
    cut() {
      for (const { near, far } of pairs) {
        near.resetAndDestroy();
        far.resetAndDestroy();
      }
    },
    /** From now on nothing that the server says arrives. */
    deafen() {
      isDeaf = true;
    },
    /** Tears the browser's side alone: the server learns nothing of it. */
    cutNear() {
      isDeaf = false;
      for (const pair of pairs) {
        pair.holdsFar = true;
        pair.near.resetAndDestroy();
      }
    },
    /** Lets go whatever [cutNear] left. */
    cutFar() {
      for (const { far } of pairs) far.resetAndDestroy();
    },
    /** Nobody comes through any more: refused. */
    close() {
      this.cut();
      return new Promise((resolve) => server.close(resolve));
    },
    /** Open again. */
    open: () => listen(at),
  };
}
