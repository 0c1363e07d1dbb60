// What the tests of Pushi's browser client stand on: a server with a store in a folder of its own, and
// the application that holds the secret, serves the page, signs for its users and publishes.

import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startServer, until } from "../playground/harness.mjs";

const PAGE = `<!doctype html><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,">`;
const file = (name) => readFileSync(fileURLToPath(new URL(name, import.meta.url)));
const FILES = {
  "/": ["text/html", () => PAGE],
  "/client.mjs": ["text/javascript", () => file("client.mjs")],
  "/seat.mjs": ["text/javascript", () => file("seat.mjs")],
};

/** The token that lets a socket, a web hook or a browser be told of a channel. */
export const sign = (app, first, channel) =>
  `${app.key}:${createHmac("sha256", app.secret).update(`${first}:${channel}`).digest("hex")}`;

/** What the application says when `/auth/<app>/<user>/<how>` is asked; `how` is a list of words. */
function authorize(apps, path, target) {
  const [, , name, user, how = ""] = path.split("/").map(decodeURIComponent);
  // The client puts the name there as it is, so all that follows belongs to it.
  const [, socket, channel] = /[?]socket_id=([^&]*)&channel=(.*)$/.exec(target);
  const named = decodeURIComponent(channel);
  const words = how.split(",");
  const member = {
    user_id: user,
    name: `${user} of ${name}`,
    ...(words.includes("peer") && { peer: true }),
  };
  return {
    auth: sign(apps[name], socket, words.includes("forge") ? `${named}!` : named),
    ...(named.startsWith("presence-") && !words.includes("anonymous") && { channel_data: member }),
  };
}

/** The application's own server. Pages of every origin may read what it says. */
async function startApplication(apps, host = "127.0.0.1") {
  const http = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://app.test");
    const say = (status, type, body) => {
      response.writeHead(status, { "Content-Type": `${type}; charset=utf-8`, "Access-Control-Allow-Origin": "*" });
      response.end(body);
    };
    try {
      const [type, read] = FILES[pathname] ?? [];
      if (type) say(200, type, read());
      else if (pathname.startsWith("/auth/")) {
        say(200, "application/json", JSON.stringify(authorize(apps, pathname, request.url)));
      } else say(404, "text/plain", "There is no such page.");
    } catch (error) {
      say(500, "text/plain", String(error));
    }
  });
  await new Promise((resolve) => http.listen(0, host, resolve));
  http.unref();
  return { origin: `http://${host}:${http.address().port}`, end: () => http.close() };
}

/** A certificate that nobody has signed, and its key: their paths. */
function makeCertificate(folder) {
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(folder, name));
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
    "-subj", "/CN=a test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert,
  ], { stdio: "pipe" });
  return { cert, key };
}

/**
 * The whole of it. With `hasTls` the server also listens with TLS, as pages of other sites need it that
 * bring cookies along.
 */
export async function startWorld({ hasTls = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "fanwire-pushi-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const apps = {};
  const application = await startApplication(apps);
  // The same page from an origin that the server knows nothing of, and from another site that it knows.
  const foreign = await startApplication(apps);
  const far = await startApplication(apps, "127.0.0.2");
  const certificate = hasTls && makeCertificate(folder);
  const start = async (listen, listenTls = "127.0.0.1:0") => {
    const settings = [
      `store.path=${join(folder, "store.db")}`,
      "pushi.open_registration=true",
      // `/info` is Channelstream's where it is served.
      "channelstream.enabled=false",
      `pushi.origins=["${application.origin}", "${far.origin}"]`,
      ...(hasTls ? [`tls.cert=${certificate.cert}`, `tls.key=${certificate.key}`] : []),
    ];
    const more = hasTls ? ["--listen", `tls:${listenTls}`] : [];
    const server = await startServer(listen, ["run", ...settings.flatMap((one) => ["--set", one]), ...more]);
    if (hasTls) await until("both addresses", () => server.addresses.length === 2);
    return server;
  };
  const world = { apps, application, foreign, server: await start() };

  /** Asks the API; status and value of the answer. */
  world.ask = async (method, path, query = {}, body) => {
    const response = await fetch(`${world.server.origin}${path}?${new URLSearchParams(query)}`, {
      method,
      ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
    return { status: response.status, value: JSON.parse((await response.text()) || "null") };
  };
  const good = async (...given) => {
    const { status, value } = await world.ask(...given);
    if (status !== 200) throw new Error(`${given[0]} ${given[1]}: ${status} ${JSON.stringify(value)}`);
    return value;
  };
  /** Makes an app, and logs in to it. */
  world.makeApp = async (name) => {
    const app = await good("POST", "/apps", {}, { name });
    const { token } = await good("GET", "/login", { app_id: app.ident, app_key: app.key, app_secret: app.secret });
    apps[name] = { ...app, sid: token };
    return apps[name];
  };
  /** A call of the application, which must be a good one. */
  world.call = (app, method, path, body, query = {}) => good(method, path, { ...query, sid: app.sid }, body);
  world.publish = (app, channel, event, data, more = {}) =>
    world.call(app, "POST", "/events", { channel, event, data, ...more });

  /** Ends the server with a signal and starts it anew, at its old address. */
  world.restart = async (signal = "SIGTERM") => {
    const { addresses } = world.server;
    await world.server.end(signal);
    world.server = await start(...addresses);
  };
  /** What a seat has to be told. */
  world.seated = ({ app, user = "nobody", how = "", isForeign = false, isFar = false, options = {}, ...more }) => {
    const [address, addressTls] = world.server.addresses;
    return {
      ...more,
      origin: (isFar ? far : isForeign ? foreign : application).origin,
      key: app.key,
      options: {
        baseUrl: isFar ? `wss://${addressTls}/` : `ws://${address}/`,
        authEndpoint: `${application.origin}/auth/${encodeURIComponent(app.name)}/${encodeURIComponent(user)}/${how}`,
        appId: app.ident,
        appSecret: app.secret,
        ...options,
      },
    };
  };
  world.end = async () => {
    for (const one of [application, foreign, far]) one.end();
    await world.server.end();
  };
  return world;
}
