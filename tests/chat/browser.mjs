// Tests the chat example in a browser.
//
// Usage: browser.mjs CHAT [--screenshots DIR]
//
// CHAT is the compiled example. `--screenshots DIR` saves pictures of the page in DIR.
//
// The script needs Debian's `chromium`. It also needs `playwright-core` from npm, in the folder that the variable
// PLAYWRIGHT names, or in the current folder. For example: `npm install --prefix target/chat --no-save
// playwright-core`, then `PLAYWRIGHT=target/chat`. All connections are on 127.0.0.1.
//
// The script ends within two minutes. Its last line is `N passed, N failed`. Its exit status is 1 if a check failed.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import net from "node:net";
import path from "node:path";
import process from "node:process";

const LIMIT = 90_000; // milliseconds for the whole run
const PATIENCE = 15_000; // milliseconds for each wait
const [program, option, pictures] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(process.env.PLAYWRIGHT ?? "."), "anywhere.js"));
const { chromium } = require("playwright-core");

const MARKUP = `<img src=x onerror="document.title='owned'"> <b>bold</b> &amp; & "quotes" </script>`;
const UNICODE = "grüezi 日本語 שלום Привет 🦀 e\u0301 \u{10ffff}";

let server, browser, passed = 0, failed = 0;
const timer = setTimeout(() => {
  console.error("the run took longer than 90 seconds");
  end(1);
}, LIMIT);

function end(status) {
  server?.kill("SIGKILL");
  browser?.close().catch(() => {});
  setTimeout(() => process.exit(status), 500).unref();
}

// Starts the server. Returns the URL that it prints.
function start(address = "127.0.0.1:0") {
  server = spawn(program, [address], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((found, lost) => {
    server.once("exit", (code) => lost(new Error(`the server has ended with ${code}`)));
    createInterface(server.stdout).once("line", (line) => found(line.match(/http:\/\/\S+/)[0]));
  });
}

async function check(name, what) {
  try {
    await what();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}

// Opens the page in a new browser context, and enters the room under `name`.
async function visit(url, name, scheme = "light") {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width: 720, height: 560 } });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  // The page multiplies its delay before a reconnect by a random number. With 0.02 the first delay is 0.1 s.
  await page.addInitScript(() => (Math.random = () => 0.02));
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(error.message));
  page.on("console", (entry) => entry.type() === "error" && page.problems.push(entry.text()));
  await page.goto(url);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByText(`connected as ${name}`).waitFor();
  return page;
}

async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

const waitForMessage = (page, text) => page.locator("#log li.said").filter({ hasText: text }).first().waitFor();
const waitForNotice = (page, text) => page.locator("#log li.news").getByText(text, { exact: true }).waitFor();
const messages = (page) => page.locator("#log li.said span").allTextContents();

// --- a client without a browser, which sends and reads raw bytes ---

class Raw {
  static async open(url, name, headers = "") {
    const raw = new Raw();
    const { hostname, port, host } = new URL(url);
    raw.received = Buffer.alloc(0);
    raw.socket = net.connect({ host: hostname, port });
    raw.ended = new Promise((ended) => raw.socket.once("close", ended));
    raw.socket.on("error", () => {});
    raw.socket.on("data", (data) => (raw.received = raw.keep ? Buffer.concat([raw.received, data]) : data));
    raw.keep = true;
    raw.socket.write(`GET /chat HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Protocol: chat.hybi.example\r\n${headers}\r\n`);
    await raw.until(() => raw.received.includes("\r\n\r\n"));
    raw.status = Number(raw.received.subarray(9, 12));
    raw.received = raw.received.subarray(raw.received.indexOf("\r\n\r\n") + 4);
    if (raw.status === 101) {
      raw.send(name);
      await raw.until(() => raw.received.includes('"welcome"'));
    }
    return raw;
  }

  async until(happened) {
    const late = Date.now() + PATIENCE;
    while (!happened()) {
      assert(Date.now() < late, "waited for longer than 15 seconds");
      await new Promise((go) => setTimeout(go, 5));
    }
  }

  send(text) {
    const payload = Buffer.from(text);
    const head = payload.length < 126 ? [0x81, 0x80 | payload.length] : [0x81, 0xfe, payload.length >> 8, payload.length & 255];
    // The masking key 0 leaves the payload unchanged.
    this.socket.write(Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]));
  }

  // Returns the received frames, each as [first byte, payload].
  frames() {
    const frames = [];
    for (let at = 0; at + 2 <= this.received.length;) {
      let [len, head] = [this.received[at + 1], 2];
      if (len === 126) [len, head] = [this.received.readUInt16BE(at + 2), 4];
      if (at + head + len > this.received.length) break;
      frames.push([this.received[at], this.received.subarray(at + head, at + head + len)]);
      at += head + len;
    }
    return frames;
  }
}

// --- the checks ---

async function all(url) {
  let anna, bert, carla;
  await check("two pages exchange messages", async () => {
    anna = await visit(url, "Anna");
    bert = await visit(url, "Bert", "dark");
    await waitForNotice(anna, "Bert has joined");
    await say(anna, "hello, Bert");
    await waitForMessage(bert, "hello, Bert");
    await say(bert, "hello, Anna");
    await waitForMessage(anna, "hello, Anna");
    assert.deepEqual(await messages(anna), ["hello, Bert", "hello, Anna"]);
    assert.deepEqual(await messages(bert), ["hello, Bert", "hello, Anna"]);
    assert.match(await bert.locator("#here").textContent(), /2 here: Anna, Bert/);
  });
  await check("text outside ASCII, and markup, are shown as written", async () => {
    for (const text of [UNICODE, MARKUP]) {
      await say(anna, text);
      await waitForMessage(bert, text);
    }
    assert.deepEqual((await messages(bert)).slice(-2), [UNICODE, MARKUP]);
    for (const page of [anna, bert]) {
      assert.equal(await page.locator("#log").locator("img, script, span *").count(), 0);
      assert.equal(await page.title(), "Chat");
    }
  });
  await check("markup in a name is shown as written, and the same name gets a number", async () => {
    carla = await visit(url, "<i>C</i> 🦀");
    await waitForNotice(anna, "<i>C</i> 🦀 has joined");
    assert.equal(await anna.locator("#log i, #here i").count(), 0);
    const second = await Raw.open(url, "Anna");
    await waitForNotice(anna, "Anna 2 has joined");
    second.socket.destroy();
    await waitForNotice(anna, "Anna 2 has left");
  });
  await check("a new page shows the earlier messages", async () => {
    assert.deepEqual(await messages(carla), ["hello, Bert", "hello, Anna", UNICODE, MARKUP]);
  });
  if (option === "--screenshots") {
    for (const [page, name] of [[anna, "light"], [bert, "dark"]]) {
      await page.screenshot({ path: path.join(pictures, `${name}.png`) });
    }
    const fresh = await browser.newPage({ viewport: { width: 360, height: 640 } });
    await fresh.goto(url);
    await fresh.screenshot({ path: path.join(pictures, "enter.png") });
    await fresh.close();
  }
  await check("a page that is closed is shown as having left", async () => {
    await carla.close();
    await waitForNotice(bert, "<i>C</i> 🦀 has left");
    assert.match(await bert.locator("#here").textContent(), /2 here: Anna, Bert/);
  });
  await check("pages of other origins are refused, and other URLs get the right status", async () => {
    assert.equal((await Raw.open(url, "", "Origin: http://example.com\r\n")).status, 403);
    const own = await Raw.open(url, "x", `Origin: ${new URL(url).origin}\r\n`);
    assert.equal(own.status, 101);
    own.socket.destroy();
    const statuses = ["/", "/none", "/chat"].map(async (target) => (await fetch(new URL(target, url))).status);
    assert.deepEqual(await Promise.all(statuses), [200, 404, 426]);
  });
  await check("the pages have reported no errors", () => {
    assert.deepEqual([...anna.problems, ...bert.problems, ...carla.problems], []);
  });
  await check("the server closes with 1001, and the page connects again", async () => {
    const raw = await Raw.open(url, "Raw");
    server.removeAllListeners("exit");
    const gone = new Promise((gone) => server.once("exit", gone));
    server.kill("SIGINT");
    await raw.until(() => raw.frames().some(([first, payload]) => first === 0x88 && payload.readUInt16BE() === 1001));
    raw.socket.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]));
    await anna.getByText("the server is shutting down: again in").waitFor();
    assert.equal(await gone, 0);
    await start(new URL(url).host);
    for (const [page, name] of [[anna, "Anna"], [bert, "Bert"]]) {
      await page.getByText(`connected as ${name}`).waitFor();
    }
    await say(bert, "here again");
    await waitForMessage(anna, "here again");
    assert.deepEqual(await messages(anna), ["here again"]);
  });
}

try {
  const url = await start();
  browser = await chromium.launch({
    executablePath: execFileSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).trim(),
    headless: true,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
  await all(url);
} catch (error) {
  failed += 1;
  console.log(error.stack);
}
clearTimeout(timer);
console.log(`${passed} passed, ${failed} failed`);
end(failed === 0 && passed > 0 ? 0 : 1);
