//! What a server's books say, and what it holds, when it is at rest: nothing lost uncounted, nothing kept for who is gone.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { until } from './wait.mjs';

/** Gauges of clients and of work under way: 0 when nobody is there. */
const GAUGES = ['carillon_connected_clients', 'carillon_sessions_open', 'carillon_handlers_in_flight', 'carillon_hub_pending_bytes', 'carillon_hub_pending_publishes'];

/** The open files of the process, and the tasks of its runtime, once nothing but the scrape itself is connected. */
export async function footprint(server) {
  const readings = [];
  await until(async () => {
    const metrics = await server.metrics();
    const files = readdirSync(`/proc/${server.child.pid}/fd`).length;
    if (metrics.sum('carillon_connections_open') === 1) readings.push({ files, tasks: metrics.sum('carillon_tokio_tasks') });
    return readings.length === 3;
  }, 'nobody is connected but who asks');
  // Whether the scrape's own connection is closed by then is chance.
  const least = (what) => Math.min(...readings.map((one) => one[what]));
  return { files: least('files'), tasks: least('tasks') };
}

/** Every published copy is accounted for. */
export function balanced(metrics) {
  const [expected, told] = [metrics.sum('carillon_deliveries_expected_total'), metrics.sum('carillon_deliveries_total')];
  assert.equal(told, expected, 'the outcomes of deliveries add up to what was expected');
  return expected;
}

/**
 * Asserts that nothing is left of a server's clients, all of which are closed: the books balance, gauges are at 0, files and
 * tasks are as many as `before` and at most `spare` more, nothing panicked but on purpose, and the process is there. Resolves
 * to what was counted. Connections over which Redis is asked for keys come and go, so there may be a few more of these.
 */
export async function leftClean(server, before, { spare = 2, panics = 0 } = {}) {
  await server.closeClients();
  const counted = {};
  await server.metricsSettle((metrics) => {
    counted.deliveries = balanced(metrics);
    for (const gauge of GAUGES) assert.equal(metrics.sum(gauge), 0, gauge);
    assert.equal(metrics.sum('carillon_panics_total'), panics);
  }, 20_000);
  if (before) {
    let now;
    await until(async () => {
      now = await footprint(server);
      return now.files <= before.files + spare && now.tasks <= before.tasks + spare;
    }, () => `files and tasks are as before, ${JSON.stringify(before)}; they are ${JSON.stringify(now)}`);
    Object.assign(counted, now);
  }
  if (panics === 0) for (const line of server.log) assert.doesNotMatch(line, /panic/);
  assert.equal(server.ended, undefined, 'the process never ends');
  return counted;
}
