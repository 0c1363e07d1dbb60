// What Pushi's client asks of the API: sessions by cookie, and the routes for browser push of both
// generations, from whatever pages there are.

import assert from "node:assert/strict";
import { createECDH, generateKeyPairSync, randomBytes } from "node:crypto";
import { check } from "../playground/harness.mjs";
import { reaches } from "../pusher/seats.mjs";
import { sign } from "./world.mjs";

/** What `PushManager.subscribe` gives a page. */
function subscription(name) {
  const browser = createECDH("prime256v1");
  browser.generateKeys();
  return {
    endpoint: `https://push.test/send/${name}?for=${encodeURIComponent("a/b")}&x=%2F`,
    keys: { p256dh: browser.getPublicKey("base64url"), auth: randomBytes(16).toString("base64url") },
  };
}

/** An app that browsers can be reached for; its public key. */
async function withVapid(world, app) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const { x, y } = publicKey.export({ format: "jwk" });
  await world.call(app, "PUT", `/apps/${app.ident}`, {
    vapid_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    vapid_email: "push@app.test",
  });
  const point = Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
  return point.toString("base64url");
}

/**
 * Makes every check from each of the `pages`: `name`, what `more` a seat has to be told to live there,
 * and whether its origin `isUnknown` to the server, so that it has no session.
 */
export async function calls(world, driver, pages) {
  const app = await world.makeApp(`push of ${driver.name}`);
  const vapid = await withVapid(world, app);
  const open = async (given) => {
    const seat = await driver.open(world.seated({ app, ...given }));
    await reaches(seat, "connected");
    return seat;
  };
  const records = async (endpoint) =>
    (await world.call(app, "GET", "/web_pushes", undefined, { endpoint })).subscriptions;
  const good = async (seat, ...given) => {
    const { value, error } = await seat.call(...given);
    assert.equal(error, undefined);
    return value;
  };
  const refused = async (seat, ...given) => (await seat.call(...given)).error ?? "it was not refused";

  for (const { name, more, isUnknown } of pages) {
    const test = (text, run) => check(`${driver.name}, ${name}: ${text}`, run);
    const browser = subscription(name.replaceAll(" ", "-"));
    const { endpoint } = browser;

    await test("0.4: browser push with the key of the app and no session", async () => {
      const seat = await open({ ...more, options: { isOld: true } });
      assert.equal(await good(seat, "vapidKey"), vapid);
      const record = await good(seat, "registerWebPush", browser, "news");
      assert.deepEqual(
        [record.endpoint, record.p256dh, record.auth, record.event, record.instance],
        [endpoint, browser.keys.p256dh, browser.keys.auth, "news", app.ident],
      );
      // The same again is the same record.
      assert.equal((await good(seat, "registerWebPush", browser, "news")).id, record.id);
      assert.match(await refused(seat, "registerWebPush", browser, "private-room"), /403/);
      const auth = sign(app, endpoint, "private-room");
      await good(seat, "registerWebPush", browser, "private-room", { auth });
      assert.deepEqual((await records(endpoint)).map(({ event }) => event), ["news", "private-room"]);
      assert.equal((await good(seat, "unregisterWebPush", endpoint, "news")).event, "news");
      assert.deepEqual((await records(endpoint)).map(({ event }) => event), ["private-room"]);
      await good(seat, "registerWebPush", browser, "news");
      const gone = (await good(seat, "unregisterWebPush", endpoint)).subscriptions;
      assert.deepEqual(gone.map(({ event }) => event).sort(), ["news", "private-room"]);
      assert.deepEqual(await records(endpoint), []);
      await seat.end();
    });

    await test("0.4: nobody else's key is a permission", async () => {
      const seat = await open({ ...more, options: { isOld: true } });
      await good(seat, "registerWebPush", browser, "news");
      const other = await world.makeApp(`other of ${driver.name} ${name}`);
      const stranger = await driver.open(world.seated({ app: other, ...more, options: { isOld: true } }));
      assert.match(await refused(stranger, "vapidKey"), /404/);
      assert.deepEqual((await good(stranger, "unregisterWebPush", endpoint)).subscriptions, []);
      assert.equal((await records(endpoint)).length, 1);
      await good(seat, "unregisterWebPush", endpoint);
      for (const one of [seat, stranger]) await one.end();
    });

    if (isUnknown) {
      await test("a login gives nothing that the page could use", async () => {
        const seat = await open(more);
        assert.match(await refused(seat, "login"), /^TypeError/);
        assert.match(await refused(seat, "registerWebPush", browser, "news"), /^TypeError/);
        assert.deepEqual(await records(endpoint), []);
        await seat.end();
      });
      continue;
    }

    await test("0.5: a session by cookie, which nothing works without", async () => {
      const seat = await open(more);
      for (const call of [["vapidKey"], ["registerWebPush", browser, "news"], ["unregisterWebPush", endpoint]]) {
        assert.match(await refused(seat, ...call), /refused with 403/);
      }
      await good(seat, "login");
      assert.equal(await good(seat, "vapidKey"), vapid);
      assert.equal((await good(seat, "registerWebPush", browser, "news")).endpoint, endpoint);
      assert.match(await refused(seat, "registerWebPush", browser, "private-room", { auth: sign(app, endpoint, "news") }), /403/);
      await good(seat, "registerWebPush", browser, "private-room", { auth: sign(app, endpoint, "private-room") });
      assert.deepEqual((await records(endpoint)).map(({ event }) => event), ["news", "private-room"]);
      // One of them gives way where that is asked for.
      await good(seat, "registerWebPush", browser, "more news", { unsubscribe: true });
      assert.deepEqual((await records(endpoint)).map(({ event }) => event), ["private-room", "more news"]);
      assert.equal((await good(seat, "unregisterWebPush", endpoint, "private-room")).event, "private-room");
      assert.equal((await good(seat, "unregisterWebPush", endpoint)).subscriptions.length, 1);
      await good(seat, "logout");
      assert.match(await refused(seat, "vapidKey"), /refused with 403/);
      await seat.end();
    });

    await test("0.5: the wrong secret is no login", async () => {
      const seat = await open({ ...more, options: { appSecret: "0".repeat(64) } });
      assert.match(await refused(seat, "login"), /refused with 403/);
      assert.match(await refused(seat, "vapidKey"), /refused with 403/);
      await seat.end();
    });

    for (const signal of ["SIGTERM", "SIGKILL"]) {
      await test(`0.5: the session and what was registered outlive a ${signal}`, async () => {
        const seat = await open({ ...more, options: { timeout: 100 } });
        await good(seat, "login");
        await good(seat, "registerWebPush", browser, signal);
        await world.restart(signal);
        assert.equal(await good(seat, "vapidKey"), vapid);
        assert.deepEqual((await records(endpoint)).map(({ event }) => event), [signal]);
        await good(seat, "logout");
        await world.restart(signal);
        // And what has ended does not come back.
        assert.match(await refused(seat, "unregisterWebPush", endpoint), /refused with 403/);
        await good(seat, "login");
        await good(seat, "unregisterWebPush", endpoint);
        await seat.end();
      });
    }
  }
}
