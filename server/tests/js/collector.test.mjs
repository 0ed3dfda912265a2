//! The collector over real node_exporters: nodes that come and go, and who collects when several could.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startExporter } from './lib/exporter.mjs';
import { freePort, startRedis } from './lib/redis.mjs';
import { start, tempFolder } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

const MONITORING = 'CARILLON_PLUGINS__MONITORING__';

/** A Carillon that asks these nodes. */
function collector(t, nodes, { interval = 1_000, env = {}, ...options } = {}) {
  return start(t, { env: { [`${MONITORING}NODES`]: nodes.join(','), [`${MONITORING}INTERVAL_MS`]: String(interval), ...env }, ...options });
}

/** The rounds a client of /monitoring was told, as the collector writes them: who asks over HTTP has a list published. */
const rounds = (socket) => socket.seen
  .filter(({ event, args: [round] }) => event === 'cluster_metrics' && !Array.isArray(round.nodes))
  .map(({ args: [round], at }) => ({ round, at }));

async function json(server, path, status = 200) {
  const response = await server.fetch(path);
  assert.equal(response.status, status, path);
  return response.json();
}

test('an exporter that stops makes its node unknown; started again it is back within two intervals', async (t) => {
  const [steady, other] = [await startExporter(t), await startExporter(t)];
  const server = await collector(t, [steady.node, other.node]);
  const [monitoring, health] = await Promise.all(['/monitoring', '/health'].map((namespace) => server.connect(namespace)));
  const status = async () => (await json(server, `/api/cluster/nodes/${other.node}`)).status;
  await until(async () => await status() === 'ready', 'both nodes answer');

  await other.stop();
  monitoring.seen.length = 0;
  health.seen.length = 0;
  await until(async () => await status() === 'unknown', 'the node is unknown');
  const [update] = await health.next('health_update', { where: ({ nodes_online: online }) => online === 1 });
  assert.deepEqual([update.overall_status, update.nodes_total, update.issues], ['warning', 2, ['1 nœuds hors ligne']]);
  const [round] = await monitoring.next('cluster_metrics', { where: ({ cluster_stats: stats }) => stats.online_nodes === 1 });
  assert.deepEqual(Object.keys(round.nodes), [steady.node]);
  const [alerts] = await monitoring.next('alerts_update', { where: ({ timestamp }) => timestamp === round.timestamp });
  assert.equal(alerts.alert_count, alerts.active_alerts.length);
  assert.ok(alerts.active_alerts.every(({ id }) => !id.includes(other.node)));
  assert.deepEqual(await json(server, '/api/cluster/health'), { overall_status: 'warning', nodes_online: 1, nodes_total: 2, issues: ['1 nœuds hors ligne'] });
  assert.equal((await json(server, '/api/cluster/overview')).cluster_stats.down_nodes, 1);

  await other.start();
  // The round after the one that may be under way has it again.
  const { length } = rounds(monitoring);
  const next = await until(() => rounds(monitoring).length >= length + 2 && rounds(monitoring).slice(length, length + 2), 'two rounds');
  assert.ok(next.some(({ round: { nodes } }) => other.node in nodes), 'the node is back within two intervals');
  assert.equal(await status(), 'ready');
});

test('ten targets that do not answer delay nobody', async (t) => {
  const exporter = await startExporter(t);
  // They take connections and say nothing: a refusal would be quick.
  const silent = await Promise.all(Array.from({ length: 10 }, () => new Promise((done) => {
    const held = new Set();
    const server = createServer((socket) => held.add(socket.on('error', () => {})));
    t.after(() => { server.close(); for (const socket of held) socket.destroy(); });
    server.listen(0, '127.0.0.1', () => done(`127.0.0.1:${server.address().port}`));
  })));
  const server = await collector(t, [...silent, exporter.node]);
  const monitoring = await server.connect('/monitoring');
  const seen = await until(() => rounds(monitoring).length >= 5 && rounds(monitoring), 'five rounds');
  for (const { round } of seen) {
    assert.deepEqual(Object.keys(round.nodes), [exporter.node]);
    assert.equal(round.cluster_stats.total_nodes, 11);
  }
  const pauses = seen.slice(1).map(({ at }, index) => at - seen[index].at);
  assert.ok(Math.max(...pauses) < 1_700, `a round a second; the pauses were ${pauses} ms`);
});

test('a file of nodes is read again at SIGHUP; a mistake in it changes nothing', async (t) => {
  const [first, second] = [await startExporter(t), await startExporter(t)];
  const file = join(tempFolder(t), 'nodes.yaml');
  writeFileSync(file, `workers:\n  - ${first.node}\n`);
  const server = await collector(t, [], { env: { [`${MONITORING}NODES_FILE`]: file } });
  const names = async () => (await json(server, '/api/cluster/nodes')).map(({ node }) => node);
  assert.deepEqual(await names(), [first.node]);
  writeFileSync(file, `workers:\n  - host: ${first.node}\n    cpus: 4\n  - {name: second, host: "${second.node}"}\n`);
  server.child.kill('SIGHUP');
  await until(async () => (await json(server, '/api/cluster/nodes/second').catch(() => ({}))).status === 'ready', 'the new node answers');
  writeFileSync(file, 'workers: {');
  server.child.kill('SIGHUP');
  await server.logged(/nodes stay as they were.*nodes\.yaml/);
  assert.deepEqual(await names(), [first.node, 'second']);
});

test('two Carillons on one Redis: one collects; killed, the other takes over within two intervals', async (t) => {
  const interval = 2_000;
  const redis = await startRedis(t);
  const exporter = await startExporter(t);
  const options = { interval, args: ['--bus', redis.url] };
  const servers = await Promise.all([collector(t, [exporter.node], options), collector(t, [exporter.node], options)]);
  const collecting = async () => (await Promise.all(servers.map(async (server) => (server.ended ? 0 : (await server.metrics()).sum('carillon_collecting')))));
  // Three intervals pass first: an old worker might be there.
  await until(async () => (await collecting()).includes(1), 'one collects');
  const who = (await collecting()).indexOf(1);
  const [busy, idle] = [servers[who], servers[1 - who]];
  const monitoring = await idle.connect('/monitoring');
  const begin = Date.now();
  const seen = await until(() => rounds(monitoring).length >= 5 && rounds(monitoring), 'rounds of the other Carillon arrive', 15_000);
  // The first may have been waiting in its key. Two collectors would make twice as many.
  assert.ok(seen.at(-1).at - begin > 3 * interval, 'one round an interval');
  assert.deepEqual((await collecting()).sort(), [0, 1]);
  assert.equal((await idle.metrics()).sum('carillon_scrapes_total'), 0);

  await busy.closeClients();
  busy.child.kill('SIGKILL');
  await within(busy.exit, 'the collector is gone');
  monitoring.seen.length = 0;
  await monitoring.next('cluster_metrics', { ms: 2 * interval });
  assert.equal((await idle.metrics()).sum('carillon_collecting'), 1);
});

test('an old worker that publishes is never overwritten, and taken over from when it ends', async (t) => {
  const interval = 1_000;
  const redis = await startRedis(t);
  const exporter = await startExporter(t);
  const server = await collector(t, [exporter.node], { interval, args: ['--bus', redis.url] });
  await redis.subscribers(1);
  const monitoring = await server.connect('/monitoring');
  const old = JSON.stringify({ timestamp: '2026-11-22T12:00:00.000000', nodes: { old: { cpu_usage: 1.5 } }, cluster_stats: { total_nodes: 1, online_nodes: 1 } });
  for (let n = 0; n < 6; n += 1) {
    await redis.cli('SETEX', 'cluster:metrics', 300, old);
    await redis.cli('PUBLISH', 'cluster:metrics', old);
    // Being asked is no reason to collect, nor to touch the key.
    if (n === 2) await json(server, '/api/cluster/nodes');
    await new Promise((done) => setTimeout(done, interval));
  }
  assert.equal(await redis.cli('GET', 'cluster:metrics'), old);
  assert.equal((await server.metrics()).sum('carillon_collecting'), 0);
  const begin = Date.now();
  await monitoring.next('cluster_metrics', { where: ({ nodes }) => exporter.node in nodes });
  const waited = Date.now() - begin;
  assert.ok(waited > interval && waited < 5 * interval, `it took over after ${waited} ms`);
  // What it publishes when it is asked is no foreign worker's.
  for (let n = 0; n < 3; n += 1) {
    await json(server, '/api/cluster/nodes');
    await new Promise((done) => setTimeout(done, interval / 2));
    assert.equal((await server.metrics()).sum('carillon_collecting'), 1);
  }
  // And back again, when the worker is started once more.
  await redis.cli('PUBLISH', 'cluster:metrics', old);
  await until(async () => (await server.metrics()).sum('carillon_collecting') === 0, 'it gives way');
});

test('nodes without an exporter, and names nobody has, are listed as unknown', async (t) => {
  const nodes = [`127.0.0.1:${await freePort()}`, 'no-such-node.invalid'];
  const server = await collector(t, nodes);
  await until(async () => (await json(server, '/api/cluster/health')).nodes_total === 2 && (await json(server, '/api/cluster/health')).overall_status === 'critical', 'both are down');
  assert.deepEqual((await json(server, '/api/cluster/nodes')).map(({ node, status }) => [node, status]), nodes.map((node) => [node, 'unknown']));
});
