//! The live-monitoring job, with nothing configured: what clients of the original system expect, on this host's own metrics.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { record } from './lib/client.mjs';
import { start } from './lib/server.mjs';

const RFC3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** Asserts that `object` has exactly these keys. */
function hasKeys(object, keys) {
  assert.deepEqual(Object.keys(object).sort(), [...keys].sort());
}

test('every namespace greets a client, and the public id is not the session id', async (t) => {
  const server = await start(t);
  const root = await server.connect('/');
  const [confirmed] = await root.next('connection_confirmed');
  hasKeys(confirmed, ['sid', 'timestamp']);
  assert.match(confirmed.timestamp, RFC3339_UTC);
  assert.equal(typeof confirmed.sid, 'string');
  assert.notEqual(confirmed.sid, '');
  assert.notEqual(confirmed.sid, root.io.engine.id, 'whoever knows the session id can act as the client');

  for (const [namespace, event] of [['/health', 'health_connected'], ['/monitoring', 'monitoring_connected']]) {
    const socket = await server.connect(namespace);
    const [greeting] = await socket.next(event);
    hasKeys(greeting, ['namespace', 'timestamp']);
    assert.equal(greeting.namespace, namespace);
    assert.match(greeting.timestamp, RFC3339_UTC);
    assert.equal(socket.seen[0].event, event, 'the greeting comes first');
  }
});

test('the three request events are answered by their response events and by an ack', async (t) => {
  const server = await start(t);
  const [health, monitoring] = await Promise.all(['/health', '/monitoring'].map((ns) => server.connect(ns)));
  await monitoring.next('cluster_metrics');

  // Events work with no argument, with the {} of the original page, and with more than was asked for.
  for (const args of [[], [{}], [null], [{ a: 1 }, 2, 'three']]) {
    health.seen.length = 0;
    monitoring.seen.length = 0;

    const [ack] = await health.call('request_health', ...args);
    assert.equal(ack.ok, true);
    const [{ data, timestamp }] = await health.next('health_response');
    assert.match(timestamp, RFC3339_UTC);
    hasKeys(data, ['status', 'timestamp', 'version', 'cluster']);
    assert.equal(data.status, 'healthy');
    assert.deepEqual(data.cluster, { overall_status: 'healthy', nodes_online: 1, nodes_total: 1, nodes_down: 0 });

    assert.equal((await monitoring.call('request_cluster_status', ...args))[0].ok, true);
    const [{ data: overview }] = await monitoring.next('cluster_status_response');
    hasKeys(overview, ['status', 'cluster_stats', 'worker_stats', 'task_stats', 'dispatch_stats', 'health_status', 'services_status', 'timestamp']);
    hasKeys(overview.cluster_stats, ['total_nodes', 'ready_nodes', 'down_nodes', 'cpu_usage_avg', 'memory_usage_avg', 'disk_usage_avg', 'last_check']);
    assert.equal(overview.status, 'healthy');
    assert.equal(overview.cluster_stats.ready_nodes, 1);

    assert.equal((await monitoring.call('request_nodes_status', ...args))[0].ok, true);
    const [{ data: list }] = await monitoring.next('nodes_status_response');
    assert.equal(list.length, 1);
    hasKeys(list[0], ['node', 'status', 'last_update', 'is_healthy', 'capabilities', 'performance_score', 'active_jobs', 'total_jobs', 'success_rate', 'cpu_usage', 'memory_usage', 'disk_usage', 'temperature']);
    assert.equal(list[0].status, 'ready');
    assert.equal(list[0].is_healthy, true);

    assert.equal((await monitoring.call('subscribe_to_updates', ...args))[0].ok, true);
    const [subscribed] = await monitoring.next('subscribed_to_updates');
    assert.match(subscribed.timestamp, RFC3339_UTC);
  }
});

test('a response event arrives before the ack of the same call', async (t) => {
  const server = await start(t);
  for (const transports of [['polling'], ['websocket']]) {
    const health = await server.connect('/health', { transports });
    const order = [];
    health.on('health_response', () => order.push('event'));
    await new Promise((done) => health.emit('request_health', {}, () => { order.push('ack'); done(); }));
    assert.deepEqual(order, ['event', 'ack']);
  }
});

test('a new client is sent the last metrics and the last health at once', async (t) => {
  const server = await start(t, { env: { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '60000' } });
  const first = await server.connect('/monitoring');
  const [metrics] = await first.next('cluster_metrics');
  // The next collection is a minute away: what comes now comes from what was kept.
  const [monitoring, health] = await Promise.all(['/monitoring', '/health'].map((ns) => server.connect(ns)));
  assert.deepEqual((await monitoring.next('cluster_metrics'))[0], metrics);
  assert.deepEqual(monitoring.seen.map(({ event }) => event).slice(0, 2), ['monitoring_connected', 'cluster_metrics']);
  assert.equal((await health.next('health_update'))[0].nodes_online, 1);
});

test('the JavaScript of the original document runs unchanged', async (t) => {
  const server = await start(t);
  const code = readFileSync(new URL('./seed-example.js', import.meta.url), 'utf8');
  const sockets = [];
  // Only the address differs: a test may not count on port 8085 being free.
  const stock = (address, ...rest) => {
    const socket = record(io(address.replace('http://localhost:8085', server.url), ...rest));
    server.closers.push(() => socket.close());
    sockets.push(socket);
    return socket;
  };
  const printed = [];
  new Function('io', 'console', code)(stock, { log: (...words) => printed.push(words) });

  const [root, health, monitoring] = sockets;
  await root.next('connection_confirmed');
  assert.equal((await health.next('health_response'))[0].data.status, 'healthy');
  assert.ok(Array.isArray((await monitoring.next('nodes_status_response'))[0].data));
  await root.next('redis_cluster_metrics');
  assert.equal(printed[0][0], 'Métriques du cluster:');
  assert.equal(printed[0][1].cluster_stats.total_nodes, 1);
  assert.equal(root.io, health.io, 'all three namespaces share one connection');
});
