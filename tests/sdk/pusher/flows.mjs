// What pusher-js does with a server, whatever it runs in: the same in Node and in the browser.

import assert from "node:assert/strict";
import { check, until } from "../playground/harness.mjs";
import { heard, hears, joins, reaches, told } from "./seats.mjs";
import { APPS } from "./world.mjs";

/** How long nothing may happen where pusher-js would have come back: it does so at once or after
 * one second. */
const STAYS_MS = 2500;
const SOCKET_ID = /^\d{1,10}\.\d{1,10}$/;

const sorted = (list) => [...list].sort();

/** Makes every check with seats that `driver` opens. */
export async function flows(world, driver) {
  const title = (text) => `${driver.name}: ${text}`;
  const sdk = world.sdk();
  const test = (text, run) => check(title(text), run);
  const everybody = `everybody-${driver.name.replaceAll(" ", "-")}`;
  const channel = (kind, name) => `${kind}${name}-${driver.name.replaceAll(" ", "-")}`;
  const open = async (given = {}) => {
    const seat = await driver.open(world.seated(given));
    await reaches(seat, "connected");
    if ((given.app ?? APPS.main) === APPS.main && given.isIn !== false) await joins(seat, everybody);
    return seat;
  };
  /** Whatever was sent before has arrived then, or never will. */
  let marks = 0;
  const settled = async (...seats) => {
    const mark = `mark ${++marks}`;
    await sdk.trigger(everybody, mark, {});
    for (const seat of seats) await hears(seat, everybody, mark);
  };
  const list = async (params) => (await (await sdk.get({ path: "/channels", params })).json()).channels;
  const info = async (name, attributes) =>
    (await sdk.get({ path: `/channels/${name}`, params: attributes ? { info: attributes } : {} })).json();
  const close = async (...seats) => {
    for (const seat of seats) await seat.disconnect();
  };

  const ada = await open({ asks: { user: "ada" } });
  const bob = await open({ asks: { user: "bob" } });

  await test("connects, without detours", async () => {
    assert.match(await ada.socketId(), SOCKET_ID);
    assert.notEqual(await ada.socketId(), await bob.socketId());
    const { states, notes, frames } = await ada.read();
    assert.deepEqual(states.map(({ state }) => state).filter((state) => state !== "initialized"), ["connecting", "connected"]);
    assert.deepEqual(notes.filter(({ on }) => on === "(error)"), []);
    assert.equal(frames.some(({ event }) => event === "pusher:error"), false);
  });

  await test("a public channel: values, names and lengths of every kind", async () => {
    const news = channel("", "news;a,b.c=d@e_f");
    await joins(ada, news);
    const values = [
      { said: `"hällo" 🦦 \u2028 </script>`, deep: [{ a: null }], number: 12345678901 },
      "just text", '"quoted"', "", 12, true, null, ["a", 1], "x".repeat(10_240),
    ];
    for (const [at, value] of values.entries()) await sdk.trigger(news, `App\\Events\\No ${at}`, value);
    await settled(ada, bob);
    for (const [at, value] of values.entries()) {
      // pusher-js takes text that is JSON for what it stands for.
      const wanted = value === '"quoted"' ? "quoted" : value;
      assert.deepEqual(await told(ada, news, `App\\Events\\No ${at}`), [wanted], String(at));
    }
    assert.deepEqual(await heard(bob, news), []);
    assert.deepEqual((await heard(ada, news, "pusher:subscription_succeeded"))[0].data, {});
  });

  await test("many events arrive once each and in their order", async () => {
    const many = channel("", "many");
    await joins(ada, many);
    await joins(bob, many);
    const batches = Array.from({ length: 10 }, (_, batch) =>
      Array.from({ length: 10 }, (_, at) => ({ channel: many, name: "tick", data: batch * 10 + at })));
    for (const batch of batches) await sdk.triggerBatch(batch);
    await settled(ada, bob);
    const wanted = Array.from({ length: 100 }, (_, at) => at);
    for (const seat of [ada, bob]) assert.deepEqual(await told(seat, many, "tick"), wanted);
  });

  await test("one event to several channels, one named twice", async () => {
    const [a, b, c] = ["a", "b", "c"].map((name) => channel("", `several-${name}`));
    await joins(ada, a, b);
    await sdk.trigger([a, b, a, c], "all", { to: "each" });
    await settled(ada);
    for (const name of [a, b]) assert.deepEqual(await told(ada, name, "all"), [{ to: "each" }]);
    assert.deepEqual(await heard(ada, c), []);
  });

  await test("everyone but the one whose socket_id came along", async () => {
    const others = channel("", "others");
    await joins(ada, others);
    await joins(bob, others);
    await sdk.trigger(others, "said", "not to ada", { socket_id: await ada.socketId() });
    await sdk.triggerBatch([{ channel: others, name: "said", data: "not to bob", socket_id: await bob.socketId() }]);
    await sdk.trigger(others, "said", "to both", { socket_id: "1.1" });
    await settled(ada, bob);
    assert.deepEqual(await told(ada, others, "said"), ["not to bob", "to both"]);
    assert.deepEqual(await told(bob, others, "said"), ["not to ada", "to both"]);
  });

  await test("unsubscribe, and it is heard no more", async () => {
    const left = channel("", "left");
    await joins(ada, left);
    assert.ok(left in (await list()));
    await ada.unsubscribe(left);
    await until("the channel to be empty", async () => !(left in (await list())));
    await sdk.trigger(left, "late", {});
    await settled(ada);
    const { frames } = await ada.read();
    assert.equal(frames.some(({ channel, event }) => channel === left && event === "late"), false);
    // And back again.
    await ada.subscribe(left);
    await hears(ada, left, "pusher:subscription_succeeded", 1);
    await sdk.trigger(left, "again", {});
    await hears(ada, left, "again");
  });

  await test("subscribing and unsubscribing in one breath ends outside", async () => {
    const brief = channel("private-", "brief");
    await Promise.all([bob.subscribe(brief), bob.unsubscribe(brief)]);
    // What cannot be called back any more is ended once it has come about.
    await until("an answer", async () => (await bob.read()).frames.some((frame) =>
      frame.channel === brief && frame.event === "pusher_internal:subscription_succeeded"));
    await until("it to be given up", async () => !(await bob.channel(brief)));
    await until("nobody to be in it", async () => !(brief in (await list())));
    assert.deepEqual(await heard(bob, brief, "pusher:subscription_succeeded"), []);
  });

  await test("subscription counts, on and off", async () => {
    const counted = channel("private-", "counted");
    await joins(ada, counted);
    await hears(ada, counted, "pusher:subscription_count");
    await joins(bob, counted);
    await hears(ada, counted, "pusher:subscription_count", 1);
    await hears(bob, counted, "pusher:subscription_count");
    assert.equal((await bob.channel(counted)).count, 2);
    await bob.unsubscribe(counted);
    await hears(ada, counted, "pusher:subscription_count", 2);
    const counts = [1, 2, 1].map((subscription_count) => ({ subscription_count }));
    assert.deepEqual(await told(ada, counted, "pusher:subscription_count"), counts);
    assert.equal((await ada.channel(counted)).count, 1);
  });

  await test("a private channel, signed by the web application", async () => {
    const room = channel("private-", "room");
    await joins(ada, room);
    await sdk.trigger(room, "said", { text: "inside" });
    await hears(ada, room, "said");
    assert.deepEqual((await heard(ada, room, "pusher:subscription_succeeded"))[0].data, {});
    await settled(bob);
    assert.deepEqual(await heard(bob, room), []);
  });

  const eve = await open({ asks: { user: "eve", forge: "1" } });
  const evesSocket = await eve.socketId();

  for (const kind of ["private-", "presence-", "private-cache-", "presence-cache-"]) {
    await test(`a forged signature for ${kind} is refused and the connection kept`, async () => {
      const room = channel(kind, "forged");
      await sdk.trigger(room, "secret", "not for eve");
      await eve.subscribe(room);
      const { data } = await hears(eve, room, "pusher:subscription_error");
      assert.equal(data.type, "AuthError");
      assert.equal(data.status, 401);
      assert.ok(data.error.length > 0);
      await sdk.trigger(room, "secret", "not for eve");
      await settled(eve);
      assert.equal((await eve.channel(room)).subscribed, false);
      const { frames, states } = await eve.read();
      assert.deepEqual(frames.filter((frame) => frame.channel === room).map(({ event }) => event)
        .filter((event) => !["pusher:subscription_error", "pusher_internal:subscription_error"].includes(event)), []);
      assert.equal(states.at(-1).state, "connected");
      assert.equal(await eve.socketId(), evesSocket);
      assert.equal(room in (await list()), false);
    });
  }

  await test("a refusal's code is null, lest clients take it for the end", async () => {
    const errors = await heard(eve, "(error)");
    assert.ok(errors.length >= 4, JSON.stringify(errors));
    for (const { data } of errors) {
      assert.equal(data.code, null);
      assert.ok(data.message.length > 0);
    }
  });

  await test("bad names are refused and the connection kept", async () => {
    for (const name of ["a b", "a:b", "a/b", "x".repeat(165), "private-ü", "presence-a#b"]) {
      await eve.subscribe(name);
      const { data } = await hears(eve, name, "pusher:subscription_error");
      assert.ok([400, 401].includes(data.status), JSON.stringify(data));
    }
    // pusher-js itself makes no channel of this one.
    await eve.send("pusher:subscribe", { channel: "#a" });
    await until("a refusal", async () => (await eve.read()).frames.some((frame) =>
      frame.channel === "#a" && frame.event === "pusher:subscription_error"));
    await joins(eve, "x".repeat(164));
    await settled(eve);
    assert.equal(await eve.socketId(), evesSocket);
  });

  await test("what the web application itself refuses never reaches the server", async () => {
    const mallory = await open({ asks: { user: "mallory", deny: "1" } });
    const room = channel("private-", "denied");
    await mallory.subscribe(room);
    const { data } = await hears(mallory, room, "pusher:subscription_error");
    assert.equal(data.type, "AuthError");
    assert.equal(data.status, 403);
    await settled(mallory);
    assert.deepEqual(await heard(mallory, "(error)"), []);
    await close(mallory);
  });

  await test("words that are not for clients are answered, and the connection kept", async () => {
    const before = (await heard(eve, "(error)")).length;
    await eve.send("pusher:unheard-of", {});
    await eve.send("pusher:subscribe", {});
    await eve.send("pusher:subscribe", { channel: 7 });
    await eve.send("pusher:subscribe", { channel: everybody });
    await hears(eve, "(error)", "PusherError", before + 3);
    await eve.send("forged", {}, everybody);
    await eve.send("pusher_internal:member_added", { user_id: "x" }, everybody);
    await settled(eve, bob);
    assert.deepEqual(await heard(bob, everybody, "forged"), []);
    assert.equal(await eve.socketId(), evesSocket);
    for (const { data } of (await heard(eve, "(error)")).slice(before)) assert.equal(data.code, null);
  });

  await test("presence: who is here, who comes, who goes", async () => {
    const lobby = channel("presence-", "lobby");
    await joins(ada, lobby);
    assert.deepEqual(await ada.members(lobby), {
      all: { ada: { name: "ada" } }, count: 1, me: { id: "ada", info: { name: "ada" } },
    });
    await joins(bob, lobby);
    assert.deepEqual(await bob.members(lobby), {
      all: { ada: { name: "ada" }, bob: { name: "bob" } }, count: 2, me: { id: "bob", info: { name: "bob" } },
    });
    const added = await hears(ada, lobby, "pusher:member_added");
    assert.deepEqual(added.data, { id: "bob", info: { name: "bob" } });
    // A second socket of the same user is no news.
    const bobs = await open({ asks: { user: "bob" } });
    await joins(bobs, lobby);
    assert.equal((await bobs.members(lobby)).count, 2);
    await close(bobs);
    await until("the second socket to be gone", async () => {
      const { subscription_count } = await info(lobby, "subscription_count");
      return subscription_count === 2;
    });
    await settled(ada, bob);
    assert.equal((await heard(ada, lobby, "pusher:member_added")).length, 1);
    assert.deepEqual(await heard(ada, lobby, "pusher:member_removed"), []);
    await bob.unsubscribe(lobby);
    const removed = await hears(ada, lobby, "pusher:member_removed");
    assert.deepEqual(removed.data, { id: "bob", info: { name: "bob" } });
    assert.equal((await ada.members(lobby)).count, 1);
    assert.deepEqual(await heard(bob, lobby, "pusher:member_removed"), []);
  });

  await test("presence: a socket that is simply gone leaves, too", async () => {
    const hall = channel("presence-", "hall");
    await joins(ada, hall);
    const carl = await open({ asks: { user: "carl" } });
    await joins(carl, hall);
    await hears(ada, hall, "pusher:member_added");
    await close(carl);
    assert.equal((await hears(ada, hall, "pusher:member_removed")).data.id, "carl");
  });

  await test("presence: user ids that are numbers, as Laravel's are", async () => {
    const numbers = channel("presence-", "numbers");
    const seven = await open({ asks: { user: "7", numeric: "1" } });
    await joins(ada, numbers);
    await joins(seven, numbers);
    assert.equal((await seven.members(numbers)).count, 2);
    assert.deepEqual((await seven.members(numbers)).me, { id: 7, info: { name: "7" } });
    assert.equal((await hears(ada, numbers, "pusher:member_added")).data.id, "7");
    await close(seven);
    assert.equal((await hears(ada, numbers, "pusher:member_removed")).data.id, "7");
  });

  await test("presence: one socket as a different user in each channel", async () => {
    const [one, two] = ["one", "two"].map((name) => channel("presence-", name));
    const zoe = await open({ asks: { user: "zoe", vary: "1" } });
    await joins(ada, one, two);
    await joins(zoe, one, two);
    for (const name of [one, two]) {
      assert.equal((await hears(ada, name, "pusher:member_added")).data.id, `zoe in ${name}`);
    }
    await zoe.unsubscribe(one);
    assert.equal((await hears(ada, one, "pusher:member_removed")).data.id, `zoe in ${one}`);
    await close(zoe);
    assert.equal((await hears(ada, two, "pusher:member_removed")).data.id, `zoe in ${two}`);
    assert.equal((await heard(ada, one, "pusher:member_removed")).length, 1);
  });

  await test("presence: the channel is full, and says so", async () => {
    const full = channel("presence-", "full");
    const crowd = [];
    for (let at = 0; at < 6; at++) crowd.push(await open({ asks: { user: `one of many ${at}` } }));
    for (const seat of crowd.slice(0, 5)) await joins(seat, full);
    await crowd[5].subscribe(full);
    const { data } = await hears(crowd[5], full, "pusher:subscription_error");
    assert.equal(data.status, 400);
    assert.equal(await crowd[5].state(), "connected");
    await close(...crowd);
  });

  await test("client events reach the others", async () => {
    const room = channel("private-", "whispers");
    const lobby = channel("presence-", "whispers");
    await joins(ada, room, lobby);
    await joins(bob, room, lobby);
    await bob.bind(room, "client-typing");
    await bob.bind(lobby, "client-typing");
    assert.equal(await ada.trigger(room, "client-typing", { keys: 3, text: "🦦" }), true);
    assert.equal(await ada.trigger(lobby, "client-typing", "a text"), true);
    // The user id is told in presence channels only.
    const [inRoom, inLobby] = [await hears(bob, `${room}+`, "client-typing"), await hears(bob, `${lobby}+`, "client-typing")];
    assert.deepEqual([inRoom.data, inRoom.meta], [{ keys: 3, text: "🦦" }, {}]);
    assert.deepEqual([inLobby.data, inLobby.meta], ["a text", { user_id: "ada" }]);
    await settled(ada);
    for (const name of [room, lobby]) assert.deepEqual(await heard(ada, name, "client-typing"), []);
    const { frames } = await bob.read();
    // Text on the wire; what stands here pusher-js has parsed.
    const came = frames.find((frame) => frame.channel === room && frame.event === "client-typing");
    assert.deepEqual(Object.keys(came).sort(), ["channel", "data", "event"]);
  });

  await test("client events are refused where there are none, and the connection kept", async () => {
    const open = channel("", "open");
    const outside = channel("private-", "outside");
    await joins(ada, open);
    await joins(bob, open, outside);
    const before = (await heard(ada, "(error)")).length;
    await ada.trigger(open, "client-typing", {});
    await ada.send("client-typing", {}, outside);
    await hears(ada, "(error)", "PusherError", before + 1);
    for (const { data } of (await heard(ada, "(error)")).slice(before)) assert.equal(data.code, null);
    assert.match(String(await ada.trigger(open, "typing", {})), /BadEventName|does not start/);
    await settled(ada, bob);
    assert.deepEqual(await heard(bob, open, "client-typing"), []);
    assert.deepEqual(await heard(bob, outside, "client-typing"), []);
    assert.equal(await ada.state(), "connected");

    const bare = await driver.open(world.seated({ app: APPS.bare, asks: { user: "ada" } }));
    await reaches(bare, "connected");
    await joins(bare, "private-a");
    await bare.trigger("private-a", "client-typing", {});
    assert.equal((await hears(bare, "(error)", "PusherError")).data.code, null);
    assert.equal(await bare.state(), "connected");
    await close(bare);
  });

  await test("a flood of client events is cut off with 4301, and the connection kept", async () => {
    const flood = channel("private-", "flood");
    const carl = await open({ asks: { user: "carl" } });
    await joins(carl, flood);
    await joins(bob, flood);
    for (let at = 0; at < 40; at++) await carl.trigger(flood, "client-drop", at);
    const { data } = await hears(carl, "(error)", "PusherError");
    assert.equal(data.code, 4301);
    await settled(carl, bob);
    const drops = await told(bob, flood, "client-drop");
    assert.ok(drops.length >= 10 && drops.length < 40, String(drops.length));
    assert.deepEqual(drops.slice(0, 10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(await carl.state(), "connected");
    // One too large is an error of the same code.
    const errors = (await heard(carl, "(error)")).length;
    await new Promise((wake) => setTimeout(wake, 1000));
    await carl.trigger(flood, "client-large", "x".repeat(10_300));
    assert.equal((await hears(carl, "(error)", "PusherError", errors)).data.code, 4301);
    await close(carl);
  });

  await test("cache channels: a miss, then the last event for whoever comes", async () => {
    for (const kind of ["cache-", "private-cache-", "presence-cache-", ...(driver.isEncrypted ? ["private-encrypted-cache-"] : [])]) {
      const name = channel(kind, "last");
      await joins(ada, name);
      await hears(ada, name, "pusher:cache_miss");
      await sdk.trigger(name, "price", { is: 1 });
      await sdk.trigger(name, "price", { is: 2 }, { socket_id: await ada.socketId() });
      await joins(bob, name);
      assert.deepEqual((await hears(bob, name, "price")).data, { is: 2 });
      await settled(ada, bob);
      assert.deepEqual(await heard(bob, name, "pusher:cache_miss"), []);
      assert.deepEqual(await told(ada, name, "price"), [{ is: 1 }]);
      // It outlives everybody's leaving, and is told after the success.
      for (const seat of [ada, bob]) await seat.unsubscribe(name);
      await until("the channel to be empty", async () => !(name in (await list())));
      await ada.subscribe(name);
      await hears(ada, name, "price", 1);
      const events = (await heard(ada, name)).map(({ event }) => event).filter((event) => !/count/.test(event));
      assert.deepEqual(events.slice(-2), ["pusher:subscription_succeeded", "price"]);
    }
  });

  await test("cache channels: only by the beginning of the name, and not of client events", async () => {
    const plain = channel("", "my-cache-x");
    await sdk.trigger(plain, "gone", {});
    await joins(ada, plain);
    const whispered = channel("private-cache-", "whispered");
    await joins(ada, whispered);
    await hears(ada, whispered, "pusher:cache_miss");
    await ada.trigger(whispered, "client-typing", {});
    await settled(ada);
    await joins(bob, whispered);
    await hears(bob, whispered, "pusher:cache_miss");
    assert.deepEqual(await heard(bob, whispered, "client-typing"), []);
    for (const event of ["gone", "pusher:cache_miss"]) assert.deepEqual(await heard(ada, plain, event), []);
  });

  if (driver.isEncrypted) {
    await test("an encrypted channel: the server sees none of it", async () => {
      const safe = channel("private-encrypted-", "safe");
      await joins(ada, safe);
      const value = { text: "for nobody's eyes 🦦" };
      await sdk.trigger(safe, "said", value);
      assert.deepEqual((await hears(ada, safe, "said")).data, value);
      const { frames } = await ada.read();
      const { data } = frames.find((frame) => frame.channel === safe && frame.event === "said");
      assert.deepEqual(Object.keys(data).sort(), ["ciphertext", "nonce"]);
      assert.match(await ada.trigger(safe, "client-typing", {}), /UnsupportedFeature|not currently supported/);
      // What pusher-js will not send is refused if somebody does.
      await joins(bob, safe);
      const before = (await heard(ada, "(error)")).length;
      await ada.send("client-typing", {}, safe);
      assert.equal((await hears(ada, "(error)", "PusherError", before)).data.code, null);
      await settled(bob);
      assert.equal((await bob.read()).frames.some(({ channel, event }) => channel === safe && event === "client-typing"), false);
      await eve.subscribe(safe);
      assert.equal((await hears(eve, safe, "pusher:subscription_error")).data.status, 401);
    });
  }

  await test("sign in, and hear what is for the user alone", async () => {
    const user = (name) => `${name}@${driver.name.replaceAll(" ", "-")}`;
    const [one, other] = [await open({ asks: { user: user("uma") } }), await open({ asks: { user: user("uma") } })];
    for (const seat of [one, other, ada]) await seat.signin();
    for (const seat of [one, other, ada]) await until("a sign-in", () => seat.user());
    assert.deepEqual(await one.user(), { id: user("uma"), user_info: { name: user("uma") } });
    await until("its channel", async () =>
      (await one.read()).frames.some((frame) => frame.channel === `#server-to-user-${user("uma")}`));
    await sdk.sendToUser(user("uma"), "for-you", { text: "alone" });
    for (const seat of [one, other]) assert.deepEqual((await hears(seat, "(user)", "for-you")).data, { text: "alone" });
    await settled(one, other, ada, bob);
    for (const seat of [one, other]) assert.equal((await heard(seat, "(user)", "for-you")).length, 1);
    for (const seat of [ada, bob]) {
      assert.equal((await seat.read()).frames.some(({ event }) => event === "for-you"), false);
    }
    assert.equal(`#server-to-user-${user("uma")}` in (await list()), false);
    // Nobody else may listen in.
    const name = `#server-to-user-${user("uma")}`;
    await bob.send("pusher:subscribe", { channel: name, auth: "" });
    await until("a refusal", async () => (await bob.read()).frames.some((frame) =>
      frame.channel === name && frame.event === "pusher:subscription_error"));

    // The signed-in user is who one is in a presence channel, unless the signature says otherwise.
    const bare = await open({ asks: { user: user("vic"), bare: "1" } });
    await bare.signin();
    await until("a sign-in", () => bare.user());
    const lobby = channel("presence-", "by-signin");
    await joins(ada, lobby);
    await joins(bare, lobby);
    assert.deepEqual((await bare.members(lobby)).me, { id: user("vic"), info: { name: user("vic") } });
    assert.equal((await hears(ada, lobby, "pusher:member_added")).data.id, user("vic"));

    await close(one, other, bare);
  });

  await test("the watchlist tells who comes and who goes", async () => {
    const user = (name) => `${name}@watch-${driver.name.replaceAll(" ", "-")}`;
    const there = await open({ asks: { user: user("there") } });
    await there.signin();
    await until("a sign-in", () => there.user());
    const watcher = await open({ asks: { user: user("watcher"), watchlist: [user("there"), user("away")].join() } });
    await watcher.signin();
    assert.deepEqual((await hears(watcher, "(watchlist)", "online")).data.user_ids, [user("there")]);
    assert.deepEqual((await hears(watcher, "(watchlist)", "offline")).data.user_ids, [user("away")]);
    const away = await open({ asks: { user: user("away") } });
    await away.signin();
    assert.deepEqual((await hears(watcher, "(watchlist)", "online", 1)).data.user_ids, [user("away")]);
    const again = await open({ asks: { user: user("away") } });
    await again.signin();
    await until("a sign-in", () => again.user());
    await close(away);
    await close(there);
    assert.deepEqual((await hears(watcher, "(watchlist)", "offline", 1)).data.user_ids, [user("there")]);
    await close(again);
    assert.deepEqual((await hears(watcher, "(watchlist)", "offline", 2)).data.user_ids, [user("away")]);
    assert.equal((await heard(watcher, "(watchlist)")).length, 5);
    assert.deepEqual(await heard(there, "(watchlist)"), []);
    await close(watcher);

    const greedy = await open({ asks: { user: user("greedy"), watchlist: ["a", "b", "c", "d"].map(user).join() } });
    await greedy.signin();
    assert.equal((await hears(greedy, "(error)", "PusherError")).data.code, 4302);
    assert.equal((await hears(greedy, "(watchlist)", "offline")).data.user_ids.length, 3);
    assert.ok(await greedy.user());
    assert.equal(await greedy.state(), "connected");
    await close(greedy);
  });

  await test("channels as the server lists them", async () => {
    const room = channel("private-", "listed");
    const lobby = channel("presence-", "listed");
    await joins(ada, room, lobby);
    await joins(bob, room, lobby);
    assert.deepEqual((await list({ filter_by_prefix: lobby, info: "user_count" })), { [lobby]: { user_count: 2 } });
    assert.deepEqual(await info(room, "subscription_count"), { occupied: true, subscription_count: 2 });
    const users = await (await sdk.get({ path: `/channels/${lobby}/users` })).json();
    assert.deepEqual(sorted(users.users.map(({ id }) => id)), ["ada", "bob"]);
  });

  // All that has to be waited for is waited for once.
  const endings = {};
  const ends = async (name, given, { after } = {}) => {
    const seat = await driver.open(world.seated(given));
    await after?.(seat);
    await reaches(seat, "disconnected");
    endings[name] = { seat, states: (await seat.read()).states.length };
  };
  /** It ended with this code, and stayed ended. */
  const ended = async (name, code) => {
    const { seat, states } = endings[name];
    const read = await seat.read();
    assert.equal(read.states.length, states, JSON.stringify(read.states));
    assert.equal(await seat.state(), "disconnected");
    const errors = read.notes.filter(({ on }) => on === "(error)");
    assert.ok(errors.some(({ data }) => data?.code === code), JSON.stringify(errors));
  };
  const isConnected = (seat) => reaches(seat, "connected");
  const narrow = await open({ app: APPS.narrow });
  const id = `${driver.name} doomed`.replaceAll(" ", "-");
  const bystander = await open({ asks: { user: id } });
  await test("whatever ends for good ends", async () => {
    await ends("unknown", { key: "nobody's-key" });
    await ends("closed", { app: APPS.closed });
    await ends("narrow", { app: APPS.narrow });
    await ends("forged", { asks: { user: "eve", forge: "1" } }, {
      after: async (seat) => {
        await isConnected(seat);
        await seat.signin();
      },
    });
    await joins(bystander, channel("presence-", "doom"));
    await ends("terminated", { asks: { user: id } }, {
      after: async (seat) => {
        await isConnected(seat);
        await joins(seat, channel("presence-", "doom"));
        await seat.signin();
        await until("a sign-in", () => seat.user());
        await sdk.terminateUserConnections(id);
      },
    });
    if (driver.hasOrigin) await ends("origin", { app: APPS.picky, isForeign: true });
  });
  await new Promise((wake) => setTimeout(wake, STAYS_MS));
  await test("an unknown key: 4001, and no second try", () => ended("unknown", 4001));
  await test("an app that is switched off: 4003, and no second try", () => ended("closed", 4003));
  await test("an app that is full: 4004, and no second try", async () => {
    await ended("narrow", 4004);
    assert.equal(await narrow.state(), "connected");
    await close(narrow);
  });
  await test("a forged sign-in: 4009, and no second try", () => ended("forged", 4009));
  if (driver.hasOrigin) {
    await test("an origin that is not allowed: 4009, and no second try", () => ended("origin", 4009));
  }
  await test(`an app that allows one origin: ${driver.hasOrigin ? "that one" : "programs have none"}`, async () => {
    await close(await open({ app: APPS.picky }));
  });
  await test("connections terminated: 4009, and no second try, unless asked", async () => {
    await ended("terminated", 4009);
    // Who is present but has not signed in stays.
    assert.equal(await bystander.state(), "connected");
    const { seat } = endings.terminated;
    const lost = await seat.socketId();
    await seat.connect();
    await reaches(seat, "connected");
    assert.notEqual(await seat.socketId(), lost);
    await close(seat, bystander);
  });

  await test("each app hears of its own", async () => {
    const shared = channel("", "shared");
    const other = await driver.open(world.seated({ app: APPS.bare }));
    await reaches(other, "connected");
    await joins(other, shared);
    await joins(ada, shared);
    await sdk.trigger(shared, "of main", {});
    await world.sdk(APPS.bare).trigger(shared, "of bare", {});
    await hears(ada, shared, "of main");
    await hears(other, shared, "of bare");
    await settled(ada);
    assert.deepEqual(await heard(ada, shared, "of bare"), []);
    assert.deepEqual(await heard(other, shared, "of main"), []);
    // The count is an option that this app has not.
    assert.deepEqual(await heard(other, shared, "pusher:subscription_count"), []);
    await close(other);
  });

  await test("pings are answered: an idle connection stays", async () => {
    // Its app says to ping after one second; without a pong pusher-js would give up a second later.
    const idle = await driver.open(world.seated({ app: APPS.bare, options: { pongTimeout: 1000 } }));
    await reaches(idle, "connected");
    const pongs = async () => (await idle.read()).frames.filter(({ event }) => event === "pusher:pong").length;
    const before = await idle.socketId();
    await until("three pongs", async () => (await pongs()) >= 3);
    assert.equal(await idle.socketId(), before);
    assert.equal((await idle.read()).states.filter(({ state }) => state === "connected").length, 1);
    await close(idle);
  });

  await test("disconnect and connect again: channels and user come back by themselves", async () => {
    const kept = channel("private-", "kept");
    await joins(ada, kept);
    const lost = await ada.socketId();
    await ada.disconnect();
    await until("the channel to be empty", async () => !(kept in (await list())));
    await ada.connect();
    await hears(ada, kept, "pusher:subscription_succeeded", 1);
    await hears(ada, everybody, "pusher:subscription_succeeded", 1);
    await until("a sign-in", () => ada.user());
    assert.notEqual(await ada.socketId(), lost);
    await sdk.trigger(kept, "still", {});
    await hears(ada, kept, "still");
  });
  await close(eve);

  /** Both are back, in their channels, signed in, and hear; how long it took at most. */
  const restarted = async (awayMs, withinMs) => {
    const kept = channel("presence-", "restart");
    for (const seat of [ada, bob]) await seat.subscribe(kept);
    for (const seat of [ada, bob]) {
      await until("a membership", async () => (await seat.channel(kept))?.subscribed);
    }
    const lost = await Promise.all([ada.socketId(), bob.socketId()]);
    const counts = await Promise.all([ada, bob].map(async (seat) => (await heard(seat, kept, "pusher:subscription_succeeded")).length));
    const began = Date.now();
    await world.restart(awayMs);
    const up = Date.now();
    for (const [at, seat] of [ada, bob].entries()) {
      await until("a return", async () =>
        (await heard(seat, kept, "pusher:subscription_succeeded")).length > counts[at], withinMs);
      assert.notEqual(await seat.socketId(), lost[at]);
    }
    const back = Date.now();
    await until("both to be members", async () => (await ada.members(kept)).count === 2);
    await until("a sign-in", () => ada.user());
    const mark = `back ${back}`;
    await world.sdk().trigger(kept, mark, {});
    for (const seat of [ada, bob]) {
      await hears(seat, kept, mark);
      assert.equal((await heard(seat, kept, mark)).length, 1);
    }
    await world.sdk().sendToUser("ada", mark, {});
    await hears(ada, "(user)", mark);
    await ada.trigger(kept, "client-back", mark);
    await until("a client event", async () => (await told(bob, kept, "client-back")).includes(mark));
    return `${driver.name}: back ${back - began} ms after the signal, ${back - up} ms after the server was up`;
  };
  await test("SIGTERM and a new server at once: back within 5 s, and receiving", async () => {
    console.log(await restarted(0, 5000));
  });
  // A refused connection is tried again after 15 s: that is pusher-js, and nothing the server can do.
  if (driver.isPatient) {
    await test("the server is away for 2 s: back and receiving", async () => {
      console.log(await restarted(2000, 25_000));
    });
  }
  await close(ada, bob);
}
