// The client in headless Chromium: on pages of the server's own origin, of the application's, of another
// site's (over TLS), and of one that the server knows nothing of.

import assert from "node:assert/strict";
import { WAIT_MS, check, conclude, startBrowser } from "../playground/harness.mjs";
import { handle } from "../pusher/seats.mjs";
import { calls } from "./calls.mjs";
import { flows } from "./flows.mjs";
import { startWorld } from "./world.mjs";

const world = await startWorld({ hasTls: true });
const browser = await startBrowser();
const complaints = [];

/** A page of an origin in a context of its own, which shares no cookies with others. */
async function open(origin) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(WAIT_MS);
  context.on("weberror", (error) => complaints.push(String(error.error().stack)));
  const page = await context.newPage();
  // The server itself has no pages, but what it answers is one to a browser.
  await page.goto(`${origin}/${origin === world.server.origin ? "info" : ""}`);
  return page;
}

const pages = new Map();
let seats = 0;
const driver = {
  name: "chromium",
  open: async (given) => {
    const origin = given.isAtServer ? world.server.origin : given.origin;
    if (!pages.has(origin)) pages.set(origin, await open(origin));
    const page = pages.get(origin);
    const at = ++seats;
    // Each seat has a client of its own, which shares no connection with others.
    await page.evaluate(async ([at, from, given]) => {
      const { Pushi } = await import(`${from}/client.mjs?page=${at}`);
      const { Seat } = await import(`${from}/seat.mjs`);
      window[`seat${at}`] = new Seat(Pushi, given);
    }, [at, world.application.origin, given]);
    return handle((method, args) =>
      page.evaluate(([at, method, args]) => window[`seat${at}`][method](...args), [at, method, args]));
  },
};
await flows(world, driver);
await calls(world, driver, [
  { name: "a page of the server's origin", more: { isAtServer: true } },
  { name: "a page of the application's origin" },
  { name: "a page of another site", more: { isFar: true } },
  { name: "a page of an unknown origin", more: { isForeign: true }, isUnknown: true },
]);
await check("chromium: no page complained", async () => assert.deepEqual(complaints, []));

await browser.close();
await world.end();
conclude();
