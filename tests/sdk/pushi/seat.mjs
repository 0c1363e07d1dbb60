// One user of the client: made in Node and in the browser alike, and asked from outside for what it has
// heard. Whatever goes in or out is JSON, so that it may live in a page.

const plain = (value) => (value === undefined ? null : JSON.parse(JSON.stringify(value)));

export class Seat {
  /** `given` holds the key and the options of the client; `more` what cannot be said in JSON. */
  constructor(Pushi, given, more = {}) {
    this.again = () => new Pushi(given.key, { ...given.options, ...more });
    this.notes = [];
    this.states = [];
    this.pushi = new Pushi(given.key, { ...given.options, ...more });
    this.pushi.bind("connect", () => this.turn("connected"));
    this.pushi.bind("disconnect", (code) => this.turn("disconnected", code));
    for (const event of given.events ?? []) this.listen(event);
    this.listen("pusher:error");
    this.listen("pusher:subscription_error");
    for (const name of given.onConnect ?? []) this.pushi.bind("connect", () => this.subscribe(name));
  }

  turn(state, code) {
    this.states.push({ state, code: plain(code), at: Date.now(), socketId: this.pushi.socketId });
  }

  state() {
    return this.pushi.state;
  }

  /** Notes an event of whatever channel. */
  listen(event) {
    this.pushi.bind(event, (data, channel, mid, timestamp) => {
      this.notes.push({ on: "(all)", event, data: plain(data), channel, mid: plain(mid), timestamp: plain(timestamp) });
    });
  }

  /** Notes an event of one channel that it is subscribed to, also by an alias. */
  bind(name, event) {
    this.pushi.connection.channels.get(name).bind(event, (data, mid, timestamp) => {
      this.notes.push({ on: name, event, data: plain(data), mid: plain(mid), timestamp: plain(timestamp) });
    });
  }

  /** A second object for the same app subscribes. */
  subscribeByAnother(name) {
    this.again().subscribe(name);
  }

  /** Asks for a channel, and notes what is answered and what happens to its members. */
  subscribe(name, force) {
    const note = (event) => (data) => this.notes.push({ on: name, event, data: plain(data) });
    const isNew = !this.pushi.connection.channels.has(name);
    const channel = this.pushi.subscribe(name, undefined, force);
    if (!isNew) return;
    channel.bind("subscribe", note("subscribe"));
    channel.bind("pusher:member_added", note("member_added"));
    channel.bind("pusher:member_removed", note("member_removed"));
    channel.bind("pusher:subscription_error", note("refused"));
  }

  /** Subscribes with words of its own, past the application. */
  force(name, data) {
    const channel = this.pushi.subscribe(name);
    channel.bind("pusher:subscription_error", (data) => this.notes.push({ on: name, event: "refused", data }));
    this.pushi.connection.send("pusher:subscribe", { channel: name, ...data });
  }

  unsubscribe(name) {
    return new Promise((resolve) => this.pushi.unsubscribe(name, (_, data) => resolve(plain(data))));
  }

  latest(name, options) {
    return new Promise((resolve) => this.pushi.latest(name, options, (_, data) => resolve(plain(data))));
  }

  /** Says something, on a channel that it has or on one that it has never asked for. */
  send(name, event, data, options) {
    this.pushi.sendChannel(event, data, name, options);
  }

  write(text) {
    this.pushi.connection.write(text);
  }

  /** What it knows of a channel. */
  channel(name) {
    const channel = this.pushi.connection.channels.get(name);
    return channel ? { subscribed: channel.subscribed, data: plain(channel.data) } : null;
  }

  channels() {
    return [...this.pushi.connection.channels.keys()];
  }

  socketId() {
    return this.pushi.socketId;
  }

  read() {
    return { notes: this.notes, states: this.states };
  }

  /** A call of the API; what it throws is told as a text. */
  async call(method, ...given) {
    try {
      return { value: plain(await this.pushi[method](...given)) };
    } catch (error) {
      return { error: `${error.name}: ${error.message}` };
    }
  }

  end() {
    this.pushi.end();
  }
}
