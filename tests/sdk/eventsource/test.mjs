// A browser's EventSource on /listen, over a line that breaks.
//
// Started by tests/sdk/run.

import assert from "node:assert/strict";
import { WAIT_MS, check, conclude, startBrowser, startServer, until } from "../playground/harness.mjs";
import { ask, startWebApp } from "../webapp.mjs";
import { startProxy } from "./proxy.mjs";

const SECRET = "of the web application";
const CHANNEL = { notify_presence: true, store_history: true };

const server = await startServer("127.0.0.1:0", ["run", "--set", `channelstream.secret=${SECRET}`]);
const app = await startWebApp(server, SECRET, "");
const proxy = await startProxy(Number(server.address.split(":")[1]));
const browser = await startBrowser();
const context = await browser.newContext();
context.setDefaultTimeout(WAIT_MS);

async function signed(path, body) {
  const { status, value } = await ask(server.origin, SECRET, "POST", path, body);
  assert.equal(status, 200, JSON.stringify(value));
  return value;
}

const connect = async (username, channels) => (await signed("/connect", {
  username,
  channels,
  channel_configs: Object.fromEntries(channels.map((name) => [name, CHANNEL])),
})).conn_id;

const say = (...texts) =>
  signed("/message", texts.map((text) => ({ user: "system", channel: "lobby", message: { text } })));

/** A page that writes down what its EventSource is told. It waits for no first event. */
async function listen(origin, id) {
  const page = await context.newPage();
  await page.goto(app.origin);
  await page.evaluate((url) => {
    const source = new EventSource(url);
    const heard = { events: [], opened: 0, failed: 0 };
    source.onopen = () => heard.opened++;
    source.onerror = () => heard.failed++;
    source.onmessage = ({ data, lastEventId, origin }) =>
      heard.events.push({ list: JSON.parse(data), id: lastEventId, origin });
    Object.assign(window, { source, heard });
  }, `${origin}/listen?conn_id=${id}`);
  await until("an open stream", () => page.evaluate(() => heard.opened === 1));
  return page;
}

const events = (page) => page.evaluate(() => heard.events);
const frames = async (page) => (await events(page)).flatMap(({ list }) => list);
const texts = async (page) => (await frames(page)).map(({ message }) => message.text).filter(Boolean);
const saying = (page, text) =>
  until(`"${text}"`, async () => (await frames(page)).find(({ message }) => message.text === text));
const opened = (page) => page.evaluate(() => heard.opened);
const back = (page, times) => until("the browser to come back", async () => (await opened(page)) >= times, 15_000);
const CLOSED = 2;
const isClosed = (page) => page.evaluate((closed) => source.readyState === closed, CLOSED);

/** The Last-Event-ID of each request since `from`, in order. */
const lastIds = (from) => proxy.heads.slice(from)
  .map((head) => /^last-event-id: *(.*?)\r?$/im.exec(head)?.[1]);

const adaId = await connect("ada", ["lobby"]);
const bobId = await connect("bob", ["lobby"]);
const ada = await listen(proxy.origin, adaId);
const bob = await listen(server.origin, bobId);
const all = [];
/** Says them, and wants them to be heard. */
async function said(...more) {
  all.push(...more);
  await say(...more);
}

await check("messages arrive, each an event of its own with an id", async () => {
  await said("one", "two", "three");
  await saying(ada, "three");
  const heard = await events(ada);
  assert.deepEqual(heard.map(({ list }) => list.length), heard.map(() => 1));
  const ids = heard.map(({ id }) => Number(id));
  assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => a - b));
  assert.equal(heard[0].origin, proxy.origin);
  assert.deepEqual(lastIds(0), [undefined]);
});

await check("a message over several lines is one event", async () => {
  const message = { text: "of several\nlines\r\n\r\nid: 7\ndata: 8", rows: [1, 2] };
  const body = JSON.stringify([{ user: "system", channel: "lobby", message }], null, 4);
  const { status } = await ask(server.origin, SECRET, "POST", "/message", body.replaceAll("\n", "\r\n"));
  assert.equal(status, 200);
  all.push(message.text);
  const came = await saying(ada, message.text);
  assert.deepEqual(came.message, message);
});

await check("the line breaks: the browser comes back and hears what it missed, once", async () => {
  const seen = (await events(ada)).at(-1).id;
  const before = proxy.heads.length;
  proxy.cut();
  await said("missed one", "missed two", "missed three");
  await back(ada, 2);
  await said("after the break");
  await saying(ada, "after the break");
  assert.deepEqual(await texts(ada), all);
  assert.deepEqual(lastIds(before), [seen]);
  assert.equal((await saying(ada, "missed two")).catchup, true);
  assert.equal((await saying(ada, "after the break")).catchup, false);
});

await check("it breaks while nobody knows: what the server took for told is told again", async () => {
  const seen = (await events(ada)).at(-1).id;
  const before = proxy.heads.length;
  proxy.deafen();
  await said("swallowed one", "swallowed two");
  await saying(bob, "swallowed two");
  proxy.cutNear();
  await back(ada, 3);
  await said("after the silence");
  await saying(ada, "after the silence");
  proxy.cutFar();
  assert.deepEqual(lastIds(before), [seen]);
  // The first stream's end, which the server sees only now, or the second's, changes nothing.
  await back(ada, 4);
  await said("after both");
  await saying(ada, "after both");
  assert.deepEqual(await texts(ada), all);
});

await check("for a while nobody is there: the browser tries until somebody is", async () => {
  await proxy.close();
  const failed = await ada.evaluate(() => heard.failed);
  await said(...Array.from({ length: 80 }, (_, at) => `unheard ${at}`));
  await until("a second try", () => ada.evaluate((failed) => heard.failed > failed, failed + 1), 15_000);
  await proxy.open();
  await back(ada, 5);
  await said("after the gap");
  await saying(ada, "after the gap");
  assert.deepEqual(await texts(ada), all);
});

await check("a stream that breaks before its first event misses nothing", async () => {
  const id = await connect("eve", ["quiet"]);
  const before = proxy.heads.length;
  const eve = await listen(proxy.origin, id);
  proxy.cut();
  await signed("/message", [{ user: "system", channel: "quiet", message: { text: "first of all" } }]);
  await back(eve, 2);
  await saying(eve, "first of all");
  assert.deepEqual((await texts(eve)), ["first of all"]);
  const asked = lastIds(before).filter((_, at) => proxy.heads[before + at].includes(id));
  assert.equal(asked.length, 2);
  assert.match(asked[1], /^\d+$/);
  await fetch(`${server.origin}/disconnect?conn_id=${id}`);
  await eve.close();
});

await check("the others were told of no coming and going", async () => {
  // Breaking ada's line for eve's sake brought her back once more.
  await back(ada, 6);
  await said("to the end");
  await saying(bob, "to the end");
  await saying(ada, "to the end");
  const heard = await frames(bob);
  assert.deepEqual(heard.filter(({ type }) => type === "presence"), []);
  assert.deepEqual(await texts(bob), all);
  assert.deepEqual(await texts(ada), all);
});

await check("heartbeats keep the line open, and are no events", async () => {
  const before = (await events(bob)).length;
  assert.match(await heartbeat(), /^:\n\n/m);
  // By then the page's stream, which is older, had one, too.
  assert.equal((await events(bob)).length, before);
  assert.equal(await bob.evaluate(() => heard.failed), 0);
});

/** Reads a stream of its own until a comment came. */
async function heartbeat() {
  const id = await connect("carl", ["elsewhere"]);
  const stop = new AbortController();
  const response = await fetch(`${server.origin}/listen?conn_id=${id}`, {
    headers: { Accept: "text/event-stream" },
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(15_000)]),
  });
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  let bytes = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    bytes += piece;
    if (/^:/m.test(bytes)) break;
  }
  stop.abort();
  await fetch(`${server.origin}/disconnect?conn_id=${id}`);
  return bytes;
}

await check("the server ends the connection: the browser is told, and gives up", async () => {
  const answer = await fetch(`${server.origin}/disconnect?conn_id=${adaId}`);
  assert.equal(await answer.text(), "true");
  await until("an end for good", () => isClosed(ada), 15_000);
  const parted = await until("ada to part", async () =>
    (await frames(bob)).find(({ type }) => type === "presence"));
  assert.deepEqual(parted.message, { action: "parted" });
  assert.equal(parted.user, "ada");
});

await check("an unknown connection is no stream", async () => {
  await bob.evaluate((url) => {
    window.source = new EventSource(url);
  }, `${server.origin}/listen?conn_id=${adaId}`);
  await until("an end for good", () => isClosed(bob));
});

await browser.close();
await proxy.close();
app.end();
await server.end();
conclude();
