// Pusher's server SDK for Node: every call, and every refusal as its error.

import assert from "node:assert/strict";
import Pusher from "pusher-js";
import ServerSdk from "pusher";
import { check as test, conclude, until } from "../playground/harness.mjs";
import { Seat } from "./seat.mjs";
import { handle, heard, hears, joins, reaches } from "./seats.mjs";
import { APPS, startWorld } from "./world.mjs";

const world = await startWorld("pusher-server");
const check = (text, run) => test(`node SDK: ${text}`, run);
const sdk = world.sdk();

async function open(given = {}) {
  const seat = new Seat(Pusher, world.seated(given));
  const outside = handle(async (method, args) => seat[method](...args));
  await reaches(outside, "connected");
  return outside;
}

/** The value of a good answer. */
async function value(answering) {
  const answer = await answering;
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-type"), /^application\/json\b/);
  return answer.json();
}

const get = (path, params) => value(sdk.get({ path, params }));

/** It is refused with this status, in the SDK's own words. */
async function refused(answering, status) {
  await assert.rejects(answering, (error) => {
    assert.ok(error instanceof ServerSdk.RequestError, String(error));
    assert.equal(error.status, status, error.body);
    const told = JSON.parse(error.body);
    assert.equal(told.code, status);
    assert.ok(told.error.length > 0);
    return true;
  });
}

const ada = await open({ asks: { user: "ada" } });
const bob = await open({ asks: { user: "bob" } });
await joins(ada, "open", "private-room", "presence-lobby", "cache-last");
await joins(bob, "open", "presence-lobby");
const batch = (count) => Array.from({ length: count }, (_, at) => ({ channel: "open", name: `no ${at}`, data: { at } }));

await check("trigger", async () => {
  assert.deepEqual(await value(sdk.trigger("open", "one", { of: "one" })), {});
  assert.deepEqual((await hears(ada, "open", "one")).data, { of: "one" });
  assert.deepEqual(await value(sdk.trigger("nobody-is-here", "one", {})), {});
});

await check("trigger to a hundred channels", async () => {
  const names = Array.from({ length: 99 }, (_, at) => `one-of-${at}`);
  assert.deepEqual(await value(sdk.trigger([...names, "open"], "hundred", {})), {});
  await hears(ada, "open", "hundred");
});

await check("trigger with info", async () => {
  const { channels } = await value(sdk.trigger(
    ["open", "presence-lobby", "private-empty"], "counted", {}, { info: "user_count,subscription_count" }));
  assert.equal(channels.open.subscription_count, 2);
  assert.equal("user_count" in channels.open, false);
  assert.equal(channels["presence-lobby"].user_count, 2);
  assert.deepEqual(Object.keys(channels).sort(), ["open", "presence-lobby", "private-empty"]);
  assert.equal(channels["private-empty"].subscription_count, 0);
});

await check("triggerBatch", async () => {
  assert.deepEqual(await value(sdk.triggerBatch(batch(10))), {});
  await hears(ada, "open", "no 9");
  const events = (await heard(ada, "open")).map(({ event }) => event).filter((event) => event.startsWith("no "));
  assert.deepEqual(events, batch(10).map(({ name }) => name));
});

await check("triggerBatch with info: a list as long as the batch", async () => {
  const answer = await value(sdk.triggerBatch([
    { channel: "presence-lobby", name: "a", data: "", info: "user_count" },
    { channel: "open", name: "b", data: "" },
    { channel: "open", name: "c", data: "", info: "subscription_count" },
  ]));
  assert.deepEqual(answer, { batch: [{ user_count: 2 }, {}, { subscription_count: 2 }] });
});

await check("a batch with one bad event delivers none", async () => {
  await refused(sdk.triggerBatch([
    { channel: "open", name: "of a bad batch", data: "" },
    { channel: "not a name", name: "x", data: "" },
  ]), 400);
  await sdk.trigger("open", "after the bad batch", {});
  await hears(ada, "open", "after the bad batch");
  assert.deepEqual(await heard(ada, "open", "of a bad batch"), []);
});

await check("an encrypted channel, and its batch", async () => {
  await joins(ada, "private-encrypted-safe");
  await value(sdk.trigger("private-encrypted-safe", "one", { is: 1 }));
  await value(sdk.triggerBatch([{ channel: "private-encrypted-safe", name: "two", data: { is: 2 } }]));
  assert.deepEqual((await hears(ada, "private-encrypted-safe", "two")).data, { is: 2 });
  // The SDK itself refuses this one.
  await refused(sdk.post({ path: "/events", body: { name: "x", data: "{}", channels: ["private-encrypted-safe", "open"] } }), 400);
});

await check("channels", async () => {
  const all = (await get("/channels")).channels;
  for (const name of ["open", "private-room", "presence-lobby", "cache-last"]) assert.deepEqual(all[name], {});
  assert.deepEqual(await get("/channels", { filter_by_prefix: "nothing-like-it" }), { channels: {} });
  assert.deepEqual(await get("/channels", { filter_by_prefix: "presence-", info: "user_count" }), {
    channels: { "presence-lobby": { user_count: 2 } },
  });
  await refused(sdk.get({ path: "/channels", params: { info: "user_count" } }), 400);
});

await check("a channel's info", async () => {
  assert.deepEqual(await get("/channels/open", { info: "subscription_count" }), { occupied: true, subscription_count: 2 });
  assert.deepEqual(await get("/channels/presence-lobby", { info: "user_count,subscription_count" }), {
    occupied: true, user_count: 2, subscription_count: 2,
  });
  assert.equal((await get("/channels/nobody-is-here")).occupied, false);
  await refused(sdk.get({ path: "/channels/open", params: { info: "user_count" } }), 400);
  await refused(sdk.get({ path: "/channels/open", params: { info: "cache" } }), 400);
});

await check("a cache channel's info", async () => {
  assert.equal((await get("/channels/cache-last", { info: "cache" })).cache, null);
  await sdk.trigger("cache-last", "price", { is: 1 });
  const { cache } = await get("/channels/cache-last", { info: "cache" });
  assert.deepEqual(JSON.parse(cache.data), { is: 1 });
  assert.ok(cache.ttl > 1700 && cache.ttl <= 1800, String(cache.ttl));
});

await check("users of a presence channel", async () => {
  const { users } = await get("/channels/presence-lobby/users");
  assert.deepEqual(users.map(({ id }) => id).sort(), ["ada", "bob"]);
  assert.deepEqual(await get("/channels/presence-empty/users"), { users: [] });
  await refused(sdk.get({ path: "/channels/open/users" }), 400);
});

await check("sendToUser and terminateUserConnections", async () => {
  const carl = await open({ asks: { user: "carl@example.com" } });
  await carl.signin();
  await until("a sign-in", () => carl.user());
  assert.deepEqual(await value(sdk.sendToUser("carl@example.com", "for-you", { is: 1 })), {});
  assert.deepEqual((await hears(carl, "(user)", "for-you")).data, { is: 1 });
  assert.deepEqual(await value(sdk.sendToUser("nobody", "for-you", {})), {});
  assert.deepEqual(await value(sdk.terminateUserConnections("carl@example.com")), {});
  await reaches(carl, "disconnected");
  assert.deepEqual(await value(sdk.terminateUserConnections("nobody")), {});
});

await check("401 for what is not signed with this app's secret", async () => {
  for (const changes of [{ secret: "another" }, { key: "nobody's" }, APPS.bare, { key: APPS.bare.key }]) {
    const { key, secret } = { ...APPS.main, ...changes };
    const wrong = world.sdk({ ...APPS.main, key, secret });
    await refused(wrong.trigger("open", "forged", {}), 401);
    await refused(wrong.triggerBatch([{ channel: "open", name: "forged", data: "" }]), 401);
    await refused(wrong.get({ path: "/channels" }), 401);
    await refused(wrong.terminateUserConnections("ada"), 401);
  }
  await sdk.trigger("open", "after the forged ones", {});
  await hears(ada, "open", "after the forged ones");
  assert.deepEqual(await heard(ada, "open", "forged"), []);
});

await check("404 for an app and a path that are not there, 403 for one that is off", async () => {
  await refused(world.sdk({ ...APPS.main, id: "999" }).trigger("open", "x", {}), 404);
  await assert.rejects(sdk.get({ path: "/nothing" }), ({ status }) => status === 404);
  await refused(world.sdk(APPS.closed).trigger("open", "x", {}), 403);
  await refused(world.sdk(APPS.closed).get({ path: "/channels" }), 403);
});

await check("413 for too much data", async () => {
  assert.deepEqual(await value(sdk.trigger("open", "largest", "x".repeat(10_240))), {});
  await refused(sdk.trigger("open", "large", "x".repeat(10_241)), 413);
  await refused(sdk.trigger("open", "large", "é".repeat(5121)), 413);
  await refused(sdk.triggerBatch([{ channel: "open", name: "large", data: "x".repeat(10_241) }]), 413);
  // More than any event may have is not even read.
  await assert.rejects(sdk.trigger("open", "large", "x".repeat(1_000_000)), ({ status }) => status === 413);
  // As the app says it.
  await refused(world.sdk(APPS.bare).trigger("open", "large", "x".repeat(101)), 413);
});

await check("400 for what no event is", async () => {
  const event = (changes) => sdk.post({ path: "/events", body: { name: "x", data: "{}", channels: ["open"], ...changes } });
  assert.deepEqual(await value(event({})), {});
  for (const changes of [
    { channels: [] }, { channels: undefined }, { channels: ["a b"] }, { channels: ["x".repeat(201)] },
    { channels: Array.from({ length: 101 }, (_, at) => `a${at}`) },
    { name: undefined }, { name: "x".repeat(201) }, { name: "pusher:subscribe" }, { name: "pusher_internal:x" },
    { data: undefined }, { socket_id: "not a socket" }, { socket_id: 12.5 },
  ]) {
    await refused(event(changes), 400);
  }
  await refused(sdk.triggerBatch(batch(11)), 400);
  await refused(sdk.post({ path: "/batch_events", body: { batch: { 0: {} } } }), 400);
});

await check("a server that is not there is an error, too", async () => {
  const lost = world.sdk(APPS.main, { port: 9 });
  await assert.rejects(lost.trigger("open", "x", {}), (error) =>
    error instanceof ServerSdk.RequestError && error.status === undefined && error.error !== undefined);
});

await check("many calls at once, over connections that are kept", async () => {
  const { Agent } = await import("node:http");
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const busy = world.sdk(APPS.main, { agent });
  const calls = Array.from({ length: 200 }, (_, at) => busy.trigger("open", "busy", { at }).then(value));
  for (const answer of await Promise.all(calls)) assert.deepEqual(answer, {});
  await until("all of them", async () => (await heard(ada, "open", "busy")).length === 200);
  const numbers = (await heard(ada, "open", "busy")).map(({ data }) => data.at);
  assert.equal(new Set(numbers).size, 200);
  agent.destroy();
});

await world.end();
conclude();
// pusher-js keeps timers of its own.
process.exit();
