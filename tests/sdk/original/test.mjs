// Channelstream's own browser client, version 0.7.1, in a real browser against our server.
//
// Started by tests/sdk/run, which unpacks the client into the folder that ORIGINAL_CLIENT names.

import assert from "node:assert/strict";
import { WAIT_MS, check, conclude, startBrowser, startServer, until } from "../playground/harness.mjs";
import { ask, startWebApp } from "../webapp.mjs";

const SECRET = "of the web application";
const RUN = ["run", "--set", `channelstream.secret=${SECRET}`];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** The client waits 2 s longer each time before it connects again. */
const RETURN_MS = 20_000;

let server = await startServer("127.0.0.1:0", RUN);
const app = await startWebApp(server, SECRET, process.env.ORIGINAL_CLIENT);
const browser = await startBrowser();
const context = await browser.newContext();
context.setDefaultTimeout(WAIT_MS);

const complaints = [];
let isDown = false;
context.on("weberror", (error) => complaints.push(String(error.error())));
context.on("console", (message) => {
  if (message.type() !== "error") return;
  // The browser itself reports every refusal.
  if (isDown && /ERR_CONNECTION|502|WebSocket/.test(message.text())) return;
  if (/status of 401/.test(message.text())) return;
  complaints.push(message.text());
});

/** A page with one client, which writes down whatever its callbacks are told. */
async function open(username, channels, { poll = false, hold } = {}) {
  const page = await context.newPage();
  page.sent = [];
  page.on("websocket", (socket) => socket.on("framesent", (frame) => page.sent.push(frame.payload)));
  await page.goto(app.origin);
  await page.evaluate(async (given) => {
    const { ChannelStreamConnection } = await import("/client/index.js");
    const client = new ChannelStreamConnection();
    Object.assign(client, {
      username: given.username,
      channels: given.channels,
      noWebsocket: given.poll,
      connectUrl: "/app/connect",
      subscribeUrl: "/app/subscribe",
      unsubscribeUrl: "/app/unsubscribe",
      messageUrl: "/app/message",
      messageEditUrl: "/app/message",
      messageDeleteUrl: "/app/message",
      userStateUrl: "/app/user_state",
      disconnectUrl: `${given.origin}/disconnect`,
      longPollUrl: `${given.origin}/listen`,
      websocketUrl: `${given.origin.replace("http", "ws")}/ws`,
    });
    const heard = { lists: [], told: {} };
    const keep = (name) => (request, data) => (heard.told[name] ??= []).push(data ?? null);
    for (const name of [
      "connect", "connectError", "subscribe", "subscribeError", "unsubscribe", "unsubscribeError",
      "message", "messageError", "messageEdit", "messageEditError", "messageDelete",
      "messageDeleteError", "setUserState", "setUserStateError", "disconnect", "listenOpened",
      "listenClose", "listenError",
    ]) {
      client[`${name}Callback`] = keep(name);
    }
    client.listenMessageCallback = (list) => heard.lists.push(list);
    // Between its first answer and its listening: whatever is said now can only be caught up with.
    client.beforeListeningCallback = () => {
      if (!given.hold) return;
      const request = new XMLHttpRequest();
      request.open("POST", "/app/message", false);
      request.send(JSON.stringify(given.hold));
      delete given.hold;
    };
    Object.assign(window, { client, heard });
    client.connect();
  }, { username, channels, poll, hold, origin: server.origin });
  await until(`${username} to listen`, () => page.evaluate(() => client.connected));
  return page;
}

/** Calls a method of the page's client. */
const call = (page, method, argument) =>
  page.evaluate(([method, argument]) => client[method](argument), [method, argument]);

/** What a callback was told last, once it was told more than `before` times. */
const told = (page, name, before = 0) =>
  until(`${name}Callback`, async () => {
    const all = await page.evaluate((name) => heard.told[name] ?? [], name);
    return all.length > before && { value: all.at(-1) };
  }).then(({ value }) => value);

const timesTold = (page, name) => page.evaluate((name) => heard.told[name]?.length ?? 0, name);

/** Calls and waits for the answer; says so if the endpoint is not there. */
async function answered(page, method, callback, argument) {
  const before = await timesTold(page, callback);
  const errors = await timesTold(page, `${callback}Error`);
  await call(page, method, argument);
  const failure = await until(`an answer to ${method}`, async () => {
    if (await timesTold(page, callback) > before) return "none";
    return (await timesTold(page, `${callback}Error`)) > errors && "some";
  });
  if (failure === "none") return told(page, callback, before);
  const value = await told(page, `${callback}Error`, errors);
  throw new Error(`${method}: ${JSON.stringify(value)}`);
}

const frames = (page) => page.evaluate(() => heard.lists.flat());

/** The one frame that this is true of. */
async function frame(page, what, wanted) {
  const found = await until(what, async () => {
    const all = (await frames(page)).filter(wanted);
    return all.length > 0 && all;
  });
  assert.equal(found.length, 1, `${what}: once`);
  return found[0];
}

const saying = (page, text) => frame(page, `"${text}"`, (one) => one.message?.text === text);
const texts = async (page) => (await frames(page)).map((one) => one.message?.text).filter(Boolean);

/** Publishes past the page. */
async function publish(...messages) {
  const { status, value } = await ask(server.origin, SECRET, "POST", "/message", messages);
  assert.equal(status, 200);
  return value;
}

const say = (text, where = { channel: "lobby" }) => publish({ user: "system", message: { text }, ...where });

/** A message to everybody proves that whatever came before it has arrived, or never will. */
async function settled(...pages) {
  const text = `so far ${Math.random()}`;
  await say(text);
  for (const page of pages) await saying(page, text);
}

const idOf = (page) => page.evaluate(() => client.connectionId);
const channelsOf = (page) => page.evaluate(() => client.channels);
const presence = (page, user, action, after = 0) =>
  until(`${user} ${action}`, async () =>
    (await frames(page)).slice(after).find((one) =>
      one.type === "presence" && one.user === user && one.message.action === action));

/** The flows of a chat, which are the same however the page listens. */
async function flows(way, poll) {
  const name = (user) => `${user} by ${way}`;
  const title = (text) => `${way}: ${text}`;
  let ada;
  let bob;

  await check(title("connect, and catch up with what was said before listening"), async () => {
    const early = `early by ${way}`;
    const hold = { user: "system", channel: "lobby", message: { text: early } };
    ada = await open(name("ada"), ["lobby"], { poll, hold });
    assert.match(await idOf(ada), UUID);
    assert.deepEqual(await channelsOf(ada), ["lobby"]);
    const answer = await told(ada, "connect");
    assert.equal(answer.username, name("ada"));
    assert.deepEqual(answer.public_state, { colour: "grey" });
    assert.ok(answer.channels_info.channels.lobby.users.includes(name("ada")));
    assert.equal((await saying(ada, early)).catchup, true);
  });

  await check(title("a message of one's own comes back as it was sent"), async () => {
    const text = `"hällo" 🦦 by ${way}`;
    const [sent] = await answered(ada, "message", "message", {
      user: name("ada"), channel: "lobby", message: { text, number: 12345678901, deep: [{ a: null }] },
    });
    const { timestamp, ...came } = await saying(ada, text);
    assert.deepEqual(came, {
      uuid: sent.uuid,
      type: "message",
      channel: "lobby",
      user: name("ada"),
      message: { text, number: 12345678901, deep: [{ a: null }] },
      edited: null,
      catchup: false,
    });
    assert.equal(timestamp, sent.timestamp);
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$/);
  });

  await check(title("a second user comes: presence, and history"), async () => {
    bob = await open(name("bob"), ["lobby"], { poll });
    const joined = await presence(ada, name("bob"), "joined");
    assert.deepEqual(joined.state, { colour: "grey" });
    assert.ok(joined.users.some((one) => one.user === name("ada") && one.state.colour === "grey"));
    assert.ok(joined.users.some((one) => one.user === name("bob")));
    const { channels, users } = (await told(bob, "connect")).channels_info;
    assert.ok(channels.lobby.history.some((one) => one.message?.text === `"hällo" 🦦 by ${way}`));
    assert.ok(users.some((one) => one.user === name("ada") && one.state.email === undefined));
    await settled(ada, bob);
    assert.equal((await frames(bob)).some((one) => one.type === "presence" && one.user === name("bob")), false);
  });

  await check(title("many messages arrive once each and in their order"), async () => {
    const sent = Array.from({ length: 60 }, (_, at) => `${way} ${at}`);
    for (const text of sent.slice(0, 20)) await say(text);
    await publish(...sent.slice(20).map((text) => ({ user: "system", channel: "lobby", message: { text } })));
    for (const page of [ada, bob]) {
      await saying(page, sent.at(-1));
      assert.deepEqual((await texts(page)).filter((text) => sent.includes(text)), sent);
    }
  });

  await check(title("subscribe, and only who did hears it"), async () => {
    const answer = await answered(bob, "subscribe", "subscribe", ["news"]);
    assert.deepEqual(answer.subscribed_to, ["news"]);
    assert.deepEqual(await channelsOf(bob), ["lobby", "news"]);
    assert.deepEqual(await bob.evaluate(() => client.calculateSubscribe(["news", "more"])), ["more"]);
    await say(`news by ${way}`, { channel: "news" });
    assert.equal((await saying(bob, `news by ${way}`)).channel, "news");
    await settled(ada);
    assert.equal((await texts(ada)).includes(`news by ${way}`), false);
  });

  await check(title("unsubscribe, and it is heard no more"), async () => {
    const answer = await answered(bob, "unsubscribe", "unsubscribe", ["news", "unheard of"]);
    assert.deepEqual(answer.unsubscribed_from, ["news"]);
    assert.deepEqual(await channelsOf(bob), ["lobby"]);
    await say(`old news by ${way}`, { channel: "news" });
    await settled(bob);
    assert.equal((await texts(bob)).includes(`old news by ${way}`), false);
  });

  await check(title("private messages reach whom they are for"), async () => {
    await say(`for bob by ${way}`, { pm_users: [name("bob")] });
    await say(`for bob here by ${way}`, { channel: "lobby", pm_users: [name("bob")] });
    await say(`not for bob by ${way}`, { channel: "lobby", exclude_users: [name("bob")] });
    await settled(ada, bob);
    const secret = await saying(bob, `for bob by ${way}`);
    assert.equal(secret.channel, null);
    assert.equal("pm_users" in secret, false);
    await saying(bob, `for bob here by ${way}`);
    await saying(ada, `not for bob by ${way}`);
    assert.deepEqual((await texts(ada)).filter((text) => text.startsWith("for bob")), []);
    assert.equal((await texts(bob)).includes(`not for bob by ${way}`), false);
  });

  await check(title("edit a message"), async () => {
    const text = `before by ${way}`;
    const [sent] = await answered(ada, "message", "message", {
      user: name("ada"), channel: "lobby", message: { text },
    });
    await saying(bob, text);
    await answered(ada, "edit", "messageEdit", {
      uuid: sent.uuid, user: name("ada"), channel: "lobby", message: { text: `after by ${way}` },
    });
    const edit = await saying(bob, `after by ${way}`);
    assert.equal(edit.type, "message:edit");
    assert.equal(edit.uuid, sent.uuid);
    assert.ok(edit.edited);
  });

  await check(title("delete a message"), async () => {
    const text = `doomed by ${way}`;
    const [sent] = await answered(ada, "message", "message", {
      user: name("ada"), channel: "lobby", message: { text },
    });
    await answered(ada, "delete", "messageDelete", { uuid: sent.uuid, channel: "lobby" });
    const gone = await frame(bob, "a deletion", (one) => one.type === "message:delete" && one.uuid === sent.uuid);
    assert.equal(gone.channel, "lobby");
  });

  await check(title("a user's state changes"), async () => {
    await answered(bob, "updateUserState", "setUserState", { colour: "red", email: "nobody@mail.test" });
    const change = await frame(ada, "a change of state", (one) =>
      one.type === "user_state_change" && one.user === name("bob"));
    assert.deepEqual(change.message, { state: { colour: "red" }, changed: [{ key: "colour", value: "red" }] });
  });

  return { ada, bob, name, title };
}

const byWebSocket = await flows("websocket", false);

await check(byWebSocket.title("the server ends the connection: the client connects anew"), async () => {
  const { ada, bob, name } = byWebSocket;
  const lost = await idOf(ada);
  const heard = (await frames(bob)).length;
  const answer = await fetch(`${server.origin}/disconnect?conn_id=${lost}`);
  assert.equal(await answer.text(), "true");
  await presence(bob, name("ada"), "parted", heard);
  await until("another connection", async () =>
    (await idOf(ada)) !== lost && (await ada.evaluate(() => client.connected)), RETURN_MS);
  assert.equal(await timesTold(ada, "listenClose"), 1);
  await presence(bob, name("ada"), "joined", heard);
  await settled(ada, bob);
});

await check(byWebSocket.title("the server is killed and started again: clients come back"), async () => {
  const { ada, bob } = byWebSocket;
  const { address } = server;
  const lost = await Promise.all([ada, bob].map(idOf));
  isDown = true;
  await server.end("SIGKILL");
  for (const page of [ada, bob]) await until("a loss", () => page.evaluate(() => !client.connected));
  server = await startServer(address, RUN);
  for (const [at, page] of [ada, bob].entries()) {
    await until("another connection", async () =>
      (await idOf(page)) !== lost[at] && (await page.evaluate(() => client.connected)), RETURN_MS);
  }
  isDown = false;
  await settled(ada, bob);
});

await check(byWebSocket.title("heartbeats of both sides"), async () => {
  const { ada } = byWebSocket;
  await until("an empty list", () => ada.evaluate(() => heard.lists.some((list) => list.length === 0)));
  await until("a heartbeat of the client", () => ada.sent.includes('{"type":"heartbeat"}'), RETURN_MS);
});

/** The page says goodbye. */
async function disconnects({ ada, bob, name }) {
  const id = await idOf(ada);
  const heard = (await frames(bob)).length;
  await call(ada, "disconnect");
  // Read across origins: a preflight, and CORS headers on the answer.
  assert.equal(await told(ada, "disconnect"), true);
  await presence(bob, name("ada"), "parted", heard);
  const again = await fetch(`${server.origin}/disconnect?conn_id=${id}`);
  assert.equal(await again.text(), "false");
  assert.equal(await ada.evaluate(() => client.connected), false);
  await settled(bob);
}

await check(byWebSocket.title("disconnect"), () => disconnects(byWebSocket));
await Promise.all([byWebSocket.ada, byWebSocket.bob].map((page) => page.close()));

const byPoll = await flows("poll", true);

await check(byPoll.title("an idle poll ends with an empty list, and the next begins"), async () => {
  const { ada } = byPoll;
  assert.deepEqual(ada.sent, []);
  const before = await ada.evaluate(() => heard.lists.filter((list) => list.length === 0).length);
  await until("two idle polls", () =>
    ada.evaluate((before) => heard.lists.filter((list) => list.length === 0).length >= before + 2, before), 15_000);
  await settled(ada);
});

await check(byPoll.title("two pages of one user both hear"), async () => {
  const { bob, name } = byPoll;
  const other = await open(name("bob"), ["lobby"], { poll: false });
  await say("for both of bob's", { pm_users: [name("bob")] });
  await saying(bob, "for both of bob's");
  await saying(other, "for both of bob's");
  await other.close();
});

await check(byPoll.title("the server ends the connection: the page is told, and may connect anew"), async () => {
  const { bob, ada, name } = byPoll;
  const lost = await idOf(bob);
  const heard = (await frames(ada)).length;
  const answer = await fetch(`${server.origin}/disconnect?conn_id=${lost}`);
  assert.equal(await answer.text(), "true");
  await presence(ada, name("bob"), "parted", heard);
  await told(bob, "listenError");
  assert.equal(await bob.evaluate(() => client.connected), false);
  await call(bob, "connect");
  await presence(ada, name("bob"), "joined", heard);
  assert.notEqual(await idOf(bob), lost);
  await settled(ada, bob);
});

await check(byPoll.title("disconnect"), () => disconnects(byPoll));

await check("the client's own signer, whatever its alphabet", async () => {
  const signatures = await byPoll.bob.evaluate(async (secret) => {
    const { ChannelStreamSigner } = await import("/client/index.js");
    const signer = new ChannelStreamSigner(secret);
    const clock = Date.now;
    const made = [];
    // Signatures of later seconds are good, too. It leaves all but the first of `+` and `/`.
    for (let ahead = 0; ahead < 300; ahead++) {
      Date.now = () => clock() + ahead * 1000;
      made.push(signer.signRequest());
    }
    Date.now = clock;
    return [made[0], made.find((one) => one.includes("+")), made.find((one) => one.includes("/"))];
  }, SECRET);
  for (const signature of signatures) {
    const { status, value } = await ask(server.origin, SECRET, "POST", "/info", { info: {} }, signature);
    assert.equal(status, 200, signature);
    assert.ok(value.channels.lobby, signature);
  }
  const { status } = await ask(server.origin, SECRET, "POST", "/info", { info: {} }, `x${signatures[0]}`);
  assert.equal(status, 401);
});

await check("no page complained", async () => assert.deepEqual(complaints, []));

await browser.close();
app.end();
await server.end();
conclude();
