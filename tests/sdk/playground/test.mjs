// The playground page of `fanwire dev`, driven in a real browser against a real server.
//
// Started by tests/sdk/run.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { WAIT_MS, check, conclude, runInShell, startBrowser, startServer, until } from "./harness.mjs";
import { faintTexts, namelessControls, overflowing, smallTargets } from "./looks.mjs";

const OUT = fileURLToPath(new URL("../out/", import.meta.url));
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const HOSTILE = `it's "quoted" \\ $HOME \`id\` !! <img src=x onerror=alert(1)> </script> &amp; 🦦 "'"'"`;

await mkdir(OUT, { recursive: true });
let server = await startServer();
const browser = await startBrowser();

// What no page may do at any time: complain, fail, or talk to anybody else.
const complaints = [];
const strangers = [];
let serverIsDown = false;
let refusalIsAsked = false;

function isOurs(url) {
  return url.startsWith("data:") || url.startsWith("blob:") || new URL(url).host === server.address;
}

async function newContext(options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(WAIT_MS);
  context.on("console", (message) => {
    if (!["error", "warning"].includes(message.type())) return;
    // The browser itself reports every refused connection and request.
    if (serverIsDown && /ERR_CONNECTION|ERR_EMPTY_RESPONSE|WebSocket/.test(message.text())) return;
    if (refusalIsAsked && /the server responded with a status of 400/.test(message.text())) return;
    complaints.push(`${message.type()}: ${message.text()}`);
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  context.on("request", (request) => {
    if (!isOurs(request.url())) strangers.push(request.url());
  });
  return context;
}

/** Opens the page and waits until it has joined. Keeps the conn_ids of its sockets. */
async function open(context) {
  const page = await context.newPage();
  page.connIds = [];
  page.on("websocket", (socket) => {
    if (!isOurs(socket.url())) strangers.push(socket.url());
    // The other socket is Pusher's.
    const { pathname, searchParams } = new URL(socket.url());
    if (pathname === "/ws") page.connIds.push(searchParams.get("conn_id"));
  });
  const response = await page.goto(server.origin);
  assert.equal(response.status(), 200);
  await connected(page);
  return page;
}

const connected = (page) => page.locator("#status[data-is=open]").waitFor();
const nameOf = (page) => page.locator("#name").inputValue();

/** The frame in the pane whose text is exactly this; hence it was not taken for markup. */
function saying(page, text) {
  return until(`a frame that says ${text}`, async () => {
    const texts = await page.locator("#frames .said").allTextContents();
    return texts.includes(text);
  });
}

async function publish(page, text) {
  await page.locator("#message").fill(text);
  await page.locator("#message").press("Enter");
}

async function presence(page, user, verb) {
  const line = page.locator("#frames .frame.presence .line").filter({ hasText: user }).filter({ hasText: verb });
  await line.first().waitFor();
}

const members = (page) => page.locator("#here .chip > span:last-child").allTextContents();

async function fits(page) {
  assert.deepEqual(await page.evaluate(overflowing), []);
}

const context = await newContext({ viewport: WIDE, permissions: ["clipboard-read", "clipboard-write"] });
const ada = await open(context);
const adaName = await nameOf(ada);
let bob;
let bobName;

await check("the page joins as a user of its own, and the empty pane says what to do", async () => {
  assert.match(adaName, /^[a-z]+-\d+$/);
  assert.deepEqual(await members(ada), [`${adaName} (you)`]);
  assert.ok(await ada.locator("#empty").isVisible());
  await fits(ada);
  await ada.screenshot({ path: `${OUT}first-1280.png` });
});

await check("a message that is typed arrives in the other pane", async () => {
  await publish(ada, "hello, world");
  await saying(ada, "hello, world");
  const frame = ada.locator("#frames .frame").first();
  assert.equal(await frame.locator("b").textContent(), adaName);
  assert.match(await frame.locator("time").textContent(), /^\d\d:\d\d:\d\d$/);
  assert.equal(await ada.locator("#message").inputValue(), "");
  await ada.locator("#result", { hasText: /^Published in \d+ ms\.$/ }).waitFor();
});

await check("a second page is another user, and both see each other come", async () => {
  bob = await open(context);
  bobName = await nameOf(bob);
  assert.notEqual(bobName, adaName);
  await presence(ada, bobName, "joined");
  await until("both members in both pages", async () =>
    (await members(ada)).length === 2 && (await members(bob)).length === 2);
});

await check("a page that comes later shows what was said before", async () => {
  await saying(bob, "hello, world");
  assert.equal(await bob.locator("#frames .said", { hasText: "hello, world" }).count(), 1);
});

await check("a message reaches the second page, too", async () => {
  await publish(ada, "hello, you");
  await saying(bob, "hello, you");
  await publish(bob, "hello back");
  await saying(ada, "hello back");
});

await check("messages keep their order, newest first", async () => {
  const sent = ["one", "two", "three", "four", "five"];
  for (const text of sent) await publish(ada, text);
  await saying(bob, "five");
  const texts = await bob.locator("#frames .said").allTextContents();
  assert.deepEqual(texts.slice(0, 5), sent.toReversed());
});

await check("quotes, markup and emoji are shown as they were typed", async () => {
  await ada.locator("#user").fill(`<i>${HOSTILE}</i>`);
  await publish(ada, HOSTILE);
  await saying(ada, HOSTILE);
  await saying(bob, HOSTILE);
  assert.equal(await bob.locator("#frames b").first().textContent(), `<i>${HOSTILE}</i>`);
  assert.equal(await bob.locator("img").count(), 0);
  await ada.locator("#user").fill(adaName);
});

await check("Shift Enter starts a new line, Enter sends both", async () => {
  await ada.locator("#message").fill("first");
  await ada.locator("#message").press("Shift+Enter");
  await ada.keyboard.type("second");
  await ada.locator("#message").press("Enter");
  await saying(bob, "first\nsecond");
});

for (const shell of ["sh", "bash"]) {
  await check(`the curl line works as pasted into ${shell}, whatever is in it`, async () => {
    const text = `${HOSTILE} from ${shell}\nand a line more\u0007\u202e`;
    await ada.locator("#message").fill(text);
    const user = `o'neil "${shell}"`;
    await ada.locator("#user").fill(user);
    await ada.locator("#copy").click();
    await ada.locator("#copy-text", { hasText: "Copied" }).waitFor();
    const line = await ada.evaluate(() => navigator.clipboard.readText());
    assert.equal(line, await ada.locator("#curl").textContent());
    const [answer] = JSON.parse(await runInShell(line, shell));
    assert.equal(answer.message.text, text);
    assert.equal(answer.user, user);
    await saying(ada, text);
    await saying(bob, text);
    await ada.locator("#message").fill("");
    await ada.locator("#user").fill(adaName);
  });
}

await check("the curl line follows what is typed", async () => {
  await ada.locator("#message").fill("abc");
  assert.match(await ada.locator("#curl").textContent(), /"message":\{"text":"abc"\}/);
  await ada.locator("#message").press("End");
  await ada.keyboard.type("d");
  assert.match(await ada.locator("#curl").textContent(), /"message":\{"text":"abcd"\}/);
  await ada.locator("#channel").fill("it's");
  assert.match(await ada.locator("#curl").textContent(), /"channel":"it'\\''s"/);
  await ada.locator("#channel").fill("playground");
  await ada.locator("#message").fill("");
});

await check("JSON goes out and comes back unchanged, and the raw frame opens by keyboard", async () => {
  await ada.getByLabel("JSON", { exact: true }).check();
  await publish(ada, '{"order": 12345678901234567890, "paid": true, "lines": [], "note": "<b>fast</b>"}');
  const shown = '{\n  "order": 12345678901234567890,\n  "paid": true,\n  "lines": [],\n  "note": "<b>fast</b>"\n}';
  await saying(ada, shown);
  await saying(bob, shown);
  const summary = bob.locator("#frames summary").first();
  await summary.focus();
  await summary.press("Enter");
  const raw = await bob.locator("#frames .raw").first().textContent();
  assert.match(raw, /"type": "message"/);
  assert.match(raw, /"order": 12345678901234567890/);
});

await check("what is not a JSON object is not sent, and the page says why", async () => {
  const before = await bob.locator("#frames .frame").count();
  for (const [wrong, why] of [["{", /^Not JSON/], ["[1]", /is a JSON object/], ["", /JSON object first/]]) {
    await publish(ada, wrong);
    assert.match(await ada.locator("#result").textContent(), why);
    assert.equal(await ada.locator("#message").getAttribute("aria-invalid"), "true");
  }
  // What comes after them proves that nothing came before it.
  await publish(ada, '{"text": "fine again"}');
  await saying(bob, "fine again");
  assert.equal(await bob.locator("#frames .frame").count(), before + 1);
  await ada.locator("#message").fill("");
  await ada.getByLabel("Text", { exact: true }).check();
});

await check("another channel can be listened to", async () => {
  await ada.locator("#channel").fill("news");
  await ada.locator("#deaf").waitFor();
  await fits(ada);
  await ada.locator("#listen").click();
  await ada.locator("#deaf").waitFor({ state: "hidden" });
  await ada.locator("#frames .note", { hasText: "#news" }).waitFor();
  await publish(ada, "extra, extra");
  await saying(ada, "extra, extra");
  await ada.locator("#channel").fill("playground");
});

await check("another name is another user: one parts, one joins", async () => {
  const goodbye = bob.waitForRequest(`${server.origin}/disconnect`);
  const left = bob.connIds.at(-1);
  await bob.locator("#name").fill("grace");
  await bob.locator("#name").press("Enter");
  assert.deepEqual((await goodbye).postDataJSON(), { conn_id: left });
  await connected(bob);
  await presence(ada, bobName, "left");
  await presence(ada, "grace", "joined");
  assert.equal(await bob.locator("#user").inputValue(), "grace");
  await until("the new name in the list", async () => {
    const names = await members(ada);
    return names.includes("grace") && !names.includes(bobName);
  });
});

await check("heartbeats are counted and not listed", async () => {
  const beats = async () => parseInt(await ada.locator("#beat-count").textContent(), 10);
  const before = await beats();
  await until("a heartbeat", async () => (await beats()) > before, 15_000);
  assert.equal((await ada.locator("#frames .said").allTextContents()).includes("[]"), false);
});

await check("the counts on top are the server's", async () => {
  const count = async (name) => Number((await ada.locator(`#count-${name}`).textContent()).replaceAll(",", ""));
  await until("counts that agree", async () => {
    const state = await (await fetch(`${server.origin}/dev/state`)).json();
    const names = ["channels", "users", "published", "delivered"];
    const shown = await Promise.all(names.map(count));
    return names.every((name, at) => shown[at] === state[name]);
  });
  assert.ok((await count("published")) > 10);
  assert.ok((await count("connections")) >= 2);
});

await check("it works by keyboard alone", async () => {
  await bob.bringToFront();
  // Tab starts at the top of the document again.
  await bob.evaluate(() => {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
  });
  const passed = [];
  const focused = () => bob.evaluate(() => document.activeElement.id || document.activeElement.tagName);
  for (let step = 0; step < 20 && passed.at(-1) !== "message"; step++) {
    await bob.keyboard.press("Tab");
    passed.push(await focused());
    const outlined = await bob.evaluate(() => {
      const focus = document.activeElement;
      // A choice is drawn by its label.
      const drawn = focus.type === "radio" ? focus.parentElement : focus;
      return getComputedStyle(drawn).outlineStyle !== "none";
    });
    assert.ok(outlined, `${passed.at(-1)} shows its focus`);
  }
  for (const id of ["name", "frames-box", "SUMMARY", "clear", "channel", "user", "message"]) {
    assert.ok(passed.includes(id), `${id} is reached by Tab`);
  }
  assert.equal(passed.filter((id) => id === "SUMMARY").length, 1, "the frames are one stop");
  await bob.keyboard.type("no mouse");
  await bob.keyboard.press("Enter");
  await saying(ada, "no mouse");
  // Among the frames, the arrow keys.
  await saying(bob, "no mouse");
  const place = () => bob.evaluate(() =>
    [...document.querySelectorAll("#frames summary")].indexOf(document.activeElement));
  await bob.locator("#frames summary").first().focus();
  await bob.keyboard.press("ArrowDown");
  assert.equal(await place(), 1);
  await bob.keyboard.press("ArrowUp");
  assert.equal(await place(), 0);
});

await check("every control has a label, and frames are announced", async () => {
  assert.deepEqual(await ada.evaluate(namelessControls), []);
  assert.equal(await ada.locator("#frames").getAttribute("aria-live"), "polite");
});

const tab = (page, name) => page.getByRole("tab", { name, exact: true }).click();

/** The frames of a list, newest first: event, what stands beside it, and data. */
const framesIn = (page, list) => page.evaluate((list) => [...document.querySelectorAll(`${list} .frame`)].map((frame) => ({
  event: frame.querySelector("b").textContent,
  tags: [...frame.querySelectorAll(".tag")].map((tag) => tag.textContent),
  data: frame.querySelector(".said")?.textContent,
})), list);

const pusherFrames = (page) => framesIn(page, "#p-frames");
const pushiFrames = (page) => framesIn(page, "#u-frames");

/** The first frame on the Pusher tab of which this holds. */
const pusherFrame = (page, what, holds) =>
  until(`${what} on the Pusher tab`, async () => (await pusherFrames(page)).find(holds));

/** The same on the Pushi tab. */
const pushiFrame = (page, what, holds) =>
  until(`${what} on the Pushi tab`, async () => (await pushiFrames(page)).find(holds));

async function trigger(page, { channel, event, data }) {
  await page.locator("#p-channel").fill(channel);
  await page.locator("#p-event").fill(event);
  await page.locator("#p-data").fill(data);
  await page.locator("#p-data").press("Enter");
}

await check("the Pusher tab has a socket of its own, which joins by the protocol", async () => {
  await tab(ada, "Pusher");
  await ada.locator("#p-status[data-is=open]").waitFor();
  assert.ok(await ada.locator("#panel-channelstream").isHidden());
  await pusherFrame(ada, "the success", ({ event }) => event === "pusher_internal:subscription_succeeded");
  const frames = (await pusherFrames(ada)).toReversed();
  assert.equal(frames[0].event, "pusher:connection_established");
  assert.match(JSON.parse(frames[0].data).socket_id, /^\d+\.\d+$/);
  assert.equal(JSON.parse(frames[0].data).socket_id, await ada.locator("#p-socket").textContent());
});

await check("what is published on the Pusher tab is signed and arrives on both tabs", async () => {
  for (const data of [`{"text": ${JSON.stringify(HOSTILE)}}`, "", "ü".repeat(60), "x".repeat(61)]) {
    await trigger(ada, { channel: "playground", event: "App\\Events\\Paid", data });
    await ada.locator("#p-result.good", { hasText: /^Published in \d+ ms\.$/ }).waitFor();
    const frame = await pusherFrame(ada, data, (frame) => frame.event === "App\\Events\\Paid" && frame.data === data);
    assert.deepEqual(frame.tags, ["playground"]);
  }
  const told = JSON.stringify({ event: "App\\Events\\Paid", data: "x".repeat(61) });
  await until("the message on the other page", async () =>
    (await bob.locator("#frames .said").allTextContents()).some((text) =>
      JSON.stringify(JSON.parse(text.startsWith("{") ? text : "null")) === told));
});

await check("what is published on the Channelstream tab arrives on the Pusher tab", async () => {
  await publish(bob, "across the bridge");
  const { data, tags } = await pusherFrame(ada, "the message", ({ event, data }) =>
    event === "message" && data.includes("across the bridge"));
  assert.deepEqual(tags, ["playground"]);
  assert.deepEqual(JSON.parse(data).message, { text: "across the bridge" });
  assert.equal(JSON.parse(data).user, "grace");
  await tab(ada, "Channelstream");
  await saying(ada, "across the bridge");
  await publish(ada, "and from this page");
  await tab(ada, "Pusher");
  await pusherFrame(ada, "the page's own message", ({ data }) => data.includes("and from this page"));
});

await check("private and presence channels are joined with the page's own signature, and left", async () => {
  for (const channel of ["private-news", "presence-room"]) {
    await ada.locator("#p-join").fill(channel);
    await ada.locator("#p-join").press("Enter");
    await pusherFrame(ada, channel, ({ event, tags }) =>
      event === "pusher_internal:subscription_succeeded" && tags.includes(channel));
    await trigger(ada, { channel, event: "hello", data: channel });
    await pusherFrame(ada, `an event in ${channel}`, ({ event, data }) => event === "hello" && data === channel);
  }
  await ada.locator("#p-in button", { hasText: "private-news" }).click();
  await until("to have left", async () => {
    // The answer to a publication behind it comes after it.
    await trigger(ada, { channel: "playground", event: "mark", data: "behind" });
    await pusherFrame(ada, "the mark", ({ event }) => event === "mark");
    const before = (await pusherFrames(ada)).length;
    await trigger(ada, { channel: "private-news", event: "hello", data: "nobody" });
    await trigger(ada, { channel: "playground", event: "mark", data: "after" });
    await pusherFrame(ada, "the mark after it", ({ data }) => data === "after");
    return (await pusherFrames(ada)).length === before + 1;
  });
  assert.deepEqual(await ada.locator("#p-in button > span:first-child").allTextContents(), ["playground", "presence-room"]);
});

await check("what the server refuses is said, and what has no name is not sent", async () => {
  refusalIsAsked = true;
  await trigger(ada, { channel: "no spaces", event: "hello", data: "x" });
  await ada.locator("#p-result.bad", { hasText: "Refused, 400" }).waitFor();
  refusalIsAsked = false;
  await trigger(ada, { channel: "", event: "hello", data: "x" });
  await ada.locator("#p-result.bad", { hasText: "Name a channel." }).waitFor();
  await ada.locator("#p-channel").fill("playground");
});

await check("the code to copy has the live key, and the curl line works as pasted", async () => {
  const [host, port] = server.address.split(":");
  const devKey = "0123456789abcdef".repeat(4);
  await ada.locator("#p-event").fill("it's");
  for (const [kind, pieces] of [
    ["pusher-js", [`new Pusher("${devKey}"`, `wsHost: "${host}", wsPort: ${port}`, 'enabledTransports: ["ws", "wss"]',
      'subscribe("playground").bind("it\'s"']],
    ["Echo", [`key: "${devKey}"`, "forceTLS: false", 'echo.channel("playground").listen(".it\'s"']],
    ["Node", [`appId: "1", key: "${devKey}", secret: "dev-secret"`, `host: "${host}", port: "${port}", useTLS: false`]],
  ]) {
    await ada.getByLabel(kind, { exact: true }).check();
    const words = await until(`code for ${kind}`, async () => {
      const words = await ada.locator("#p-snippet").textContent();
      return pieces.every((piece) => words.includes(piece)) && words;
    });
    await ada.locator("#p-copy").click();
    await ada.locator("#p-copy-text", { hasText: "Copied" }).waitFor();
    assert.equal(await ada.evaluate(() => navigator.clipboard.readText()), words);
    await ada.locator("#p-copy-text", { hasText: "Copy" }).waitFor();
  }
  await ada.locator("#panel-pusher").getByLabel("curl", { exact: true }).check();
  const text = `${HOSTILE}\u202e from curl`;
  await ada.locator("#p-data").fill(text);
  await ada.locator("#p-copy").click();
  await ada.locator("#p-copy-text", { hasText: "Copied" }).waitFor();
  const curl = await ada.evaluate(() => navigator.clipboard.readText());
  assert.equal(await runInShell(curl, "sh"), "{}");
  await pusherFrame(ada, "what curl sent", ({ event, data }) => event === "it's" && data === text);
});

/** Everything on the Pusher tab that is long. */
async function fillPusher(page) {
  await tab(page, "Pusher");
  await page.locator("#p-status[data-is=open]").waitFor();
  await page.locator("#p-join").fill(`presence-${"c".repeat(150)}`);
  await page.locator("#p-join").press("Enter");
  await page.locator("#p-in button", { hasText: "presence-ccc" }).waitFor();
  await trigger(page, { channel: "playground", event: "e".repeat(200), data: `{"${"wide".repeat(80)}": [1]}` });
  await pusherFrame(page, "the long one", ({ event }) => event === "e".repeat(200));
  await page.locator("#p-frames summary").first().click();
  await page.locator("#p-frames .raw").first().waitFor();
}

/** The Pusher tab as one would show it. */
async function showPusher(page, name) {
  await page.locator("#p-in button", { hasText: "presence-ccc" }).click();
  await page.locator("#p-clear").click();
  await page.getByLabel("pusher-js", { exact: true }).check();
  await trigger(page, { channel: "playground", event: "invoice.paid", data: '{"invoice": 20418, "total": "129.00"}' });
  await pusherFrame(page, "the first", ({ event }) => event === "invoice.paid");
  await publish(bob, "Is the new build out already?");
  await pusherFrame(page, "the second", ({ event }) => event === "message");
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${OUT}${name}-${colorScheme}.png`, fullPage: true });
    assert.deepEqual(await page.evaluate(faintTexts, 4.5), []);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

await check("at 1280 pixels nothing on the Pusher tab overflows, and it can be shown", async () => {
  await ada.bringToFront();
  await fillPusher(ada);
  await fits(ada);
  await ada.screenshot({ path: `${OUT}pusher-full-1280.png` });
  await showPusher(ada, "pusher-1280");
  assert.deepEqual(await ada.evaluate(namelessControls), []);
});

await check("at 390 pixels the Pusher tab fits, and fingers hit", async () => {
  const narrow = await newContext({ viewport: PHONE, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  const page = await narrow.newPage();
  // By its own address, too.
  await page.goto(`${server.origin}/#pusher`);
  assert.ok(await page.locator("#panel-pusher").isVisible());
  await fillPusher(page);
  await fits(page);
  assert.deepEqual(await page.evaluate(smallTargets, 40), []);
  await page.screenshot({ path: `${OUT}pusher-full-390.png`, fullPage: true });
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page);
  await page.setViewportSize(PHONE);
  await showPusher(page, "pusher-390");
  const name = await nameOf(page);
  await narrow.close();
  await presence(bob, name, "left");
});

/** Publishes on the Pushi tab, by the socket or over REST. */
async function emit(page, { way = "Socket", channel = "playground", event = "hello", data, echo = true, persist = true }) {
  await page.locator("#panel-pushi").getByLabel(way, { exact: true }).check();
  await page.locator("#u-channel").fill(channel);
  await page.locator("#u-event").fill(event);
  if (way === "Socket") await page.locator("#u-echo").setChecked(echo);
  await page.locator("#u-persist").setChecked(persist);
  await page.locator("#u-data").fill(data);
  await page.locator("#u-data").press("Enter");
}

await check("the Pushi tab has a socket of its own, whose id is a UUID", async () => {
  await tab(ada, "Pushi");
  await ada.locator("#u-status[data-is=open]").waitFor();
  assert.ok(await ada.locator("#panel-pusher").isHidden());
  await pushiFrame(ada, "the success", ({ event }) => event === "pusher_internal:subscription_succeeded");
  const frames = (await pushiFrames(ada)).toReversed();
  assert.equal(frames[0].event, "pusher:connection_established");
  const id = JSON.parse(frames[0].data).socket_id;
  assert.match(id, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  assert.equal(id, await ada.locator("#u-socket").textContent());
});

await check("what is published on the Pushi tab arrives, by the socket and over REST", async () => {
  for (const way of ["Socket", "REST"]) {
    const data = `{"by": ${JSON.stringify(`${way} ${HOSTILE}`)}}`;
    await emit(ada, { way, event: "order.paid", data });
    await ada.locator("#u-result.good").waitFor();
    const frame = await pushiFrame(ada, way, (frame) => frame.event === "order.paid" && frame.data === data);
    assert.deepEqual(frame.tags, ["playground"]);
  }
  assert.match(await ada.locator("#u-path").textContent(), /^POST \/events · session [\da-f]{6}…$/);
  await tab(ada, "Pusher");
  await pusherFrame(ada, "the same", ({ event, data }) => event === "order.paid" && data.includes("REST it's"));
  await tab(ada, "Pushi");
});

await check("without echo nothing comes back, and what is not kept is not among the latest", async () => {
  await ada.locator("#u-clear").click();
  await emit(ada, { data: "no echo", echo: false });
  await emit(ada, { data: "not kept", persist: false });
  await emit(ada, { data: "kept" });
  await pushiFrame(ada, "the last", ({ data }) => data === "kept");
  assert.deepEqual((await pushiFrames(ada)).map(({ data }) => data), ["kept", "not kept"]);
  await ada.locator("#u-latest").click();
  await ada.locator("#u-result.good", { hasText: "of playground in the store." }).waitFor();
  const stored = (await pushiFrames(ada)).filter(({ tags }) => tags.includes("stored"));
  assert.deepEqual(stored.slice(0, 2).map(({ data }) => data), ["kept", "no echo"]);
  assert.ok(stored.every(({ data }) => data !== "not kept"));
});

await check("signed channels are joined with the page's own signature, and what is refused is said", async () => {
  for (const channel of ["private-news", "presence-room"]) {
    await ada.locator("#u-join").fill(channel);
    await ada.locator("#u-join").press("Enter");
    await pushiFrame(ada, channel, ({ event, tags }) =>
      event === "pusher_internal:subscription_succeeded" && tags.includes(channel));
    await emit(ada, { channel, data: channel });
    await pushiFrame(ada, `an event in ${channel}`, ({ event, data }) => event === "hello" && data === channel);
  }
  await ada.locator("#u-in button", { hasText: "private-news" }).click();
  await pushiFrame(ada, "the goodbye", ({ event }) => event === "pusher_internal:unsubscription_succeeded");
  await emit(ada, { channel: "private-news", data: "nobody" });
  await ada.locator("#u-result.bad", { hasText: "Refused, 40" }).waitFor();
  assert.deepEqual(await ada.locator("#u-in button > span:first-child").allTextContents(), ["playground", "presence-room"]);
  refusalIsAsked = true;
  await emit(ada, { way: "REST", data: "" });
  await ada.locator("#u-result.bad", { hasText: "No data set for event" }).waitFor();
  refusalIsAsked = false;
  await emit(ada, { channel: "", data: "x" });
  await ada.locator("#u-result.bad", { hasText: "Name a channel." }).waitFor();
});

await check("what is published while somebody is away waits, and comes with the personal channel", async () => {
  await ada.locator("#u-channel").fill("playground");
  await ada.locator("#u-user").fill("linus & co");
  await ada.locator("#u-keep").click();
  await pushiFrame(ada, "the personal channel", ({ event, tags }) =>
    event === "pusher_internal:subscription_succeeded" && tags.includes("personal-linus & co"));
  await ada.locator("#u-kept", { hasText: "personal-linus & co stands for playground; 0 events waited." }).waitFor();
  await ada.locator("#u-away").click();
  await ada.locator("#u-status", { hasText: "Offline" }).waitFor();
  for (const data of ["first", "second"]) {
    await emit(ada, { way: "REST", data });
    await ada.locator("#u-result.good", { hasText: "Published in" }).waitFor();
  }
  // By the socket nothing can be said now.
  await emit(ada, { data: "lost" });
  await ada.locator("#u-result.bad", { hasText: "The socket is closed" }).waitFor();
  await ada.locator("#u-clear").click();
  await ada.locator("#u-away").click();
  await ada.locator("#u-kept", { hasText: "2 events waited." }).waitFor();
  const waited = (await pushiFrames(ada)).filter(({ tags }) => tags.includes("waited"));
  assert.deepEqual(waited.map(({ data }) => data), ["second", "first"]);
});

await check("the code for Pushi has the live key, and its curl lines work as pasted", async () => {
  const devKey = "0123456789abcdef".repeat(4);
  const panel = ada.locator("#panel-pushi");
  await ada.locator("#u-event").fill("it's");
  for (const [kind, pieces] of [
    ["pushi.js", [`new Pushi("${devKey}"`, `baseUrl: "ws://${server.address}/"`, 'subscribe("playground")', 'bind("it\'s"']],
    ["Python", [`base_url="${server.origin}/"`, `app_id="1", app_key="${devKey}"`, 'event="it\'s", persist=True']],
  ]) {
    await panel.getByLabel(kind, { exact: true }).check();
    const words = await ada.locator("#u-snippet").textContent();
    for (const piece of pieces) assert.ok(words.includes(piece), `${piece} in ${words}`);
    await ada.locator("#u-copy").click();
    await ada.locator("#u-copy-text", { hasText: "Copied" }).waitFor();
    assert.equal(await ada.evaluate(() => navigator.clipboard.readText()), words);
    await ada.locator("#u-copy-text", { hasText: "Copy" }).waitFor();
  }
  await panel.getByLabel("curl", { exact: true }).check();
  const text = `${HOSTILE}\u202e from curl`;
  await ada.locator("#u-data").fill(text);
  await ada.locator("#u-copy").click();
  await ada.locator("#u-copy-text", { hasText: "Copied" }).waitFor();
  const curl = await ada.evaluate(() => navigator.clipboard.readText());
  assert.equal(JSON.parse(await runInShell(curl, "sh")).result, "success");
  await pushiFrame(ada, "what curl sent", ({ event, data }) => event === "it's" && data === text);
});

/** Everything on the Pushi tab that is long. */
async function fillPushi(page) {
  await tab(page, "Pushi");
  await page.locator("#u-status[data-is=open]").waitFor();
  await page.locator("#u-join").fill(`presence-${"c".repeat(150)}`);
  await page.locator("#u-join").press("Enter");
  await page.locator("#u-in button", { hasText: "presence-ccc" }).waitFor();
  await page.locator("#u-channel").fill("d".repeat(150));
  await page.locator("#u-user").fill("w".repeat(200));
  await page.locator("#u-keep").click();
  await page.locator("#u-kept", { hasText: "waited" }).waitFor();
  await emit(page, { event: "e".repeat(200), data: `{"${"wide".repeat(80)}": [1]}` });
  await pushiFrame(page, "the long one", ({ event }) => event === "e".repeat(200));
  await page.locator("#u-frames summary").first().click();
  await page.locator("#u-frames .raw").first().waitFor();
}

/** The Pushi tab as one would show it. */
async function showPushi(page, name) {
  for (const left of ["presence-ccc", "personal-www", "presence-room", "personal-linus"]) {
    const button = page.locator("#u-in button", { hasText: left });
    if (await button.count() > 0) await button.click();
  }
  await page.locator("#u-user").fill("grace");
  await page.locator("#u-channel").fill("playground");
  await page.locator("#u-keep").click();
  await page.locator("#u-kept", { hasText: "personal-grace stands for playground" }).waitFor();
  await page.locator("#u-away").click();
  await emit(page, { way: "REST", event: "invoice.paid", data: '{"invoice": 20418, "total": "129.00"}' });
  await page.locator("#u-result.good", { hasText: "Published in" }).waitFor();
  await page.locator("#u-clear").click();
  await page.locator("#u-away").click();
  await page.locator("#u-kept", { hasText: /\b[1-9]\d* events? waited/ }).waitFor();
  await page.locator("#panel-pushi").getByLabel("pushi.js", { exact: true }).check();
  await emit(page, { event: "message", data: '{"text": "And here I am again"}' });
  await pushiFrame(page, "the last", ({ data }) => data?.includes("And here I am again"));
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${OUT}${name}-${colorScheme}.png`, fullPage: true });
    assert.deepEqual(await page.evaluate(faintTexts, 4.5), []);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

await check("at 1280 pixels nothing on the Pushi tab overflows, and it can be shown", async () => {
  await ada.bringToFront();
  await fillPushi(ada);
  await fits(ada);
  await ada.screenshot({ path: `${OUT}pushi-full-1280.png` });
  await showPushi(ada, "pushi-1280");
  assert.deepEqual(await ada.evaluate(namelessControls), []);
});

await check("at 390 pixels the Pushi tab fits, and fingers hit", async () => {
  const narrow = await newContext({ viewport: PHONE, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  const page = await narrow.newPage();
  await page.goto(`${server.origin}/#pushi`);
  assert.ok(await page.locator("#panel-pushi").isVisible());
  await fillPushi(page);
  await fits(page);
  assert.deepEqual(await page.evaluate(smallTargets, 40), []);
  await page.screenshot({ path: `${OUT}pushi-full-390.png`, fullPage: true });
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page);
  await page.setViewportSize(PHONE);
  await showPushi(page, "pushi-390");
  const name = await nameOf(page);
  await narrow.close();
  await presence(bob, name, "left");
});

await check("the tabs are reached by keyboard", async () => {
  await ada.bringToFront();
  await ada.locator("#tab-pusher").click();
  await ada.locator("#tab-pusher").focus();
  const shown = () => ada.evaluate(() => document.activeElement.id);
  for (const [key, there] of [["ArrowRight", "pushi"], ["ArrowRight", "channelstream"], ["ArrowLeft", "pushi"],
    ["ArrowLeft", "pusher"], ["ArrowLeft", "channelstream"]]) {
    await ada.keyboard.press(key);
    assert.ok(await ada.locator(`#panel-${there}`).isVisible());
    assert.equal(await shown(), `tab-${there}`);
  }
});

await check("the server closes the connection: the page comes back with another", async () => {
  const [lost] = ada.connIds.slice(-1);
  const answer = await fetch(`${server.origin}/disconnect?conn_id=${lost}`);
  assert.equal(await answer.text(), "true");
  await until("a new socket", () => ada.connIds.at(-1) !== lost);
  await connected(ada);
  await publish(ada, "back again");
  await saying(ada, "back again");
  await saying(bob, "back again");
});

await check("the server is killed and started again: both pages come back", async () => {
  const { address } = server;
  serverIsDown = true;
  await server.end("SIGKILL");
  await ada.locator("#status[data-is=waiting]").waitFor();
  await ada.locator("#counts.stale").waitFor();
  await ada.locator("#frames .note.bad").first().waitFor();
  await ada.screenshot({ path: `${OUT}lost-1280.png` });
  // The one page loses its timers while it waits, so that only the button can bring it back.
  await until("a page that waits", () => ada.evaluate(() => {
    if (document.getElementById("status").dataset.is !== "waiting") return false;
    const last = setTimeout(() => {});
    for (let timer = 1; timer <= last; timer++) clearTimeout(timer);
    return true;
  }));
  server = await startServer(address);
  await until("the page that comes by itself", () => bob.locator("#status[data-is=open]").isVisible(), 20_000);
  assert.ok(await ada.locator("#status[data-is=waiting]").isVisible());
  await ada.locator("#retry").click();
  await connected(ada);
  // The other tabs have come back as well, in the channels that they were in.
  await ada.locator("#p-status[data-is=open]").waitFor({ state: "attached" });
  await ada.locator("#u-status[data-is=open]").waitFor({ state: "attached" });
  serverIsDown = false;
  await publish(bob, "still here");
  await saying(ada, "still here");
  for (const frame of [pusherFrame, pushiFrame]) {
    await frame(ada, "what came after", ({ event, data }) => event === "message" && data.includes("still here"));
  }
  await until("both members again", async () => (await members(ada)).length === 2);
});

// The same content for both widths: what is long, what is nested, what is opened.
async function fill(page) {
  await page.locator("#clear").click();
  await publish(page, "x".repeat(300));
  await page.getByLabel("JSON", { exact: true }).check();
  await publish(page, `{"${"key".repeat(60)}": [[["deep", {"and": "${"wide".repeat(80)}"}]]]}`);
  await page.getByLabel("Text", { exact: true }).check();
  await page.locator("#user").fill("w".repeat(200));
  await publish(page, "a name too long");
  await saying(page, "a name too long");
  await page.locator("#frames summary").first().click();
  await page.locator("#channel").fill("c".repeat(120));
  await page.locator("#message").fill(HOSTILE.repeat(4));
  await page.locator("#deaf").waitFor();
}

/** What one would show to somebody. */
async function showcase(page, name) {
  await page.locator("#clear").click();
  await page.locator("#channel").fill("playground");
  await page.locator("#user").fill("billing");
  await page.getByLabel("JSON", { exact: true }).check();
  await publish(page, '{"event": "invoice.paid", "invoice": 20418, "total": "129.00", "currency": "EUR"}');
  await page.getByLabel("Text", { exact: true }).check();
  await page.locator("#user").fill("grace");
  await publish(page, "Is the new build out already?");
  await page.locator("#user").fill(await nameOf(page));
  await publish(page, "It's live since ten. All green so far.");
  await saying(page, "It's live since ten. All green so far.");
  const guest = await open(page.context());
  await guest.locator("#name").fill("linus");
  await guest.locator("#name").press("Enter");
  await presence(page, "linus", "joined");
  await guest.locator("#message").fill("Then I can go home, too");
  await guest.locator("#message").press("Enter");
  await saying(page, "Then I can go home, too");
  await page.bringToFront();
  await page.locator("#message").fill("That's what I hoped for");
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${OUT}${name}-${colorScheme}.png`, fullPage: true });
    assert.deepEqual(await page.evaluate(faintTexts, 4.5), []);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await guest.close();
  await presence(page, "linus", "left");
}

await check("at 1280 pixels nothing overflows, whatever it holds", async () => {
  await ada.bringToFront();
  await fill(ada);
  await fits(ada);
  await ada.screenshot({ path: `${OUT}full-1280.png` });
});

await check("at 1280 pixels it can be shown: light, dark, enough contrast", async () => {
  await showcase(ada, "playground-1280");
});

const phone = await newContext({ viewport: PHONE, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
const pocket = await open(phone);

await check("at 390 pixels the panes stack, nothing overflows, and fingers hit", async () => {
  const boxes = await Promise.all([".subscriber", ".publish"].map((pane) => pocket.locator(`#panel-channelstream ${pane}`).boundingBox()));
  assert.ok(boxes[1].y >= boxes[0].y + boxes[0].height);
  await fits(pocket);
  await fill(pocket);
  await fits(pocket);
  assert.deepEqual(await pocket.evaluate(smallTargets, 40), []);
  await pocket.screenshot({ path: `${OUT}full-390.png`, fullPage: true });
  await pocket.setViewportSize({ width: 320, height: 640 });
  await fits(pocket);
  await pocket.setViewportSize(PHONE);
});

await check("at 390 pixels it can be shown: light, dark, enough contrast", async () => {
  await showcase(pocket, "playground-390");
});

await check("a page that leaves parts", async () => {
  const name = await nameOf(pocket);
  await pocket.goto("about:blank");
  await presence(ada, name, "left");
});

await check("no page complained and none asked another host", async () => {
  assert.deepEqual(complaints, []);
  assert.deepEqual(strangers, []);
});

await browser.close();
await server.end();
conclude();
