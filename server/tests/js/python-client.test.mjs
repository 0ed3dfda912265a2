//! A client in Python (python-socketio, asynchronous): connecting, calling, waiting in vain, coming back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { python, startPython } from './lib/python.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';

for (const [how, transports, last] of [['by polling, then the upgrade', [], 'websocket'], ['by WebSocket', ['websocket'], 'websocket'], ['by polling alone', ['polling'], 'polling']]) {
  test(`${how}: three namespaces, each greeted and answered`, async (t) => {
    const server = await start(t);
    const steps = await python(t, 'client.py', 'three_namespaces', server.url, ...transports);
    assert.deepEqual(steps.trim().split('\n'), [`transport ${last}`, 'served', 'gone']);
    // Nobody is left behind.
    await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_connected_clients'), 0));
  });
}

test('values of every kind come back, the server may ask, and a call that is too slow times out alone', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const steps = await python(t, 'client.py', 'acks', server.url);
  assert.deepEqual(steps.trim().split('\n'), ['acks', 'asked', 'timeout', 'after']);
});

test('a namespace that is not there refuses it', async (t) => {
  const server = await start(t);
  for (const transports of ['websocket', 'polling']) await python(t, 'client.py', 'refused', server.url, transports);
});

for (const transports of ['websocket', 'polling,websocket']) {
  test(`it comes back when the server was killed and started again (${transports})`, async (t) => {
    const rounds = short(1, 20);
    let server = await start(t);
    const client = startPython(t, 'client.py', 'reconnect', server.url, transports, rounds);
    await client.prints('served 0');
    for (let round = 1; round <= rounds; round += 1) {
      await server.stop('SIGKILL');
      await client.prints(`lost ${round}`);
      server = await start(t, { listen: `127.0.0.1:${server.port}` });
      await client.prints(`served ${round}`);
    }
    await client.ends();
    await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_connected_clients'), 0));
  });
}
