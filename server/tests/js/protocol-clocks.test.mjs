//! Both protocols, what takes ten seconds: what a client begins and does not end is given up. All of it side by side.

import assert from 'node:assert/strict';
import { join, LINES } from './lib/line.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { upgradeRequest } from './lib/websocket.mjs';

const LIMIT_MS = 15_000;
const server = sharedServer();

table('clocks', server, [
  ['a WebSocket that never sends a probe is closed in time, and the session goes on', 'Engine.IO, Upgrade: as the reference server has it, within 10 s', async (one) => {
    const session = await one.polling();
    const peer = one.peer();
    peer.write(upgradeRequest(one.port, { path: `/socket.io/?EIO=4&transport=websocket&sid=${session.sid}` }));
    await peer.until(() => peer.ended, 'the server ends the WebSocket', LIMIT_MS);
    await session.send('42/proto,1["message-with-ack",1]');
    await session.packet('43/proto,1[1]');
  }],
  ...Object.keys(LINES).flatMap((transport) => [
    [`A6: half an event is not kept, however often its client pongs: ${transport}`, 'Socket.IO, binary packets: the attachments follow', async (one) => {
      const line = await LINES[transport](one);
      await join(line);
      await line.send('452-/proto,1["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', Buffer.alloc(100_000));
      const pongs = setInterval(() => { line.send('3').catch(() => undefined); }, 1_000);
      await line.ends(LIMIT_MS).finally(() => clearInterval(pongs));
    }],
    [`a session that joins nothing is ended: ${transport}`, 'Socket.IO, CONNECT: the client MUST send it at the beginning of the session', async (one) => {
      const line = await LINES[transport](one);
      await line.ends(LIMIT_MS);
      assert.ok(!line.said().some((packet) => packet.startsWith('40')));
    }],
  ]),
]);
