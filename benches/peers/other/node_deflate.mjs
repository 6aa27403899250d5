// permessage-deflate on Node `ws`: its PerMessageDeflate object, context takeover, level 6, on messages like
// those of the deflate cells.
import { createRequire } from 'module';

const PerMessageDeflate = createRequire(import.meta.url)('./node_modules/ws/lib/permessage-deflate.js');
const U64 = 0xffffffffffffffffn;
let state = 88172645463325252n;
const random = () => {
  state = (state ^ (state << 13n)) & U64;
  state ^= state >> 7n;
  state = (state ^ (state << 17n)) & U64;
  return Number(state & 0x1fffffffffffffn);
};
const events = ['trade', 'quote', 'order', 'cancel', 'heartbeat'];
const json = (size) => {
  let text = '[';
  while (text.length < size) {
    const id = random();
    const cents = String(id % 100).padStart(2, '0');
    const at = `17${String(id % 100000000).padStart(8, '0')}${String(id % 1000).padStart(3, '0')}`;
    text += `{"id":${id % 1000000},"user":"user${Math.floor(id / 1e6) % 4096}","event":"${events[id % 5]}",`;
    text += `"price":${Math.floor(id / 256) % 1024}.${cents},"qty":${1 + (Math.floor(id / 1e9) % 500)},`;
    text += `"ts":${at},"active":${(id & 1) === 0}},`;
  }
  return Buffer.from(text.slice(0, size - 1) + ']');
};
const promise = (start) => new Promise((done, fail) => start((e, r) => (e ? fail(e) : done(r))));
const now = () => Number(process.hrtime.bigint());

for (const size of [1024, 65536]) {
  const n = Math.min(4096, Math.floor((4 << 20) / size));
  const messages = Array.from({ length: n }, () => json(size));
  let [compress, decompress, sent] = [Infinity, Infinity, 0];
  for (let run = 0; run < 5; run++) {
    const sender = new PerMessageDeflate({
      isServer: true, threshold: 0, zlibDeflateOptions: { level: 6 },
    });
    const receiver = new PerMessageDeflate({ isServer: false });
    sender.accept([{}]);
    receiver.accept([{}]);
    let start = now();
    const out = [];
    for (const m of messages) out.push(await promise((then) => sender.compress(m, true, then)));
    compress = Math.min(compress, (now() - start) / n);
    start = now();
    const back = [];
    for (const m of out) back.push(await promise((then) => receiver.decompress(m, true, then)));
    decompress = Math.min(decompress, (now() - start) / n);
    if (back.some((b, i) => !b.equals(messages[i]))) throw new Error('differs');
    sent = out.reduce((sum, b) => sum + b.length, 0) / (n * size);
    sender.cleanup();
    receiver.cleanup();
  }
  const times = `compress ${compress.toFixed(0)} ns, decompress ${decompress.toFixed(0)} ns for a message`;
  console.log(`node-ws ${size} B: ${times}, size ${sent.toFixed(3)}`);
}
