// A connection to a Channelstream server from a page: an ES module without build step.
//
//   import { ChannelStreamConnection } from "/static/channelstream/channelstream.js";
//   const connection = new ChannelStreamConnection();
//   connection.connectUrl = "/my-app/connect"; // the web application, which signs and forwards
//   connection.websocketUrl = "wss://push.example/ws"; // this server
//   connection.longPollUrl = "https://push.example/listen"; // used where WebSocket fails
//   connection.listenMessageCallback = (frames) => { ... };
//   connection.connect();
//
// The page sets addresses, replaces callbacks and adds mutators. Nothing here throws into a timer
// or rejects unheard: what goes wrong comes to a callback, and a callback that throws is reported
// and costs nothing else.

/** The longest wait before another try. */
const WAIT_MAX_MS = 60_000;
/** The server wants a sign of life of a silent page. */
const HEARTBEAT_MS = 10_000;
/** A transport that has not opened by then never will. */
const OPEN_MS = 15_000;
/** A poll that takes longer is lost: the server answers after a few seconds. */
const POLL_MS = 60_000;
/** The shortest time from an empty poll to the next, should the server answer at once. */
const POLL_PAUSE_MS = 500;
/** How long WebSocket is left alone after it failed where something else worked. */
const AVOID_SOCKET_MS = 300_000;
/** A page that comes into view or back online tries at once, but not more often than this. */
const RESUME_MS = 1_000;

/** One request to the web application, as mutators and callbacks see it. */
class Request {
  constructor(url, body) {
    this.url = url;
    this.body = body;
    /** Further headers, each `{ name, value }`. */
    this.headers = [];
    /** The status of the answer; 0 if there was none. */
    this.status = 0;
  }
}

/** Runs what belongs to the page. */
function guard(run) {
  try {
    run();
  } catch (error) {
    console.error("channelstream: a callback failed", error);
  }
}

function withConnId(url, connId) {
  const base = typeof location === "undefined" ? undefined : location.href;
  const address = new URL(url, base);
  address.searchParams.set("conn_id", connId);
  return address;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export class ChannelStreamConnection {
  constructor() {
    /** Whether to write to the console what happens. */
    this.debug = false;
    /** The channels to be in at first; then what the server says. */
    this.channels = [];
    this.username = "Anonymous";
    /** The id that the server gave, while there is one. */
    this.connectionId = null;
    this.websocket = null;
    /** Whether frames can come right now. */
    this.connected = false;

    // Of this server.
    this.websocketUrl = "";
    this.longPollUrl = "";
    this.disconnectUrl = "";
    // Of the web application.
    this.connectUrl = "";
    this.subscribeUrl = "";
    this.unsubscribeUrl = "";
    this.userStateUrl = "";
    this.messageUrl = "";
    this.messageEditUrl = "";
    this.messageDeleteUrl = "";

    this.shouldReconnect = true;
    /** Whether to send signs of life. */
    this.heartbeats = true;
    /** The first wait before another try, in milliseconds; each further one is twice as long. */
    this.increaseBounceIv = 2_000;
    /** Never to use WebSocket. */
    this.noWebsocket = false;
    /** Never to use server-sent events. */
    this.noEventSource = false;
    /** A socket on which nothing came for so many milliseconds is dead; 0 for never. */
    this.silenceTimeout = 60_000;

    /** Functions that may change a request before it is sent, by kind. */
    this.mutators = {
      connect: [],
      message: [],
      messageEdit: [],
      messageDelete: [],
      subscribe: [],
      unsubscribe: [],
      disconnect: [],
      userState: [],
    };

    this._tries = 0;
    this._retryTimer = null;
    this._lastTry = 0;
    this._avoidSocketUntil = 0;
    /** Grows whenever what is under way is given up; news of an older one is no news. */
    this._epoch = 0;
    /** Ends the transport in use. */
    this._close = null;
    this._resume = () => this._wakeUp();
  }

  /** Adds a function that changes requests of a kind before they are sent. */
  addMutator(type, func) {
    this.mutators[type].push(func);
  }

  // ---- what the page asks for --------------------------------------------------------------

  /** Gets a connection from the web application and listens on it. */
  async connect() {
    this._giveUp();
    this._watch(true);
    const epoch = this._epoch;
    this._lastTry = Date.now();
    const body = { username: this.username, channels: this.channels };
    const { request, data, ok } = await this._ask("connect", "POST", this.connectUrl, body);
    if (epoch !== this._epoch) return null;
    if (!ok || !data?.conn_id) {
      this._call("connectErrorCallback", request, data);
      this.retryConnection();
      return null;
    }
    this.connectionId = data.conn_id;
    this._setChannels(data);
    this._call("connectCallback", request, data);
    // The callback may have thought better of it.
    if (epoch === this._epoch) this.startListening(request, data);
    return data;
  }

  /** Leaves for good, until `connect` is called again. */
  disconnect() {
    const connId = this.connectionId;
    this.closeConnection();
    this.connectionId = null;
    if (!connId || !this.disconnectUrl) return Promise.resolve(null);
    const url = String(withConnId(this.disconnectUrl, connId));
    const answer = this._ask("disconnect", "POST", url, { conn_id: connId }, true);
    return answer.then(({ request, data, ok }) => {
      if (ok) this._call("disconnectCallback", request, data);
      return data;
    });
  }

  subscribe(channels) {
    if (!channels?.length) return Promise.resolve(null);
    const body = { channels, conn_id: this.connectionId };
    return this._tell("subscribe", "POST", this.subscribeUrl, body, "subscribe");
  }

  unsubscribe(channels) {
    const body = { channels: channels ?? [], conn_id: this.connectionId };
    return this._tell("unsubscribe", "POST", this.unsubscribeUrl, body, "unsubscribe");
  }

  /** Those of `channels` that this connection is not in. */
  calculateSubscribe(channels) {
    return (channels ?? []).filter((name) => !this.channels.includes(name));
  }

  /** Those of `channels` that this connection is in. */
  calculateUnsubscribe(channels) {
    return (channels ?? []).filter((name) => this.channels.includes(name));
  }

  updateUserState(stateObj) {
    const body = { username: this.username, conn_id: this.connectionId, update_state: stateObj };
    return this._tell("userState", "POST", this.userStateUrl, body, "setUserState");
  }

  message(message) {
    return this._tell("message", "POST", this.messageUrl, message, "message");
  }

  edit(message) {
    const url = this.messageEditUrl || this.messageUrl;
    return this._tell("messageEdit", "PATCH", url, message, "messageEdit");
  }

  delete(message) {
    const url = this.messageDeleteUrl || this.messageUrl;
    return this._tell("messageDelete", "DELETE", url, message, "messageDelete");
  }

  /** Ends the transport; the server forgets the connection soon after. */
  closeConnection() {
    this._giveUp();
    this._watch(false);
    this._call("connectionClosedCallback");
  }

  /** Waits, longer each time in a row, and connects anew; unless `shouldReconnect` is off. */
  retryConnection() {
    this._giveUp();
    if (!this.shouldReconnect) {
      // A page that forgets this connection is not to be held by it.
      this._watch(false);
      return;
    }
    this._watch(true);
    const longest = Math.min(WAIT_MAX_MS, this.increaseBounceIv * 2 ** Math.min(this._tries, 16));
    this._tries += 1;
    // Everybody lost the server at the same moment; they should not come back at the same one.
    const wait = longest * (0.5 + Math.random() / 2);
    this._log(`next try in ${Math.round(wait)} ms`);
    this._retryTimer = setTimeout(() => this.connect(), wait);
  }

  // ---- listening ---------------------------------------------------------------------------

  /** Begins to listen on the connection that `connect` got. */
  startListening(request, data) {
    this._call("beforeListeningCallback", request, data);
    const avoidsSocket = Date.now() < this._avoidSocketUntil && this.longPollUrl;
    const hasSocket = typeof WebSocket !== "undefined" && this.websocketUrl;
    if (this.noWebsocket || avoidsSocket || !hasSocket) this._openFallback();
    else this.openWebsocket();
  }

  openWebsocket() {
    const epoch = this._begin();
    let socket;
    try {
      const url = withConnId(this.websocketUrl, this.connectionId);
      url.protocol = url.protocol.replace(/^http/, "ws");
      socket = new WebSocket(url);
    } catch (error) {
      this._log("no WebSocket", error);
      this._socketFailed();
      return;
    }
    this.websocket = socket;
    let isOpen = false;
    let heard = Date.now();
    const opening = setTimeout(() => socket.close(), OPEN_MS);
    const beat = setInterval(() => {
      if (!isOpen) return;
      if (this.heartbeats) socket.send('{"type": "heartbeat"}');
      if (this.silenceTimeout && Date.now() - heard > this.silenceTimeout) lose({ code: 1006 });
    }, HEARTBEAT_MS);
    const stop = () => {
      clearTimeout(opening);
      clearInterval(beat);
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    };
    this._close = stop;
    const lose = (event) => {
      stop();
      if (epoch !== this._epoch) return;
      this._close = null;
      this.websocket = null;
      if (isOpen) this._lost(event);
      else this._socketFailed(event);
    };
    socket.onopen = (event) => {
      clearTimeout(opening);
      isOpen = true;
      heard = Date.now();
      this.connected = true;
      this._call("listenOpenedCallback", socket, event);
    };
    socket.onmessage = (event) => {
      heard = Date.now();
      this._hear(event.data);
    };
    socket.onerror = (event) => this._call("listenErrorCallback", socket, event);
    socket.onclose = lose;
  }

  /** A socket never opened: something between here and the server may not let it through. */
  _socketFailed(event) {
    this.websocket = null;
    if (!this.longPollUrl) {
      this._lost(event);
      return;
    }
    this._log("WebSocket failed, trying without");
    this._avoidSocketUntil = Date.now() + AVOID_SOCKET_MS;
    this._openFallback();
  }

  _openFallback() {
    if (!this.longPollUrl) {
      this._call("listenErrorCallback", null, { message: "there is no way to listen" });
      this.retryConnection();
    } else if (typeof EventSource === "undefined" || this.noEventSource || this._noEvents) {
      this.openLongPoll();
    } else {
      this._openEventSource();
    }
  }

  /** Server-sent events on the address of polls. A server that has none answers with a poll. */
  _openEventSource() {
    const epoch = this._begin();
    const source = new EventSource(withConnId(this.longPollUrl, this.connectionId));
    let timer = null;
    let wasOpen = false;
    const stop = () => {
      clearTimeout(timer);
      source.onopen = source.onmessage = source.onerror = null;
      source.close();
    };
    const fail = (event) => {
      stop();
      if (epoch !== this._epoch) return;
      this._close = null;
      if (wasOpen) {
        this._lost(event);
      } else {
        this._noEvents = true;
        this.openLongPoll();
      }
    };
    this._close = stop;
    timer = setTimeout(fail, OPEN_MS);
    source.onopen = (event) => {
      clearTimeout(timer);
      timer = null;
      wasOpen = true;
      // Heartbeats are no events here; an answer with the type of events is sign enough.
      this._tries = 0;
      this.connected = true;
      this._call("listenOpenedCallback", source, event);
    };
    source.onmessage = (event) => this._hear(event.data);
    source.onerror = (event) => {
      if (source.readyState === EventSource.CLOSED) {
        fail(event);
        return;
      }
      // It tries again by itself, and says to the server what came last.
      this.connected = false;
      timer ??= setTimeout(fail, 2 * OPEN_MS);
    };
  }

  /** Polls, one after the other, until one fails. */
  async openLongPoll() {
    const epoch = this._begin();
    const abort = new AbortController();
    this._close = () => abort.abort();
    const url = String(withConnId(this.longPollUrl, this.connectionId));
    let isFirst = true;
    while (epoch === this._epoch) {
      const began = Date.now();
      const late = setTimeout(() => abort.abort(), POLL_MS);
      let status = 0;
      let text = "";
      try {
        const headers = { Accept: "application/json" };
        const answer = await fetch(url, { headers, cache: "no-store", signal: abort.signal });
        status = answer.status;
        text = await answer.text();
      } catch (error) {
        this._log("poll failed", error);
        status = 0;
      }
      clearTimeout(late);
      if (epoch !== this._epoch) return;
      const frames = parse(text);
      if (status < 200 || status >= 400 || !Array.isArray(frames)) {
        // Whatever keeps polls from coming through says nothing against sockets.
        if (isFirst) this._avoidSocketUntil = 0;
        this._close = null;
        this._call("listenErrorCallback", { url, status }, frames);
        this._lost({ code: status });
        return;
      }
      if (isFirst) {
        isFirst = false;
        this.connected = true;
        this._call("listenOpenedCallback", { url, status });
        if (epoch !== this._epoch) return;
      }
      this._hear(text);
      if (frames.length === 0 && Date.now() - began < POLL_PAUSE_MS) {
        await new Promise((wake) => setTimeout(wake, POLL_PAUSE_MS));
      }
    }
  }

  /** What came from the server: a list of frames, empty for a heartbeat. */
  _hear(text) {
    const frames = parse(text);
    if (frames === null || typeof frames !== "object") {
      this._log("no frames", text);
      return;
    }
    // Only now it is certain that this way works.
    this._tries = 0;
    this._call("listenMessageCallback", Array.isArray(frames) ? frames : [frames]);
  }

  _lost(event) {
    this.connected = false;
    const epoch = this._epoch;
    this._call("listenCloseCallback", null, event);
    if (epoch === this._epoch) this.retryConnection();
  }

  // ---- the machinery -----------------------------------------------------------------------

  /** Takes the place of whatever is under way. */
  _begin() {
    this._giveUp();
    return this._epoch;
  }

  _giveUp() {
    this._epoch += 1;
    clearTimeout(this._retryTimer);
    this._retryTimer = null;
    const close = this._close;
    this._close = null;
    this.websocket = null;
    this.connected = false;
    close?.();
  }

  /** Comes back at once when the page does. */
  _watch(isOn) {
    const change = isOn ? "addEventListener" : "removeEventListener";
    if (typeof window !== "undefined") {
      window[change]("online", this._resume);
      window[change]("pageshow", this._resume);
    }
    if (typeof document !== "undefined") document[change]("visibilitychange", this._resume);
  }

  _wakeUp() {
    const isHidden = typeof document !== "undefined" && document.visibilityState === "hidden";
    const isWaiting = this._retryTimer !== null;
    if (isHidden || !isWaiting || Date.now() - this._lastTry < RESUME_MS) return;
    this.connect();
  }

  _setChannels(data) {
    if (!Array.isArray(data?.channels)) return;
    this.channels = data.channels;
    this._call("channelsChangedCallback", this.channels);
  }

  /** A request whose end comes to the callbacks named after `name`; never rejects. */
  async _tell(kind, method, url, body, name) {
    const { request, data, ok } = await this._ask(kind, method, url, body);
    if (!ok) {
      this._call(`${name}ErrorCallback`, request, data);
      return null;
    }
    if (kind === "subscribe" || kind === "unsubscribe") this._setChannels(data);
    this._call(`${name}Callback`, request, data);
    return data;
  }

  /** Sends a request, once its mutators have seen it. Never rejects. */
  async _ask(kind, method, url, body, keepalive = false) {
    const request = new Request(url, body);
    let data = null;
    try {
      for (const mutate of this.mutators[kind]) mutate(request);
      const headers = new Headers({ "Content-Type": "application/json" });
      for (const { name, value } of request.headers) headers.set(name, value);
      const sent = JSON.stringify(request.body);
      const answer = await fetch(request.url, { method, headers, body: sent, keepalive });
      request.status = answer.status;
      data = parse(await answer.text());
      return { request, data, ok: answer.ok };
    } catch (error) {
      this._log(`${kind} failed`, error);
      return { request, data, ok: false };
    }
  }

  _call(name, ...args) {
    this._log(name, ...args);
    guard(() => this[name](...args));
  }

  _log(...words) {
    if (this.debug) console.log("channelstream:", ...words);
  }

  // ---- what a page may replace -------------------------------------------------------------

  beforeListeningCallback(_request, _data) {}
  listenOpenedCallback(_request, _data) {}
  /** A list of frames came; the empty list is a heartbeat. */
  listenMessageCallback(_frames) {}
  listenCloseCallback(_request, _event) {}
  listenErrorCallback(_request, _event) {}
  connectionClosedCallback() {}
  channelsChangedCallback(_channels) {}
  connectCallback(_request, _data) {}
  connectErrorCallback(_request, _data) {}
  disconnectCallback(_request, _data) {}
  subscribeCallback(_request, _data) {}
  subscribeErrorCallback(_request, _data) {}
  unsubscribeCallback(_request, _data) {}
  unsubscribeErrorCallback(_request, _data) {}
  setUserStateCallback(_request, _data) {}
  setUserStateErrorCallback(_request, _data) {}
  messageCallback(_request, _data) {}
  messageErrorCallback(_request, _data) {}
  messageEditCallback(_request, _data) {}
  messageEditErrorCallback(_request, _data) {}
  messageDeleteCallback(_request, _data) {}
  messageDeleteErrorCallback(_request, _data) {}
}
