// Laravel Echo in Node.

import Echo from "laravel-echo";
import Pusher from "pusher-js";
import { conclude } from "../playground/harness.mjs";
import { echo } from "./echo.mjs";
import { startWorld } from "./world.mjs";

// What a page would have, so that the checks are the same.
Object.assign(globalThis, { window: globalThis, Echo, Pusher });
const world = await startWorld("pusher-laravel");
const here = {
  origin: world.app.origin,
  // A text is a script, of which the last value counts.
  evaluate: async (what, given) => (typeof what === "string" ? (0, eval)(what) : what(given)),
};
await echo(world, here);
await world.end();
conclude();
// pusher-js keeps timers of its own.
process.exit();
