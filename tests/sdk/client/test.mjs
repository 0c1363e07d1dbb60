// The browser client that the server serves, in a real browser against a real server; the page of
// the explorer, the same way.
//
// Started by tests/sdk/run. The page takes the web application's part, too: it signs its requests.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { WAIT_MS, check, conclude, startBrowser, startServer, until } from "../playground/harness.mjs";
import { overflowing } from "../playground/looks.mjs";

const OUT = fileURLToPath(new URL("../out/", import.meta.url));
const SECRET = "secret"; // of `fanwire dev`
const ROOT = "/static/channelstream";
/** A document of the same origin that has no rules of its own about scripts. */
const BLANK = "/health/live";

await mkdir(OUT, { recursive: true });
let server = await startServer();
const browser = await startBrowser();
const complaints = [];
const strangers = [];

async function newPage(options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(WAIT_MS);
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (!/^(data|blob):$/.test(url.protocol) && url.host !== server.address) strangers.push(url.href);
  });
  return context.newPage();
}

/** A page with a connection of its own, not yet connected, and a list of all that it heard. */
async function open(settings = {}) {
  const page = await newPage();
  await page.goto(`${server.origin}${BLANK}`);
  await page.evaluate(
    async ({ root, secret, settings }) => {
      const { ChannelStreamConnection, ChannelStreamSigner } = await import(`${root}/index.js`);
      const signer = new ChannelStreamSigner(secret);
      const connection = new ChannelStreamConnection();
      window.connection = connection;
      window.heard = [];
      window.events = [];
      for (const kind of Object.keys(connection.mutators)) {
        connection.addMutator(kind, (request) => {
          request.headers.push({ name: "X-Channelstream-Secret", value: signer.signRequest() });
        });
      }
      const urls = ["connect", "subscribe", "unsubscribe", "message", "disconnect"];
      for (const name of urls) connection[`${name}Url`] = `/${name}`;
      connection.websocketUrl = "/ws";
      connection.longPollUrl = "/listen";
      connection.username = settings.username ?? "ada";
      connection.channels = ["room"];
      connection.listenMessageCallback = (frames) => window.heard.push(frames);
      for (const name of ["listenOpened", "listenClose", "connect", "connectError", "disconnect",
        "connectionClosed", "channelsChanged", "subscribeError", "messageError"]) {
        connection[`${name}Callback`] = () => window.events.push(name);
      }
      Object.assign(connection, settings);
    },
    { root: ROOT, secret: SECRET, settings },
  );
  return page;
}

const connect = async (page) => {
  await page.evaluate(() => connection.connect());
  await until("a way to listen", () => page.evaluate(() => connection.connected));
};

const say = (page, text) =>
  page.evaluate((text) => connection.message([{ user: "ada", channel: "room", message: { text } }]), text);

const hears = (page, text) =>
  until(`the message ${text}`, () =>
    page.evaluate((text) => heard.flat().some((frame) => frame.message?.text === text), text));

await check("a message comes through a socket", async () => {
  const page = await open();
  await connect(page);
  assert.equal(await page.evaluate(() => connection.websocket instanceof WebSocket), true);
  await say(page, "by socket");
  await hears(page, "by socket");
  await page.context().close();
});

await check("channels are those that the server says", async () => {
  const page = await open();
  await connect(page);
  assert.deepEqual(await page.evaluate(() => connection.calculateSubscribe(["room", "b"])), ["b"]);
  await page.evaluate(() => connection.subscribe(["b", "a"]));
  assert.deepEqual(await page.evaluate(() => connection.channels), ["a", "b", "room"]);
  await page.evaluate(() => connection.unsubscribe(["room"]));
  assert.deepEqual(await page.evaluate(() => connection.channels), ["a", "b"]);
  assert.deepEqual(await page.evaluate(() => connection.calculateUnsubscribe(["room", "b"])), ["b"]);
  const changes = await page.evaluate(() => events.filter((name) => name === "channelsChanged").length);
  assert.equal(changes, 3);
  await page.context().close();
});

for (const [way, settings] of [
  ["server-sent events", { noWebsocket: true }],
  ["polls", { noWebsocket: true, noEventSource: true }],
  ["another way, where sockets fail", { websocketUrl: "/nothing" }],
]) {
  await check(`messages come through ${way}`, async () => {
    const page = await open(settings);
    await connect(page);
    assert.equal(await page.evaluate(() => connection.websocket), null);
    for (const text of ["one", "two", "three"]) {
      await say(page, text);
      await hears(page, text);
    }
    const texts = await page.evaluate(() =>
      heard.flat().filter((frame) => frame.type === "message").map((frame) => frame.message.text));
    assert.deepEqual(texts, ["one", "two", "three"]);
    await page.context().close();
  });
}

await check("whoever disconnects stays away", async () => {
  const page = await open({ increaseBounceIv: 10 });
  await connect(page);
  const id = await page.evaluate(() => connection.connectionId);
  assert.equal(await page.evaluate(() => connection.disconnect()), true);
  assert.equal(await page.evaluate(() => connection.connected), false);
  const again = await fetch(`${server.origin}/disconnect?conn_id=${id}`);
  assert.equal(await again.text(), "false", "it is gone");
  assert.equal(await page.evaluate(() => connection._retryTimer), null);
  await page.context().close();
});

await check("whoever has ended is told so, also where the server is not", async () => {
  const page = await open({ disconnectUrl: "" });
  await connect(page);
  const told = () => page.evaluate(() => events.filter((name) => name === "connectionClosed").length);
  assert.equal(await page.evaluate(() => connection.disconnect()), null);
  assert.equal(await told(), 1);
  await connect(page);
  // As the original's, which pages use to clear up before anything is open.
  await page.evaluate(() => { connection.closeConnection(); connection.closeConnection(); });
  assert.equal(await told(), 3);
  await page.context().close();
});

await check("a lost connection comes back by itself, with a new id", async () => {
  const page = await open({ increaseBounceIv: 50 });
  await connect(page);
  const id = await page.evaluate(() => connection.connectionId);
  await fetch(`${server.origin}/disconnect?conn_id=${id}`);
  await until("a new connection", () =>
    page.evaluate((id) => connection.connected && connection.connectionId !== id, id));
  await say(page, "after");
  await hears(page, "after");
  assert.equal(await page.evaluate(() => connection._tries), 0, "success resets the wait");
  await page.context().close();
});

await check("waits grow to a minute and no further", async () => {
  const page = await open();
  const waits = await page.evaluate(() => {
    const waits = [];
    const real = window.setTimeout;
    window.setTimeout = (run, ms) => (waits.push(ms), real(() => {}, 0));
    for (let i = 0; i < 12; i++) connection.retryConnection();
    window.setTimeout = real;
    return waits;
  });
  waits.forEach((wait, i) => {
    const longest = Math.min(60_000, 2_000 * 2 ** i);
    assert.ok(wait >= longest / 2 && wait <= longest, `${i}: ${wait}`);
  });
  await page.context().close();
});

await check("a page that comes back online does not wait", async () => {
  const page = await open({ increaseBounceIv: 600_000 });
  await page.evaluate(() => {
    connection._watch(true);
    connection.retryConnection();
    window.dispatchEvent(new Event("online"));
  });
  await until("a connection", () => page.evaluate(() => connection.connected));
  await page.context().close();
});

await check("whoever ends or gives up is held by nothing", async () => {
  const page = await open({ shouldReconnect: false });
  const left = () => page.evaluate(() => [...window.listening.values()].reduce((sum, n) => sum + n, 0));
  await page.evaluate(() => {
    window.listening = new Map();
    for (const [place, name] of [[window, "window"], [document, "document"]]) {
      for (const [method, by] of [["addEventListener", 1], ["removeEventListener", -1]]) {
        const real = place[method];
        place[method] = (kind, ...rest) => {
          const key = `${name} ${kind}`;
          // The same listener counts once however often it is added.
          window.listening.set(key, by > 0 ? 1 : 0);
          return real.call(place, kind, ...rest);
        };
      }
    }
  });
  await connect(page);
  assert.equal(await left(), 3);
  await page.evaluate(() => connection.closeConnection());
  assert.equal(await left(), 0, "closed");
  await connect(page);
  assert.equal(await left(), 3);
  const id = await page.evaluate(() => connection.connectionId);
  await fetch(`${server.origin}/disconnect?conn_id=${id}`);
  await until("nothing that listens", async () => (await left()) === 0);
  assert.equal(await page.evaluate(() => connection._retryTimer), null);
  await page.context().close();
});

await check("an event stream that opens is a success, though nobody says anything", async () => {
  const page = await open({ noWebsocket: true });
  await page.evaluate(() => { connection._tries = 5; });
  await connect(page);
  assert.equal(await page.evaluate(() => connection._tries), 0);
  assert.deepEqual(await page.evaluate(() => heard), []);
  await page.context().close();
});

await check("a server that is down is an error told, and then it is back", async () => {
  const address = server.address;
  const page = await open({ increaseBounceIv: 50 });
  await connect(page);
  await server.end();
  await until("an error", () => page.evaluate(() => events.includes("connectError")));
  await page.evaluate(() => connection.message([{ user: "ada", channel: "room" }]));
  assert.ok(await page.evaluate(() => events.includes("messageError")));
  server = await startServer(address);
  await until("a connection", () => page.evaluate(() => connection.connected));
  await page.context().close();
});

await check("a callback that throws costs nothing else", async () => {
  const page = await open();
  await page.evaluate(() => {
    connection.connectCallback = () => { throw new Error("the page's own"); };
  });
  await connect(page);
  await say(page, "all the same");
  await hears(page, "all the same");
  await page.context().close();
});

await check("the signer signs as the specification says", async () => {
  const page = await newPage();
  await page.goto(`${server.origin}${BLANK}`);
  const signed = await page.evaluate(async (root) => {
    const { ChannelStreamSigner } = await import(`${root}/signer.js`);
    return new ChannelStreamSigner("secret").signRequest(1_600_000_000_000);
  }, ROOT);
  assert.equal(signed, "channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI");
  const macs = await page.evaluate(async (root) => {
    const { hmacSha1 } = await import(`${root}/sha1-esm.js`);
    const bytes = (length) => Uint8Array.from({ length }, (_, i) => i % 251);
    return [0, 1, 55, 56, 63, 64, 65, 200].map((n) => [...hmacSha1(bytes(n), bytes(3 * n))]);
  }, ROOT);
  [0, 1, 55, 56, 63, 64, 65, 200].forEach((n, at) => {
    const bytes = (length) => Buffer.from(Array.from({ length }, (_, i) => i % 251));
    const real = createHmac("sha1", bytes(n)).update(bytes(3 * n)).digest();
    assert.deepEqual(macs[at], [...real], `${n}`);
  });
  await page.context().close();
});

// ---- the explorer --------------------------------------------------------------------------

/** A page on the explorer, whose own requests are signed where an operator's carry a cookie. */
async function explore(viewport) {
  const page = await newPage({ viewport });
  await page.goto(`${server.origin}${BLANK}`);
  const secret = await page.evaluate(async ({ root, secret }) => {
    const { ChannelStreamSigner } = await import(`${root}/signer.js`);
    return new ChannelStreamSigner(secret).signRequest();
  }, { root: ROOT, secret: SECRET });
  await page.route(/\/(api-explorer|openapi\.json)/, (route) => {
    const headers = { ...route.request().headers(), "x-channelstream-secret": secret };
    return route.continue({ headers });
  });
  await page.goto(`${server.origin}/api-explorer`);
  await page.locator(".opblock-summary-path").first().waitFor();
  return page;
}

await check("the description is written down for the validator", async () => {
  const page = await explore({ width: 1280, height: 800 });
  const text = await page.evaluate(async () => (await fetch("openapi.json")).text());
  await writeFile(`${OUT}openapi.json`, text);
  await page.context().close();
});

await check("the explorer tries a request out, signed", async () => {
  const page = await explore({ width: 1280, height: 800 });
  const block = page.locator("#operations-server-channel_info");
  await block.locator(".opblock-summary-control").click();
  const asked = page.waitForRequest((request) => request.url().endsWith("/info"));
  await block.locator("textarea").fill('{"info": {"channels": []}}');
  await block.locator("button.execute").click();
  const request = await asked;
  assert.match(request.headers()["x-channelstream-secret"], /^api-explorer\./);
  const status = block.locator(".live-responses-table .response-col_status").last();
  await until("an answer", async () => /^200/.test(await status.innerText()));
  await page.screenshot({ path: `${OUT}explorer-1280.png` });
  await page.context().close();
});

for (const width of [1280, 390]) {
  await check(`nothing of the explorer overflows at ${width} pixels`, async () => {
    const page = await explore({ width, height: 844 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${wide} pixels`);
    await page.screenshot({ path: `${OUT}explorer-${width}-top.png` });
    await page.context().close();
  });
}

await check("no page failed on its own, nor asked anybody else", () => {
  assert.deepEqual(complaints, []);
  assert.deepEqual(strangers, []);
});

await browser.close();
await server.end();
conclude();
