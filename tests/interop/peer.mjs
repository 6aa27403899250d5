// A peer for hybi that uses Node's ws. interop.py starts it and describes its arguments.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, role, url, sends, awaits, deflate, seconds] = process.argv.slice(2);
const { WebSocket, WebSocketServer } = createRequire(`${modules}/`)("ws");

function fail(why) {
    console.error(why);
    process.exit(1);
}

setTimeout(() => fail("the conversation took too long"), seconds * 1000).unref();

// Returns the messages in a file.
function* records(file) {
    const data = readFileSync(file);
    for (let at = 0; at < data.length; ) {
        const [text, pieces, start] = [data[at] === 1, data[at + 1], at + 6];
        at = start + data.readUInt32LE(at + 2);
        yield { text, pieces, data: data.subarray(start, at) };
    }
}

// Returns the options of ws for `deflate`, which has the syntax of Sec-WebSocket-Extensions. With these options small
// messages are compressed too.
function settings() {
    if (deflate === "") {
        return false;
    }
    const options = { threshold: 0 };
    for (const param of deflate.split(";").slice(1)) {
        const [name, value] = param.trim().split("=");
        options[name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())] = value ? Number(value) : true;
    }
    return options;
}

function send(ws, { text, pieces, data }) {
    // The fragments may be cut anywhere, also within a code point.
    for (let left = pieces; left > 1; left -= 1) {
        const size = Math.floor(data.length / left);
        ws.send(data.subarray(0, size), { binary: !text, fin: false });
        data = data.subarray(size);
    }
    return new Promise((sent) => {
        ws.send(data, { binary: !text }, (error) => (error ? fail(error) : sent()));
    });
}

async function talk(ws) {
    const waiting = [...records(awaits)].reverse();
    const received = new Promise((done) => {
        ws.on("message", (data, binary) => {
            const awaited = waiting.pop() ?? fail("got one message too many");
            if (binary === awaited.text || !data.equals(awaited.data)) {
                fail(`a message differs, ${waiting.length} before the last: got ${data.length} bytes`);
            }
            if (waiting.length === 0) {
                done();
            }
        });
    });
    const closed = new Promise((done) => {
        ws.on("close", (code) => {
            if (code !== 1000 || waiting.length > 0) {
                fail(`the connection must end with 1000: code ${code}, ${waiting.length} messages missing`);
            }
            done();
        });
    });
    ws.on("error", fail);
    // Send all messages at once. ws queues them, and reads while it writes.
    await Promise.all([...records(sends)].map((record) => send(ws, record)).concat(received));
    if (role === "client") {
        ws.close(1000);
    }
    await closed;
    console.log("done");
}

const options = { perMessageDeflate: settings() };
if (role === "client") {
    const ws = new WebSocket(url, options);
    ws.on("upgrade", (response) => console.log("agreed", response.headers["sec-websocket-extensions"] ?? ""));
    ws.on("error", fail);
    ws.on("open", () => talk(ws));
} else {
    const server = new WebSocketServer({ ...options, host: "127.0.0.1", port: 0 });
    server.on("listening", () => console.log("port", server.address().port));
    server.on("headers", (lines) => {
        const found = lines.map((line) => line.match(/^Sec-WebSocket-Extensions: (.*)$/i)).find(Boolean);
        console.log("agreed", found?.[1] ?? "");
    });
    server.on("connection", async (ws) => {
        await talk(ws);
        server.close();
    });
}
