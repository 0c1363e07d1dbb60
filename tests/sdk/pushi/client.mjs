// A client that behaves as Pushi's own browser client does (`pushi.js`, 0.4.7 to 0.6.10), which is in
// no package: as strict in what it hears and as careless in what it does. It runs in Node and in a page.

/** Channels that need a signature of the application. `peer-` is not among them. */
const SIGNED = ["private-", "presence-", "personal-"];
const RECONNECT_MS = 5000;

/** Callbacks by event name. */
class Listeners {
  #byEvent = new Map();

  bind(event, callback) {
    if (!this.#byEvent.has(event)) this.#byEvent.set(event, []);
    this.#byEvent.get(event).push(callback);
  }

  unbind(event, callback) {
    const left = (this.#byEvent.get(event) ?? []).filter((one) => one !== callback);
    this.#byEvent.set(event, left);
  }

  trigger(event, ...values) {
    for (const callback of this.#byEvent.get(event) ?? []) callback(...values);
  }
}

/** A channel that was asked for, or that came as the alias of a personal one. */
export class Channel extends Listeners {
  /** What the last answer said of it. */
  data = null;
  subscribed = false;

  constructor(connection, name) {
    super();
    this.connection = connection;
    this.name = name;
  }

  send(event, data, options) {
    this.connection.sendChannel(event, data, this.name, options);
  }

  unsubscribe(callback) {
    this.connection.unsubscribe(this.name, callback);
  }

  latest(options, callback) {
    this.connection.latest(this.name, options, callback);
  }
}

/** One line to the server, which all objects of an app share. */
class Connection extends Listeners {
  state = "disconnected";
  socketId = null;
  channels = new Map();
  #options;
  #socket = null;
  #timer = null;
  #waiting = new Map();

  constructor(key, options) {
    super();
    this.key = key;
    this.#options = options;
    this.open();
  }

  open() {
    const { WebSocket, baseUrl, timeout } = this.#options;
    this.#timer = null;
    this.#socket = new WebSocket(baseUrl + this.key);
    this.#socket.onmessage = ({ data }) => this.hear(data);
    // What is wrong is told by the close that follows.
    this.#socket.onerror = () => {};
    this.#socket.onclose = ({ code }) => {
      this.channels.clear();
      this.#waiting.clear();
      this.state = "disconnected";
      this.socketId = null;
      this.trigger("disconnect", code);
      // It subscribes to nothing by itself once it is back.
      this.#timer = setTimeout(() => this.open(), timeout);
    };
  }

  /** For tests only: the original has nothing like it. */
  end() {
    this.#socket.onclose = null;
    this.#socket.close();
    clearTimeout(this.#timer);
  }

  /** A frame. Whatever is not as it has to be throws, as in the original. */
  hear(text) {
    const frame = JSON.parse(text);
    if (this.state === "disconnected") {
      if (frame.event !== "pusher:connection_established") return;
      this.socketId = JSON.parse(frame.data).socket_id;
      this.state = "connected";
      this.trigger("connect");
      return;
    }
    const isPeer = frame.channel.startsWith("peer-");
    const channel = this.channels.get(frame.channel);
    if (!channel && !isPeer) return;
    let told = frame.data;
    switch (frame.event) {
      case "pusher_internal:subscription_succeeded":
        told = JSON.parse(frame.data);
        this.#subscribed(channel, told);
        break;
      case "pusher_internal:unsubscription_succeeded":
        told = JSON.parse(frame.data);
        this.#unsubscribed(frame.channel, told);
        break;
      case "pusher_internal:latest":
        told = JSON.parse(frame.data);
        this.#answer("latest", frame.channel, told);
        break;
      case "pusher:member_added":
      case "pusher:member_removed":
        told = JSON.parse(frame.member);
        break;
    }
    const { event, mid, timestamp } = frame;
    this.trigger(event, told, frame.channel, mid, timestamp);
    channel?.trigger(event, told, mid, timestamp);
  }

  #subscribed(channel, data) {
    channel.data = data;
    channel.subscribed = true;
    for (const name of data.alias ?? []) {
      if (!this.channels.has(name)) this.channels.set(name, new Channel(this, name));
      this.channels.get(name).subscribed = true;
    }
    this.trigger("subscribe", channel.name, data);
    channel.trigger("subscribe", data);
    this.#answer("subscribe", channel.name, data);
  }

  #unsubscribed(name, data) {
    const channel = this.channels.get(name);
    // The aliases go with the personal channel that they came with.
    for (const gone of [name, ...(channel?.data?.alias ?? []), ...(data.alias ?? [])]) {
      this.channels.delete(gone);
    }
    this.trigger("unsubscribe", name, data);
    this.#answer("unsubscribe", name, data);
  }

  #ask(what, name, callback) {
    if (!callback) return;
    const at = `${what} ${name}`;
    if (!this.#waiting.has(at)) this.#waiting.set(at, []);
    this.#waiting.get(at).push(callback);
  }

  #answer(what, name, data) {
    const at = `${what} ${name}`;
    const callbacks = this.#waiting.get(at) ?? [];
    this.#waiting.delete(at);
    for (const callback of callbacks) callback(this.channels.get(name), data);
  }

  subscribe(name, callback, force = false) {
    const known = this.channels.get(name);
    if (known?.subscribed && !force) {
      callback?.(known, known.data);
      return known;
    }
    const channel = known ?? new Channel(this, name);
    this.channels.set(name, channel);
    this.#ask("subscribe", name, callback);
    if (SIGNED.some((prefix) => name.startsWith(prefix))) this.#subscribeSigned(name);
    else this.send("pusher:subscribe", { channel: name });
    return channel;
  }

  /** Asks the application, which alone can sign. */
  async #subscribeSigned(name) {
    const { fetch, authEndpoint } = this.#options;
    // The name goes into the address as it is.
    const response = await fetch(`${authEndpoint}?socket_id=${this.socketId}&channel=${name}`);
    const { auth, channel_data } = await response.json();
    // The original does not look whether the line is still the same; ours is asked by tests that wait.
    this.send("pusher:subscribe", { channel: name, auth, channel_data });
  }

  unsubscribe(name, callback) {
    this.#ask("unsubscribe", name, callback);
    this.send("pusher:unsubscribe", { channel: name });
  }

  latest(name, { skip = 0, count = 10 } = {}, callback) {
    this.#ask("latest", name, callback);
    this.send("pusher:latest", { channel: name, skip, count });
  }

  send(event, data, options) {
    this.#write({ event, data }, options);
  }

  sendChannel(event, data, channel, options) {
    this.#write({ event, data, channel }, options);
  }

  /** Both flags go along with everything, also where they mean nothing. */
  #write(message, { echo = false, persist = true } = {}) {
    this.#socket.send(JSON.stringify({ ...message, echo, persist }));
  }

  /** A text as it is, for what the original would never say. */
  write(text) {
    this.#socket.send(text);
  }
}

const connections = new Map();

/**
 * An app as a page sees it. Objects of one key share one connection.
 *
 * Options: `baseUrl` (with a slash at its end), `baseWebUrl` (else the same over HTTP), `authEndpoint`,
 * `appId` and `appSecret` where it logs in, `timeout` (milliseconds until it opens anew), `isOld` for
 * the routes of 0.4; `WebSocket` and `fetch` where they are not those of the page.
 */
export class Pushi {
  constructor(key, options) {
    const { baseUrl } = options;
    this.key = key;
    this.options = {
      timeout: RECONNECT_MS,
      WebSocket: globalThis.WebSocket,
      fetch: (...given) => globalThis.fetch(...given),
      ...options,
      baseWebUrl: options.baseWebUrl ?? baseUrl.replace(/^ws/, "http"),
    };
    if (!connections.has(key)) connections.set(key, new Connection(key, this.options));
    this.connection = connections.get(key);
  }

  get state() {
    return this.connection.state;
  }

  get socketId() {
    return this.connection.socketId;
  }

  bind(event, callback) {
    this.connection.bind(event, callback);
  }

  subscribe(name, callback, force) {
    return this.connection.subscribe(name, callback, force);
  }

  unsubscribe(name, callback) {
    this.connection.unsubscribe(name, callback);
  }

  latest(name, options, callback) {
    this.connection.latest(name, options, callback);
  }

  sendChannel(event, data, channel, options) {
    this.connection.sendChannel(event, data, channel, options);
  }

  end() {
    this.connection.end();
    connections.delete(this.key);
  }

  /** The status, and the value if there is one. */
  async #call(method, path, query = {}, body) {
    const { fetch, baseWebUrl, isOld } = this.options;
    const asks = new URLSearchParams(query);
    if (isOld) asks.set("app_key", this.key);
    const response = await fetch(`${baseWebUrl}${path}?${asks}`, {
      method,
      // Of the session nothing is known here but that there is a cookie.
      credentials: isOld ? "omit" : "include",
      ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, value: text && JSON.parse(text) };
  }

  async login() {
    const { appId, appSecret } = this.options;
    const { status } = await this.#call("GET", "login", {
      app_id: appId, app_key: this.key, app_secret: appSecret,
    });
    if (status !== 200) throw new Error(`the login was refused with ${status}`);
  }

  async logout() {
    const { status } = await this.#call("GET", "logout");
    if (status !== 200) throw new Error(`the logout was refused with ${status}`);
  }

  async vapidKey() {
    const { status, value } = await this.#call("GET", "vapid_key");
    if (status !== 200) throw new Error(`the VAPID key was refused with ${status}`);
    return value.vapid_public_key;
  }

  /** Registers what `PushManager.subscribe` gave, as JSON. */
  async registerWebPush(subscription, event, { auth = "", unsubscribe = false } = {}) {
    const { endpoint, keys } = subscription;
    const { status, value } = await this.#call("POST", "web_pushes", { auth, unsubscribe }, {
      endpoint, p256dh: keys.p256dh, auth: keys.auth, event,
    });
    if (status !== 200 && status !== 201) throw new Error(`the registration was refused with ${status}`);
    return value;
  }

  async unregisterWebPush(endpoint, event) {
    const path = `web_pushes/${encodeURIComponent(endpoint)}`;
    const { status, value } = await this.#call("DELETE", path, event ? { event } : {});
    if (status !== 200) throw new Error(`it was refused with ${status}`);
    return value;
  }
}
