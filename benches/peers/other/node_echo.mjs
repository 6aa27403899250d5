// Echo server on Node `ws` (with the native bufferutil): node node_echo.mjs PORT
import { WebSocketServer } from 'ws';

const wss = new WebSocketServer({
  host: '127.0.0.1',
  port: +process.argv[2],
  perMessageDeflate: false,
  maxPayload: 64 << 20,
});
wss.on('connection', (ws) => {
  ws._socket.setNoDelay(true);
  ws.on('error', () => {});
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
wss.on('listening', () => console.log('ready'));
