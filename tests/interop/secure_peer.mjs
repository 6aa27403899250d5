// A peer for hybi over TLS that uses Node's ws. secure.py starts it and describes its arguments.

import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";

const [modules, role, first, second, countText, seconds] = process.argv.slice(2);
const { WebSocket, WebSocketServer } = createRequire(`${modules}/`)("ws");
const count = Number(countText);

function fail(why) {
    console.error(why);
    process.exit(1);
}

setTimeout(() => fail("the conversation took too long"), seconds * 1000).unref();

async function talk(ws, client) {
    let received = 0;
    const all = new Promise((done) => {
        ws.on("message", (data) => {
            if (data.toString() !== `message ${received}`) {
                fail(`got ${data} instead of message ${received}`);
            }
            received += 1;
            if (received === count) {
                done();
            }
        });
    });
    const closed = new Promise((done) => ws.on("close", done));
    ws.on("error", fail);
    for (let n = 0; n < count; n += 1) {
        // Wait from time to time, so that this program also reads.
        const sent = new Promise((done) => ws.send(`message ${n}`, (error) => (error ? fail(error) : done())));
        if (n % 100 === 99) {
            await sent;
        }
    }
    await all;
    if (client) {
        ws.close(1000);
    }
    const code = await closed;
    if (code !== 1000) {
        fail(`the connection must end with 1000, but ended with ${code}`);
    }
    console.log("done");
    process.exit(0);
}

if (role === "client") {
    const ws = new WebSocket(first, { ca: readFileSync(second), perMessageDeflate: false });
    ws.on("open", () => talk(ws, true));
    ws.on("error", fail);
} else {
    const server = createServer({ cert: readFileSync(first), key: readFileSync(second) });
    new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (ws) => talk(ws, false));
    server.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
}
