//! The HTTP routes of the original system, and its variables.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort, startRedis } from './lib/redis.mjs';
import { runToEnd, start, tempFolder } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const RFC3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

test('GET /api/health tells the true state and publishes the health of the cluster once a second', async (t) => {
  const server = await start(t, { env: { CARILLON_PLUGINS__MONITORING__COLLECT: 'off' } });
  const health = await server.connect('/health');
  const [, both] = await Promise.all([server.connect('/'), server.connect('/monitoring')]);
  // One connection in two namespaces.
  const second = both.io.socket('/health');
  await new Promise((done) => second.on('connect', done).connect());
  const from = performance.now();
  const response = await server.fetch('/api/health');
  assert.equal(response.status, 200);
  const body = await response.json();
  assert.match(body.timestamp, RFC3339_UTC);
  const version = (await runToEnd('carillon', ['--version'])).out.trim().split(' ')[1];
  assert.deepEqual({ ...body, timestamp: null, websocket: null }, {
    status: 'healthy', timestamp: null, version, bus: { kind: 'memory', up: true }, websocket: null,
  });
  assert.equal(body.websocket.connected_clients, 3);
  const { '/': root, '/health': inHealth, '/monitoring': monitoring } = body.websocket.namespaces;
  assert.deepEqual([root, inHealth, monitoring], [1, 2, 1]);
  const [update] = await health.next('health_update');
  assert.deepEqual({ ...update, timestamp: null }, { timestamp: null, overall_status: 'healthy', nodes_online: 0, nodes_total: 0, issues: [] });
  await Promise.all(Array.from({ length: 20 }, () => server.fetch('/api/health')));
  const allowed = 1 + Math.ceil((performance.now() - from) / 1_000);
  assert.ok(health.all('health_update').length <= allowed, `at most once a second: ${health.all('health_update').length}`);
});

test('GET /api/cluster/nodes publishes what it answers', async (t) => {
  const server = await start(t);
  const monitoring = await server.connect('/monitoring');
  await monitoring.next('cluster_metrics', { where: ({ nodes }) => !Array.isArray(nodes) });
  const nodes = await (await server.fetch('/api/cluster/nodes')).json();
  const [update] = await monitoring.next('cluster_metrics', { where: ({ nodes }) => Array.isArray(nodes) });
  assert.deepEqual(update.nodes, nodes);
  assert.deepEqual(Object.keys(update).sort(), ['cluster_stats', 'nodes', 'timestamp']);
  assert.deepEqual([update.cluster_stats.total_nodes, update.cluster_stats.online_nodes], [1, 1]);
});

test('the variables of the original system work, and -v names them', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, {
    args: ['-v'],
    env: { HOST: '0.0.0.0', PORT: '1', REDIS_HOST: '127.0.0.1', REDIS_PORT: String(redis.port), REDIS_METRICS_DB: '2', NODE_EXPORTER_PORT: '9101', METRICS_CACHE_TTL: '30', LOG_LEVEL: 'WARNING' },
  });
  // --listen and -v go before them.
  const text = server.log.join('\n');
  assert.match(text, /server\.listen = .*--listen/);
  assert.match(text, new RegExp(`bus\\.url = .*127\\.0\\.0\\.1:${redis.port}/2.*REDIS_HOST, REDIS_PORT, REDIS_METRICS_DB`));
  assert.match(text, /node_exporter_port = 9_?101 .*NODE_EXPORTER_PORT/);
  assert.match(text, /node_ttl_ms = 30_?000 .*METRICS_CACHE_TTL/);
  await redis.subscribers(1);
  const monitoring = await server.connect('/monitoring');
  await redis.cli('PUBLISH', 'cluster:metrics', '{"a":1.50}');
  await monitoring.next('cluster_metrics');
  const health = await (await server.fetch('/api/health')).json();
  assert.deepEqual(health.bus, { kind: 'redis', up: true });
});

test('HOST and PORT of the original system say where to listen; ours go first', async (t) => {
  const port = await freePort();
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, '[server]\nlisten = "127.0.0.1:0"\n');
  const listen = null;
  const server = await start(t, { listen, env: { HOST: 'localhost', PORT: String(port) } });
  assert.equal(server.port, port);
  const other = await start(t, { listen, args: ['--config', file], env: { HOST: '0.0.0.0', PORT: String(port) } });
  assert.notEqual(other.port, port);
  // A shell's own HOST.
  const third = await start(t, { listen, args: ['--config', file], env: { HOST: 'x86_64-conda-linux-gnu' } });
  assert.ok(!third.log.some((line) => line.includes('HOST=')));
  const { code, err } = await runToEnd('carillon', ['check'], { env: { PORT: 'eighty' } });
  assert.equal(code, 78);
  assert.match(err, /server\.listen: PORT="eighty" .*\[environment variable PORT\]/);
});

test('a Redis that goes away degrades /api/health', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url] });
  const status = async () => (await (await server.fetch('/api/health')).json()).status;
  await until(async () => await status() === 'healthy', 'Redis is there');
  await redis.kill();
  await until(async () => await status() === 'degraded', 'Redis is away', 15_000);
  const overview = await server.fetch('/api/cluster/overview');
  assert.equal(overview.status, 503);
  assert.equal(typeof (await overview.json()).detail, 'string');
  assert.deepEqual(await (await server.fetch('/api/cluster/nodes')).json(), []);
});
