//! A Redis Cluster as the bus: slots that move, masters that are killed, and shards that hang.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { KeptStream } from './lib/kept-stream.mjs';
import { busDetail, told } from './lib/outage.mjs';
import { start } from './lib/server.mjs';
import { startCluster } from './lib/shards.mjs';
import { short } from './lib/soak.mjs';
import { Stream } from './lib/stream.mjs';
import { until } from './lib/wait.mjs';

/** The channel that the publishes go over. */
const CHANNELS = /^carillon:cluster:\{\/proto\}$/;
/** The channel of what is kept; its stream has the same slot. */
const JOURNAL = /^carillon:journal:\{\/proto\}$/;

test('a slot moved under load: publishes flow on in order, and what is missing is counted exactly', async (t) => {
  const redis = await startCluster(t);
  const stream = await Stream.start(t, redis.url);
  let moves = 0;
  for (let round = 0; round < short(3, 30); round += 1) {
    const { node, slots } = await redis.holder(CHANNELS);
    const to = redis.masters.find((master) => master !== node);
    for (const slot of slots) await redis.move(slot, node, to);
    moves += slots.length;
    await stream.flows();
    await pause(short(200, 2_000));
  }
  for (const node of stream.nodes) await told(node, { up: true, status: 'ready' });
  const { sent, missed } = await stream.judged();
  t.diagnostic(`${moves} moves of a slot; ${missed} of ${sent} publishes were missed by the other node, which has counted them`);
});

test('a master killed under load: publishes flow again within 2 s of the promotion, and what is missing is counted exactly', async (t) => {
  const redis = await startCluster(t, { replicas: 1 });
  const stream = await Stream.start(t, redis.url);
  for (let round = 1; round <= short(1, 5); round += 1) {
    const { node } = await redis.holder(CHANNELS);
    const promoted = redis.promoted(node);
    const killed = Date.now();
    await node.kill();
    const at = await promoted;
    const back = await stream.flowsAgain(at);
    t.diagnostic(`round ${round}: another master ${at - killed} ms after the kill, publishes ${back} ms later`);
    // It comes back as a replica of the other.
    await node.start();
    await until(async () => (await node.cli('INFO', 'replication')).includes('master_link_status:up'), 'the node that was killed follows the other', 20_000);
    await pause(short(0, 10_000));
  }
  for (const server of stream.nodes) await told(server, { up: true, status: 'ready' });
  const { sent, missed } = await stream.judged();
  t.diagnostic(`${missed} of ${sent} publishes were missed by the other node, which has counted them`);
});

test('a slot moved under load: of what is kept nothing is missing', async (t) => {
  const redis = await startCluster(t);
  const stream = await KeptStream.start(t, redis.url);
  for (let round = 0; round < short(3, 30); round += 1) {
    const { node, slots } = await redis.holder(JOURNAL);
    for (const slot of slots) await redis.move(slot, node, redis.masters.find((master) => master !== node));
    await stream.flows();
    await pause(short(200, 2_000));
  }
  t.diagnostic(await stream.judged());
});

test('a master killed under load: of what is kept nothing is missing but what its successor had not got, which is counted and told', async (t) => {
  const redis = await startCluster(t, { replicas: 1 });
  const stream = await KeptStream.start(t, redis.url);
  for (let round = 1; round <= short(1, 5); round += 1) {
    await pause(short(500, 10_000));
    const { node } = await redis.holder(JOURNAL);
    const promoted = redis.promoted(node);
    await node.kill();
    await promoted;
    await stream.flows();
    await node.start();
    await until(async () => (await node.cli('INFO', 'replication')).includes('master_link_status:up'), 'the node that was killed follows the other', 20_000);
  }
  t.diagnostic(await stream.judged());
});

test('/readyz names a shard that hangs, and is ready again when it goes on', async (t) => {
  // They do not give each other up.
  const redis = await startCluster(t, { nodeTimeoutMs: 60_000 });
  const server = await start(t, { args: ['--bus', redis.url] });
  await told(server, { up: true, status: 'ready' });
  assert.equal(await busDetail(server), 'redis: 3 shards deliver');
  const dead = redis.masters[2];
  dead.signal('SIGSTOP');
  const away = await told(server, { up: false, status: 'degraded' });
  const text = await busDetail(server);
  assert.ok(text.startsWith('redis: 2 of 3 shards deliver; the shard at ') && text.includes(dead.address), text);
  dead.signal('SIGCONT');
  const back = await told(server, { up: true, status: 'ready' });
  t.diagnostic(`named after ${away} ms, ready again after ${back} ms`);
});

test('what other programs publish at any node is relayed once, and of two that could collect one does', async (t) => {
  const redis = await startCluster(t);
  const config = '[plugins.monitoring]\ncollect = "on"\ninterval_ms = 1000\n';
  const [a, b] = await Promise.all([1, 2].map(() => start(t, { args: ['--bus', redis.url], config })));
  for (const server of [a, b]) await told(server, { up: true, status: 'ready' });
  const roots = await Promise.all([a, b].map((server) => server.connect('/', { transports: ['websocket'] })));
  for (const [at, node] of redis.masters.entries()) await node.cli('PUBLISH', 'celery:metrics', `{"n":${at}}`);
  for (const root of roots) {
    const heard = () => root.all('redis_celery_metrics').map(([{ n }]) => n);
    await until(() => heard().length >= 3, () => `three messages; ${heard()} came`);
    assert.deepEqual(heard().sort(), [0, 1, 2]);
    await root.next('redis_cluster_metrics');
  }
  const published = await Promise.all([a, b].map(async (server) => (await server.metrics()).sum('carillon_collections_total', { result: 'published' })));
  assert.equal(Math.min(...published), 0, `one collects: ${published}`);
});
