//! The same calls over HTTP polling, over WebSocket and across an upgrade, and floods that no transport may lose or reorder.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TRANSPORTS, upgraded } from './lib/client.mjs';
import { start } from './lib/server.mjs';
import { within } from './lib/wait.mjs';

/** Buffers all calls while disconnected, so that connecting flushes them at once; resolves to the answers in order of arrival. */
function flood(socket, count, pad) {
  const answers = [];
  const all = new Promise((done) => {
    for (let n = 0; n < count; n += 1) {
      socket.emit('number', { n, pad }, (answer) => {
        answers.push(answer);
        if (answers.length === count) done(answers);
      });
    }
  });
  socket.connect();
  return within(all, () => `${count} answers; got ${answers.length}${socket.ended ? `, then ${socket.ended.reason}` : ''}`, 60_000);
}

for (const [name, options] of Object.entries(TRANSPORTS)) {
  test(`${name}: calls, events and binary data work`, async (t) => {
    const server = await start(t, { program: 'fixture' });
    const socket = await server.connect('/proto', options);
    if (name === 'upgrade') await upgraded(socket);
    assert.equal(socket.io.engine.transport.name, name === 'polling' ? 'polling' : 'websocket');
    assert.deepEqual(await socket.call('number', { n: 7 }), [{ ok: true, data: { n: 7 } }]);
    socket.emit('message', 'text', { list: [1, null, 'é'] }, Buffer.from([0, 255]));
    assert.deepEqual(await socket.next('message-back'), ['text', { list: [1, null, 'é'] }, Buffer.from([0, 255])]);
  });

  for (const [count, pad] of [[10_000, ''], [3_000, 'x'.repeat(1024)]]) {
    test(`${name}: ${count} events of ${pad.length || 'a few'} bytes flushed at once are all answered once, in order`, async (t) => {
      const server = await start(t, { program: 'fixture' });
      const socket = server.client('/proto', { ...options, autoConnect: false });
      const answers = await flood(socket, count, pad);
      assert.deepEqual(answers, Array.from({ length: count }, (_, n) => ({ ok: true, data: { n } })));
      if (name === 'upgrade') await upgraded(socket);
      // An answer too many would come before this one.
      assert.deepEqual(await socket.call('number', { n: -1 }), [{ ok: true, data: { n: -1 } }]);
      assert.equal(answers.length, count);
      assert.equal(socket.ended, null);
    });
  }
}

test('calls that are made while the transport changes are answered once, in order', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const socket = await server.connect('/proto', TRANSPORTS.upgrade);
  const answers = [];
  const calls = [];
  // One call after the other until the upgrade is done, then a hundred more.
  const deadline = Date.now() + 10_000;
  for (let n = 0, more = 100; more > 0; n += 1) {
    calls.push(socket.call('number', { n }).then(([answer]) => answers.push(answer.data.n)));
    if (n % 10 === 0) await calls[n];
    if (socket.io.engine.transport.name === 'websocket') more -= 1;
    assert.ok(Date.now() < deadline, 'the client upgrades within 10 s');
  }
  await Promise.all(calls);
  assert.deepEqual(answers, calls.map((_, n) => n));
});

test('a published message reaches clients on every transport', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const sockets = await Promise.all(Object.values(TRANSPORTS).map((options) => server.connect('/proto', options)));
  for (let n = 0; n < 100; n += 1) sockets[0].emit('shout', { text: String(n) });
  for (const socket of sockets) {
    await socket.next('shouted', { where: ({ text }) => text === '99' });
    assert.deepEqual(socket.all('shouted'), Array.from({ length: 100 }, (_, n) => [{ text: String(n) }]));
  }
});
