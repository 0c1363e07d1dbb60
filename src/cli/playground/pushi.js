// The tab of Pushi.

/* ---- Pushi: sockets that publish, a store behind them, and sessions for applications. ---- */

// As with the other protocol: the app of every `fanwire dev`, or null.
let pushi = null;
const pushiWanted = new Set([HOME]);
const wire = { socket: null, id: "", tries: 0, timer: 0, isAway: false };
let userIsOurs = true;

function setPushi(found) {
  if (userIsOurs && name !== "") at("u-user").value = name;
  if (JSON.stringify(found) === JSON.stringify(pushi) && (wire.socket !== null || wire.isAway)) return;
  pushi = found;
  showPushiCode();
  if (pushi === null) {
    drop();
    showWire("waiting", "These settings have no app for this page");
  } else if (wire.socket === null && wire.timer === 0 && !wire.isAway) {
    reach();
  }
}

function showWire(is, text) {
  at("u-status").dataset.is = is;
  if (at("u-status-text").textContent !== text) at("u-status-text").textContent = text;
}

function drop() {
  const { socket } = wire;
  clearTimeout(wire.timer);
  wire.timer = 0;
  wire.socket = null;
  at("u-socket").textContent = "–";
  if (socket) socket.close(1000);
}

function reach() {
  drop();
  if (pushi === null) return;
  wire.id = "";
  showWire("joining", "Connecting");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/${encodeURIComponent(pushi.key)}`);
  wire.socket = socket;
  socket.onmessage = (event) => {
    if (socket === wire.socket) heed(String(event.data));
  };
  socket.onclose = (event) => {
    if (socket !== wire.socket) return;
    wire.socket = null;
    at("u-socket").textContent = "–";
    showWire("waiting", event.reason ? `Closed (${event.code}: ${event.reason})` : "Reconnecting");
    const bound = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(wire.tries++, 10));
    wire.timer = setTimeout(reach, bound * (0.5 + Math.random() / 2));
  };
}

const isConnected = () => wire.socket !== null && wire.socket.readyState === WebSocket.OPEN && wire.id !== "";
const say = (frame) => wire.socket.send(JSON.stringify(frame));

/** What is a text that holds JSON, or null. */
function inside(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function heed(raw) {
  const frame = inside(raw) || { event: "unreadable" };
  addPlainFrame("u", frame, raw);
  const about = typeof frame.data === "string" && String(frame.event).startsWith("pusher") ? inside(frame.data) : null;
  if (about === null) return;
  if (frame.event === "pusher:connection_established") {
    wire.tries = 0;
    wire.id = about.socket_id;
    at("u-socket").textContent = wire.id;
    showWire("open", "Connected");
    for (const channel of pushiWanted) enter(channel);
    showPushiWanted();
  } else if (frame.event === "pusher:error" || frame.event === "pusher:subscription_error") {
    showOutcome(`Refused, ${about.code}: ${about.message}`, "bad");
  } else if (frame.event === "pusher_internal:latest") {
    addStored(about.events, "stored");
    showOutcome(`${plural(about.events.length, "event")} of ${about.name} in the store.`, "good");
  } else if (frame.event === "pusher_internal:subscription_succeeded" && String(frame.channel).startsWith("personal-")) {
    addStored(about.events, "waited");
    const channels = about.alias.length > 0 ? about.alias.join(", ") : "no channel yet";
    at("u-kept").textContent = `${frame.channel} stands for ${channels}; ${plural(about.events.length, "event")} waited.`;
  }
}

/** Events as the store has them, newest first. */
function addStored(events, mark) {
  for (const stored of events.toReversed()) {
    addPlainFrame("u", stored.data, JSON.stringify(stored), mark, new Date(stored.timestamp * 1000));
  }
}

async function enter(channel) {
  const { id } = wire;
  const data = { channel };
  if (channel.startsWith("presence-")) data.channel_data = { user_id: name || "somebody", from: "playground" };
  try {
    if (/^(private|presence|personal|peer)-/.test(channel)) {
      data.auth = `${pushi.key}:${await hmac(`${id}:${channel}`, pushi.secret)}`;
    }
  } catch (error) {
    showOutcome(error.message, "bad");
    return;
  }
  if (isConnected() && wire.id === id && pushiWanted.has(channel)) say({ event: "pusher:subscribe", data });
}

const showPushiWanted = () => showChips("u", pushiWanted, (channel) => {
  if (isConnected()) say({ event: "pusher:unsubscribe", data: { channel } });
});

function want(channel) {
  pushiWanted.add(channel);
  showPushiWanted();
  if (isConnected()) enter(channel);
}

/** Closes the socket for as long as the reader likes, as somebody does who goes home. */
function goAway(isAway) {
  wire.isAway = isAway;
  at("u-away").textContent = isAway ? "Come back" : "Go offline";
  if (!isAway) {
    reach();
    return;
  }
  drop();
  showWire("waiting", "Offline");
  // Somebody else publishes meanwhile.
  document.querySelector("input[name=u-way][value=rest]").checked = true;
  showWay();
}

/* ---- Sessions: one login for many requests. ---- */

let sid = "";

async function logIn() {
  const query = new URLSearchParams({ app_id: pushi.id, app_key: pushi.key, app_secret: pushi.secret });
  sid = (await call("GET", `/login?${query}`)).token;
  showWay();
}

/** A request of the app; where the session is over, with a new one. */
async function ask(method, path, body) {
  if (sid === "") await logIn();
  try {
    return await call(method, path, body, { "x-session-id": sid });
  } catch (error) {
    if (error.status !== 403) throw error;
    await logIn();
    return call(method, path, body, { "x-session-id": sid });
  }
}

/* ---- Publishing by it. ---- */

const way = () => document.querySelector("input[name=u-way]:checked").value;

function showWay() {
  const isRest = way() === "rest";
  // A message of an application has no sender that it could come back to.
  at("u-echo").disabled = isRest;
  const session = sid === "" ? "no session yet" : `session ${sid.slice(0, 6)}…`;
  at("u-path").textContent = isRest ? `POST /events · ${session}` : "over the socket";
  showPushiCode();
}

function showOutcome(text, name) {
  at("u-result").className = name || "";
  at("u-result").textContent = text;
}

const pushiBody = () => tame(JSON.stringify({
  event: at("u-event").value, channel: at("u-channel").value, data: at("u-data").value,
  persist: at("u-persist").checked,
}));

/** Complains about what has no name. */
function isNameless(fields) {
  for (const [id, what] of fields) {
    if (at(id).value !== "") continue;
    at(id).setAttribute("aria-invalid", "true");
    at(id).focus();
    showOutcome(`Name ${what}.`, "bad");
    return true;
  }
  return pushi === null;
}

/** One request after the other, and what comes of it. */
function inTurn(what, run) {
  posts = posts.then(async () => {
    const started = performance.now();
    try {
      await run();
      showOutcome(`${what} in ${Math.max(1, Math.round(performance.now() - started))} ms.`, "good");
      pollState(50);
    } catch (error) {
      const isNet = error instanceof TypeError;
      showOutcome(error.status ? `Refused, ${error.message}` : isNet ? "Not sent: the server is not reachable." : error.message, "bad");
    }
  });
}

const notConnected = () => showOutcome("The socket is closed: come back, or use REST.", "bad");

function emit() {
  if (isNameless([["u-channel", "a channel"], ["u-event", "an event"]])) return;
  if (way() === "rest") {
    const body = pushiBody();
    inTurn("Published", () => ask("POST", "/events", body));
    return;
  }
  if (!isConnected()) {
    notConnected();
    return;
  }
  say({ ...JSON.parse(pushiBody()), echo: at("u-echo").checked });
  // What is wrong with it comes as a frame.
  showOutcome("Sent. Nothing says that it arrived but the event itself.", "good");
  pollState(50);
}

function askLatest() {
  if (isNameless([["u-channel", "a channel"]])) return;
  if (!isConnected()) {
    notConnected();
    return;
  }
  showOutcome("");
  say({ event: "pusher:latest", data: { channel: at("u-channel").value, skip: 0, count: 10 } });
}

/** Subscribes a user to the channel over REST, and the socket to what that user is subscribed to. */
function keep() {
  if (isNameless([["u-user", "a user"], ["u-channel", "a channel"]])) return;
  const [user, channel] = [at("u-user").value, at("u-channel").value];
  inTurn("Subscribed", async () => {
    await ask("POST", "/subscriptions", tame(JSON.stringify({ user_id: user, event: channel })));
    at("u-kept").textContent = `${channel} is kept for ${user}: go offline, publish, come back.`;
    want(`personal-${user}`);
  });
}

/* ---- Code to copy for it. ---- */

function pushiCode(kind) {
  const text = (value) => tame(JSON.stringify(value));
  const channel = at("u-channel").value;
  const event = at("u-event").value;
  const { origin } = location;
  if (kind === "js") {
    return [
      `const pushi = new Pushi(${text(pushi.key)}, {`,
      `  baseUrl: ${text(`${origin.replace(/^http/, "ws")}/`)},`, `});`,
      `pushi.bind("connect", () => pushi.subscribe(${text(channel)}));`,
      `pushi.bind(${text(event)}, (event, data, channel) => console.log(channel, data));`,
    ].join("\n");
  }
  if (kind === "python") {
    return [
      `import pushi`, "",
      `api = pushi.API(`, `    base_url=${text(`${origin}/`)},`,
      `    app_id=${text(pushi.id)}, app_key=${text(pushi.key)},`, `    app_secret=${text(pushi.secret)},`, `)`,
      `api.trigger_event(`, `    ${text(channel)}, ${text(at("u-data").value)},`,
      `    event=${text(event)}, persist=${at("u-persist").checked ? "True" : "False"},`, `)`,
    ].join("\n");
  }
  const query = new URLSearchParams({ app_id: pushi.id, app_key: pushi.key, app_secret: pushi.secret });
  return [
    `sid=$(curl -s ${shellWord(`${origin}/login?${query}`)} | cut -d '"' -f 4)`,
    [
      `curl ${shellWord(`${origin}/events`)}`,
      `-H "x-session-id: $sid"`,
      `-H ${shellWord("content-type: application/json")}`,
      `-d ${shellWord(pushiBody())}`,
    ].join(" \\\n  "),
  ].join("\n");
}

const PUSHI_ASIDES = {
  js: "For private, presence and personal channels your server signs: authEndpoint names its address.",
  python: "The package pushi logs in by itself, and again when the session is over.",
  curl: "A session lasts 31 days. In scripts that sign: fanwire sign pushi.",
};

function showPushiCode() {
  if (pushi === null) return;
  const kind = document.querySelector("input[name=u-snippet]:checked").value;
  at("u-snippet").textContent = pushiCode(kind);
  at("u-aside").textContent = PUSHI_ASIDES[kind];
}

for (const id of ["u-channel", "u-event", "u-data", "u-user"]) {
  at(id).addEventListener("input", () => {
    at(id).removeAttribute("aria-invalid");
    showPushiCode();
  });
}
at("u-user").addEventListener("input", () => { userIsOurs = at("u-user").value === name; });
at("u-persist").addEventListener("change", showPushiCode);
for (const choice of document.getElementsByName("u-way")) choice.addEventListener("change", showWay);
for (const choice of document.getElementsByName("u-snippet")) choice.addEventListener("change", showPushiCode);
at("u-form").addEventListener("submit", (event) => {
  event.preventDefault();
  emit();
});
at("u-data").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  emit();
});
at("u-join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const channel = at("u-join").value.trim();
  at("u-join").value = "";
  if (channel !== "" && !pushiWanted.has(channel)) want(channel);
});
at("u-keep-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep();
});
at("u-away").addEventListener("click", () => goAway(!wire.isAway));
at("u-latest").addEventListener("click", askLatest);
at("u-copy").addEventListener("click", () => copy(at("u-snippet"), at("u-copy-text")));
