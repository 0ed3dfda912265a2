//! The same calls over HTTP polling, over WebSocket and across an upgrade, and floods that no transport may lose or reorder.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TRANSPORTS, upgraded } from './lib/client.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { held } from './lib/table.mjs';
import { within } from './lib/wait.mjs';

const TURNS = fileURLToPath(new URL('./lib/turns.mjs', import.meta.url));

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

  test(`${name}: a client that has sent more than its queue holds can still answer a question`, async (t) => {
    const server = await start(t, { program: 'fixture' });
    const socket = await server.connect('/proto', options);
    socket.on('question', (what, answer) => answer(what));
    const asked = socket.call('ask', { what: 'now?', timeout_ms: 8_000 });
    const calls = Array.from({ length: 500 }, (_, n) => socket.call('number', { n }));
    assert.deepEqual(await asked, ['now?']);
    for (const [n, call] of calls.entries()) assert.deepEqual(await call, [{ ok: true, data: { n } }]);
  });

  for (const [count, pad] of [[10_000, ''], [3_000, 'x'.repeat(1024)]]) {
    held(`${name}: ${count} events of ${pad.length || 'a few'} bytes flushed at once are all answered once, in order`, async (t) => {
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

/** Has clients take their turns in two processes, and resolves to `{ seconds, received }`. */
async function takeTurns(t, url, { clients, turns, perSecond }) {
  const processes = [0, 1].map((first) => fork(TURNS, [url, clients, first, 2, turns, perSecond].map(String)));
  for (const child of processes) t.after(() => child.kill('SIGKILL'));
  // The first fault ends it: the others may wait for ever then.
  const all = (key) => Promise.all(processes.map((child) => new Promise((done, fail) => {
    child.once('message', (message) => (message.faults.length === 0 && message[key] ? done(message) : fail(new Error(`${key} is due; ${JSON.stringify(message, null, 1)}`))));
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`a process of clients ended with ${code}; ${key} was due`)));
  })));
  const go = () => { for (const child of processes) child.send('go'); };
  await all('ready');
  const working = all('done');
  go();
  const done = await working;
  const ending = all('ended');
  go();
  await ending;
  return { seconds: Math.max(...done.map(({ seconds }) => seconds)), received: done.reduce((sum, { received }) => sum + received, 0) };
}

test('sixty clients on mixed transports, upgrades in mid-stream: each gets emits, acks and broadcasts in the order of the program', async (t) => {
  const server = await start(t, { program: 'fixture' });
  // A client's turn brings it ten numbers, every fourth one brings everybody one: 25 to each for each turn of all, 500 a second.
  const [clients, perSecond, turns, runs] = [60, 20, short(40, 800), short(1, 10)];
  for (let run = 1; run <= runs; run += 1) {
    const { seconds, received } = await takeTurns(t, server.url, { clients, turns, perSecond });
    assert.equal(received, clients * turns * 25);
    t.diagnostic(`run ${run}: ${received} messages to ${clients} clients in ${seconds.toFixed(1)} s, ${Math.round(received / clients / seconds)} a second to each`);
    await server.metricsSettle((metrics) => {
      const cast = run * clients * clients * (turns / 4);
      assert.equal(metrics.sum('carillon_deliveries_expected_total'), cast);
      assert.equal(metrics.sum('carillon_deliveries_total', { outcome: 'delivered' }), cast);
      const left = metrics.match('carillon_disconnections_total').filter(({ value }) => value > 0);
      assert.deepEqual(left.map(({ labels, value }) => [labels.namespace, labels.reason, value]), [['/order', 'client_disconnect', run * clients]]);
    });
  }
});
