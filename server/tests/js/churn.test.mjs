//! Clients come and go, their tokens end, Redis is killed again and again: memory stays, and the books balance to the one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { balanced, footprint, leftClean } from './lib/books.mjs';
import { Churn, slope } from './lib/churn.mjs';
import { AWAY, listen, OwnClients, THERE, told, Traffic } from './lib/outage.mjs';
import { residentBytes } from './lib/proc.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { short, SOAK } from './lib/soak.mjs';
import { ahead, KEYS, token } from './lib/tokens.mjs';

const CLIENTS_PER_S = short(20, 50);
const ROUNDS = short(1, 6);
const ROUND_MS = short(6_000, 300_000);
/** How long Redis is away in each round. */
const AWAY_MS = short(1_000, 20_000);
/** Half of the time after which a client that does not answer is gone: longer than this process may be busy. */
const PING_MS = short(5_000, 25_000);
/** How long one of those who stay may wait for an answer, with all that goes on in this process. */
const ANSWER_MS = short(2_000, 10_000);
/** Memory is looked at so often. */
const LOOK_MS = short(250, 10_000);
/** Not before this time it stands where it will stay. */
const WARM_MS = 600_000;
/** How much more it may be after ten minutes. */
const MOST_BYTES = 1e6;
const TEN_MINUTES_MS = 600_000;

const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(2)} MiB`;

test('clients come and go, tokens end, Redis is killed in every round', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, {
    program: 'fixture',
    args: ['--bus', redis.url],
    config: `[server]\nping_interval_ms = ${PING_MS}\nping_timeout_ms = ${PING_MS}\n`,
    env: { CARILLON_AUTH__MODE: 'jwt', CARILLON_AUTH__KEY: KEYS.HS256.secret, CARILLON_AUTH__EXPIRY_GRACE_MS: '500' },
  });
  server.trust = { auth: { token: token({ sub: 'stays', exp: ahead(7_200) }) } };
  await told(server, THERE);
  const before = await footprint(server);
  const clients = await OwnClients.atWork(t, server);
  const root = await listen(server);
  const traffic = Traffic.start(t, redis.port);
  await root.hears(traffic);
  const churn = new Churn(server.url);

  const began = performance.now();
  const memory = [];
  const look = () => memory.push({ at: performance.now() - began, value: residentBytes(server.child.pid) });
  const looking = setInterval(look, LOOK_MS);
  t.after(() => clearInterval(looking));
  for (let round = 1; round <= ROUNDS; round += 1) {
    const going = churn.run(CLIENTS_PER_S, ROUND_MS);
    await Promise.all([going, (async () => {
      await pause(ROUND_MS / 3);
      await redis.kill();
      await told(server, AWAY);
      await pause(AWAY_MS);
      await redis.start();
      await root.hears(traffic);
      await told(server, THERE);
    })()]);
    // Those who stay are all there is.
    await server.metricsSettle((metrics) => {
      const there = (namespace) => metrics.sum('carillon_connected_clients', { namespace });
      assert.deepEqual(['/', '/echo', '/proto'].map(there), [1, 1, 2]);
      assert.equal(metrics.sum('carillon_connected_clients'), 4);
      assert.equal(metrics.sum('carillon_sessions_open'), 4);
    }, 20_000);
    const metrics = await server.metrics();
    t.diagnostic(`round ${round}: ${churn.next} clients came and went, ${metrics.sum('carillon_deliveries_expected_total')} copies, `
      + `${mib(residentBytes(server.child.pid))} resident`);
  }
  clearInterval(looking);
  const warm = memory.filter(({ at }) => !SOAK || at >= WARM_MS);
  const rise = slope(warm) * TEN_MINUTES_MS;
  t.diagnostic(`memory from ${mib(warm[0].value)} to ${mib(warm.at(-1).value)}, ${Math.round(rise)} bytes in ten minutes by ${warm.length} looks`);
  const { calls, shouts, slowest } = await clients.served(ANSWER_MS);
  await root.inOrder();
  traffic.stop();
  await server.metricsSettle(balanced);
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_bus_reconnects_total'), ROUNDS);
  assert.equal(metrics.sum('carillon_connections_total', { namespace: '/proto' }), churn.next - churn.counts.refused + 2);
  assert.equal(metrics.sum('carillon_disconnections_total', { reason: 'token_expired' }), churn.counts.expires);
  assert.equal(metrics.sum('carillon_auth_refused_total'), churn.counts.refused);
  const outcomes = metrics.match('carillon_deliveries_total').map(({ labels, value }) => `${labels.outcome} ${value}`);
  t.diagnostic(`${metrics.sum('carillon_deliveries_expected_total')} copies expected: ${outcomes.join(', ')}`);
  const counted = await leftClean(server, before);
  t.diagnostic(`${JSON.stringify(churn.counts)}; ${calls} calls and ${shouts} publishes of those who stay, the slowest in ${Math.round(slowest)} ms; ${JSON.stringify(counted)}`);
  if (SOAK) assert.ok(rise < MOST_BYTES, `memory grows by ${rise} bytes in ten minutes`);
});
