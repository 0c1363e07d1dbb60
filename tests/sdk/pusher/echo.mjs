// Laravel Echo, in a page or in Node: what an application of Laravel's does with it.

import assert from "node:assert/strict";
import { check, until } from "../playground/harness.mjs";
import { APPS } from "./world.mjs";

/**
 * Makes every check with users of Echo in this page. Where there is none, `page` runs the same here,
 * and `page.origin` is the web application that relative addresses would mean.
 */
export async function echo(world, page) {
  const sdk = world.sdk();
  const [host, port] = world.server.address.split(":");
  await page.evaluate(async () => {
    window.Echo ??= (await import("/echo.js")).default;
    window.echoes = {};
    window.heard = {};
    /** A callback that writes down what it is told. */
    window.keep = (who, what) => (...given) => (heard[who][what] ??= []).push(JSON.parse(JSON.stringify(given[0] ?? null)));
  });

  /** A user of Echo, once it is connected. */
  async function open(who, broadcaster, asks = {}) {
    await page.evaluate(({ who, given }) => {
      heard[who] = {};
      echoes[who] = new Echo({ ...given, Pusher });
    }, {
      who,
      given: {
        broadcaster,
        key: APPS.main.key,
        cluster: "none",
        wsHost: host,
        wsPort: Number(port),
        wssPort: Number(port),
        forceTLS: false,
        enabledTransports: ["ws"],
        // The endpoints are Laravel's own.
        ...(page.origin ? { authEndpoint: `${page.origin}/broadcasting/auth` } : {}),
        auth: { params: { user: who, key: APPS.main.key, ...asks } },
        userAuthentication: { endpoint: `${page.origin ?? ""}/broadcasting/user-auth`, params: { user: who, key: APPS.main.key } },
      },
    });
    await until("a connection", () => page.evaluate((who) => echoes[who].connectionStatus() === "connected", who));
  }
  /** Runs `act(echo, keep, given)` in the page for a user. */
  const act = (who, act, given) =>
    page.evaluate(`(${act})(echoes[${JSON.stringify(who)}], (what) => keep(${JSON.stringify(who)}, what), ${JSON.stringify(given ?? null)}), null`);
  const told = (who, what) => page.evaluate(([who, what]) => heard[who][what] ?? [], [who, what]);
  const hears = (who, what, at = 0) =>
    until(`${what} for ${who}`, async () => {
      const all = await told(who, what);
      return all.length > at && { value: all[at] };
    }).then(({ value }) => value);
  let marks = 0;
  const settled = async (...users) => {
    const mark = ++marks;
    await sdk.trigger("echo-everybody", "mark", { mark });
    for (const who of users) await until("a mark", async () => (await told(who, "mark")).some((one) => one.mark === mark));
  };

  for (const broadcaster of ["pusher", "reverb"]) {
    const title = (text) => `echo as ${broadcaster}: ${text}`;
    const test = (text, run) => check(title(text), run);
    const [ada, bob, eve] = ["ada", "bob", "eve"].map((name) => `${name}-${broadcaster}`);
    const at = (name) => `${name}-${broadcaster}`;

    await test("connects", async () => {
      await open(ada, broadcaster);
      await open(bob, broadcaster);
      await open(eve, broadcaster, { forge: "1" });
      for (const who of [ada, bob, eve]) {
        await act(who, (echo, keep) => echo.channel("echo-everybody").subscribed(keep("in")).listen(".mark", keep("mark")));
        await hears(who, "in");
      }
      assert.match(await page.evaluate((who) => echoes[who].socketId(), ada), /^\d+\.\d+$/);
    });

    await test("channel().listen() with the event's namespace, without it, and to all", async () => {
      await act(ada, (echo, keep, name) => echo.channel(name).subscribed(keep("open"))
        .listen("OrderShipped", keep("shipped")).listen(".order.shipped", keep("named")).listenToAll(keep("all")), at("orders"));
      await hears(ada, "open");
      await sdk.trigger(at("orders"), "App\\Events\\OrderShipped", { id: 1 });
      await sdk.trigger(at("orders"), "order.shipped", { id: 2 });
      assert.deepEqual(await hears(ada, "shipped"), { id: 1 });
      assert.deepEqual(await hears(ada, "named"), { id: 2 });
      assert.deepEqual(await told(ada, "all"), ["\\OrderShipped", ".order.shipped"].map((name) => name.replace(/^\\/, "")));
    });

    await test("stopListening() and leave()", async () => {
      await act(ada, (echo, _, name) => echo.channel(name).stopListening("OrderShipped"), at("orders"));
      await sdk.trigger(at("orders"), "App\\Events\\OrderShipped", { id: 3 });
      await settled(ada);
      assert.equal((await told(ada, "shipped")).length, 1);
      await act(ada, (echo, _, name) => echo.leave(name), at("orders"));
      await until("the channel to be empty", async () =>
        !(at("orders") in (await (await sdk.get({ path: "/channels" })).json()).channels));
    });

    await test("private().listen(), whisper() and listenForWhisper()", async () => {
      for (const who of [ada, bob]) {
        await act(who, (echo, keep, name) => echo.private(name).subscribed(keep("room"))
          .listen("Said", keep("said")).listenForWhisper("typing", keep("typing")), at("room"));
        await hears(who, "room");
      }
      await sdk.trigger(`private-${at("room")}`, "App\\Events\\Said", { text: "in here" });
      for (const who of [ada, bob]) assert.deepEqual(await hears(who, "said"), { text: "in here" });
      await act(ada, (echo, _, name) => echo.private(name).whisper("typing", { name: "ada" }), at("room"));
      assert.deepEqual(await hears(bob, "typing"), { name: "ada" });
      await settled(ada, bob);
      assert.deepEqual(await told(ada, "typing"), []);
    });

    await test("toOthers(): X-Socket-ID through the application to everyone else", async () => {
      const said = await page.evaluate(async ({ who, channel, origin }) => {
        const answer = await fetch(`${origin}/say`, {
          method: "POST",
          headers: { "X-Socket-ID": echoes[who].socketId() },
          body: new URLSearchParams({ channel, event: "App\\Events\\Said", text: "to others" }),
        });
        return answer.status;
      }, { who: ada, channel: `private-${at("room")}`, origin: page.origin ?? "" });
      assert.equal(said, 200);
      assert.deepEqual(await hears(bob, "said", 1), { said: "to others" });
      await settled(ada, bob);
      assert.equal((await told(ada, "said")).length, 1);
    });

    await test("notification()", async () => {
      await act(ada, (echo, keep) => echo.private("App.Models.User.1").subscribed(keep("user")).notification(keep("notification")));
      await hears(ada, "user");
      await sdk.trigger("private-App.Models.User.1", "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated", { id: "n1", type: "Paid" });
      assert.deepEqual(await hears(ada, "notification"), { id: "n1", type: "Paid" });
    });

    await test("error() on a refused channel, and the connection kept", async () => {
      const before = await page.evaluate((who) => echoes[who].socketId(), eve);
      await act(eve, (echo, keep, name) => echo.private(name).error(keep("refused")).listen("Said", keep("said")), at("room"));
      const refused = await hears(eve, "refused");
      assert.equal(refused.type, "AuthError");
      assert.equal(refused.status, 401);
      await act(eve, (echo, keep, name) => echo.join(name).error(keep("not present")).here(keep("here")), at("chat"));
      assert.equal((await hears(eve, "not present")).status, 401);
      await settled(eve);
      assert.deepEqual(await told(eve, "here"), []);
      assert.equal(await page.evaluate((who) => echoes[who].socketId(), eve), before);
    });

    await test("join(): here(), joining(), leaving() and whisper()", async () => {
      const join = (echo, keep, name) => echo.join(name).here(keep("here")).joining(keep("joining"))
        .leaving(keep("leaving")).listenForWhisper("wave", keep("wave"));
      await act(ada, join, at("chat"));
      assert.deepEqual(await hears(ada, "here"), [{ name: ada }]);
      await act(bob, join, at("chat"));
      assert.deepEqual((await hears(bob, "here")).map(({ name }) => name).sort(), [ada, bob].sort());
      assert.deepEqual(await hears(ada, "joining"), { name: bob });
      await act(bob, (echo, _, name) => echo.join(name).whisper("wave", { to: "ada" }), at("chat"));
      assert.deepEqual(await hears(ada, "wave"), { to: "ada" });
      await act(bob, (echo, _, name) => echo.leave(name), at("chat"));
      assert.deepEqual(await hears(ada, "leaving"), { name: bob });
      assert.deepEqual(await told(bob, "joining"), []);
    });

    await test("encryptedPrivate()", async () => {
      await act(ada, (echo, keep, name) => echo.encryptedPrivate(name).subscribed(keep("safe")).listen("Secret", keep("secret")), at("safe"));
      await hears(ada, "safe");
      await sdk.trigger(`private-encrypted-${at("safe")}`, "App\\Events\\Secret", { text: "🦦" });
      assert.deepEqual(await hears(ada, "secret"), { text: "🦦" });
    });

    await test("signin(), and disconnect()", async () => {
      await act(ada, (echo, keep) => {
        echo.connector.pusher.user.bind("for-you", keep("for you"));
        echo.connector.signin();
      });
      await until("a sign-in", () => page.evaluate((who) => echoes[who].connector.pusher.user.user_data?.id === who, ada));
      await sdk.sendToUser(ada, "for-you", { text: "alone" });
      assert.deepEqual(await hears(ada, "for you"), { text: "alone" });
      for (const who of [ada, bob, eve]) await act(who, (echo) => echo.disconnect());
      await until("nobody to be left", async () =>
        !("echo-everybody" in (await (await sdk.get({ path: "/channels" })).json()).channels));
      assert.equal(await page.evaluate((who) => echoes[who].connectionStatus(), ada), "disconnected");
    });
  }
}
