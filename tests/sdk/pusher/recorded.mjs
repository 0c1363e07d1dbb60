// What Pusher's server SDKs for PHP, Ruby and Go sent, said again.
//
// They are in the registries of their own languages only, which are not to be had wherever these
// tests run. So recorded.json holds what the real SDKs sent to this server, and its answers, which
// they took as they should: values, or their own errors for 400, 401 and 404. Each request is sent
// again byte for byte but for its time, and what is signed with it.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { request as send } from "node:http";
import Pusher from "pusher-js";
import { check, conclude, skip } from "../playground/harness.mjs";
import { Seat } from "./seat.mjs";
import { handle, hears, joins, reaches } from "./seats.mjs";
import { startWorld } from "./world.mjs";

const NAMES = { php: "pusher-http-php", ruby: "pusher-http-ruby", go: "pusher-http-go" };

/** Those who were there when it was recorded. */
async function room(world) {
  const seats = [];
  for (const user of ["ada", "bob"]) {
    const seat = new Seat(Pusher, world.seated({ asks: { user } }));
    seats.push(handle(async (method, args) => seat[method](...args)));
    await reaches(seats.at(-1), "connected");
    await joins(seats.at(-1), "open", "presence-lobby", "private-encrypted-safe");
  }
  return seats;
}

/** The signature of a request whose parameters stand in `target` in whatever form and order. */
function signature(secret, method, target) {
  const [path, query] = target.split("?");
  const parameters = {};
  for (const pair of query.split("&")) {
    const [key, value = ""] = pair.split("=").map((part) => decodeURIComponent(part.replaceAll("+", " ")));
    // PHP signs the members of a list with commas between them.
    const name = key.toLowerCase().replace(/\[\d+\]$/, "");
    parameters[name] = name in parameters ? `${parameters[name]},${value}` : value;
  }
  delete parameters.auth_signature;
  const signed = Object.keys(parameters).sort().map((name) => `${name}=${parameters[name]}`).join("&");
  return createHmac("sha256", secret).update(`${method}\n${path}\n${signed}`).digest("hex");
}

const parameter = (target, name) => new RegExp(`[?&]${name}=([^&]*)`).exec(target)?.[1];

function ask(address, { method, target, headers, body }) {
  const [host, port] = address.split(":");
  const length = method === "GET" ? {} : { "content-length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const asked = send({ host, port, method, path: target, headers: { ...headers, ...length } }, async (answer) => {
      let text = "";
      for await (const piece of answer) text += piece;
      resolve({ status: answer.statusCode, type: answer.headers["content-type"], text });
    });
    asked.once("error", reject);
    asked.end(body);
  });
}

const world = await startWorld("pusher-recorded");
const [ada] = await room(world);
const recorded = JSON.parse(readFileSync(new URL("recorded.json", import.meta.url)));
for (const [sdk, name] of Object.entries(NAMES)) {
  const calls = recorded.filter((one) => one.sdk === sdk);
  assert.ok(calls.length >= 10, name);
  await check(`${name} itself`, () => skip("neither npm, PyPI nor Debian has it; what it once sent is sent again"));
  for (const { call, secret, request, answer } of calls) {
    await check(`as ${name} sent it: ${call}`, async () => {
      const { method, target, body } = request;
      // That we sign as the SDK does is seen on its own signature.
      assert.equal(signature(secret, method, target), parameter(target, "auth_signature"));
      if (body) assert.equal(parameter(target, "body_md5"), createHash("md5").update(body).digest("hex"));
      const now = target.replace(/(auth_timestamp=)\d+/, `$1${Math.floor(Date.now() / 1000)}`);
      const signed = now.replace(/(auth_signature=)[0-9a-f]+/, `$1${signature(secret, method, now)}`);
      const got = await ask(world.server.address, { ...request, target: signed });
      assert.equal(got.status, answer.status, got.text);
      assert.match(got.type, /^application\/json\b/);
      const value = JSON.parse(got.text);
      if (answer.status === 200) assert.deepEqual(value, answer.body);
      else assert.equal(value.code, answer.status);
    });
  }
}
await check("what they sent was heard", async () => {
  for (const at of [0, 1, 2]) {
    assert.deepEqual((await hears(ada, "open", "App\\Events\\Said", at)).data, { text: 'hällo "🦦" / <b>' });
  }
  for (const at of [0, 1]) assert.deepEqual((await hears(ada, "private-encrypted-safe", "said", at)).data, { is: 1 });
  await hears(ada, "presence-lobby", "b", 2);
});
await world.end();
conclude();
// pusher-js keeps timers of its own.
process.exit();
