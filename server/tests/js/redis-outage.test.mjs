//! Redis goes away in every way there is: clients are served on, the operator is told, and nobody restarts anything.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { calmLog, listen, OwnClients, told, Traffic } from './lib/outage.mjs';
import { prepareRedis, startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';

const AWAY = { up: false, status: 'degraded' };
const THERE = { up: true, status: 'ready' };

/** A server with Redis at `url`, its own clients at work, and a client that listens to other programs. */
async function serving(t, url, options) {
  const server = await start(t, { program: 'fixture', args: ['--bus', url], ...options });
  return { server, clients: await OwnClients.atWork(t, server), root: await listen(server) };
}

/** What holds after every outage. */
async function unharmed(t, { server, clients, root }, secret) {
  const heard = await root.inOrder();
  const { calls, shouts, slowest } = await clients.served();
  const lines = calmLog(server, secret);
  t.diagnostic(`${calls} calls answered, the slowest in ${Math.round(slowest)} ms; ${shouts} publishes and ${heard} of other programs in order; ${lines} lines of log`);
}

test('killed three times under traffic', async (t) => {
  const redis = await startRedis(t);
  const all = await serving(t, redis.url);
  const { server, root } = all;
  const traffic = Traffic.start(t, redis.port);
  await told(server, THERE);
  for (let round = 1; round <= 3; round += 1) {
    await root.hears(traffic);
    await redis.kill();
    const away = await told(server, AWAY);
    await pause(short(3_000, 30_000));
    const back = await root.hearsAgain(await redis.start());
    await told(server, THERE);
    t.diagnostic(`round ${round}: told after ${away} ms, back after ${back} ms`);
  }
  await unharmed(t, all);
});

test('stopped in its tracks, and let go on', async (t) => {
  const redis = await startRedis(t);
  const all = await serving(t, redis.url);
  const { server, root } = all;
  const traffic = Traffic.start(t, redis.port);
  await told(server, THERE);
  await root.hears(traffic);
  redis.child.kill('SIGSTOP');
  const away = await told(server, AWAY);
  await pause(short(0, 20_000 - away));
  const usable = Date.now();
  redis.child.kill('SIGCONT');
  const back = await root.hearsAgain(usable);
  await told(server, THERE);
  t.diagnostic(`told after ${away} ms, back after ${back} ms`);
  await unharmed(t, all);
});

test('stopped while nobody publishes: the server finds out by itself', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url] });
  const echo = await server.connect('/echo');
  await told(server, THERE);
  redis.child.kill('SIGSTOP');
  const away = await told(server, AWAY);
  assert.equal((await echo.call('say', { text: 'x' }))[0].ok, true);
  redis.child.kill('SIGCONT');
  const back = await told(server, THERE);
  calmLog(server);
  t.diagnostic(`told after ${away} ms, back after ${back} ms`);
});

test('started only after Carillon', async (t) => {
  const redis = await prepareRedis(t);
  const all = await serving(t, redis.url);
  const { server, root } = all;
  await told(server, AWAY);
  const traffic = Traffic.start(t, redis.port);
  await pause(short(1_000, 30_000));
  const back = await root.hearsAgain(await redis.start());
  await told(server, THERE);
  await root.hears(traffic);
  t.diagnostic(`back after ${back} ms`);
  await unharmed(t, all);
});

test('with another password than Carillon was told, until it is set right', async (t) => {
  const redis = await startRedis(t, { args: ['--requirepass', 'first'] });
  const all = await serving(t, `redis://:s3cret@127.0.0.1:${redis.port}/2`);
  const { server, root } = all;
  const away = await told(server, AWAY);
  await pause(short(1_000, 30_000));
  const usable = Date.now();
  await redis.cli('-a', 'first', 'CONFIG', 'SET', 'requirepass', 's3cret');
  const traffic = Traffic.start(t, redis.port, 's3cret');
  const back = await root.hearsAgain(usable);
  await told(server, THERE);
  await root.hears(traffic);
  t.diagnostic(`told after ${away} ms, back after ${back} ms`);
  await unharmed(t, all, 's3cret');
});

test('replaced by an empty one on the same port', async (t) => {
  const redis = await startRedis(t);
  const last = '{"timestamp":"t","nodes":{},"cluster_stats":{"total_nodes":8,"online_nodes":7}}';
  await redis.cli('SET', 'cluster:metrics', last);
  const all = await serving(t, redis.url);
  const { server, root } = all;
  const traffic = Traffic.start(t, redis.port);
  await told(server, THERE);
  await root.hears(traffic);
  const before = await server.connect('/health');
  assert.equal((await before.next('health_update'))[0].nodes_total, 8);
  await redis.kill();
  const back = await root.hearsAgain(await redis.start());
  await told(server, THERE);
  assert.equal(await redis.cli('DBSIZE'), '0');
  // What the other one knew is not made up.
  const after = await server.connect('/health');
  await after.next('health_connected');
  assert.equal((await after.call('request_health'))[0].ok, true);
  assert.deepEqual(after.all('health_update').filter(([{ nodes_total: total }]) => total === 8), []);
  t.diagnostic(`back after ${back} ms`);
  await unharmed(t, all);
});

test('with bus.required = true a load balancer is told to go elsewhere', async (t) => {
  const redis = await prepareRedis(t);
  const all = await serving(t, redis.url, { env: { CARILLON_BUS__REQUIRED: 'true' } });
  const { server, root } = all;
  const traffic = Traffic.start(t, redis.port);
  const refusing = { up: false, status: 'unready', code: 503 };
  await told(server, refusing);
  await root.hearsAgain(await redis.start());
  await told(server, THERE);
  await root.hears(traffic);
  await redis.kill();
  await told(server, refusing);
  await redis.start();
  await told(server, THERE);
  await unharmed(t, all);
});
