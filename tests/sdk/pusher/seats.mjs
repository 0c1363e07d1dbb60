// Seats from outside: how they are asked, and how what they have heard is waited for.

import { until } from "../playground/harness.mjs";

/** A seat from outside: what is asked of it goes through `call`, and what it has heard is read. */
export function handle(call) {
  // Awaited, it is no promise.
  const ask = (_, method) => (method === "then" ? undefined : (...given) => call(method, given));
  return new Proxy({}, { get: ask });
}

/** What a seat heard on a channel, or elsewhere, of this name. */
export async function heard(seat, on, event) {
  const { notes } = await seat.read();
  return notes.filter((note) => note.on === on && (event === undefined || note.event === event));
}

/** Waits for the note number `at` (from 0) of this name. */
export const hears = (seat, on, event, at = 0) =>
  until(`${event} on ${on}`, async () => (await heard(seat, on, event))[at]);

export const reaches = (seat, state) => until(`state ${state}`, async () => (await seat.state()) === state);

/** Subscribes and waits until it is so. */
export async function joins(seat, ...channels) {
  for (const name of channels) await seat.subscribe(name);
  for (const name of channels) await hears(seat, name, "pusher:subscription_succeeded");
}

/** What a seat was told of this name on a channel, in its order. */
export const told = async (seat, on, event) => (await heard(seat, on, event)).map((note) => note.data);
