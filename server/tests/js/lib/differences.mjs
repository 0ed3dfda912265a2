//! Where Carillon differs from the recorded system on purpose: all of it, each with the reason. Whatever is not listed
//! here has to be as it was recorded.

import assert from 'node:assert/strict';

/** When the recorded publisher measured: its own words, which are passed on as they are. */
const MEASURED = '2026-11-22T12:00:00.000000';
/** Any other time of the recorded kind. */
const NOW = '2026-11-22T19:21:00.000000';
const ID = /^[\w-]{16,}$/;
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/;
const NAIVE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+$/;

/** Values that are never the same twice: fields by name, what stands there in Carillon, and what stood there. */
export const VALUES = [
  { field: /^(timestamp|last_check)$/, ours: UTC, theirs: NAIVE, why: 'times are RFC 3339 in UTC; the recorded ones were local time without a zone' },
  { field: /^sid$/, ours: ID, theirs: ID, why: 'a random id; the recorded one was the session\'s own, which is a secret' },
  { field: /^version$/, ours: /^\d+\.\d+\.\d+$/, theirs: /^2\.0\.0$/, why: 'every server has its own version' },
];

/** A system in which nothing was measured yet, as its two views tell of it. */
const NOTHING_MEASURED = { ready_nodes: 0, down_nodes: 8 };
const NO_HEALTH = { overall_status: 'healthy', nodes_online: 0, nodes_total: 0, nodes_down: 0 };
const EMPTY = { worker_stats: {}, task_stats: {}, dispatch_stats: {}, health_status: {} };

/** Steps that differ: which, and what Carillon does instead (one step or several). */
export const STEPS = [
  {
    why: 'every ack has the envelope, and carries the response as well; the recorded acks were empty',
    of: ({ ack_of, args }) => ack_of !== undefined && ack_of !== 'no_such_event' && args?.length === 0,
    now: (step, { response }) => ({ ...step, args: [{ ok: true, data: response.args[0] }] }),
  },
  {
    why: 'an unknown event is answered as such',
    of: ({ ack_of }) => ack_of === 'no_such_event',
    now: (step) => ({ ...step, args: [{ ok: false, error: { code: 'unknown_event', message: 'this namespace has no such event', retryable: false } }] }),
  },
  {
    why: 'events work without an argument; the recorded system failed and never answered',
    of: ({ timed_out }) => timed_out === true,
    now: (step) => {
      const response = { data: { status: 'healthy', timestamp: NOW, version: '2.0.0', cluster: NO_HEALTH }, timestamp: NOW };
      return [
        { from: 'server', namespace: step.namespace, event: 'health_response', args: [response] },
        { ...step, args: [{ ok: true, data: response }], timed_out: false },
      ];
    },
  },
  {
    why: 'an unknown namespace is refused with the message every Socket.IO server has; the recorded one was empty',
    of: ({ connect_error }) => connect_error !== undefined,
    now: (step) => ({ ...step, connect_error: 'Invalid namespace' }),
  },
  {
    why: 'before the first measurement the overview says so; the recorded system made up eight ready nodes',
    of: ({ event }, { scene }) => event === 'cluster_status_response' && scene.name === 'requests-empty',
    now: (step) => changed(step, ({ data, timestamp }) => ({
      data: { ...data, ...EMPTY, status: 'unknown', cluster_stats: { ...data.cluster_stats, ...NOTHING_MEASURED } }, timestamp,
    })),
  },
  {
    why: 'before the first measurement health counts no nodes, and 0 of 0 are healthy; the recorded system made up eight',
    of: ({ event }, { scene }) => event === 'health_response' && scene.name === 'requests-empty',
    now: (step) => changed(step, ({ data, timestamp }) => ({
      data: { ...data, cluster: NO_HEALTH }, timestamp,
    })),
  },
  {
    why: 'the overview tells how full the disks are; the recorded system always said 0',
    of: (step) => /"disk_usage_avg": ?0/.test(JSON.stringify(step)) && /"ready_nodes": ?1\b/.test(JSON.stringify(step)),
    now: (step) => JSON.parse(JSON.stringify(step).replace(/("disk_usage_avg": ?)0(\.0)?/g, (_, key) => `${key}33.3`)),
  },
  {
    why: 'subscribing has an effect, and tells which',
    of: ({ event }) => event === 'subscribed_to_updates',
    now: (step) => changed(step, (said) => ({ ...said, room: 'updates', events: ['cluster_metrics', 'alerts_update'] })),
  },
  {
    why: 'a node was last updated when it was measured, not when somebody asked',
    of: (step) => /"last_update": ?"/.test(JSON.stringify(step)),
    now: (step) => JSON.parse(JSON.stringify(step).replace(/("last_update": ?)"[^"]*"/g, `$1"${MEASURED}"`)),
  },
  {
    why: 'the nodes are published with their statistics',
    of: ({ event, args }) => /cluster_metrics$/.test(event) && Array.isArray(args[0]?.nodes),
    now: (step) => changed(step, (said) => ({
      ...said, cluster_stats: { total_nodes: 8, online_nodes: 1, avg_cpu: 12.5, avg_memory: 25, avg_temperature: 51.2 },
    })),
  },
  {
    why: '/api/health tells of the bus instead of Celery and counts connections, and publishes what it finds as its document promises',
    of: ({ get }) => get === '/api/health',
    now: ({ body: { celery, ...body }, ...step }) => {
      const health = { timestamp: NOW, overall_status: 'warning', nodes_online: 7, nodes_total: 8, issues: ['1 nœuds hors ligne'] };
      return [
        { ...step, body: { ...body, bus: { kind: 'redis', up: true }, websocket: { ...body.websocket, namespaces: { '/': 1, '/echo': 0, '/health': 1, '/monitoring': 1, '/router': 0 } } } },
        { from: 'server', namespace: '/', event: 'redis_cluster_health', args: [health] },
        { from: 'server', namespace: '/health', event: 'health_update', args: [health] },
      ];
    },
  },
  {
    why: 'a node is answered from what is known of it; the recorded system asked a service that was not there',
    of: ({ get }) => get === '/api/cluster/nodes/node6.lan',
    now: (step, { body }) => ({ ...step, status: 200, body: body('/api/cluster/nodes')[0] }),
  },
  {
    why: 'a node nobody knows is not found',
    of: ({ get }) => get === '/api/cluster/nodes/absent',
    now: (step) => ({ ...step, status: 404, body: { code: 'not_found', detail: 'no node named absent' } }),
  },
  {
    why: '/api/cluster/health reads what the collector writes; the recorded one read fields that are not there',
    of: ({ get }) => get === '/api/cluster/health',
    now: (step) => ({ ...step, body: { overall_status: 'warning', nodes_online: 7, nodes_total: 8, issues: ['1 nœuds hors ligne'] } }),
  },
  {
    why: 'the test page is Carillon\'s own; page.test.mjs reads it',
    of: ({ get }) => get === '/websocket-test',
    now: (step) => ({ ...step, body: '<page>' }),
  },
];

function changed(step, change) {
  return { ...step, args: [change(step.args[0])] };
}

/** What Carillon has to do where this step was recorded: one step or several. */
export function expected(step, context) {
  return STEPS.reduce((steps, { of, now }) => steps.flatMap((one) => (of(one, context) ? now(one, context) : one)), [step]);
}

/** A copy of `value` with what is never the same twice made the same; `whose` is `ours` or `theirs`. */
export function masked(value, whose, field = '') {
  const mask = typeof value === 'string' && VALUES.find((one) => one.field.test(field));
  // A publisher's own words are no time of ours: they stay.
  if (mask && value !== MEASURED) {
    assert.match(value, mask[whose], `${field}: ${mask.why}`);
    return `<${mask.field.source}>`;
  }
  if (Array.isArray(value)) return value.map((one) => masked(one, whose));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, masked(one, whose, name)]));
}
