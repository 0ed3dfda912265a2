//! Engine.IO protocol 4, the heartbeat: the server pings, and who does not answer in time is gone.

import assert from 'node:assert/strict';
import { LINES, upgrade } from './lib/line.mjs';
import { serves } from './lib/proto.mjs';
import { SEPARATOR } from './lib/polling.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { frame, OPCODE, text, upgradeRequest } from './lib/websocket.mjs';

const INTERVAL_MS = 300;
// So long a busy machine may need for a pong.
const TIMEOUT_MS = 1_500;
const server = sharedServer({ env: { CARILLON_SERVER__PING_INTERVAL_MS: String(INTERVAL_MS), CARILLON_SERVER__PING_TIMEOUT_MS: String(TIMEOUT_MS), CARILLON_SERVER__CONNECT_TIMEOUT_MS: '20000' } });
// What clocks of two processes may disagree.
const SLACK_MS = 20;

const PING = 'Heartbeat: at a given interval (pingInterval) the server sends a ping';
const DEAD = 'Heartbeat: without a pong within pingTimeout the server SHOULD consider the connection closed';
const pings = (peer) => peer.frames.filter(({ opcode, data }) => opcode === OPCODE.text && data.toString() === '2').length;

/** Answers so many pings, and tells when each came. */
async function answers(peer, count) {
  const times = [];
  for (let n = 1; n <= count; n += 1) {
    await peer.until(() => pings(peer) >= n, `ping ${n}`);
    times.push(performance.now());
    peer.write(text('3'));
  }
  return times;
}

table('engineio heartbeat', server, [
  ['the first ping comes one pingInterval after the open packet of a WebSocket', PING, async (one) => {
    const peer = one.peer();
    const before = performance.now();
    peer.write(upgradeRequest(one.port));
    const [first] = await answers(peer, 1);
    assert.ok(first - before >= INTERVAL_MS - SLACK_MS, `after ${first - before} ms`);
  }],
  ['the first ping comes one pingInterval after the open packet of a polling session', PING, async (one) => {
    const before = performance.now();
    const session = await one.polling({ namespace: null });
    const { status, body } = await session.get();
    const after = performance.now() - before;
    assert.deepEqual({ status, body }, { status: 200, body: '2' });
    assert.ok(after >= INTERVAL_MS - SLACK_MS, `after ${after} ms`);
  }],
  ['pings come at the interval', PING, async (one) => {
    const before = performance.now();
    const times = await answers(await one.open({ namespace: null }), 4);
    assert.ok(times.at(-1) - before >= 4 * INTERVAL_MS - SLACK_MS, `four pings within ${times.at(-1) - before} ms`);
  }],
  ['who answers stays, over a WebSocket', PING, async (one) => {
    const peer = await one.open();
    await answers(peer, 5);
    await serves(peer);
  }],
  ['who answers stays, over polling', PING, async (one) => {
    const session = await one.polling();
    for (let n = 0; n < 4; n += 1) {
      const { status, body } = await session.get();
      assert.equal(status, 200);
      if (body.split(SEPARATOR).includes('2')) await session.send('3');
    }
    await session.send('42/proto,1["message-with-ack"]');
    await session.packet('43/proto,1[]');
  }],
  ['who answers stays, after the upgrade', PING, async (one) => {
    const peer = await upgrade(one, await one.polling());
    await answers(peer, 4);
    await serves(peer);
  }],
  ['pings are not answered by who sends other things', DEAD, async (one) => {
    const peer = await one.open();
    const timer = setInterval(() => peer.write(text('42/proto,["message"]')), 50);
    await peer.until(() => peer.ended, 'the server ends the connection').finally(() => clearInterval(timer));
    assert.ok(pings(peer) >= 1);
  }],
  ['a pong of RFC 6455 is no pong of Engine.IO', DEAD, async (one) => {
    const peer = await one.open();
    const timer = setInterval(() => peer.write(frame(OPCODE.pong)), 50);
    await peer.until(() => peer.ended, 'the server ends the connection').finally(() => clearInterval(timer));
    assert.ok(pings(peer) >= 1);
  }],
  ...Object.entries(LINES).map(([transport, open]) => [`who answers no ping is gone, no earlier than it may be: ${transport}`, DEAD, async (one) => {
    const before = performance.now();
    const line = await open(one);
    if (transport === 'polling') {
      for (;;) if ((await line.session.get()).status !== 200) break;
    }
    await line.ends();
    assert.ok(performance.now() - before >= INTERVAL_MS + TIMEOUT_MS - 2 * SLACK_MS, `after ${performance.now() - before} ms`);
  }]),
  ['who stops answering is gone', DEAD, async (one) => {
    const peer = await one.open();
    await answers(peer, 2);
    await peer.until(() => peer.ended, 'the server ends the connection');
    assert.equal(pings(peer), 3);
  }],
  ['a polling session whose client does not even poll is gone', DEAD, async (one) => {
    await one.polling();
    const counted = () => one.server.metrics().then((metrics) => metrics.sum('carillon_disconnections_total', { namespace: '/proto', reason: 'ping_timeout' }));
    const before = await counted();
    await one.server.metricsSettle((metrics) => assert.ok(metrics.sum('carillon_disconnections_total', { namespace: '/proto', reason: 'ping_timeout' }) > before));
  }],
]);
