// pusher-js in Node.

import Pusher from "pusher-js";
import { check, conclude } from "../playground/harness.mjs";
import { flows } from "./flows.mjs";
import { Seat } from "./seat.mjs";
import { handle } from "./seats.mjs";
import { startWorld } from "./world.mjs";

const world = await startWorld("pusher-node");
const driver = {
  name: "node",
  isEncrypted: true,
  isPatient: true,
  open: async (given) => {
    const seat = new Seat(Pusher, given);
    return handle(async (method, args) => seat[method](...args));
  },
};
await flows(world, driver);
await world.end();
conclude();
// pusher-js keeps timers of its own.
process.exit();
