//! A plugin that panics, hangs, blocks or is slow hurts its own calls only, wherever in its life it does so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused } from './lib/client.mjs';
import { runToEnd, start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { until } from './lib/wait.mjs';

// Long enough for what is quick on a busy machine.
const TIMEOUT_MS = 1_000;
const rough = (t, env = {}) => start(t, {
  program: 'fixture',
  env: { CARILLON_ROUTER__HANDLER_TIMEOUT_MS: String(TIMEOUT_MS), CARILLON_ROUTER__STEP_TIMEOUT_MS: '1000', ...env },
});

/** Makes a hundred calls to a healthy plugin, one after the other, and resolves to the longest time one took. */
async function healthyCalls(socket) {
  let longest = 0;
  for (let n = 0; n < 100; n += 1) {
    const from = performance.now();
    assert.deepEqual(await socket.call('hello', { name: 'you' }), [{ ok: true, data: 'hello, you' }]);
    longest = Math.max(longest, performance.now() - from);
  }
  return longest;
}

test('a panic is answered "internal", counted, logged under the same id, and the client stays', async (t) => {
  const server = await rough(t);
  const socket = await server.connect('/rough');
  for (let n = 0; n < 3; n += 1) {
    const [answer] = await socket.call('panic', { text: `on purpose ${n}` });
    assert.equal(answer.ok, false);
    assert.equal(answer.error.code, 'internal');
    assert.doesNotMatch(answer.error.message, /on purpose/);
    // Lines about panics and failed calls come at most once a second; the first ones are never left out.
    if (n === 0) {
      await server.logged(/panic: on purpose 0/);
      await server.logged(new RegExp(`handler failed: .*on purpose 0.*${answer.error.id}`));
    }
  }
  assert.equal((await socket.call('quick'))[0].ok, true);
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_handler_outcomes_total', { namespace: '/rough', event: 'panic', outcome: 'panic' }), 3);
  assert.equal(metrics.sum('carillon_handlers_in_flight', { namespace: '/rough' }), 0);
});

test('a call that hangs is answered "timeout"; other clients of the same plugin notice nothing', async (t) => {
  const server = await rough(t);
  const [stuck, other] = await Promise.all([server.connect('/rough'), server.connect('/rough')]);
  const hanging = stuck.call('hang');
  for (let n = 0; n < 50; n += 1) assert.equal((await other.call('quick'))[0].ok, true);
  const [answer] = await hanging;
  assert.equal(answer.error.code, 'timeout');
  assert.equal((await stuck.call('quick'))[0].ok, true, 'the queue of the client goes on');
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_handler_outcomes_total', { namespace: '/rough', event: 'hang', outcome: 'timeout' }), 1);
});

test('a call that blocks its thread delays no other plugin, no new client, no scrape', async (t) => {
  const server = await rough(t, { CARILLON_ROUTER__HANDLER_TIMEOUT_MS: '10000' });
  const healthy = await server.connect('/tiny', { transports: ['websocket'] });
  await healthyCalls(healthy);
  // More blocking calls than the machine and the plugin have threads.
  const blockers = await Promise.all(Array.from({ length: 8 }, () => server.connect('/rough')));
  let done = 0;
  const blocked = blockers.map((socket) => socket.call('block', { ms: 1_500 }).then(([answer]) => { done += 1; return answer; }));
  await until(async () => (await server.metrics()).sum('carillon_handlers_in_flight', { namespace: '/rough' }) > 0, 'a call blocks');
  const longest = await healthyCalls(healthy);
  const fresh = await server.connect('/tiny');
  await healthyCalls(fresh);
  assert.ok(done < blockers.length, 'the plugin was blocked all the while');
  assert.ok(longest < 1_000, `a call to a healthy plugin took ${longest} ms`);
  for (const answer of await Promise.all(blocked)) assert.equal(answer.ok, true, 'late, but answered');
});

test('panics do not flood the log', async (t) => {
  // Five hundred of them take a while on a busy machine, and none of them is to be answered `timeout`.
  const server = await rough(t, { CARILLON_ROUTER__HANDLER_TIMEOUT_MS: '30000' });
  const socket = await server.connect('/rough');
  const from = performance.now();
  const calls = Array.from({ length: 500 }, (_, n) => socket.call('panic', { text: `flood ${n}` }));
  for (const [answer] of await Promise.all(calls)) assert.match(answer.error.id, /^[0-9a-f]{8}$/);
  // One line a second of each kind, and the first.
  const allowed = 2 * (Math.ceil((performance.now() - from) / 1_000) + 1);
  const lines = server.log.filter((line) => line.includes('flood')).length;
  assert.ok(lines >= 1 && lines <= allowed, `${lines} lines`);
});

test('every error.id is found at /api/failures, also where the log left it out', async (t) => {
  const server = await rough(t, { CARILLON_ROUTER__HANDLER_TIMEOUT_MS: '30000' });
  assert.deepEqual(await (await server.fetch('/api/failures')).json(), []);
  const socket = await server.connect('/rough');
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => socket.call('panic', { text: `number ${n}.` })));
  const ids = answers.map(([answer]) => answer.error.id);
  const logged = ids.filter((id) => server.log.some((line) => line.includes('handler failed') && line.includes(id)));
  assert.ok(logged.length < ids.length, 'the log was throttled');
  const response = await server.fetch('/api/failures');
  assert.equal(response.headers.get('cache-control'), 'no-store');
  const all = await response.json();
  assert.deepEqual(all.map(({ id }) => id), [...ids].reverse(), 'the newest first');
  for (const [n, id] of ids.entries()) {
    const [{ time, cause, ...rest }, ...others] = all.filter((failure) => failure.id === id);
    assert.deepEqual(others, []);
    assert.deepEqual(rest, { id, plugin: 'rough', namespace: '/rough', event: 'panic' });
    assert.match(cause, new RegExp(`^panic at .*rough\\.rs:\\d+:\\d+: number ${n}\\.$`));
    assert.ok(Math.abs(Date.now() - Date.parse(time)) < 60_000, time);
  }
  const left_out = ids.find((id) => !logged.includes(id));
  assert.deepEqual(await (await server.fetch(`/api/failures?id=${left_out}`)).json(), all.filter(({ id }) => id === left_out));
  assert.deepEqual(await (await server.fetch('/api/failures?id=none')).json(), []);
  assert.equal((await server.fetch('/api/failures?ID=1')).status, 400);
});

test('a plugin with both threads blocked is answered for in time, and works again afterwards', async (t) => {
  const server = await rough(t);
  const [one, two, beside, healthy] = await Promise.all([
    server.connect('/rough'), server.connect('/rough'), server.connect('/rough'), server.connect('/tiny'),
  ]);
  let freed = false;
  const limit = TIMEOUT_MS + 1_000;
  /** What `ask` resolves to, which has to be before its time and while the threads are still blocked. */
  const inTime = async (what, ask) => {
    const from = performance.now();
    const answer = await ask();
    assert.ok(performance.now() - from < limit, `${what} was answered after ${performance.now() - from} ms`);
    assert.ok(!freed, `${what} was answered while the threads were blocked`);
    return answer;
  };
  const acks = [];
  const call = (socket, name, ...args) => inTime(name, async () => {
    const [answer] = await socket.call(name, ...args);
    acks.push(answer.error?.code ?? 'ok');
    return answer;
  });
  // The clients' own greeting came first, so both block at once.
  const ms = short(4_000, 60_000);
  const blocked = [one, two].map((socket) => call(socket, 'block', { ms }));
  const free = new Promise((resolve) => setTimeout(resolve, ms)).then(() => { freed = true; });
  await until(async () => (await server.metrics()).sum('carillon_handlers_in_flight', { namespace: '/rough' }) === 2, 'both block');
  const [refusal, response] = await Promise.all([
    inTime('CONNECT', () => refused(server.client('/rough'))),
    inTime('HTTP', () => server.fetch('/rough/hello')),
    ...blocked,
    ...Array.from({ length: 5 }, () => call(one, 'quick')),
    ...Array.from({ length: 5 }, () => call(beside, 'quick')),
    inTime('another plugin', () => healthyCalls(healthy)),
  ]);
  assert.match(refusal.message, /no answer within/);
  assert.equal(response.status, 503);
  assert.equal((await response.json()).code, 'timeout');
  assert.deepEqual(acks, Array(12).fill('timeout'));
  await server.logged(/blocked.*block|block.*blocked/);
  while (!freed) assert.ok(await healthyCalls(healthy) < limit, 'another plugin waits meanwhile');
  await free;
  for (const socket of [one, two, beside]) assert.equal((await socket.call('quick'))[0].ok, true);
  const next = await server.connect('/rough');
  assert.equal((await next.call('quick'))[0].ok, true);
  assert.equal((await server.fetch('/rough/hello')).status, 200);
  await server.metricsSettle((metrics) => {
    const ended = (event, outcome) => metrics.sum('carillon_handler_outcomes_total', { namespace: '/rough', event, outcome });
    assert.equal(ended('block', 'timeout'), 2);
    assert.equal(ended('block', 'ok'), 0);
    assert.equal(ended('quick', 'timeout'), 10);
    assert.equal(metrics.sum('carillon_handlers_in_flight', { namespace: '/rough' }), 0);
  });
});

test('slow calls of different clients run side by side; the calls of one client stay in order', async (t) => {
  const server = await rough(t, { CARILLON_ROUTER__HANDLER_TIMEOUT_MS: '10000' });
  const sockets = await Promise.all(Array.from({ length: 20 }, () => server.connect('/rough')));
  const from = performance.now();
  const order = [];
  await Promise.all(sockets.flatMap((socket, at) => [
    socket.call('slow', { ms: 500 }).then(() => order.push(`slow ${at}`)),
    socket.call('quick').then(() => order.push(`quick ${at}`)),
  ]));
  const took = performance.now() - from;
  assert.ok(took < 20 * 500 / 2, `20 calls of 500 ms took ${took} ms`);
  for (let at = 0; at < sockets.length; at += 1) {
    assert.ok(order.indexOf(`slow ${at}`) < order.indexOf(`quick ${at}`), `client ${at} was answered out of order`);
  }
});

for (const how of ['panic', 'hang']) {
  test(`an admission that ends in ${how} refuses that client only`, async (t) => {
    const server = await rough(t);
    const error = await refused(server.client('/rough', { auth: { admit: how } }));
    assert.notEqual(error.message, '');
    const socket = await server.connect('/rough');
    assert.equal((await socket.call('quick'))[0].ok, true);
  });

  test(`a greeting that ends in ${how} leaves the client with its calls`, async (t) => {
    const server = await rough(t);
    const socket = await server.connect('/rough', { auth: { connected: how } });
    assert.equal((await socket.call('quick'))[0].ok, true);
  });

  test(`a farewell that ends in ${how} leaves nothing behind`, async (t) => {
    const server = await rough(t);
    const socket = await server.connect('/rough', { auth: { disconnected: how } });
    assert.equal((await socket.call('quick'))[0].ok, true);
    socket.close();
    await server.metricsSettle((metrics) => {
      assert.equal(metrics.sum('carillon_connected_clients'), 0);
      assert.equal(metrics.sum('carillon_disconnections_total', { namespace: '/rough' }), 1);
      assert.equal(metrics.sum('carillon_handlers_in_flight'), 0);
    });
    const next = await server.connect('/rough');
    assert.equal((await next.call('quick'))[0].ok, true);
  });
}

for (const how of ['panic', 'error']) {
  test(`background work that ends in ${how} is named by /readyz and started again`, async (t) => {
    const server = await rough(t, { CARILLON_PLUGINS__ROUGH__RUN: how });
    await until(async () => {
      const ready = await server.fetch('/readyz');
      return JSON.stringify(await ready.json()).includes('rough');
    }, '/readyz names the plugin');
    await server.metricsSettle((metrics) => assert.ok(metrics.sum('carillon_plugin_restarts_total', { plugin: 'rough' }) >= 1));
    assert.equal((await server.metrics()).sum('carillon_plugin_up', { plugin: 'tiny' }), 1);
    const [healthy, other] = await Promise.all([server.connect('/tiny'), server.connect('/rough')]);
    await healthyCalls(healthy);
    assert.equal((await other.call('quick'))[0].ok, true);
  });
}

test('a plugin that cannot start stops the boot, by name', async () => {
  const { code, out, err } = await runToEnd('fixture', ['serve', '--listen', '127.0.0.1:0'], { env: { CARILLON_PLUGINS__ROUGH__INIT: 'error' } });
  assert.equal(code, 1);
  assert.match(out + err, /rough.*no luck today/);
});

test('a plugin that will not stop does not keep the server from stopping', async (t) => {
  const server = await rough(t, { CARILLON_PLUGINS__ROUGH__STOP: 'hang' });
  const socket = await server.connect('/tiny');
  await healthyCalls(socket);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
