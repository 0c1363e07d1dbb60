// The admin page: asks for JSON every second while it is seen, and shows it.
//
// The document is changed in place, row by row, so that focus, selection and scrolling stay where
// they are. Texts of others become text nodes and nothing else.

const EVERY_MS = 1000;
const LIST_EVERY_MS = 2000;
const SAMPLES_MAX = 61;
const PAGE_ROWS = 50;
// One list may grow to so many rows by "More"; searching finds the rest.
const PAGES_MAX = 20;
const FRAMES_MAX = 200;
const SHOWN_CHARS_MAX = 2000;
const SURE_MS = 4000;
const VIEWS = ["overview", "channels", "users", "connections"];

const API = new URL("admin/api/", location.href);
const CSRF = document.querySelector("meta[name=csrf]").content;
const at = (id) => document.getElementById(id);

/** An element with a class and, as text, whatever is to be read in it. */
function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Changes a text only if it is another one, so that a selection survives. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function health(is, text) {
  at("health").dataset.is = is;
  say(at("health"), text);
}

/** JSON from the server. Whose session has ended is sent to sign in. */
async function ask(path, query = {}, options = {}) {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const response = await fetch(url, { cache: "no-store", ...options });
  if (response.status === 401) {
    location.assign(new URL("admin/sign_in", location.href));
    throw new Error("signed out");
  }
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.message ?? response.statusText), { status: response.status });
  return body;
}

const act = (path, body) =>
  ask(path, {}, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": CSRF },
    body: JSON.stringify(body),
  });

/* ---- numbers as people read them ---- */

const whole = (number) => Math.round(number).toLocaleString("en");
const rate = (number) => (number >= 100 || number === 0 ? whole(number) : number.toFixed(1));

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; number >= 1024 && at < units.length - 1; at++) number /= 1024;
  return `${at === 0 || number >= 100 ? Math.round(number) : number.toFixed(1)} ${units[at]}`;
}

function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function micros(us) {
  if (us === undefined) return "–";
  return us < 1000 ? `${Math.round(us)} µs` : `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`;
}

const clock = (stamp) => /T(\d\d:\d\d:\d\d)/.exec(stamp ?? "")?.[1] ?? "";

/* ---- overview ---- */

const samples = [];

/** Draws numbers of a minute, newest at the right. */
function draw(name, numbers) {
  const top = Math.max(1, ...numbers);
  const step = 300 / (SAMPLES_MAX - 2);
  const points = numbers.map((number, i) =>
    `${(300 - (numbers.length - 1 - i) * step).toFixed(1)} ${(86 - (number / top) * 80).toFixed(1)}`);
  const line = points.length > 0 ? `M${points.join("L")}` : "";
  at(`line-${name}`).setAttribute("d", line);
  const first = 300 - (numbers.length - 1) * step;
  at(`area-${name}`).setAttribute("d", line && `${line}L300 90L${first.toFixed(1)} 90Z`);
  say(at(`rate-${name}`), numbers.length > 0 ? rate(numbers.at(-1)) : "–");
  say(at(`top-${name}`), numbers.length > 0 ? rate(Math.max(...numbers)) : "–");
}

/** The length that 99 of 100 turns of the last minute kept below. */
function slowTurn(first, last) {
  const counts = last.turn_lengths.map((count, i) => count - first.turn_lengths[i]);
  const total = counts.reduce((sum, count) => sum + count, 0);
  let below = 0;
  for (const [i, count] of counts.entries()) {
    below += count;
    if (total > 0 && below >= total * 0.99) return last.turn_edges_us[i] ?? last.turn_longest_us;
  }
  return undefined;
}

/** Names and values in a list of tiles, changed in place. */
function tiles(list, entries) {
  for (const [i, [name, value, isText]] of entries.entries()) {
    let tile = list.children[i];
    if (!tile) {
      tile = make("div");
      tile.append(make("dt"), make("dd"));
      list.append(tile);
    }
    tile.dataset.name = name;
    say(tile.firstChild, name);
    say(tile.lastChild, value);
    tile.lastChild.className = isText ? "text" : "";
  }
}

function showOverview(now) {
  if (samples.length > 0 && now.uptime_s < samples.at(-1).uptime_s) samples.length = 0;
  samples.push(now);
  if (samples.length > SAMPLES_MAX) samples.shift();
  const rates = (name) => samples.slice(1).map((sample, i) => {
    const before = samples[i];
    const seconds = Math.max(sample.now_ms - before.now_ms, 1) / 1000;
    return Math.max(sample[name] - before[name], 0) / seconds;
  });
  draw("in", rates("published"));
  draw("out", rates("delivered"));
  for (const name of ["channels", "users", "connections"]) say(at(`count-${name}`), whole(now[name]));
  const first = samples[0];
  const turns = now.turns - first.turns;
  const mean = turns > 0 ? (now.turns_busy_us - first.turns_busy_us) / turns : undefined;
  tiles(at("tiles"), [
    ["connections now", whole(now.connections)],
    ["connections at peak", whole(now.connections_peak)],
    ["websockets", whole(now.websockets)],
    ["subscriptions", whole(now.subscriptions)],
    ["messages published", whole(now.published)],
    ["messages delivered", whole(now.delivered)],
    ["HTTP requests", whole(now.requests)],
    ["waiting to be sent", bytes(now.queued_bytes)],
    ["slow consumers", whole(now.slow_consumers)],
    ["loop turn, mean", micros(mean)],
    ["loop turn, 99 of 100 below", micros(slowTurn(first, now))],
    ["loop turn, longest ever", micros(now.turn_longest_us)],
    ["memory", now.resident_bytes > 0 ? bytes(now.resident_bytes) : "–"],
    ["open files", now.max_fds > 0 ? `${whole(now.open_fds)} of ${whole(now.max_fds)}` : "–"],
    ["uptime", span(now.uptime_s * 1000)],
    ["version", now.version],
  ]);
  health(now.draining ? "bad" : "good", now.draining ? "Draining" : "Live");
}

/* ---- lists ---- */

/** A button that asks once more before it acts. */
function sureButton(label, title, run) {
  const button = make("button", "", label);
  button.type = "button";
  button.setAttribute("aria-label", title);
  let timer;
  const calm = () => {
    clearTimeout(timer);
    timer = undefined;
    button.className = "";
    button.textContent = label;
    button.setAttribute("aria-label", title);
  };
  button.addEventListener("click", async () => {
    if (timer === undefined) {
      button.className = "bad";
      button.textContent = "Really?";
      button.setAttribute("aria-label", `Really ${title}?`);
      timer = setTimeout(calm, SURE_MS);
      return;
    }
    calm();
    button.disabled = true;
    try {
      await run();
    } catch (error) {
      health("bad", error.message);
    }
    button.disabled = false;
    refreshList();
  });
  button.addEventListener("blur", () => timer !== undefined && calm());
  return button;
}

const text = (value) => (cell, row) => say(cell, value(row));

function link(cell, row) {
  let anchor = cell.firstElementChild;
  if (!anchor) cell.append((anchor = make("a")));
  anchor.href = `#channel/${encodeURIComponent(row.name)}`;
  say(anchor, row.name);
}

/** The connections of a user, each with its button; made anew only when they change. */
function connectionsOf(cell, row) {
  const ids = row.connections.map((one) => `${one.conn_id} ${one.attached}`).join();
  if (cell.dataset.ids === ids) return;
  cell.dataset.ids = ids;
  const parts = row.connections.map((one) => {
    const part = make("div", "sub");
    part.append(make("code", "", one.conn_id), make("span", "aside", one.attached ? "live" : "away"));
    part.append(sureButton("Close", `close connection ${one.conn_id}`, () => act("connections/close", { conn_id: one.conn_id })));
    return part;
  });
  const rest = row.connection_count - row.connections.length;
  if (rest > 0) parts.push(make("span", "aside", `and ${whole(rest)} more`));
  const box = make("div");
  box.append(...parts);
  if (parts.length === 0) box.append(make("span", "aside", "none"));
  cell.replaceChildren(box);
}

const LISTS = {
  channels: {
    title: "Channels",
    hint: "Search by name",
    key: (row) => row.uuid,
    columns: [
      ["Name", "", link],
      ["Users", "number", text((row) => whole(row.users))],
      ["Connections", "number", text((row) => whole(row.connections))],
      ["History", "number", text((row) => whole(row.history))],
      ["Kept", "number", text((row) => bytes(row.kept_bytes))],
      ["Last active (UTC)", "number", text((row) => row.last_active.replace("T", " ").slice(0, 19))],
    ],
  },
  users: {
    title: "Users",
    hint: "Search by name",
    key: (row) => row.uuid,
    columns: [
      ["Name", "", text((row) => row.user)],
      ["State", "code", text((row) => JSON.stringify(row.state))],
      ["Connections", "", connectionsOf],
    ],
  },
  connections: {
    title: "Connections",
    hint: "Search by user, address, id",
    key: (row) => row.id,
    columns: [
      ["Transport", "", text((row) => row.transport)],
      ["User", "", text((row) => row.user ?? row.address ?? (row.asking ? "this page" : "–"))],
      ["Id", "code", text((row) => row.conn_id ?? "–")],
      ["Age", "number", text((row) => span(row.age_ms))],
      ["Queue", "number", text((row) => bytes(row.queue_bytes))],
      ["Last seen", "number", text((row) => `${span(row.heard_ms_ago)} ago`)],
      ["", "act", (cell, row) => {
        if (!cell.firstChild) cell.append(sureButton("Close", `close the connection of ${row.user ?? row.id}`, () => act("connections/close", { id: row.id })));
      }],
    ],
  },
};

for (const [name, list] of Object.entries(LISTS)) {
  const section = at(name);
  const bar = make("div", "bar");
  const title = make("h2", "", list.title);
  title.id = `${name}-title`;
  const label = make("label", "unseen", list.hint);
  list.search = make("input");
  list.search.type = "search";
  list.search.id = `${name}-search`;
  list.search.placeholder = list.hint;
  list.search.autocomplete = "off";
  list.search.spellcheck = false;
  label.htmlFor = list.search.id;
  const box = make("div", "search");
  box.append(label, list.search);
  bar.append(title, box);
  const card = make("div", "card");
  const table = make("table");
  const head = make("tr");
  for (const [column, kind] of list.columns) {
    const cell = make("th", kind, column);
    cell.scope = "col";
    if (column === "") cell.setAttribute("aria-label", "Close");
    head.append(cell);
  }
  const thead = make("thead");
  thead.append(head);
  list.body = make("tbody");
  table.append(thead, list.body);
  list.empty = make("p", "empty", "");
  list.empty.setAttribute("role", "status");
  list.more = make("button", "", "More");
  list.more.type = "button";
  list.more.hidden = true;
  const more = make("div", "more");
  more.append(list.more);
  card.append(table, list.empty, more);
  section.append(bar, card);
  list.pages = 1;
  list.rows = new Map();
  let typing;
  list.search.addEventListener("input", () => {
    list.pages = 1;
    clearTimeout(typing);
    typing = setTimeout(refreshList, 150);
  });
  list.more.addEventListener("click", () => {
    list.pages++;
    refreshList();
  });
}

/** The rows of as many pages as were asked for. A search looks further when a page is empty. */
async function load(name, list) {
  const rows = [];
  let from = 0;
  const wanted = list.pages * PAGE_ROWS;
  for (let page = 0; page < list.pages * PAGES_MAX && from !== null && rows.length < wanted; page++) {
    const answer = await ask(name, { search: list.search.value, from, limit: PAGE_ROWS });
    rows.push(...answer.rows);
    from = answer.next;
  }
  return { rows, from };
}

function showRows(list, rows) {
  const seen = new Set();
  let place = list.body.firstElementChild;
  for (const row of rows) {
    const key = list.key(row);
    if (seen.has(key)) continue;
    seen.add(key);
    let line = list.rows.get(key);
    if (!line) {
      line = make("tr");
      line.dataset.key = key;
      for (const [column, kind] of list.columns) {
        const cell = make("td", kind);
        cell.dataset.name = column;
        line.append(cell);
      }
      list.rows.set(key, line);
    }
    for (const [i, [, , show]] of list.columns.entries()) show(line.children[i], row);
    if (line === place) place = place.nextElementSibling;
    else list.body.insertBefore(line, place);
  }
  for (const [key, line] of list.rows) {
    if (seen.has(key)) continue;
    line.remove();
    list.rows.delete(key);
  }
}

let listTurn = 0;

async function refreshList() {
  const list = LISTS[view.name];
  if (!list) return;
  const turn = ++listTurn;
  try {
    const { rows, from } = await load(view.name, list);
    // Somebody has typed on, or gone elsewhere.
    if (turn !== listTurn) return;
    showRows(list, rows);
    list.more.hidden = from === null || list.pages >= PAGES_MAX;
    const none = from === null ? "Nothing is found." : "Nothing is found so far; More looks further.";
    const words = list.search.value ? none : `There are no ${view.name}.`;
    say(list.empty, rows.length === 0 ? words : "");
    list.empty.hidden = rows.length > 0;
  } catch (error) {
    health("bad", error.message);
  }
}

/* ---- one channel ---- */

const tail = { name: undefined, sequence: undefined, isPaused: false };

function frameLine(kind, user, stamp, message) {
  const item = make("li");
  const line = make("div", "line");
  line.append(make("b", "", user ?? ""), make("span", "kind", kind), make("time", "", clock(stamp)));
  item.append(line);
  if (message !== undefined) {
    const shown = typeof message === "string" ? message : JSON.stringify(message);
    item.append(make("code", "", shown.length > SHOWN_CHARS_MAX ? `${shown.slice(0, SHOWN_CHARS_MAX)}…` : shown));
  }
  return item;
}

function showTail(entries) {
  for (const entry of entries) {
    for (const event of entry.frame) {
      const item = frameLine(event.type ?? "event", event.user, event.timestamp, event.message);
      item.dataset.sequence = entry.sequence;
      at("tail").prepend(item);
    }
  }
  while (at("tail").children.length > FRAMES_MAX) at("tail").lastChild.remove();
  at("tail-empty").hidden = at("tail").children.length > 0;
}

function chips(list, texts) {
  list.replaceChildren(...texts.map(([words, is]) => {
    const chip = make("li", "", words);
    if (is) chip.dataset.is = is;
    return chip;
  }));
}

function showChannel(channel) {
  say(at("channel-title"), channel.name);
  tiles(at("channel-tiles"), [
    ["users", whole(channel.users)],
    ["connections", whole(channel.connections)],
    ["kept", bytes(channel.kept_bytes)],
    ["last active (UTC)", channel.last_active.replace("T", " ").slice(0, 19), true],
  ]);
  chips(at("settings"), Object.entries(channel.settings).map(([name, value]) =>
    typeof value === "boolean" ? [`${name} ${value ? "on" : "off"}`, value ? "on" : "off"] : [`${name} ${value}`]));
  say(at("channel-note"), channel.settings.store_frames ? "" : "This channel keeps no frames (store_frames is off), so there is nothing to tail.");
}

function showWhole(channel) {
  showChannel(channel);
  const names = channel.members.map((name) => [name]);
  const rest = channel.users - names.length;
  chips(at("members"), rest > 0 ? [...names, [`and ${whole(rest)} more`]] : names);
  at("members-empty").hidden = names.length > 0;
  at("history").replaceChildren(...channel.history.toReversed().map((message) =>
    frameLine("message", message.user, message.timestamp, message.message)));
  at("history-empty").hidden = channel.history.length > 0;
}

let channelTicks = 0;

async function refreshChannel() {
  const name = view.channel;
  const isNew = tail.name !== name;
  if (isNew) {
    at("tail").replaceChildren();
    Object.assign(tail, { name, sequence: undefined });
    say(at("channel-title"), name);
  }
  try {
    // Members and history change slowly; what is told is asked for by its place.
    const isWhole = tail.sequence === undefined || channelTicks++ % 5 === 0;
    if (isWhole) {
      const channel = await ask("channel", { name });
      if (view.channel !== name) return;
      showWhole(channel);
      if (tail.sequence === undefined) {
        tail.sequence = channel.sequence;
        showTail(channel.tail);
      }
    }
    if (!tail.isPaused) {
      const news = await ask("channel", { name, after: tail.sequence });
      if (view.channel !== name || tail.isPaused) return;
      tail.sequence = news.sequence;
      showChannel(news);
      showTail(news.tail);
    }
  } catch (error) {
    if (error.status === 404) {
      say(at("channel-note"), "There is no such channel now.");
      tail.sequence = undefined;
    } else {
      health("bad", error.message);
    }
  }
}

at("pause").addEventListener("click", () => {
  tail.isPaused = !tail.isPaused;
  at("pause").setAttribute("aria-pressed", String(tail.isPaused));
  say(at("pause"), tail.isPaused ? "Paused" : "Pause");
});

/* ---- views and keys ---- */

const view = { name: "overview", channel: undefined };

function route() {
  const hash = location.hash.slice(1);
  const channel = /^channel\/(.*)$/s.exec(hash);
  view.name = channel ? "channel" : VIEWS.includes(hash) ? hash : "overview";
  try {
    view.channel = channel ? decodeURIComponent(channel[1]) : undefined;
  } catch {
    view.name = "channels";
  }
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== view.name;
  const tab = view.name === "channel" ? "channels" : view.name;
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.dataset.view === tab) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  if (view.name === "channel") refreshChannel();
  else {
    tail.name = undefined;
    refreshList();
  }
}

addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.key === "Escape") {
    if (isTyping && event.target.value === "") event.target.blur();
    else if (!isTyping && view.name === "channel") location.hash = "#channels";
    return;
  }
  if (isTyping) return;
  if (event.key === "/" && LISTS[view.name]) {
    event.preventDefault();
    LISTS[view.name].search.focus();
  } else if (["1", "2", "3", "4"].includes(event.key)) {
    location.hash = `#${VIEWS[Number(event.key) - 1]}`;
  }
});

/** Runs again and again while the page is seen, never twice at a time. */
function every(ms, run) {
  const next = async () => {
    if (!document.hidden) await run();
    setTimeout(next, ms);
  };
  next();
}

route();
every(EVERY_MS, async () => {
  try {
    showOverview(await ask("overview"));
  } catch (error) {
    health("bad", error.message === "Failed to fetch" ? "No answer" : error.message);
  }
});
every(EVERY_MS, async () => {
  if (view.name === "channel") await refreshChannel();
});
every(LIST_EVERY_MS, async () => {
  if (LISTS[view.name]) await refreshList();
});
