// The client in Node, and first whether it is as strict as the original.

import assert from "node:assert/strict";
import { WebSocket } from "ws";
import { check, conclude } from "../playground/harness.mjs";
import { handle } from "../pusher/seats.mjs";
import { calls } from "./calls.mjs";
import { Pushi } from "./client.mjs";
import { flows } from "./flows.mjs";
import { startWorld } from "./world.mjs";

const complaints = [];
// What a callback of a socket throws has nowhere else to go.
process.on("uncaughtException", (error) => complaints.push(String(error.stack)));

/** A line with nobody at its other end. */
class Silent {
  said = [];

  send(text) {
    this.said.push(JSON.parse(text));
  }

  close() {}
}

await check("the client: is as strict and as careless as the original", async () => {
  const { connection } = new Pushi("key", { baseUrl: "ws://nowhere.test/", WebSocket: Silent });
  const heard = [];
  connection.bind("x", (...values) => heard.push(values));
  const hear = (frame) => connection.hear(JSON.stringify(frame));
  // Until it is connected it hears nothing else.
  hear({ event: "x", data: "early" });
  hear({ event: "pusher:connection_established", data: '{"socket_id": "1"}' });
  assert.equal(connection.socketId, "1");
  for (const frame of [{ event: "x", data: "" }, { event: "x", channel: null }, { event: "x", channel: 5 }]) {
    assert.throws(() => hear(frame), TypeError, JSON.stringify(frame));
  }
  assert.throws(() => connection.hear("no JSON"), SyntaxError);
  hear({ event: "x", data: "dropped", channel: "other" });
  hear({ event: "x", data: "a", channel: "peer-room:a&b", mid: "m", timestamp: 1 });
  assert.deepEqual(heard, [["a", "peer-room:a&b", "m", 1]]);
  connection.subscribe("room");
  for (const event of ["subscription_succeeded", "unsubscription_succeeded", "latest"]) {
    const frame = { event: `pusher_internal:${event}`, channel: "room" };
    assert.throws(() => hear({ ...frame, data: { name: "room" } }), SyntaxError, event);
    assert.throws(() => hear(frame), SyntaxError, event);
  }
  for (const event of ["pusher:member_added", "pusher:member_removed"]) {
    assert.throws(() => hear({ event, channel: "room", data: "{}" }), SyntaxError, event);
  }
  connection.sendChannel("x", 1, "room");
  connection.end();
});

/** Cookies as a page of the server's own origin has them. */
function jar() {
  const cookies = new Map();
  return async (url, options = {}) => {
    const isSent = options.credentials === "include" && cookies.size > 0;
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, {
      ...options,
      headers: { ...options.headers, ...(isSent && { Cookie: cookie }) },
    });
    for (const line of options.credentials === "include" ? response.headers.getSetCookie() : []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/;\s*max-age=0(;|$)/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  };
}

const world = await startWorld();
let pages = 0;
const driver = {
  name: "node",
  open: async (given) => {
    // Each seat is a page of its own, which shares no connection with others.
    const page = `?page=${++pages}`;
    const [{ Pushi }, { Seat }] = await Promise.all([import(`./client.mjs${page}`), import("./seat.mjs")]);
    const seat = new Seat(Pushi, given, { WebSocket, fetch: jar() });
    return handle(async (method, args) => seat[method](...args));
  },
};
await flows(world, driver);
await calls(world, driver, [{ name: "a page of the server's origin" }]);
await check("node: the client threw nothing", async () => assert.deepEqual(complaints, []));
await world.end();
conclude();
