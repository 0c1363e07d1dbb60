// What Pushi's client does with a server, whatever it runs in: the same in Node and in the browser.

import assert from "node:assert/strict";
import { check, until } from "../playground/harness.mjs";
import { heard, hears, reaches } from "../pusher/seats.mjs";

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** As the client has it where nobody says otherwise. */
const RECONNECT_MS = 5000;

/** Subscribes and waits until it is so; what was answered last. */
export async function joins(seat, name, force = false) {
  const before = (await heard(seat, name, "subscribe")).length;
  await seat.subscribe(name, force);
  return (await hears(seat, name, "subscribe", before)).data;
}

/** The events of a description, as what was said in them. */
export const said = ({ events }) => events.map(({ data }) => data.data);

/** Makes every check with seats that `driver` opens. */
export async function flows(world, driver) {
  const test = (text, run) => check(`${driver.name}: ${text}`, run);
  const app = await world.makeApp(`chat of ${driver.name}`);
  const publish = (...given) => world.publish(app, ...given);
  const open = async (given = {}) => {
    const seat = await driver.open(world.seated({ app, ...given }));
    await reaches(seat, "connected");
    await seat.listen("mark");
    await joins(seat, "everybody");
    return seat;
  };
  /** Whatever was sent before has arrived then, or never will. */
  let marks = 0;
  const settled = async (...seats) => {
    const mark = `mark ${++marks}`;
    await publish("everybody", "mark", mark, { persist: false });
    for (const seat of seats) {
      await until(mark, async () => (await heard(seat, "(all)", "mark")).some(({ data }) => data === mark));
    }
  };
  const close = async (...seats) => {
    for (const seat of seats) await seat.end();
  };

  const ada = await open({ user: "ada", events: ["message"] });
  const bob = await open({ user: "bob", events: ["message"] });
  const messages = async (seat, name) =>
    (await heard(seat, "(all)", "message")).filter(({ channel }) => channel === name);

  await test("connects at once, under an id of its own", async () => {
    assert.match(await ada.socketId(), UUID);
    assert.match(await bob.socketId(), UUID);
    assert.notEqual(await ada.socketId(), await bob.socketId());
    assert.deepEqual((await ada.read()).states.map(({ state }) => state), ["connected"]);
  });

  await test("connects below any path: only its end is the key", async () => {
    const options = { baseUrl: `ws://${world.server.address}/below/any%20path/` };
    const seat = await driver.open(world.seated({ app, options }));
    await reaches(seat, "connected");
    assert.equal((await joins(seat, "news")).name, "news");
    await close(seat);
  });

  await test("a public channel: what is said arrives as a text, whatever it was", async () => {
    const texts = ["just text", '"quoted"', `hällo 🦦 \u2028 </script> \\ \u0000`, "x".repeat(900_000)];
    const values = [{ said: "hällo 🦦", deep: [{ a: null }] }, [1, "a"], 12.5, 0, true, false, null, {}, []];
    assert.deepEqual((await joins(ada, "news")), { name: "news", members: {}, alias: [], events: [] });
    await joins(bob, "news");
    for (const one of [...texts, ...values, ""]) await ada.send("news", "message", one);
    await settled(ada, bob);
    const notes = await messages(bob, "news");
    assert.deepEqual(notes.slice(0, texts.length).map(({ data }) => data), texts);
    assert.deepEqual(notes.slice(texts.length, -1).map(({ data }) => JSON.parse(data)), values);
    // Nothing is left out altogether.
    assert.equal(notes.at(-1).data, null);
    for (const { mid, timestamp } of notes) {
      assert.match(mid, UUID);
      assert.ok(Math.abs(timestamp - Date.now() / 1000) < 60, String(timestamp));
    }
    assert.equal(new Set(notes.map(({ mid }) => mid)).size, notes.length);
    assert.deepEqual(await messages(ada, "news"), []);
  });

  await test("a callback of the channel is told the same as one of the connection", async () => {
    await bob.bind("news", "message");
    await ada.send("news", "message", "twice told");
    const { data, mid, timestamp } = await hears(bob, "news", "message");
    assert.equal(data, "twice told");
    const all = (await messages(bob, "news")).at(-1);
    assert.deepEqual({ data, mid, timestamp }, { data: all.data, mid: all.mid, timestamp: all.timestamp });
  });

  await test("echo and persist do what they say", async () => {
    for (const seat of [ada, bob]) await joins(seat, "flags");
    await ada.send("flags", "message", "for all", { echo: true });
    await ada.send("flags", "message", "not kept", { persist: false });
    await settled(ada, bob);
    assert.deepEqual((await messages(ada, "flags")).map(({ data }) => data), ["for all"]);
    const [kept, passing] = await messages(bob, "flags");
    assert.match(kept.mid, UUID);
    assert.deepEqual([passing.data, passing.mid, passing.timestamp], ["not kept", null, null]);
    assert.deepEqual(said(await bob.latest("flags")), ["for all"]);
  });

  await test("latest: newest first, at once, by skip and count", async () => {
    for (const seat of [ada, bob]) await joins(seat, "history");
    for (let at = 0; at < 12; at++) await ada.send("history", "message", `no ${at}`);
    const newest = await ada.latest("history");
    assert.deepEqual(said(newest), Array.from({ length: 10 }, (_, at) => `no ${11 - at}`));
    assert.deepEqual({ ...newest, events: [] }, { name: "history", members: {}, alias: [], events: [] });
    assert.deepEqual(said(await bob.latest("history", { skip: 10, count: 5 })), ["no 1", "no 0"]);
    await settled(bob);
    const delivered = (await messages(bob, "history")).at(-1);
    const [record] = newest.events;
    assert.deepEqual([record.mid, record.timestamp, record.channel], [delivered.mid, delivered.timestamp, "history"]);
    assert.equal(record.owner_id, await ada.socketId());
    assert.equal(record.instance, app.ident);
    assert.deepEqual(record.data, { channel: "history", event: "message", data: "no 11" });
  });

  await test("what the application publishes comes with all its keys", async () => {
    for (const seat of [ada, bob]) await joins(seat, "both");
    await joins(ada, "one");
    await publish(["one", "both"], "message", { a: 1 }, { title: "more" });
    await settled(ada, bob);
    // Ada is in both, and gets it once, by the name that was first.
    assert.deepEqual((await messages(ada, "one")).map(({ data }) => JSON.parse(data)), [{ a: 1 }]);
    assert.deepEqual(await messages(ada, "both"), []);
    assert.deepEqual((await messages(bob, "both")).map(({ data }) => JSON.parse(data)), [{ a: 1 }]);
    const [record] = (await ada.latest("both")).events;
    assert.deepEqual([record.data.title, record.owner_id], ["more", null]);
  });

  await test("unsubscribe: nothing comes any more", async () => {
    await joins(ada, "left");
    assert.deepEqual(await ada.unsubscribe("left"), { name: "left", members: {}, alias: [], events: [] });
    await publish("left", "message", "after");
    await settled(ada);
    assert.deepEqual(await messages(ada, "left"), []);
    assert.equal(await ada.channel("left"), null);
  });

  await test("a private channel needs the application's word, and a refusal costs nothing but that", async () => {
    await joins(ada, "private-room");
    await joins(ada, "private-décor & ü/:日");
    const eve = await open({ user: "eve", how: "forge" });
    await eve.subscribe("private-room");
    const refused = JSON.parse((await hears(eve, "private-room", "refused")).data);
    assert.equal(refused.code, 403);
    assert.match(refused.message, /signature/);
    await publish("private-room", "message", "secret");
    await settled(ada, eve);
    assert.deepEqual((await messages(ada, "private-room")).map(({ data }) => data), ["secret"]);
    assert.deepEqual(await heard(eve, "(all)", "message"), []);
    assert.equal((await eve.read()).states.length, 1);
    await close(eve);
  });

  await test("who subscribes on `connect` and is refused does not go round in circles", async () => {
    const eve = await open({ user: "eve", how: "forge", onConnect: ["private-room"], options: { timeout: 50 } });
    await hears(eve, "private-room", "refused");
    await settled(eve);
    assert.deepEqual((await eve.read()).states.map(({ state }) => state), ["connected"]);
    await close(eve);
  });

  await test("presence: who is there, who comes, who goes", async () => {
    const room = "presence-room";
    const member = (user) => ({ user_id: user, name: `${user} of ${app.name}` });
    assert.deepEqual((await joins(ada, room)).members, { ada: member("ada") });
    assert.deepEqual((await joins(bob, room)).members, { ada: member("ada"), bob: member("bob") });
    assert.deepEqual((await hears(ada, room, "member_added")).data, member("bob"));
    // A second socket of somebody who is there already is nobody new, and nobody who goes.
    const again = await open({ user: "bob" });
    assert.deepEqual(Object.keys((await joins(again, room)).members).sort(), ["ada", "bob"]);
    const nobody = await open({ user: "nobody", how: "anonymous" });
    assert.deepEqual(Object.keys((await joins(nobody, room)).members).sort(), ["ada", "bob"]);
    await close(again);
    await settled(ada, bob, nobody);
    assert.equal((await heard(ada, room, "member_added")).length, 1);
    assert.deepEqual(await heard(ada, room, "member_removed"), []);
    assert.deepEqual(await heard(bob, room, "member_added"), []);
    // Subscribing again is leaving and coming back.
    await joins(bob, room, true);
    assert.deepEqual((await hears(ada, room, "member_removed")).data, member("bob"));
    assert.deepEqual((await hears(ada, room, "member_added", 1)).data, member("bob"));
    assert.deepEqual((await bob.unsubscribe(room)).members, { ada: member("ada") });
    assert.deepEqual((await hears(ada, room, "member_removed", 1)).data, member("bob"));
    // Those who are in it as nobody hear what is said, and of nobody.
    await nobody.listen("message");
    await publish(room, "message", "for all");
    await settled(nobody);
    assert.deepEqual((await messages(nobody, room)).map(({ data }) => data), ["for all"]);
    assert.deepEqual(await heard(nobody, room, "member_removed"), []);
    await close(nobody);
  });

  await test("a chat: every pair of members has a channel that nobody asked for", async () => {
    const chat = (user, how = "peer") => open({ user, how, events: ["message"] });
    const [ann, Bea, carl] = [await chat("ann"), await chat("Bea"), await chat("carl", "")];
    const room = "presence-chat";
    await joins(ann, room);
    await joins(Bea, room);
    // Carl does not want it, and comes later.
    await joins(carl, room);
    await ann.send("peer-chat:Bea&ann", "message", "hello Bea");
    const note = await until("the message", async () => (await messages(Bea, "peer-chat:Bea&ann"))[0]);
    assert.equal(note.data, "hello Bea");
    await Bea.send("peer-chat:Bea&ann", "message", { and: "hello" }, { echo: true });
    await settled(ann, Bea, carl);
    for (const seat of [ann, Bea]) {
      const all = await seat.latest("peer-chat:Bea&ann");
      const [answer, first, ...others] = said(all);
      assert.deepEqual([JSON.parse(answer), first, others], [{ and: "hello" }, "hello Bea", []]);
      assert.equal(await seat.channel("peer-chat:Bea&ann"), null);
    }
    assert.equal((await messages(Bea, "peer-chat:Bea&ann")).length, 2);
    assert.deepEqual(await heard(carl, "(all)", "message"), []);
    // He may look at what is his, though there is nothing, and at nothing else.
    assert.deepEqual((await carl.latest("peer-chat:ann&carl")).events, []);
    await carl.send("peer-chat:ann&carl", "message", "may I?");
    const refused = await hears(carl, "(all)", "pusher:error");
    assert.equal(refused.channel, "peer-chat:ann&carl");
    await carl.write(JSON.stringify({ event: "pusher:latest", data: { channel: "peer-chat:Bea&ann" } }));
    assert.equal((await hears(carl, "(all)", "pusher:error", 1)).channel, "peer-chat:Bea&ann");
    // She goes, and there is nobody to talk to; what was said can still be read.
    await close(Bea);
    await until("her leave", async () => (await heard(ann, room, "member_removed")).length === 1);
    await ann.send("peer-chat:Bea&ann", "message", "still there?");
    assert.equal((await hears(ann, "(all)", "pusher:error")).channel, "peer-chat:Bea&ann");
    assert.equal((await ann.latest("peer-chat:Bea&ann")).events.length, 2);
    // And comes back to it.
    const back = await chat("Bea");
    await joins(back, room);
    await ann.send("peer-chat:Bea&ann", "message", "welcome back");
    await until("the message", async () => (await messages(back, "peer-chat:Bea&ann"))[0]);
    assert.deepEqual(said(await back.latest("peer-chat:Bea&ann", { count: 1 })), ["welcome back"]);
    await close(ann, carl, back);
  });

  await test("a chat of odd names: a colon in the room, an ampersand in a user, and numbers", async () => {
    const room = "presence-a:b";
    const names = ["x&y", "z", "7"];
    const seats = [];
    for (const user of names) {
      seats.push(await open({ user, how: "peer", events: ["message"] }));
      await joins(seats.at(-1), room);
    }
    for (const [one, other] of [[0, 1], [1, 2], [2, 0]]) {
      const pair = `peer-a:b:${[names[one], names[other]].sort().join("&")}`;
      await seats[one].send(pair, "message", `to ${names[other]}`);
      await until(pair, async () => (await messages(seats[other], pair))[0]);
      assert.deepEqual(said(await seats[one].latest(pair)), [`to ${names[other]}`]);
    }
    await close(...seats);
    await settled(ada, bob);
  });

  await test("a personal channel stands for all that is subscribed, and brings what was missed", async () => {
    const user = `pia & "co": ü/1`;
    for (const event of ["p-news", "private-p-team", "presence-p-room"]) {
      await world.call(app, "POST", "/subscriptions", { user_id: user, event });
    }
    await publish("p-news", "message", "missed 1");
    await publish(["private-p-team", "p-news"], "message", "missed 2, once");
    const pia = await open({ user, events: ["message"] });
    const personal = `personal-${user}`;
    const told = await joins(pia, personal);
    assert.deepEqual(told.alias, ["p-news", "private-p-team", "presence-p-room"]);
    assert.deepEqual(said(told), ["missed 2, once", "missed 1"]);
    for (const alias of told.alias) assert.equal((await pia.channel(alias)).subscribed, true);
    // What comes now has the name of the channel, and goes to the channel's own callbacks.
    await pia.bind("private-p-team", "message");
    await publish("private-p-team", "message", "live");
    assert.equal((await hears(pia, "private-p-team", "message")).data, "live");
    // She may speak there as anybody who is in it.
    await joins(bob, "p-news");
    await pia.send("p-news", "message", "from Pia");
    await until("what she said", async () => (await messages(bob, "p-news")).at(-1)?.data === "from Pia");
    assert.deepEqual(said(await pia.latest("private-p-team", { count: 1 })), ["live"]);
    // As a member of a room by her subscription; she gave no data of her own.
    const left = await pia.unsubscribe(personal);
    assert.equal(left.events[0].data.data, "from Pia");
    assert.deepEqual((await pia.channels()), ["everybody"]);
    await publish(["p-news", "private-p-team"], "message", "after");
    await settled(pia);
    assert.equal((await heard(pia, "(all)", "message")).some(({ data }) => data === "after"), false);
    await close(pia);
  });

  await test("objects of one key share one line", async () => {
    const seat = await open();
    const before = (await world.ask("GET", "/info")).value.service.connections;
    await seat.subscribeByAnother("shared");
    await until("the channel", async () => (await seat.channel("shared"))?.subscribed);
    assert.equal((await world.ask("GET", "/info")).value.service.connections, before);
    await close(seat);
  });

  await test("what cannot be understood ends that line alone, with a word; no name of the protocol is free", async () => {
    const eve = await open({ options: { timeout: 50 } });
    await joins(eve, "news");
    await eve.send("news", "pusher:member_added", "{}");
    await eve.send("news", "pusher_internal:latest", "{}");
    assert.equal(JSON.parse((await hears(eve, "(all)", "pusher:error", 1)).data).code, 403);
    assert.equal((await eve.read()).states.length, 1);
    await eve.write("this is no JSON");
    await until("that it came back", async () => (await eve.read()).states.length === 3);
    const [, gone, back] = (await eve.read()).states;
    assert.ok([1003, 1008].includes(gone.code), String(gone.code));
    assert.equal(back.state, "connected");
    await close(eve);
    await settled(ada, bob);
    assert.equal((await ada.read()).states.length, 1);
  });

  for (const [signal, timeout] of [["SIGTERM", RECONNECT_MS], ["SIGKILL", 200]]) {
    await test(`${signal}: the client comes back to nothing, and finds all that was acknowledged`, async () => {
      const user = `of ${signal}`;
      const [news, chat] = [`news ${signal}`, `presence-${signal}`];
      await world.call(app, "POST", "/subscriptions", { user_id: user, event: news });
      const far = await open({ user, how: "peer", events: ["message"], options: { timeout } });
      const near = await open({ user: "near", how: "peer", events: ["message"], options: { timeout } });
      await joins(far, chat);
      await joins(near, chat);
      const pair = `peer-${signal}:${["near", user].sort().join("&")}`;
      await far.send(pair, "message", "before");
      await until("what was said", async () => (await messages(near, pair))[0]);
      // Its answer comes after all that was said before has been stored.
      assert.deepEqual(said(await near.latest(pair)), ["before"]);
      await joins(far, news);
      await publish(news, "message", "seen");
      await publish(news, "message", "the last one that it hears");
      await settled(far);
      // Some are on their way when the server ends; what counts is what has been acknowledged.
      const kept = [];
      const under = Array.from({ length: 60 }, (_, at) =>
        publish(news, "message", `under way ${at}`).then(() => kept.push(`under way ${at}`), () => {}));
      await until("some acknowledgements", () => kept.length >= 5);
      await world.restart(signal);
      await Promise.all(under);
      await publish(news, "message", "while away");
      for (const seat of [far, near]) {
        await until("that it came back", async () => (await seat.read()).states.length === 3);
      }
      const [, gone, back] = (await far.read()).states;
      assert.ok(back.at - gone.at >= timeout, `it came back after ${back.at - gone.at} ms`);
      assert.equal(gone.code, signal === "SIGKILL" ? 1006 : 1012);
      assert.match(back.socketId, UUID);
      assert.deepEqual(await far.channels(), []);
      // It hears nothing by itself.
      await joins(far, "everybody");
      const heardBefore = (await messages(far, news)).length;
      await publish(news, "message", "unheard");
      await settled(far);
      assert.equal((await messages(far, news)).length, heardBefore);
      const told = await joins(far, `personal-${user}`);
      assert.deepEqual(told.alias, [news]);
      assert.deepEqual(said(told).slice(0, 2), ["unheard", "while away"]);
      const all = said(await far.latest(news, { count: 100 }));
      assert.deepEqual(said(told), all.slice(0, 10));
      assert.deepEqual(all.slice(-2), ["the last one that it hears", "seen"]);
      assert.equal(new Set(all).size, all.length);
      for (const one of kept) assert.ok(all.includes(one), `${one} was acknowledged`);
      // The chat is as empty as the room, until they join it again.
      await joins(far, chat);
      await joins(near, chat);
      assert.deepEqual(said(await far.latest(pair)), ["before"]);
      await near.send(pair, "message", "and after");
      await until("what was said", async () => (await messages(far, pair)).at(-1)?.data === "and after");
      await close(far, near);
      for (const seat of [ada, bob]) {
        await until("that it came back", async () => (await seat.state()) === "connected");
        await joins(seat, "everybody");
      }
    });
  }

  await close(ada, bob);
}
