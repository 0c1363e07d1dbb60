// A web application as Channelstream's users have it: it holds the secret, serves the page, and
// passes on what the page asks for, signed. Its pages come from another origin than the server's.

import { createHash, createHmac, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, join } from "node:path";

const PAGE = `<!doctype html><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,">`;
/** What the page may see of a user. */
const PUBLIC_KEYS = ["colour"];
/** The settings of every channel, as those of a chat are. */
const CHANNEL = {
  notify_presence: true,
  broadcast_presence_with_user_lists: true,
  notify_state: true,
  store_history: true,
  history_size: 20,
};

/** Channelstream's signature (TimestampSigner of itsdangerous 1.1.0), of this very second. */
export function sign(secret, value = "channelstream") {
  const seconds = Buffer.alloc(4);
  seconds.writeUInt32BE(Math.floor(Date.now() / 1000));
  const signed = `${value}.${seconds.toString("base64url")}`;
  const key = createHash("sha1").update(`itsdangerous.Signersigner${secret}`).digest();
  return `${signed}.${createHmac("sha1", key).update(signed).digest("base64url")}`;
}

/** Asks the server as a web application does; status and value of the answer. */
export async function ask(origin, secret, method, path, body, signature = sign(secret)) {
  const response = await fetch(origin + path, {
    method,
    headers: { "X-Channelstream-Secret": signature, "Content-Type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  let value = text;
  try {
    value = JSON.parse(text);
  } catch {
    // A page in words.
  }
  return { status: response.status, value };
}

// What the page sends, and what is made of it.
const CALLS = {
  "POST /app/connect": ({ username, channels }) => ["POST", "/connect", {
    username,
    channels,
    conn_id: randomUUID(),
    fresh_user_state: { colour: "grey", email: `${username}@mail.test` },
    user_state: { visits: 1 },
    state_public_keys: PUBLIC_KEYS,
    channel_configs: Object.fromEntries(channels.map((name) => [name, CHANNEL])),
    info: { return_public_state: true },
  }],
  "POST /app/subscribe": ({ conn_id, channels }) => ["POST", "/subscribe", {
    conn_id,
    channels,
    channel_configs: Object.fromEntries(channels.map((name) => [name, CHANNEL])),
    info: { return_public_state: true },
  }],
  "POST /app/unsubscribe": ({ conn_id, channels }) => ["POST", "/unsubscribe", { conn_id, channels }],
  "POST /app/message": (message) => ["POST", "/message", [message].flat()],
  "PATCH /app/message": (message) => ["PATCH", "/message", [message]],
  "DELETE /app/message": (message) => ["DELETE", "/message", [message]],
  // The client's words for this are not the server's.
  "POST /app/user_state": ({ username, update_state }) => ["POST", "/user_state", {
    user: username,
    user_state: update_state,
    state_public_keys: PUBLIC_KEYS,
  }],
};

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString());
}

/** Serves the page and the files in the folder `client`, and speaks to `server` for it. */
export async function startWebApp(server, secret, client) {
  const answer = async (request) => {
    const { pathname } = new URL(request.url, "http://app.test");
    if (request.method === "GET" && pathname === "/") return [200, "text/html", PAGE];
    if (request.method === "GET" && pathname.startsWith("/client/")) {
      return [200, "text/javascript", await readFile(join(client, basename(pathname)))];
    }
    const call = CALLS[`${request.method} ${pathname}`];
    if (!call) return [404, "text/plain", "There is no such page."];
    const { status, value } = await ask(server.origin, secret, ...call(await bodyOf(request)));
    return [status, "application/json", JSON.stringify(value)];
  };
  const http = createServer(async (request, response) => {
    // The server is down, as a gateway says it.
    const [status, type, body] = await answer(request).catch((error) => [502, "text/plain", String(error)]);
    response.writeHead(status, { "Content-Type": `${type}; charset=utf-8` }).end(body);
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  http.unref();
  return {
    origin: `http://127.0.0.1:${http.address().port}`,
    end: () => http.close(),
  };
}
