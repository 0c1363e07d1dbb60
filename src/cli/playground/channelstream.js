// The tab of Channelstream.

/* ---- The subscriber. ---- */

const link = { is: "joining", turn: 0, tries: 0, socket: null, connId: "", openedAt: 0, timer: 0, wasLost: false };
let name = "";
const channels = new Set([HOME]);
let members = new Set();
const seen = new Set();
let frameCount = 0;
let beatCount = 0;

function showStatus(is, text) {
  link.is = is;
  at("status").dataset.is = is;
  if (at("status-text").textContent !== text) at("status-text").textContent = text;
  at("retry").hidden = is !== "waiting";
}

const channelConfigs = () => Object.fromEntries([...channels].map((channel) => [
  channel, { notify_presence: true, store_history: true, history_size: 20 },
]));

/** Joins as `name`, with a new connection. A later call makes an earlier one moot. */
async function join() {
  const turn = ++link.turn;
  clearTimeout(link.timer);
  leave();
  showStatus("joining", "Connecting");
  try {
    await readState();
    if (name === "") await chooseName();
    const joined = await call("POST", "/connect", JSON.stringify({
      username: name, channels: [...channels], channel_configs: channelConfigs(),
    }));
    if (turn !== link.turn) {
      forget(joined.conn_id);
      return;
    }
    link.connId = joined.conn_id;
    const info = joined.channels_info.channels;
    members = new Set(info[HOME] ? info[HOME].users : []);
    members.add(name);
    showMembers();
    showHistory(Object.values(info).flatMap((channel) => channel.history));
    openSocket();
  } catch (error) {
    if (turn === link.turn) retryLater(error.status ? `Refused (${error.message})` : "Server not reachable");
  }
}

/** Each page is a user of its own, until the reader says otherwise. */
async function chooseName() {
  const info = await call("POST", "/info", JSON.stringify({ info: { channels: [HOME], include_history: false } }));
  // The reader may have been quicker.
  if (name !== "") return;
  name = randomName(info.users.map((entry) => entry.user));
  at("name").value = name;
  if (userIsOwn) at("user").value = name;
  showCurl();
}

function openSocket() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/ws?conn_id=${encodeURIComponent(link.connId)}`);
  link.socket = socket;
  socket.onopen = () => {
    if (socket !== link.socket) return;
    link.openedAt = performance.now();
    showStatus("open", "Connected");
    if (link.wasLost) addNote(`Connected again as ${name}`);
    link.wasLost = false;
    pollState(100);
  };
  socket.onmessage = (event) => {
    if (socket === link.socket) receive(String(event.data));
  };
  socket.onclose = (event) => {
    if (socket !== link.socket) return;
    const lived = link.openedAt ? performance.now() - link.openedAt : 0;
    if (lived > GOOD_SOCKET_MS) link.tries = 0;
    // 1006 is the browser's own word for an end without a goodbye.
    retryLater(event.code === 1006
      ? "Connection lost"
      : `Connection closed (${event.code}${event.reason ? `: ${event.reason}` : ""})`);
  };
}

function retryLater(why) {
  link.socket = null;
  link.openedAt = 0;
  at("counts").classList.add("stale");
  if (!link.wasLost) addNote(why, "bad");
  link.wasLost = true;
  // Half of the wait is chance, so that many pages do not come back in one moment.
  const bound = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(link.tries++, 10));
  const due = performance.now() + bound * (0.5 + Math.random() / 2);
  const tick = () => {
    const left = due - performance.now();
    if (left <= 0) {
      join();
      return;
    }
    showStatus("waiting", left > 1000 ? `Reconnecting in ${Math.ceil(left / 1000)} s` : "Reconnecting");
    link.timer = setTimeout(tick, left % 1000 || 1000);
  };
  clearTimeout(link.timer);
  tick();
}

/** Ends the connection that is there, if any, without another one. */
function leave() {
  const { socket, connId } = link;
  link.socket = null;
  link.connId = "";
  link.openedAt = 0;
  if (socket) socket.close(1000);
  if (connId) forget(connId);
}

/** Tells the server not to wait for this connection to come back. It works while leaving, too. */
function forget(connId) {
  navigator.sendBeacon("/disconnect", JSON.stringify({ conn_id: connId }));
}

function joinNow() {
  link.tries = 0;
  join();
}

/* ---- Frames. ---- */

function receive(raw) {
  if (raw === "[]") {
    beat();
    return;
  }
  let frame;
  try {
    frame = JSON.parse(raw)[0];
  } catch {
    frame = undefined;
  }
  addFrame(frame && typeof frame === "object" ? frame : { type: "unreadable" }, raw, true);
}

function beat() {
  beatCount++;
  at("beat-count").textContent = plural(beatCount, "heartbeat");
  const dot = at("dot");
  dot.classList.remove("beat");
  void dot.offsetWidth; // starts the animation over
  dot.classList.add("beat");
}

function showHistory(history) {
  const stamp = (entry) => String(entry.timestamp);
  history.sort((one, other) => (stamp(one) < stamp(other) ? -1 : 1));
  for (const entry of history) {
    addFrame({ ...entry, catchup: true }, JSON.stringify([entry]), false);
  }
}

/** The whole frame, built when it is first asked for: most are never opened. */
function showWhenOpened(details, tokens) {
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const box = make("pre", "raw");
    box.tabIndex = 0;
    box.setAttribute("aria-label", "The frame as it came");
    box.append(painted(tokens, RAW_TOKENS_MAX));
    details.append(box);
  });
}

function addFrame(frame, raw, isNew) {
  if (frame.uuid !== undefined) {
    // What came by history may come by catch-up as well.
    const key = `${frame.type} ${frame.uuid} ${frame.edited}`;
    if (seen.has(key)) return;
    seen.add(key);
    // A set hands out the oldest first; only recent ones can come twice.
    if (seen.size > SEEN_MAX) seen.delete(seen.values().next().value);
  }
  const user = typeof frame.user === "string" ? frame.user : "";
  const action = frame.message && frame.message.action;
  const isPresence = frame.type === "presence" && (action === "joined" || action === "parted");
  const tokens = raw.match(TOKEN) || [];

  const item = make("li", `frame${isPresence ? " presence" : ""}${isNew ? " new" : ""}`);
  const details = make("details");
  const summary = make("summary");
  summary.tabIndex = -1;
  const body = make("span", "body");
  const line = make("span", "line");
  if (isPresence) {
    const who = make("b", "", user);
    who.dir = "auto";
    line.append(who, make("span", "", action === "joined" ? "joined" : "left"));
    if (frame.channel === HOME) {
      if (action === "joined") members.add(user);
      else members.delete(user);
      showMembers();
    }
  } else {
    const who = make("b", "", user || "nobody");
    who.dir = "auto";
    line.append(who);
  }
  if (frame.type !== "message" && !isPresence) line.append(make("span", "tag kind", String(frame.type)));
  if (frame.channel !== HOME) line.append(make("span", "tag", frame.channel ? `#${frame.channel}` : "private"));
  if (frame.catchup) line.append(make("span", "tag kind", "earlier"));
  if (frame.edited) line.append(make("span", "tag kind", "edited"));
  if (frame.timestamp) {
    const when = clock(frame.timestamp);
    const time = make("time", "", when.text);
    time.dateTime = when.iso;
    line.append(time);
  }
  body.append(line);
  if (!isPresence) body.append(said(frame, tokens));

  const fold = make("span", "fold", "{ }");
  fold.title = "Show the frame as it came";
  fold.setAttribute("aria-hidden", "true");
  summary.append(avatar(user || "?"), body, fold, make("span", "unseen", "Raw frame"));
  details.append(summary);
  showWhenOpened(details, tokens);
  item.append(details);
  put(item);
  // The newest is the one that Tab reaches, unless the reader is among the frames.
  if (!at("frames").contains(document.activeElement)) stopAt(summary, at("frames"));
  frameCount++;
  at("frame-count").textContent = plural(frameCount, "frame");
}

/** What a message says: its text if that is all there is, else its JSON. */
function said(frame, tokens) {
  const message = frame.message;
  if (message && typeof message.text === "string" && Object.keys(message).length === 1) {
    const cut = message.text.length > SAID_CHARS_MAX;
    const text = make("span", "said", cut ? `${message.text.slice(0, SAID_CHARS_MAX)} …` : message.text);
    text.dir = "auto";
    return text;
  }
  const json = make("span", "said json");
  const own = memberTokens(tokens, "message");
  json.append(painted(own.length > 0 ? own : tokens, SAID_TOKENS_MAX));
  return json;
}

const stops = new Map();

/** Makes one frame of a list the only one that Tab stops at: two hundred stops would be a wall. */
function stopAt(summary, list) {
  const before = stops.get(list);
  if (before) before.tabIndex = -1;
  stops.set(list, summary);
  summary.tabIndex = 0;
}

function walkFrames(event) {
  if (event.target.tagName !== "SUMMARY") return;
  const all = [...event.currentTarget.querySelectorAll("summary")];
  const here = all.indexOf(event.target);
  const there = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
  if (there === undefined) return;
  event.preventDefault();
  if (all[there]) all[there].focus();
}

function addNote(text, name) {
  put(make("li", `note${name ? ` ${name}` : ""}`, text));
}

function put(item) {
  const list = at("frames");
  list.prepend(item);
  while (list.children.length > FRAMES_MAX) list.lastElementChild.remove();
  at("empty").hidden = true;
}

function showMembers() {
  const names = [...members].sort((one, other) => (one === name ? -1 : other === name ? 1 : one < other ? -1 : 1));
  const chips = names.slice(0, CHIPS_MAX).map((user) => {
    const chip = make("li", "chip");
    const label = make("span", "", user === name ? `${user} (you)` : user);
    label.dir = "auto";
    label.title = user;
    chip.append(avatar(user), label);
    return chip;
  });
  if (names.length > CHIPS_MAX) chips.push(make("li", "chip more", `${names.length - CHIPS_MAX} more`));
  at("here").replaceChildren(...chips);
}

/* ---- Publishing. ---- */

// What the curl line sends while the field is empty: the message that was sent last.
let lastSent = '{"text":"hello from curl"}';
let userIsOwn = true;
let queue = Promise.resolve();

const kind = () => document.querySelector("input[name=kind]:checked").value;

/** Writes characters that no terminal should be given as escapes, which mean the same in JSON. */
const tame = (json) => json.replace(/[\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
  (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** The message as JSON text, exactly as written, or why it is none. */
function messageJson() {
  const typed = at("message").value;
  if (kind() === "text") {
    return typed === "" ? { fault: "Write a message first." } : { json: JSON.stringify({ text: typed }) };
  }
  if (typed.trim() === "") return { fault: "Write a JSON object first." };
  try {
    const value = JSON.parse(typed);
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      return { fault: "A message is a JSON object, such as {\"text\": \"hello\"}." };
    }
    return { json: typed.trim() };
  } catch (error) {
    return { fault: `Not JSON: ${error.message}` };
  }
}

const requestBody = (json) =>
  tame(`[{"channel":${JSON.stringify(at("channel").value)},"user":${JSON.stringify(at("user").value)},"message":${json}}]`);

/** A word for a POSIX shell. Between single quotes only the single quote itself is special. */
const shellWord = (text) => (/^[\w./:=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function showCurl() {
  const { json } = messageJson();
  at("curl").textContent = [
    `curl ${shellWord(`${location.origin}/message`)}`,
    `-H ${shellWord("content-type: application/json")}`,
    `-H ${shellWord(`x-channelstream-secret: ${signature}`)}`,
    `-d ${shellWord(requestBody(json || lastSent))}`,
  ].join(" \\\n  ");
}

function showDeaf() {
  const channel = at("channel").value;
  const isDeaf = channel !== "" && !channels.has(channel);
  at("deaf").hidden = !isDeaf;
  if (isDeaf) at("deaf-text").textContent = `The subscriber does not listen to #${channel}.`;
}

function showResult(text, name) {
  at("result").className = name || "";
  at("result").textContent = text;
}

function fault(field, text) {
  field.setAttribute("aria-invalid", "true");
  showResult(text, "bad");
  field.focus();
}

function clearFault() {
  for (const id of ["channel", "user", "message"]) at(id).removeAttribute("aria-invalid");
  if (at("result").className === "bad") showResult("");
}

function publish() {
  clearFault();
  if (at("channel").value === "") return fault(at("channel"), "Name a channel.");
  if (at("user").value === "") return fault(at("user"), "Name a user.");
  const { json, fault: why } = messageJson();
  if (why) return fault(at("message"), why);
  const body = requestBody(json);
  lastSent = json;
  if (kind() === "text") at("message").value = "";
  at("message").focus();
  showCurl();
  // One after the other, as the order of requests is the order of messages.
  queue = queue.then(async () => {
    const started = performance.now();
    try {
      await call("POST", "/message", body);
      showResult(`Published in ${Math.max(1, Math.round(performance.now() - started))} ms.`, "good");
      pollState(50);
    } catch (error) {
      showResult(error.status ? `Refused, ${error.message}` : "Not sent: the server is not reachable.", "bad");
    }
  });
}

async function copy(from, word) {
  const text = from.textContent;
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https, or when it is not allowed: select it, so that the old way or the reader can.
    const range = document.createRange();
    range.selectNodeContents(from);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    copied = document.execCommand("copy");
  }
  word.textContent = copied ? "Copied" : "Selected";
  setTimeout(() => { word.textContent = "Copy"; }, 1600);
}

/* ---- What the reader does. ---- */

function typed() {
  clearFault();
  showCurl();
  showDeaf();
}

function rename() {
  const wanted = at("name").value.trim();
  if (wanted === "" || wanted === name) {
    at("name").value = name;
    return;
  }
  name = wanted;
  at("name").value = name;
  if (userIsOwn) at("user").value = name;
  addNote(`You are ${name} now`);
  showCurl();
  joinNow();
}

at("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  rename();
});
at("name").addEventListener("change", rename);
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  publish();
});
at("message").addEventListener("keydown", (event) => {
  // While an input method composes, Enter belongs to it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  publish();
});
at("user").addEventListener("input", () => { userIsOwn = at("user").value === name; });
for (const id of ["channel", "user", "message"]) at(id).addEventListener("input", typed);
for (const choice of document.getElementsByName("kind")) {
  choice.addEventListener("change", () => {
    const isJson = kind() === "json";
    const field = at("message");
    field.classList.toggle("mono", isJson);
    field.placeholder = isJson ? '{"text": "hello", "size": 42}' : "Say something";
    field.spellcheck = !isJson;
    typed();
  });
}
at("copy").addEventListener("click", () => copy(at("curl"), at("copy-text")));
at("retry").addEventListener("click", comeBack);
at("listen").addEventListener("click", async () => {
  const channel = at("channel").value;
  channels.add(channel);
  showDeaf();
  at("message").focus();
  try {
    await call("POST", "/subscribe", JSON.stringify({
      conn_id: link.connId, channels: [channel], channel_configs: channelConfigs(),
    }));
    addNote(`Listening to #${channel}`);
  } catch {
    // Joining anew asks for all channels at once.
    joinNow();
  }
});
at("clear").addEventListener("click", () => {
  at("frames").replaceChildren();
  at("empty").hidden = false;
  frameCount = 0;
  at("frame-count").textContent = plural(0, "frame");
});
for (const list of [at("frames"), at("p-frames"), at("u-frames")]) {
  list.addEventListener("keydown", walkFrames);
  list.addEventListener("focusin", (event) => {
    if (event.target.tagName === "SUMMARY") stopAt(event.target, list);
  });
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  comeBack();
  pollState(0);
});
addEventListener("online", comeBack);
addEventListener("pagehide", () => {
  link.turn++;
  clearTimeout(link.timer);
  leave();
  hangUp();
  drop();
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  joinNow();
  dial();
  if (!wire.isAway) reach();
});
