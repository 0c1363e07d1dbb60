// What the tabs have in common, and the counts on top.

const HOME = "playground";
// As many as one can still scroll through; older ones leave the page.
const FRAMES_MAX = 200;
const SEEN_MAX = 1000;
const CHIPS_MAX = 8;
// A frame may have a megabyte. The list shows the beginning, and the opened frame much more.
const SAID_CHARS_MAX = 2000;
const SAID_TOKENS_MAX = 240;
const RAW_TOKENS_MAX = 20000;
const STATE_EVERY_MS = 2000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 10000;
// A socket that lived this long was a good one, and the next failure starts over.
const GOOD_SOCKET_MS = 3000;

const at = (id) => document.getElementById(id);

/** An element with a class and, as text, whatever is to be read in it. */
function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

/* ---- JSON as it came. Parsing and writing again would round large integers. ---- */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** The tokens of a member of the one object in a frame: `[{..., "name": <these>, ...}]`. */
function memberTokens(tokens, name) {
  let depth = 0;
  let from = -1;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (depth === 2 && (token === "," || token === "}") && from >= 0) return tokens.slice(from, i);
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (depth === 2 && tokens[i + 1] === ":" && token === JSON.stringify(name)) from = i + 2;
  }
  return [];
}

/** JSON, indented and coloured, up to a number of tokens. */
function painted(tokens, tokensMax) {
  const out = document.createDocumentFragment();
  let depth = 0;
  let plain = "";
  const turn = () => { plain += "\n" + "  ".repeat(Math.min(depth, 32)); };
  const colour = (name, text) => {
    out.append(plain, make("span", name, text));
    plain = "";
  };
  const end = Math.min(tokens.length, tokensMax);
  for (let i = 0; i < end; i++) {
    const token = tokens[i];
    const next = tokens[i + 1];
    if (token === "{" || token === "[") {
      plain += token;
      if (next === "}" || next === "]") {
        plain += next;
        i++;
      } else {
        depth++;
        turn();
      }
    } else if (token === "}" || token === "]") {
      depth--;
      turn();
      plain += token;
    } else if (token === ",") {
      plain += token;
      turn();
    } else if (token === ":") {
      plain += ": ";
    } else if (token[0] === '"') {
      colour(next === ":" ? "j-key" : "j-text", token);
    } else {
      colour("j-word", token);
    }
  }
  out.append(plain + (tokens.length > end ? " …" : ""));
  return out;
}

/* ---- Small words. ---- */

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

function clock(timestamp) {
  // The server writes UTC without saying so, unless the sender gave an offset.
  const hasZone = /(?:Z|[+-]\d\d:\d\d)$/.test(timestamp);
  const date = new Date(hasZone ? timestamp : timestamp + "Z");
  if (Number.isNaN(date.getTime())) return { text: String(timestamp), iso: "" };
  return { text: date.toLocaleTimeString("en-GB"), iso: date.toISOString() };
}

function avatar(user) {
  const first = [...user.trim()][0] || "?";
  const element = make("span", "avatar", first.toUpperCase());
  let hue = 7;
  for (const letter of user) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  element.style.setProperty("--hue", String(hue));
  element.setAttribute("aria-hidden", "true");
  return element;
}

/** A short name that none of these users has. */
function randomName(users) {
  const words = ["otter", "finch", "heron", "lynx", "marten", "plover", "robin", "seal", "swift", "tern", "vole", "wren"];
  for (let digits = 100; ; digits *= 10) {
    const pick = crypto.getRandomValues(new Uint32Array(2));
    const name = `${words[pick[0] % words.length]}-${digits / 10 + (pick[1] % (digits * 0.9))}`;
    if (!users.includes(name)) return name;
  }
}

/* ---- Talking to the server. ---- */

let signature = "";

async function call(method, path, body, proof = { "x-channelstream-secret": signature }) {
  const options = { method, cache: "no-store", headers: {} };
  if (body !== undefined) {
    options.headers = { "content-type": "application/json", ...proof };
    options.body = body;
  }
  const response = await fetch(path, options);
  const text = await response.text();
  if (!response.ok) {
    const refusal = new Error(`${response.status}: ${text.trim().slice(0, 300)}`);
    refusal.status = response.status;
    throw refusal;
  }
  return JSON.parse(text);
}

/* ---- The counts on top. ---- */

let stateTimer = 0;

function showCounts(state) {
  for (const name of ["connections", "channels", "users", "published", "delivered"]) {
    const count = Number(state[name]) || 0;
    const cell = at(`count-${name}`);
    cell.textContent = count < 100000
      ? count.toLocaleString("en")
      : new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(count);
    cell.title = count.toLocaleString("en");
  }
  at("counts").classList.remove("stale");
}

async function readState() {
  try {
    const state = await call("GET", "/dev/state");
    if (state.signature !== signature) {
      signature = state.signature;
      showCurl();
    }
    setApp(state.pusher);
    setPushi(state.pushi);
    showCounts(state);
    return state;
  } catch (error) {
    at("counts").classList.add("stale");
    throw error;
  }
}

function pollState(afterMs) {
  clearTimeout(stateTimer);
  if (document.hidden) return;
  stateTimer = setTimeout(async () => {
    // While the socket is down, joining asks often enough.
    if (link.is === "open") await readState().catch(() => {});
    pollState(STATE_EVERY_MS);
  }, afterMs);
}
