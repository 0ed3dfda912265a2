//! What is measured agrees with /proc. It runs by itself: while other tests come and go, two clocks a moment apart differ.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser } from './lib/browser.mjs';
import { dashboard, points, rows } from './lib/dashboard.mjs';
import { startExporter } from './lib/exporter.mjs';
import { burnOneCore, memoryUse, watchCpu } from './lib/proc.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const RFC3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** The rounds a client of /monitoring was told, as the collector writes them. */
const rounds = (socket) => socket.seen.filter(({ event }) => event === 'cluster_metrics').map(({ args: [round], at }) => ({ round, at }));

/** Asserts that `object` has exactly these keys. */
function hasKeys(object, keys) {
  assert.deepEqual(Object.keys(object).sort(), [...keys].sort());
}

async function json(server, path, status = 200) {
  const response = await server.fetch(path);
  assert.equal(response.status, status, path);
  return response.json();
}

test('within 5 s of "listening" the metrics of this host arrive and agree with /proc', async (t) => {
  burnOneCore(t);
  const cpu = watchCpu(t);
  const server = await start(t, { env: { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '2000' } });
  const [monitoring, health, root] = await Promise.all(['/monitoring', '/health', '/'].map((ns) => server.connect(ns)));

  const left = () => 5_000 - (Date.now() - server.listeningAt);
  const [[metrics], [update], [relayed]] = await Promise.all([
    monitoring.next('cluster_metrics', { ms: left() }),
    health.next('health_update', { ms: left() }),
    root.next('redis_cluster_metrics', { ms: left() }),
  ]);
  const memory = memoryUse();

  hasKeys(metrics, ['timestamp', 'nodes', 'cluster_stats']);
  assert.match(metrics.timestamp, RFC3339_UTC);
  const nodes = Object.values(metrics.nodes);
  assert.equal(nodes.length, 1, 'without Redis and without nodes the local host is watched');
  hasKeys(nodes[0], ['memory_total', 'memory_available', 'disk_total', 'disk_available', 'temperature', 'cpu_usage', 'memory_usage', 'disk_usage']);
  hasKeys(metrics.cluster_stats, ['total_nodes', 'online_nodes', 'avg_cpu', 'avg_memory', 'avg_temperature']);
  assert.equal(metrics.cluster_stats.total_nodes, 1);
  assert.equal(metrics.cluster_stats.online_nodes, 1);
  assert.ok(Math.abs(nodes[0].memory_usage - memory) <= 5, `memory ${nodes[0].memory_usage} %, /proc says ${memory} %`);
  assert.ok(nodes[0].disk_usage > 0 && nodes[0].disk_usage <= 100, `disk ${nodes[0].disk_usage} %`);
  assert.ok(nodes[0].temperature === null || nodes[0].temperature > 0);

  hasKeys(update, ['timestamp', 'overall_status', 'nodes_online', 'nodes_total', 'issues']);
  assert.deepEqual({ ...update, timestamp: '' }, { timestamp: '', overall_status: 'healthy', nodes_online: 1, nodes_total: 1, issues: [] });
  hasKeys(relayed, ['timestamp', 'nodes', 'cluster_stats']);

  // The first sample was measured between the start and its own time, each later one since the one before it.
  const [second] = await monitoring.next('cluster_metrics', { where: ({ timestamp }) => timestamp > metrics.timestamp });
  const from = Date.parse(metrics.timestamp);
  const to = Date.parse(second.timestamp);
  const [node] = Object.values(second.nodes);
  const expected = cpu.between(from, to);
  assert.ok(Math.abs(node.cpu_usage - expected) <= 5, `CPU ${node.cpu_usage} % over ${to - from} ms, /proc says ${expected} %`);
  assert.ok(Math.abs(nodes[0].cpu_usage - cpu.between(server.listeningAt, from)) <= 50, 'the first sample is a measurement too');
  assert.ok(nodes[0].cpu_usage > 0, 'a busy host is not at 0 %');
  assert.ok(Math.abs(second.cluster_stats.avg_cpu - node.cpu_usage) < 0.11);
});

test('a node_exporter: its values agree with /proc, on every way to ask for them', async (t) => {
  const exporter = await startExporter(t);
  burnOneCore(t);
  const cpu = watchCpu(t);
  const server = await start(t, { env: { CARILLON_PLUGINS__MONITORING__NODES: exporter.node, CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '2000' } });
  const monitoring = await server.connect('/monitoring');
  const [first, second] = await until(() => rounds(monitoring).length >= 2 && rounds(monitoring).slice(-2), 'two rounds');
  const memory = memoryUse();
  const node = second.round.nodes[exporter.node];
  const used = cpu.between(first.at, second.at);
  assert.ok(Math.abs(node.cpu_usage - used) <= 5, `CPU ${node.cpu_usage} %, /proc says ${used} %`);
  assert.ok(Math.abs(node.memory_usage - memory) <= 5, `memory ${node.memory_usage} %, /proc says ${memory} %`);
  assert.ok(node.disk_total > 0 && node.disk_usage > 0 && node.disk_usage <= 100, JSON.stringify(node));
  assert.ok(node.temperature === null || node.temperature > 0);
  assert.deepEqual(Object.keys(second.round.cluster_stats).sort(), ['avg_cpu', 'avg_memory', 'avg_temperature', 'online_nodes', 'total_nodes']);

  const nodes = await json(server, '/api/cluster/nodes');
  assert.equal(nodes.length, 1);
  assert.deepEqual([nodes[0].node, nodes[0].status, nodes[0].is_healthy], [exporter.node, 'ready', true]);
  assert.deepEqual((await json(server, `/api/cluster/nodes/${exporter.node}`)).node, exporter.node);
  assert.equal((await json(server, '/api/cluster/nodes/absent', 404)).detail, 'no node named absent');
  assert.equal((await json(server, '/api/cluster/overview')).status, 'healthy');
  assert.deepEqual(await json(server, '/api/cluster/health'), { overall_status: 'healthy', nodes_online: 1, nodes_total: 1, issues: [] });
  const metrics = await server.metrics();
  assert.ok(metrics.sum('carillon_scrapes_total', { result: 'ok' }) >= 2);
  assert.equal(metrics.sum('carillon_collecting'), 1);
});

test('the dashboard shows and charts this host as /proc has it', async (t) => {
  burnOneCore(t);
  const cpu = watchCpu(t);
  const server = await start(t, { env: { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '2000' } });
  const tab = await dashboard(t, await openBrowser(t), server, { locale: 'en-US' });
  const monitoring = await server.connect('/monitoring');
  // The browser has started by then, and the greeting is from before.
  const [first, second] = await until(() => rounds(monitoring).length >= 3 && rounds(monitoring).slice(-2), 'two rounds');
  const memory = memoryUse();
  const [node] = Object.values(second.round.nodes);
  let shown;
  await until(async () => {
    shown = (await rows(tab))[0]?.slice(2, 4).map((cell) => Number.parseFloat(cell)) ?? [];
    return Math.abs(shown[0] - node.cpu_usage) < 0.11 && Math.abs(shown[1] - node.memory_usage) < 0.11;
  }, () => `the round is shown: ${JSON.stringify(node)}; it shows ${shown}`);
  const used = cpu.between(Date.parse(first.round.timestamp), Date.parse(second.round.timestamp));
  assert.ok(Math.abs(shown[0] - used) <= 5, `CPU ${shown[0]} %, /proc says ${used} %`);
  assert.ok(Math.abs(shown[1] - memory) <= 5, `memory ${shown[1]} %, /proc says ${memory} %`);
  const before = await points(tab);
  await until(async () => (await points(tab)).every((count, at) => count > before[at]), 'every chart moves');
});
