// pusher-js and Laravel Echo in a browser.

import assert from "node:assert/strict";
import { WAIT_MS, check, conclude, startBrowser, until } from "../playground/harness.mjs";
import { echo } from "./echo.mjs";
import { flows } from "./flows.mjs";
import { handle } from "./seats.mjs";
import { startWorld } from "./world.mjs";

const world = await startWorld("pusher-browser");
const browser = await startBrowser();
const context = await browser.newContext();
context.setDefaultTimeout(WAIT_MS);
const complaints = [];
context.on("weberror", (error) => complaints.push(String(error.error())));

/** A page of an origin, with one build of pusher-js. */
async function page(origin, script) {
  const page = await context.newPage();
  await page.goto(origin);
  await page.addScriptTag({ url: script });
  await page.evaluate(async () => {
    window.seats = [];
    window.Seat = (await import("/seat.mjs")).Seat;
  });
  return page;
}

async function driver(name, script, more) {
  const pages = {};
  for (const origin of [world.app.origin, world.foreign.origin]) pages[origin] = await page(origin, script);
  return {
    name,
    hasOrigin: true,
    ...more,
    open: async (given) => {
      const page = pages[given.app];
      const at = await page.evaluate((given) => seats.push(new Seat(Pusher, given)) - 1, given);
      return handle((method, args) => page.evaluate(([at, method, args]) => seats[at][method](...args), [at, method, args]));
    },
  };
}

await flows(world, await driver("chromium", "/pusher-with-encryption.js", { isEncrypted: true }));
await flows(world, await driver("chromium plain", "/pusher.js", {}));
await echo(world, await page(world.app.origin, "/pusher-with-encryption.js"));
await check("no page complained", async () => assert.deepEqual(complaints, []));

await browser.close();
await world.end();
conclude();
