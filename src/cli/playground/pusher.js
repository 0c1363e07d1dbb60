// The tab of Pusher.

/* ---- Pusher's protocol 7, spoken plainly. ---- */

// The app: its credentials are those of every `fanwire dev`. Null where there is none for this page.
let app = null;
// The channels that the reader wants to be in; the server's word on it comes as frames.
const wanted = new Set([HOME]);
const line = { socket: null, id: "", tries: 0, timer: 0 };

function setApp(found) {
  if (JSON.stringify(found) === JSON.stringify(app) && line.socket !== null) return;
  app = found;
  if (app === null) {
    hangUp();
    showLine("waiting", "These settings have no app for this page");
    return;
  }
  at("p-path").textContent = `POST ${eventsPath()}`;
  showSnippet();
  if (line.socket === null && line.timer === 0) dial();
}

const eventsPath = () => `/apps/${encodeURIComponent(app.id)}/events`;

function showLine(is, text) {
  at("p-status").dataset.is = is;
  if (at("p-status-text").textContent !== text) at("p-status-text").textContent = text;
}

function hangUp() {
  const { socket } = line;
  clearTimeout(line.timer);
  line.timer = 0;
  line.socket = null;
  if (socket) socket.close(1000);
}

function dial() {
  hangUp();
  if (app === null) return;
  showLine("joining", "Connecting");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(
    `${scheme}//${location.host}${app.path_prefix}/app/${encodeURIComponent(app.key)}?protocol=7&client=playground&version=1.0`);
  line.socket = socket;
  socket.onmessage = (event) => {
    if (socket === line.socket) hear(String(event.data));
  };
  socket.onclose = (event) => {
    if (socket !== line.socket) return;
    line.socket = null;
    at("p-socket").textContent = "–";
    // What these codes mean the protocol says: 4000 to 4099 is for good.
    const isFinal = event.code >= 4000 && event.code < 4100;
    showLine("waiting", isFinal ? `Refused (${event.code}: ${event.reason})` : "Reconnecting");
    if (isFinal) return;
    const bound = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(line.tries++, 10));
    line.timer = setTimeout(dial, bound * (0.5 + Math.random() / 2));
  };
}

/** Whatever waits to come back does so now. */
function comeBack() {
  if (link.is === "waiting") joinNow();
  if (line.socket === null) dial();
  if (wire.socket === null && !wire.isAway) reach();
}

const tell = (event, data) => line.socket.send(JSON.stringify({ event, data }));

function hear(raw) {
  let frame;
  try {
    frame = JSON.parse(raw);
  } catch {
    frame = { event: "unreadable" };
  }
  // The answer to it is all that there is to say about a ping.
  if (frame.event === "pusher:ping") tell("pusher:pong", {});
  if (frame.event === "pusher:connection_established") {
    line.tries = 0;
    line.id = JSON.parse(frame.data).socket_id;
    at("p-socket").textContent = line.id;
    showLine("open", "Connected");
    for (const channel of wanted) subscribe(channel);
    showWanted();
  }
  addPlainFrame("p", frame, raw);
}

/** Where a channel is not for everybody, the page signs for itself, as an application would. */
async function subscribe(channel) {
  const id = line.id;
  const data = { channel, auth: "" };
  if (channel.startsWith("presence-")) {
    data.channel_data = JSON.stringify({ user_id: name || "somebody", user_info: { from: "playground" } });
  }
  try {
    if (/^(private|presence)-/.test(channel)) {
      const signed = [id, channel, data.channel_data].filter((part) => part !== undefined).join(":");
      data.auth = `${app.key}:${await hmac(signed, app.secret)}`;
    }
  } catch (error) {
    showPublished(error.message, "bad");
    return;
  }
  if (line.socket && line.id === id && wanted.has(channel)) tell("pusher:subscribe", data);
}

const showWanted = () => showChips("p", wanted, (channel) => {
  if (line.socket && line.socket.readyState === WebSocket.OPEN) tell("pusher:unsubscribe", { channel });
});

/* ---- What the tabs of Pusher and Pushi have in common: `p` and `u` are how their ids begin. ---- */

/** The channels of a tab, each of them a button by which it is left. */
function showChips(tab, wanted, leaving) {
  at(`${tab}-in`).replaceChildren(...[...wanted].map((channel) => {
    const item = make("li");
    const button = make("button");
    button.type = "button";
    button.title = `Leave ${channel}`;
    const cross = make("span", "", "×");
    cross.setAttribute("aria-hidden", "true");
    button.append(make("span", "", channel), make("span", "unseen", ", leave it"), cross);
    button.addEventListener("click", () => {
      wanted.delete(channel);
      leaving(channel);
      showChips(tab, wanted, leaving);
      at(`${tab}-join`).focus();
    });
    item.append(button);
    return item;
  }));
  at(`${tab}-in-title`).textContent = wanted.size > 0 ? "In" : "In no channel";
}

const frameCounts = { p: 0, u: 0 };

/** A frame as a line with its event, and `mark` beside it. `when` is now if it does not say. */
function addPlainFrame(tab, frame, raw, mark, when = new Date()) {
  const isOwn = String(frame.event).startsWith("pusher");
  const tokens = raw.match(TOKEN) || [];
  const item = make("li", `frame plain new${isOwn ? " own" : ""}`);
  const details = make("details");
  const summary = make("summary");
  summary.tabIndex = -1;
  const body = make("span", "body");
  const head = make("span", "line");
  head.append(make("b", "", String(frame.event)));
  if (frame.channel !== undefined) head.append(make("span", "tag", String(frame.channel)));
  if (frame.user_id !== undefined) head.append(make("span", "tag kind", String(frame.user_id)));
  if (mark) head.append(make("span", "tag kind", mark));
  head.append(make("time", "", when.toLocaleTimeString("en-GB")));
  body.append(head);
  const said = frame.data === undefined ? frame.member : frame.data;
  if (said !== undefined) {
    const data = typeof said === "string" ? said : JSON.stringify(said);
    const cut = data.length > SAID_CHARS_MAX;
    body.append(make("span", "said json", cut ? `${data.slice(0, SAID_CHARS_MAX)} …` : data));
  }
  const fold = make("span", "fold", "{ }");
  fold.title = "Show the frame as it came";
  fold.setAttribute("aria-hidden", "true");
  summary.append(body, fold, make("span", "unseen", "Raw frame"));
  details.append(summary);
  showWhenOpened(details, tokens);
  item.append(details);
  const list = at(`${tab}-frames`);
  list.prepend(item);
  while (list.children.length > FRAMES_MAX) list.lastElementChild.remove();
  if (!list.contains(document.activeElement)) stopAt(summary, list);
  at(`${tab}-frame-count`).textContent = plural(++frameCounts[tab], "frame");
}

for (const tab of ["p", "u"]) {
  at(`${tab}-clear`).addEventListener("click", () => {
    at(`${tab}-frames`).replaceChildren();
    frameCounts[tab] = 0;
    at(`${tab}-frame-count`).textContent = plural(0, "frame");
  });
}

/* ---- Signing, as an application's server does. ---- */

const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** HMAC-SHA256 with an app's secret, as hexadecimal digits. */
async function hmac(text, secret) {
  if (!crypto.subtle) throw new Error("Browsers sign on localhost and over https only.");
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", utf8(secret), algorithm, false, ["sign"]);
  return hex(new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8(text))));
}

/** MD5 (RFC 1321), which the protocol puts on bodies and which browsers have not. */
function md5(bytes) {
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) * 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const words = new DataView(padded.buffer);
  words.setUint32(padded.length - 8, bytes.length << 3, true);
  words.setUint32(padded.length - 4, bytes.length >>> 29, true);
  const shifts = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
  const rounds = [
    (i, b, c, d) => [(b & c) | (~b & d), i],
    (i, b, c, d) => [(d & b) | (~d & c), 5 * i + 1],
    (i, b, c, d) => [b ^ c ^ d, 3 * i + 5],
    (i, b, c, d) => [c ^ (b | ~d), 7 * i],
  ];
  const sums = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (let block = 0; block < padded.length; block += 64) {
    let [a, b, c, d] = sums;
    for (let i = 0; i < 64; i++) {
      const round = i >> 4;
      const [mixed, place] = rounds[round](i, b, c, d);
      const constant = Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32);
      const sum = (a + mixed + constant + words.getUint32(block + (place % 16) * 4, true)) | 0;
      const shift = shifts[round][i % 4];
      const turned = (sum << shift) | (sum >>> (32 - shift));
      [a, b, c, d] = [d, (b + turned) | 0, b, c];
    }
    [a, b, c, d].forEach((part, at) => { sums[at] = (sums[at] + part) | 0; });
  }
  const out = new DataView(new ArrayBuffer(16));
  sums.forEach((sum, at) => out.setInt32(at * 4, sum, true));
  return hex(new Uint8Array(out.buffer));
}

/** The query that proves who posts this body to the app's events. */
async function signedQuery(body) {
  const seconds = Math.floor(Date.now() / 1000);
  const query = `auth_key=${app.key}&auth_timestamp=${seconds}&auth_version=1.0&body_md5=${md5(utf8(body))}`;
  return `${query}&auth_signature=${await hmac(`POST\n${eventsPath()}\n${query}`, app.secret)}`;
}

/* ---- Publishing by it. ---- */

const eventBody = () => tame(JSON.stringify({
  name: at("p-event").value, channel: at("p-channel").value, data: at("p-data").value,
}));

function showPublished(text, name) {
  at("p-result").className = name || "";
  at("p-result").textContent = text;
}

let posts = Promise.resolve();

function trigger() {
  for (const [id, what] of [["p-channel", "a channel"], ["p-event", "an event"]]) {
    if (at(id).value !== "") continue;
    at(id).setAttribute("aria-invalid", "true");
    at(id).focus();
    showPublished(`Name ${what}.`, "bad");
    return;
  }
  if (app === null) return;
  const body = eventBody();
  // One after the other, as the order of requests is the order of events.
  posts = posts.then(async () => {
    const started = performance.now();
    try {
      await call("POST", `${app.path_prefix}${eventsPath()}?${await signedQuery(body)}`, body);
      showPublished(`Published in ${Math.max(1, Math.round(performance.now() - started))} ms.`, "good");
      pollState(50);
    } catch (error) {
      const isNet = error instanceof TypeError;
      showPublished(error.status ? `Refused, ${error.message}` : isNet ? "Not sent: the server is not reachable." : error.message, "bad");
    }
  });
}

/* ---- Code to copy. ---- */

const snippetKind = () => document.querySelector("input[name=p-snippet]:checked").value;

async function snippet(kind) {
  const text = (value) => tame(JSON.stringify(value));
  const { hostname, port } = location;
  const tls = location.protocol === "https:";
  const number = Number(port) || (tls ? 443 : 80);
  const channel = at("p-channel").value;
  const event = at("p-event").value;
  const options = [
    `  cluster: "dev", // any text`,
    `  wsHost: ${text(hostname)}, wsPort: ${number}, wssPort: ${number},`,
    ...(app.path_prefix ? [`  wsPath: ${text(app.path_prefix)},`] : []),
    `  forceTLS: ${tls},`,
    `  enabledTransports: ["ws", "wss"],`,
  ];
  if (kind === "js") {
    return [
      `import Pusher from "pusher-js";`, "",
      `const pusher = new Pusher(${text(app.key)}, {`, ...options, `});`,
      `pusher.subscribe(${text(channel)}).bind(${text(event)}, console.log);`,
    ].join("\n");
  }
  if (kind === "echo") {
    // Echo puts the prefix on itself, and a dot keeps it from putting a namespace on the event.
    const [, how, rest] = /^(private-encrypted|private|presence)-(.*)$/.exec(channel) || [];
    const join = { "private-encrypted": "encryptedPrivate", private: "private", presence: "join" }[how] || "channel";
    return [
      `import Echo from "laravel-echo";`, `import Pusher from "pusher-js";`, "",
      `window.Pusher = Pusher;`,
      `const echo = new Echo({`, `  broadcaster: "pusher",`, `  key: ${text(app.key)},`, ...options, `});`,
      `echo.${join}(${text(how ? rest : channel)}).listen(${text(`.${event}`)}, console.log);`,
    ].join("\n");
  }
  if (kind === "node") {
    return [
      `const Pusher = require("pusher");`, "",
      `const pusher = new Pusher({`,
      `  appId: ${text(app.id)}, key: ${text(app.key)}, secret: ${text(app.secret)},`,
      `  host: ${text(hostname)}, port: "${number}", useTLS: ${tls},`, `});`,
      `pusher.trigger(${text(channel)}, ${text(event)}, ${text(at("p-data").value)});`,
    ].join("\n");
  }
  const body = eventBody();
  return [
    `curl ${shellWord(`${location.origin}${app.path_prefix}${eventsPath()}?${await signedQuery(body)}`)}`,
    `-H ${shellWord("content-type: application/json")}`,
    `-d ${shellWord(body)}`,
  ].join(" \\\n  ");
}

const ASIDES = {
  js: "For private and presence channels your server signs: channelAuthorization names its address.",
  echo: "For private and presence channels your server signs: authEndpoint names its address.",
  node: "The SDKs for Python, PHP, Ruby and Go take the same: id, key, secret, host, port.",
  curl: "Signed as you copy it, and good for ten minutes. In scripts: fanwire sign request.",
};

let snippetTurn = 0;

async function showSnippet() {
  const turn = ++snippetTurn;
  if (app === null) return;
  const kind = snippetKind();
  let words;
  try {
    words = await snippet(kind);
  } catch (error) {
    words = error.message;
  }
  // Whatever was typed meanwhile has its own.
  if (turn !== snippetTurn) return;
  at("p-snippet").textContent = words;
  at("p-aside").textContent = ASIDES[kind];
}

for (const id of ["p-channel", "p-event", "p-data"]) {
  at(id).addEventListener("input", () => {
    at(id).removeAttribute("aria-invalid");
    showSnippet();
  });
}
for (const choice of document.getElementsByName("p-snippet")) choice.addEventListener("change", showSnippet);
at("p-form").addEventListener("submit", (event) => {
  event.preventDefault();
  trigger();
});
at("p-data").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  trigger();
});
at("p-join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const channel = at("p-join").value.trim();
  at("p-join").value = "";
  if (channel === "" || wanted.has(channel)) return;
  wanted.add(channel);
  showWanted();
  if (line.socket && line.socket.readyState === WebSocket.OPEN) subscribe(channel);
});
at("p-copy").addEventListener("click", async () => {
  await showSnippet();
  await copy(at("p-snippet"), at("p-copy-text"));
});
