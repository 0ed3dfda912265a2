//! What other programs publish on Redis reaches clients: to the byte, all of it, in order.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { frames, openReader } from './lib/readers.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { within } from './lib/wait.mjs';

const FLOOD = fileURLToPath(new URL('./lib/flood.mjs', import.meta.url));

async function relaying(t, options) {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url], ...options });
  await redis.subscribers(1);
  return { redis, server };
}

test('the bytes published are the bytes in the WebSocket frame', async (t) => {
  const { redis, server } = await relaying(t);
  const root = await server.raw({ namespace: '/' });
  const monitoring = await server.raw({ namespace: '/monitoring' });
  // Numbers, spaces, escapes, the order of fields: nothing is written anew.
  for (const text of ['{"a":1.50}', '{ "b" : [1e3, -0.0], "b" : 12345678901234567890 }', '{"\\u00e9":"é"}']) {
    assert.equal(await redis.cli('PUBLISH', 'cluster:metrics', text), '1');
    assert.equal(await root.frame(`42["redis_cluster_metrics",${text.slice(0, 4)}`), `42["redis_cluster_metrics",${text}]`);
    assert.equal(await monitoring.frame(`42/monitoring,["cluster_metrics",${text.slice(0, 4)}`), `42/monitoring,["cluster_metrics",${text}]`);
  }
});

test('a steady stream reaches fifty clients, every message once and in order', async (t) => {
  const [count, perSecond, clients] = [short(10_000, 600_000), 2_000, 50];
  // In release mode.
  const { redis, server } = await relaying(t, { program: 'fixture' });
  const due = frames(Array.from({ length: count }, (_, n) => `42["redis_cluster_metrics",{"n":${n}}]`));
  const readers = await Promise.all(Array.from({ length: clients }, () => openReader(t, server.port, due)));
  const flood = new Promise((done, fail) => {
    const child = execFile(process.execPath, [FLOOD, redis.port, 'cluster:metrics', count, perSecond].map(String), (error, out) => (error ? fail(error) : done(JSON.parse(out))));
    t.after(() => child.kill('SIGKILL'));
  });
  const nominal = count / perSecond;
  const deadline = (nominal * 2 + 30) * 1000;
  const [{ seconds, receivers }] = await within(
    Promise.all([flood, ...readers.map(({ done }) => done)]),
    () => `everything arrives: ${due.length} bytes to each; now they have ${readers.map(({ at }) => at)}`,
    deadline,
  );
  assert.equal(receivers, 1, 'Carillon was subscribed all the time');
  assert.ok(seconds < nominal * 1.5, `${count} publishes took ${seconds} s: this machine cannot publish ${perSecond} a second`);
  t.diagnostic(`${count} publishes in ${seconds.toFixed(1)} s reached ${clients} clients, all of them, in order`);
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_relay_messages_total', { channel: 'cluster:metrics', result: 'relayed' }), count);
  assert.equal(metrics.sum('carillon_bus_dropped_total'), 0);
  assert.equal(metrics.sum('carillon_disconnections_total'), 0);
});
