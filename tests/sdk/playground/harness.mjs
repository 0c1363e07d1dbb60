// What the tests stand on: a server process, a browser, real curl, and a count of checks.

import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const WAIT_MS = 10_000;

let passed = 0;
let failed = 0;
let skipped = 0;

/** What a check throws that cannot be made. */
class Skipped extends Error {}

/** Breaks a check off: it is counted apart, and said. */
export function skip(why) {
  throw new Skipped(why);
}

/** Runs one check and goes on, whatever comes of it. */
export async function check(title, run) {
  try {
    await run();
    passed++;
    console.log(`ok      ${title}`);
  } catch (error) {
    if (error instanceof Skipped) {
      skipped++;
      console.log(`SKIPPED ${title}: ${error.message}`);
      return;
    }
    failed++;
    console.log(`FAILED  ${title}\n        ${String(error.stack ?? error).replaceAll("\n", "\n        ")}`);
  }
}

/** The last line, and the exit code. */
export function conclude() {
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

/** Waits until `probe` gives something true, and gives it on. */
export async function until(what, probe, timeoutMs = WAIT_MS) {
  const due = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > due) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((wake) => setTimeout(wake, 25));
  }
}

/** A server of our own, with arguments of the command `dev` or `run`. It says on stderr where it
 * listens. */
export async function startServer(listen = "127.0.0.1:0", [command, ...args] = ["dev"]) {
  const child = spawn(process.env.FANWIRE_BIN, [command, "--listen", listen, ...args], {
    // Settings of whoever runs the tests are none of theirs.
    env: {},
    stdio: ["ignore", "ignore", "pipe"],
  });
  const said = [];
  const addresses = [];
  const address = await new Promise((resolve, reject) => {
    const giveUp = (why) => reject(new Error(`the server ${why}; it said:\n${said.join("\n")}`));
    const timer = setTimeout(() => giveUp("did not say where it listens"), WAIT_MS);
    createInterface({ input: child.stderr }).on("line", (line) => {
      said.push(line);
      const match = /\blistening on (?:http:\/\/)?([\d.]+:\d+)/.exec(line);
      if (match) {
        clearTimeout(timer);
        addresses.push(match[1]);
        resolve(match[1]);
      }
    });
    child.once("error", (error) => giveUp(`did not start (${error.message})`));
    child.once("exit", (code) => giveUp(`ended with ${code}`));
  });
  // A test that breaks off leaves no server behind.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  ended.then(() => process.off("exit", kill));
  return {
    address,
    origin: `http://${address}`,
    /** Where it has said so far that it listens: first where it was told here. */
    addresses,
    /** Ends it with a signal and waits until it is gone. */
    async end(signal = "SIGTERM") {
      child.kill(signal);
      const slow = setTimeout(() => child.kill("SIGKILL"), WAIT_MS);
      await ended;
      clearTimeout(slow);
    },
  };
}

/** Headless Chromium that asks nobody for anything but this machine. */
export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-default-apps",
      "--disable-domain-reliability",
      "--disable-sync",
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--metrics-recording-only",
      "--no-first-run",
      "--no-pings",
      "--no-proxy-server",
      // The second is another site on this machine.
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE 127.0.0.2",
    ],
  });
}

/** A command line as somebody would paste it into a shell; what it wrote to stdout. */
export function runInShell(line, shell) {
  const env = { ...process.env, no_proxy: "*", NO_PROXY: "*" };
  return new Promise((resolve, reject) => {
    execFile(shell, ["-c", line], { env, timeout: WAIT_MS }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${shell}: ${error.message}\n${stderr}`));
      else resolve(stdout);
    });
  });
}
