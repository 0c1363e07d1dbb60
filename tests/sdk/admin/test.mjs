// The admin page, driven in a real browser against a real server.
//
// Started by tests/sdk/run.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { request } from "node:http";
import { fileURLToPath } from "node:url";
import { WAIT_MS, check, conclude, startBrowser, startServer, until } from "../playground/harness.mjs";
import { faintTexts, namelessControls, overflowing } from "../playground/looks.mjs";

const OUT = fileURLToPath(new URL("../out/", import.meta.url));
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const LONG = "a-channel-with-a-name-that-goes-on-".repeat(5);
const HOSTILE = `<img src=x onerror=alert(1)> "quoted" </script>`;

await mkdir(OUT, { recursive: true });
const server = await startServer();
const browser = await startBrowser();
const complaints = [];
const strangers = [];

async function newPage(options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(WAIT_MS);
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  context.on("request", (sent) => {
    const url = sent.url();
    if (!url.startsWith("data:") && new URL(url).host !== server.address) strangers.push(url);
  });
  return context.newPage();
}

/** A call of the server API, as a web application makes it. */
async function call(path, body) {
  const state = await (await fetch(`${server.origin}/dev/state`)).json();
  const response = await fetch(server.origin + path, {
    method: "POST",
    headers: { "x-channelstream-secret": state.signature },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200, path);
  return response.json();
}

/** An open WebSocket, raw. */
function upgrade(path) {
  return new Promise((resolve, reject) => {
    const headers = {
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    const asked = request(server.origin + path, { headers });
    asked.once("upgrade", (response, socket, head) => {
      socket.unshift(head);
      resolve(socket);
    });
    asked.once("response", (response) => reject(new Error(`no upgrade but ${response.statusCode}`)));
    asked.once("error", reject);
    asked.end();
  });
}

/** The code of the Close that comes at some time; nothing if the end comes without one. */
async function closeCode(socket) {
  let bytes = Buffer.alloc(0);
  for await (const some of socket) {
    bytes = Buffer.concat([bytes, some]);
    for (;;) {
      const short = bytes[1] & 0x7f;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (bytes.length < head) break;
      const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
      if (bytes.length < head + length) break;
      if ((bytes[0] & 0x0f) === 8) return bytes.readUInt16BE(head);
      bytes = bytes.subarray(head + length);
    }
  }
  return undefined;
}

/** A subscriber with an open socket. */
async function subscriber(username, channels) {
  const { conn_id: id } = await call("/connect", {
    username,
    channels,
    fresh_user_state: { colour: HOSTILE },
    channel_configs: { news: { store_history: true, notify_presence: true } },
  });
  const socket = await upgrade(`/ws?conn_id=${id}`);
  const closed = closeCode(socket).catch((error) => error.message);
  return { id, socket, closed };
}

const publish = (text, channel = "news") => call("/message", [{ user: "app", channel, message: { text } }]);

async function signIn(page, user, password) {
  await page.goto(`${server.origin}/admin`);
  await page.getByLabel("User name").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByLabel("Password").press("Enter");
}

const tile = (page, name) => page.locator(`#tiles [data-name="${name}"] dd`);
const number = async (page, name) => Number((await tile(page, name).textContent()).replaceAll(",", ""));
const row = (page, list, words) => page.locator(`#${list} tbody tr`).filter({ hasText: words });

async function looksRight(page, leastPx) {
  assert.deepEqual(await page.evaluate(overflowing), []);
  assert.deepEqual(await page.evaluate(namelessControls), []);
  assert.deepEqual(await page.evaluate(faintTexts, 4.5), []);
  if (leastPx) assert.deepEqual(await page.evaluate(smallButtons, leastPx), []);
}

/** Buttons and fields, without links in running text. */
function smallButtons(leastPx) {
  return [...document.querySelectorAll("button, input:not([type=hidden])")]
    .map((element) => [element.outerHTML.slice(0, 60), element.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && box.height < leastPx - 0.01)
    .map(([text, box]) => `${text} ${box.height}`);
}

const ann = await subscriber("ann", ["news", LONG]);
const bob = await subscriber(HOSTILE, ["news"]);
const page = await newPage({ viewport: WIDE, colorScheme: "light" });

await check("who is not signed in is sent to the form", async () => {
  const response = await page.goto(`${server.origin}/admin`);
  assert.equal(response.url(), `${server.origin}/admin/sign_in`);
  await looksRight(page);
  await page.screenshot({ path: `${OUT}admin-sign-in-1280.png` });
});

await check("a wrong password shows the form again, after a while, and says why", async () => {
  const started = performance.now();
  await signIn(page, "admin", "wrong");
  await page.locator("#words", { hasText: "is wrong" }).waitFor();
  assert.ok(performance.now() - started >= 450);
  await looksRight(page);
});

await check("the right one opens the page", async () => {
  await signIn(page, "admin", "admin_secret");
  await page.locator("#health[data-is=good]").waitFor();
  assert.equal(page.url(), `${server.origin}/admin`);
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ["auth_tkt", true, "Lax"]);
});

await check("a counter moves when a message is published, and so does the chart", async () => {
  const before = await number(page, "messages published");
  const ticking = setInterval(() => publish("tick"), 100);
  await until("the counter to move", async () => (await number(page, "messages published")) > before);
  await until("a rate", async () => Number(await page.locator("#rate-out").textContent()) > 0);
  await until("a line", async () => /L/.test((await page.locator("#line-in").getAttribute("d")) ?? ""));
  await page.waitForTimeout(4000); // For the picture: a line with a few points.
  clearInterval(ticking);
  assert.ok((await number(page, "connections at peak")) >= 3);
  await looksRight(page);
  await page.screenshot({ path: `${OUT}admin-overview-1280.png` });
});

await check("channels are listed, found, and one is opened with the keyboard alone", async () => {
  await page.keyboard.press("2");
  await row(page, "channels", LONG).waitFor();
  assert.equal(await page.locator("nav [aria-current=page]").getAttribute("data-view"), "channels");
  await looksRight(page);
  await page.screenshot({ path: `${OUT}admin-channels-1280.png` });
  await page.keyboard.press("/");
  await page.keyboard.type("NEW");
  await until("only one row", async () => (await page.locator("#channels tbody tr").count()) === 1);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator("#channel-title", { hasText: /^news$/ }).waitFor();
});

await check("the tail of the open channel shows what is told, as text", async () => {
  await page.locator("#members li", { hasText: "ann" }).waitFor();
  await page.locator("#settings li[data-is=on]", { hasText: "store_history" }).waitFor();
  await publish(HOSTILE);
  await page.locator("#tail li", { hasText: JSON.stringify({ text: HOSTILE }) }).first().waitFor();
  await publish("the last one");
  await page.locator("#tail li").first().filter({ hasText: "the last one" }).waitFor();
  assert.equal(await page.locator("#tail li", { hasText: "the last one" }).count(), 1);
  await page.locator("#pause").click();
  await publish("while paused");
  await page.locator("#history li", { hasText: "while paused" }).waitFor();
  assert.equal(await page.locator("#tail li", { hasText: "while paused" }).count(), 0);
  await page.locator("#pause").click();
  await page.locator("#tail li", { hasText: "while paused" }).waitFor();
  await looksRight(page);
  await page.screenshot({ path: `${OUT}admin-channel-1280.png` });
  await page.keyboard.press("Escape");
  await page.locator("#channels").waitFor();
});

await check("users show their state and their connections", async () => {
  await page.keyboard.press("Escape");
  await page.keyboard.press("3");
  await row(page, "users", ann.id).filter({ hasText: "live" }).waitFor();
  await row(page, "users", JSON.stringify({ colour: HOSTILE })).first().waitFor();
  await looksRight(page);
  await page.screenshot({ path: `${OUT}admin-users-1280.png` });
});

await check("a connection is closed at the second asking, and its client is told", async () => {
  await page.keyboard.press("4");
  const ours = row(page, "connections", ann.id);
  await ours.waitFor();
  await ours.getByRole("button").click();
  assert.equal(await ours.getByRole("button").textContent(), "Really?");
  assert.equal(ann.socket.readyState, "open");
  await looksRight(page);
  await page.screenshot({ path: `${OUT}admin-connections-1280.png` });
  await ours.getByRole("button").click();
  assert.equal(await ann.closed, 1000);
  await until("the row to go", async () => (await ours.count()) === 0);
  assert.equal(bob.socket.readyState, "open");
});

await check("a close without the session's token is refused", async () => {
  const status = await page.evaluate(async () =>
    (await fetch("/admin/api/connections/close", { method: "POST", body: `{"id":"1"}` })).status);
  assert.equal(status, 403);
  // The browser reports the refusal itself.
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes("403")));
});

await check("on a phone in the dark nothing overflows, and fingers find what they press", async () => {
  const phone = await newPage({ viewport: PHONE, colorScheme: "dark", hasTouch: true, isMobile: true });
  await phone.goto(`${server.origin}/admin`);
  await looksRight(phone, 40);
  await phone.screenshot({ path: `${OUT}admin-sign-in-390.png` });
  await signIn(phone, "admin", "admin_secret");
  await phone.locator("#health[data-is=good]").waitFor({ state: "attached" });
  await until("a rate", async () => (await phone.locator("#rate-out").textContent()) !== "–");
  for (const [view, words] of [["overview"], ["channels", LONG], ["users", bob.id], ["connections", bob.id]]) {
    await phone.locator(`nav [data-view=${view}]`).click();
    if (words) await row(phone, view, words).waitFor();
    await looksRight(phone, 36);
    await phone.screenshot({ path: `${OUT}admin-${view}-390.png`, fullPage: true });
  }
  await phone.goto(`${server.origin}/admin#channel/news`);
  await phone.locator("#tail li").first().waitFor();
  await looksRight(phone, 36);
  await phone.screenshot({ path: `${OUT}admin-channel-390.png`, fullPage: true });
  await phone.context().close();
});

await check("signing out ends the session, and the page that is open notices", async () => {
  const other = await page.context().newPage();
  await other.goto(`${server.origin}/admin`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/admin/sign_in");
  await other.waitForURL("**/admin/sign_in");
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes("401")));
});

await check("the page has not complained, and talked to nobody else", async () => {
  assert.deepEqual(complaints, []);
  assert.deepEqual(strangers, []);
});

bob.socket.destroy();
await browser.close();
await server.end();
conclude();
