// What the Pusher tests stand on: a server with apps of every kind, and the web application that
// holds their secrets, signs for its users and publishes.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import ServerSdk from "pusher";
import { startServer } from "../playground/harness.mjs";

const require = createRequire(import.meta.url);
const OUT = fileURLToPath(new URL("../out/", import.meta.url));

/** The apps by their names here; what is not said is left at its default. */
export const APPS = {
  main: { id: "1001", more: { subscription_count: true, watchlist_max: 3, presence_members: 5 } },
  // As little as can be, and a client that has to ping each second.
  bare: {
    id: "1002",
    more: { client_events: false, user_authentication: false, activity_timeout: "1s", event_bytes: 100 },
  },
  closed: { id: "1003", more: { enabled: false } },
  narrow: { id: "1004", more: { connections: 1 } },
  // Set below: the web application's own origin.
  picky: { id: "1005", more: {} },
};
for (const [name, app] of Object.entries(APPS)) {
  app.key = `${name}-key`;
  app.secret = `of ${name}`;
}

const MASTER_KEY = Buffer.alloc(32, "a key of 32 bytes").toString("base64");

/** The real server SDK, calling for an app. */
export function sdk(server, app, changes = {}) {
  const [host, port] = server.address.split(":");
  return new ServerSdk({
    appId: app.id,
    key: app.key,
    secret: app.secret,
    host,
    port,
    useTLS: false,
    encryptionMasterKeyBase64: MASTER_KEY,
    ...changes,
  });
}

function toml(origins) {
  const value = (one) => JSON.stringify(one);
  const tables = Object.entries(APPS).map(([name, { id, key, secret, more }]) => {
    const settings = { id, key, secret, ...more, ...(name === "picky" ? { origins } : {}) };
    return `[[app]]\n${Object.entries(settings).map(([key, one]) => `${key} = ${value(one)}\n`).join("")}`;
  });
  return tables.join("\n");
}

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

/** Who presents itself in a channel as what its user asked for. */
function member(asks, channel) {
  const id = asks.vary ? `${asks.user} in ${channel}` : asks.user;
  return { user_id: asks.numeric ? Number(asks.user) : id, user_info: { name: id } };
}

/** The answers of the web application, to forms as pusher-js and Echo send them. */
function answer(server, path, asks, headers) {
  const app = Object.values(APPS).find((one) => one.key === asks.key) ?? APPS.main;
  const signer = sdk(server, app, asks.forge ? { secret: "somebody else's" } : {});
  const { socket_id: socket, channel_name: channel } = asks;
  if (asks.deny) return [403, "Not you."];
  if (path === "/pusher/user-auth" || path === "/broadcasting/user-auth") {
    const watchlist = asks.watchlist ? asks.watchlist.split(",") : undefined;
    return [200, signer.authenticateUser(socket, { id: asks.user, user_info: { name: asks.user }, watchlist })];
  }
  if (path === "/pusher/auth" || path === "/broadcasting/auth") {
    const isPresence = channel.startsWith("presence-") && !asks.bare;
    const who = isPresence ? member(asks, channel) : undefined;
    // The SDK refuses to sign names that no server would take; so that the server's own word on
    // them is heard, nothing is signed.
    if (/[^-A-Za-z0-9_=@,.;]/.test(channel)) {
      return [200, { auth: `${app.key}:0`, channel_data: JSON.stringify(who) }];
    }
    return [200, signer.authorizeChannel(socket, channel, who)];
  }
  if (path === "/say") {
    const except = headers["x-socket-id"];
    const done = signer.trigger(asks.channel, asks.event, { said: asks.text }, except ? { socket_id: except } : {});
    return done.then(() => [200, {}]);
  }
  return [404, "There is no such page."];
}

const FILES = {
  "/": ["text/html", null],
  "/seat.mjs": ["text/javascript", fileURLToPath(new URL("seat.mjs", import.meta.url))],
  "/pusher.js": ["text/javascript", require.resolve("pusher-js/dist/web/pusher.min.js")],
  "/pusher-with-encryption.js": [
    "text/javascript",
    require.resolve("pusher-js/dist/web/pusher-with-encryption.min.js"),
  ],
  "/echo.js": ["text/javascript", fileURLToPath(import.meta.resolve("laravel-echo"))],
};
const PAGE = `<!doctype html><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,">`;

/** The web application, which speaks to whatever server the world has just now. */
async function startApp(world) {
  const http = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://app.test");
    try {
      const [type, file] = (request.method === "GET" && FILES[pathname]) || [];
      if (type) {
        response.writeHead(200, { "Content-Type": `${type}; charset=utf-8` });
        response.end(file ? readFileSync(file) : PAGE);
        return;
      }
      const asks = Object.fromEntries([...searchParams, ...new URLSearchParams(await bodyOf(request))]);
      const [status, value] = await answer(world.server, pathname, asks, request.headers);
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(typeof value === "string" ? value : JSON.stringify(value));
    } catch (error) {
      response.writeHead(502).end(String(error));
    }
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  http.unref();
  return { origin: `http://127.0.0.1:${http.address().port}`, end: () => http.close() };
}

/** The whole of it; `name` tells its configuration file from those of other parts. */
export async function startWorld(name) {
  const world = {};
  world.app = await startApp(world);
  // The same pages from an origin that `picky` does not know.
  world.foreign = await startApp(world);
  mkdirSync(OUT, { recursive: true });
  const config = `${OUT}${name}.toml`;
  writeFileSync(config, toml([world.app.origin]));
  const start = (listen) => startServer(listen, ["run", "--config", config]);
  world.server = await start();
  Object.assign(world, {
    /** Stops the server and starts it anew at its old address, `awayMs` later. */
    async restart(awayMs = 0) {
      const { address } = world.server;
      await world.server.end();
      if (awayMs > 0) await new Promise((wake) => setTimeout(wake, awayMs));
      world.server = await start(address);
    },
    sdk: (app = APPS.main, changes) => sdk(world.server, app, changes),
    /** What a seat has to be told. */
    seated({ app = APPS.main, key = app.key, asks = {}, options = {}, isForeign = false } = {}) {
      const [host, port] = world.server.address.split(":");
      const { origin } = isForeign ? world.foreign : world.app;
      return { key, host, port: Number(port), app: origin, asks, options };
    },
    async end() {
      world.app.end();
      world.foreign.end();
      await world.server.end();
    },
  });
  return world;
}
