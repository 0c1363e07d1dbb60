// One user of pusher-js: made in Node and in the browser alike, and asked from outside for what it
// has heard. Whatever goes in or out is JSON, so that it may live in a page.

/** What can be told of a value from outside. */
const plain = (value) => {
  if (value === undefined) return null;
  // A failure of the socket itself, which has no values of its own.
  if (typeof Event !== "undefined" && value instanceof Event) return String(value.type);
  try {
    return JSON.parse(JSON.stringify(value)) ?? null;
  } catch {
    return String(value);
  }
};

export class Seat {
  /**
   * `given` holds the app's key, the server's host and port, the web application's origin, and in
   * `asks` what this user tells the web application when it asks for a signature.
   */
  constructor(Pusher, given) {
    this.states = [];
    this.notes = [];
    const asking = (path) => ({ endpoint: given.app + path, params: { key: given.key, ...given.asks } });
    this.pusher = new Pusher(given.key, {
      cluster: "none",
      wsHost: given.host,
      wsPort: given.port,
      wssPort: given.port,
      forceTLS: false,
      enabledTransports: ["ws"],
      channelAuthorization: asking("/pusher/auth"),
      userAuthentication: asking("/pusher/user-auth"),
      ...given.options,
    });
    const { connection, user } = this.pusher;
    this.states.push({ state: connection.state, at: Date.now() });
    connection.bind("state_change", ({ current }) => this.states.push({ state: current, at: Date.now() }));
    connection.bind("error", (error) => {
      // What ends a connection comes wrapped, what does not as it is.
      const { type, data } = error?.error ?? error ?? {};
      this.note("(error)", type ?? "error", data ?? error);
    });
    connection.bind("message", (message) => this.frames.push(plain(message)));
    this.frames = [];
    user.bind_global((event, data) => this.note("(user)", event, data));
    user.watchlist.bind_global((event, data) => this.note("(watchlist)", event, data));
  }

  note(on, event, data, meta) {
    this.notes.push({ on, event, data: plain(data), meta: plain(meta) });
  }

  subscribe(name) {
    const channel = this.pusher.subscribe(name);
    if (channel.isNoted) return;
    channel.isNoted = true;
    channel.bind_global((event, data) => this.note(name, event, data?.members ? { ...data } : data));
  }

  /** Notes an event together with what only a callback of its own is told. */
  bind(name, event) {
    this.pusher.channel(name).bind(event, (data, meta) => this.note(`${name}+`, event, data, meta));
  }

  unsubscribe(name) {
    const channel = this.pusher.channel(name);
    this.pusher.unsubscribe(name);
    if (channel) channel.isNoted = false;
    channel?.unbind_all();
  }

  /** What throwing says, too. */
  trigger(name, event, data) {
    try {
      return this.pusher.channel(name).trigger(event, data);
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
  }

  /** A frame that pusher-js itself would not send. */
  send(event, data, channel) {
    return this.pusher.send_event(event, data, channel);
  }

  members(name) {
    const { members } = this.pusher.channel(name);
    const all = {};
    members.each(({ id, info }) => (all[id] = plain(info)));
    return { all, count: members.count, me: plain(members.me) };
  }

  channel(name) {
    const channel = this.pusher.channel(name);
    return channel && { subscribed: channel.subscribed, count: channel.subscriptionCount ?? null };
  }

  signin() {
    this.pusher.signin();
  }

  user() {
    return plain(this.pusher.user.user_data);
  }

  connect() {
    this.pusher.connect();
  }

  disconnect() {
    this.pusher.disconnect();
  }

  state() {
    return this.pusher.connection.state;
  }

  socketId() {
    return this.pusher.connection.socket_id;
  }

  read() {
    return { notes: this.notes, states: this.states, frames: this.frames };
  }
}
