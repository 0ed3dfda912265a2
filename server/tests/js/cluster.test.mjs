//! Several Carillons on one Redis act as one: rooms, one collector, and each on its own when Redis is out of reach.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { told } from './lib/outage.mjs';
import { stop } from './lib/proc.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { openProxy } from './lib/tcp-proxy.mjs';
import { until } from './lib/wait.mjs';

/** What everybody in `/proto` is told by other nodes. */
const CLUSTER = ['carillon:cluster:{/proto}'];

/** Two Carillons, the second one by a way that can be cut. */
async function pair(t, options) {
  const redis = await startRedis(t);
  const gap = await openProxy(t, redis.port);
  const [a, b] = await Promise.all([redis.url, gap.url].map((url) => start(t, { program: 'fixture', args: ['--bus', url], ...options })));
  for (const server of [a, b]) await told(server, { up: true, status: 'ready' });
  return { redis, gap, a, b };
}

/** A client of `/proto` in these rooms, over a transport of its own. */
async function member(server, rooms, transports = ['websocket']) {
  const socket = await server.connect('/proto', { transports });
  for (const room of rooms) assert.equal((await socket.call('join', { room }))[0].ok, true);
  return socket;
}

/** Resolves once a node knows of so many, itself included. */
async function acquainted(server, nodes) {
  await told(server, { up: true, status: 'ready' });
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_cluster_nodes'), nodes));
}

async function shout(from, what) {
  assert.deepEqual(await from.call('shout', what), [{ ok: true, data: null }]);
}

/** What each client heard, up to the last shout of each of `from`, which everybody hears. */
async function heard(clients, ...from) {
  for (const [at, one] of from.entries()) await shout(one, { text: `end ${at}` });
  const all = clients.map((client) => client.all('shouted').map(([{ text }]) => text));
  await until(() => clients.every((client, at) => {
    all[at] = client.all('shouted').map(([{ text }]) => text);
    return from.every((_, end) => all[at].includes(`end ${end}`));
  }), () => `everybody hears the end; they heard ${JSON.stringify(all)}`);
  for (const client of clients) client.seen.length = 0;
  return all.map((texts) => texts.filter((text) => !text.startsWith('end ')).sort());
}

test('a room is one room on all of them, whom it leaves out included', async (t) => {
  const { a, b } = await pair(t);
  const rooms = [['red'], ['red', 'blue'], ['blue'], ['red', 'quiet'], []];
  const clients = [
    ...await Promise.all(rooms.map((names, at) => member(a, names, at % 2 ? ['polling'] : ['websocket']))),
    ...await Promise.all(rooms.map((names, at) => member(b, names, at % 2 ? ['websocket'] : ['polling']))),
  ];
  const memberships = [...rooms, ...rooms];
  const cases = [
    { text: 'everybody' },
    { text: 'one room', rooms: ['red'] },
    { text: 'two rooms, once each', rooms: ['red', 'blue'] },
    { text: 'a room less another', rooms: ['red'], except: ['quiet'] },
    { text: 'everybody less two rooms', except: ['red', 'blue'] },
    { text: 'a room less itself', rooms: ['red'], except: ['red'] },
    { text: 'an empty room', rooms: ['nobody'] },
  ];
  // From either node: from a member, and from somebody in no room.
  for (const speaker of [clients[1], clients[4], clients[7], clients[9]]) {
    for (const one of cases) await shout(speaker, one);
    const expected = memberships.map((mine) => cases
      .filter(({ rooms: to, except = [] }) => (!to || to.some((room) => mine.includes(room))) && !except.some((room) => mine.includes(room)))
      .map(({ text }) => text).sort());
    assert.deepEqual(await heard(clients, speaker), expected);
  }
});

test('leaving a room, and the node, takes effect everywhere', async (t) => {
  const { a, b } = await pair(t);
  const [speaker, here, there, gone] = await Promise.all([member(a, []), member(a, ['red']), member(b, ['red']), member(b, ['red'])]);
  await there.call('leave', { room: 'red' });
  gone.disconnect();
  await shout(speaker, { text: 'red', rooms: ['red'] });
  assert.deepEqual(await heard([speaker, here, there], speaker), [[], ['red'], []]);
  assert.deepEqual(gone.all('shouted'), []);
});

test('what is local stays on its node', async (t) => {
  const { a, b } = await pair(t);
  const [here, too, there] = await Promise.all([member(a, ['red']), member(a, []), member(b, ['red'])]);
  await shout(here, { text: 'here', local: true });
  await shout(here, { text: 'here, in red', local: true, rooms: ['red'] });
  await shout(there, { text: 'there', local: true });
  assert.deepEqual(await heard([here, too, there], here, there), [['here', 'here, in red'], ['here'], ['there']]);
});

test('many broadcasts from both sides at once arrive once each, in the order of who sent them', async (t) => {
  const { a, b } = await pair(t);
  const many = short(500, 20_000);
  const [fromA, fromB, readA, readB] = await Promise.all([member(a, []), member(b, []), member(a, []), member(b, [])]);
  await Promise.all([['a', fromA], ['b', fromB]].map(async ([name, socket]) => {
    for (let n = 0; n < many; n += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, at) => shout(socket, { text: `${name} ${n + at}` })));
    }
  }));
  for (const reader of [readA, readB]) {
    await until(() => reader.all('shouted').length >= 2 * many, () => `${2 * many} broadcasts; ${reader.all('shouted').length} came`);
    for (const name of ['a', 'b']) {
      const texts = reader.all('shouted').map(([{ text }]) => text).filter((text) => text.startsWith(name));
      assert.deepEqual(texts, Array.from({ length: many }, (_, n) => `${name} ${n}`));
    }
  }
});

test('of four nodes, those receive a publish that have somebody to hear it', async (t) => {
  const redis = await startRedis(t);
  const nodes = await Promise.all(Array.from({ length: 4 }, () => start(t, { program: 'fixture', args: ['--bus', redis.url] })));
  for (const server of nodes) await told(server, { up: true, status: 'ready' });
  const [speaker, red, blue] = await Promise.all([member(nodes[0], []), member(nodes[1], ['red']), member(nodes[2], ['blue'])]);
  // Somebody who is elsewhere.
  await nodes[3].connect('/', { transports: ['websocket'] });
  await redis.subscribers(3, CLUSTER);
  const received = async () => {
    const metrics = await Promise.all(nodes.map((server) => server.metrics()));
    return metrics.map((one) => ['namespace', 'room'].map((channel) => one.sum('carillon_cluster_received_total', { channel })));
  };
  for (let n = 0; n < 10; n += 1) await shout(speaker, { text: `red ${n}`, rooms: ['red'] });
  const all = Array.from({ length: 10 }, (_, n) => `red ${n}`);
  assert.deepEqual(await heard([speaker, red, blue], speaker), [[], all, []]);
  assert.deepEqual(await received(), [[0, 0], [1, 10], [1, 0], [0, 0]]);
});

test('a publish to clients is received by the nodes that have them, whoever is addressed beside them', async (t) => {
  const redis = await startRedis(t);
  const nodes = await Promise.all(Array.from({ length: 3 }, () => start(t, { program: 'fixture', args: ['--bus', redis.url] })));
  for (const server of nodes) await acquainted(server, nodes.length);
  const clients = await Promise.all(nodes.map((server) => member(server, [])));
  const ids = clients.map((client) => client.id);
  assert.equal(new Set(ids.map((id) => id.slice(0, 8))).size, nodes.length, `each node has a part of its own: ${ids}`);
  const whisper = async (text, to) => assert.deepEqual(await clients[0].call('whisper', { text, ids: to }), [{ ok: true, data: null }]);
  await whisper('to b', [ids[1]]);
  await whisper('to a and c', [ids[0], ids[2]]);
  await whisper('to nobody', [`zzzzzzzz${ids[1].slice(8)}`]);
  assert.deepEqual(await heard(clients, clients[0]), [['to a and c'], ['to b'], ['to a and c']]);
  const metrics = await Promise.all(nodes.map((server) => server.metrics()));
  const received = (channel) => metrics.map((one) => one.sum('carillon_cluster_received_total', { channel }));
  assert.deepEqual([received('node'), received('namespace')], [[0, 1, 1], [0, 1, 1]]);
  assert.equal(metrics[0].sum('carillon_cluster_messages_total', { result: 'unknown_node' }), 1);
});

test('one of three nodes is stopped: who asks for the members of all is told in time, and whom it is told nothing of', async (t) => {
  const redis = await startRedis(t);
  const nodes = await Promise.all(Array.from({ length: 3 }, () => start(t, { program: 'fixture', args: ['--bus', redis.url] })));
  for (const server of nodes) await acquainted(server, nodes.length);
  const clients = await Promise.all(nodes.map((server) => member(server, ['red'])));
  const parts = clients.map((client) => client.id.slice(0, 8));
  const ask = async () => (await clients[0].call('everywhere', { room: 'red' }))[0].data;
  const all = await ask();
  assert.deepEqual([all.count, all.complete, all.nodes.missing], [3, true, []]);
  assert.deepEqual(all.members.map(({ id, node, rooms }) => [id, node, rooms]).sort(), clients.map(({ id }, at) => [id, parts[at], ['red']]).sort());
  t.after(() => nodes[2].child.kill('SIGCONT'));
  await stop(nodes[2].child);
  const asked = performance.now();
  const some = await ask();
  const took = performance.now() - asked;
  assert.deepEqual([some.count, some.complete, some.nodes.missing], [2, false, [parts[2]]]);
  assert.deepEqual(some.nodes.answered.sort(), parts.slice(0, 2).sort());
  t.diagnostic(`answered after ${took.toFixed(0)} ms`);
  // No sooner than the time that nodes have to answer, and not much later on a machine that does other things too.
  assert.ok(took > 990 && took < 2_000, `it took ${took} ms`);
  // Nine seconds after its last word it is none of them.
  await acquainted(nodes[0], 2);
  const left = await ask();
  assert.deepEqual([left.count, left.complete, left.nodes.missing], [2, true, []]);
  nodes[2].child.kill('SIGCONT');
  await acquainted(nodes[0], 3);
  assert.deepEqual((await ask()).count, 3);
});

test('who sits at a table is told how many do, on all nodes, and a node that is killed takes its own with it', async (t) => {
  const { a, b } = await pair(t, { config: '[cluster]\npresence_interval_ms = 200\n' });
  const clients = await Promise.all([a, a, b, b].map((server) => member(server, ['table:1'])));
  const [here, too, there, leaver] = clients;
  const last = (client) => client.all('seated').at(-1)?.[0];
  const told = (some, count) => until(() => some.every((client) => last(client)?.count === count), () => `${count} are told of; the last were ${JSON.stringify(some.map(last))}`, 20_000);
  await told(clients, 4);
  assert.deepEqual(last(there), { room: 'table:1', count: 4 });
  const elsewhere = await member(b, ['kitchen']);
  const present = async (client, room) => (await client.call('present', { room }))[0].data;
  assert.deepEqual(await Promise.all([present(here, 'table:1'), present(elsewhere, 'table:1'), present(here, 'table:2'), present(here, 'kitchen')]), [4, 4, 0, null]);
  await leaver.call('leave', { room: 'table:1' });
  await told([here, too, there], 3);
  too.disconnect();
  await told([here, there], 2);
  assert.deepEqual(elsewhere.all('seated'), []);
  // Many at once are told of together.
  const before = here.all('seated').length;
  const begin = performance.now();
  const crowd = await Promise.all(Array.from({ length: 100 }, (_, at) => member(at % 2 ? a : b, ['table:1'])));
  await told([here, there, ...crowd], 102);
  const times = here.all('seated').length - before;
  const most = 1 + Math.ceil((performance.now() - begin) / 200);
  assert.ok(times <= most, `it was told ${times} times, and not more than ${most}`);
  t.diagnostic(`100 came; it was told ${times} times`);
  for (const client of crowd) client.disconnect();
  await told([here, there], 2);
  await b.closeClients();
  await member(b, ['table:1']);
  await told([here], 2);
  b.child.kill('SIGKILL');
  await b.exit;
  const killed = performance.now();
  await told([here], 1);
  t.diagnostic(`gone after ${(performance.now() - killed).toFixed(0)} ms`);
});

test('who may publish on Redis and does not know bus.secret disconnects nobody; nodes that know it act as one', async (t) => {
  const { redis, a, b } = await pair(t, { config: '[bus]\nsecret = "known to our nodes alone"\n' });
  const [here, there] = await Promise.all([member(a, []), member(b, [])]);
  const out = `${JSON.stringify({ namespace: '/proto', json: 0 })}\n`;
  const strangers = [out, `carillon 3 stranger 1 ${Date.now()} -\n${out}`, `carillon 3 stranger 1 ${Date.now()} ${'0'.repeat(64)}\n${out}`];
  for (const message of strangers) assert.equal(await redis.cli('PUBLISH', CLUSTER[0], message), '2');
  await shout(here, { text: 'still here' });
  assert.deepEqual(await heard([here, there], here), [['still here'], ['still here']]);
  for (const server of [a, b]) {
    const metrics = await server.metrics();
    assert.deepEqual(['malformed', 'refused'].map((result) => metrics.sum('carillon_cluster_messages_total', { result })), [1, 2]);
  }
});

test('the ACL of the page on security is all that a Carillon needs, and keeps others off its channels', async (t) => {
  const page = readFileSync(new URL('../../../docs/security.md', import.meta.url), 'utf8');
  const users = page.match(/ACL SETUSER .*/g).map((line) => line.replace('PASSWORD', 'secret').split(' '));
  const redis = await startRedis(t);
  for (const user of users) assert.equal(await redis.cli(...user), 'OK');
  const url = `redis://carillon:secret@127.0.0.1:${redis.port}/2`;
  const [a, b] = await Promise.all([1, 2].map(() => start(t, { program: 'fixture', args: ['--bus', url], config: '[plugins.monitoring]\ncollect = "on"\ninterval_ms = 1000\n' })));
  const [here, there] = await Promise.all([member(a, ['red']), member(b, ['red'])]);
  await shout(here, { text: 'red', rooms: ['red'] });
  assert.deepEqual(await heard([here, there], here), [['red'], ['red']]);
  const listener = await b.connect('/', { transports: ['websocket'] });
  await listener.next('redis_cluster_metrics');
  const as = (...command) => redis.cli('--user', 'worker', '--pass', 'secret', ...command);
  assert.equal(await as('PUBLISH', 'celery:metrics', '{}'), '2');
  await assert.rejects(as('PUBLISH', CLUSTER[0], 'x'), /NOPERM/);
});

test('installations with different prefixes on one Redis do not see each other', async (t) => {
  const redis = await startRedis(t);
  const [a, b] = await Promise.all(['ours', 'theirs'].map((prefix) => start(t, { program: 'fixture', args: ['--bus', redis.url], config: `[bus]\nprefix = "${prefix}"\n` })));
  const [here, there] = await Promise.all([member(a, []), member(b, [])]);
  await redis.subscribers(1, ['ours:cluster:{/proto}', 'theirs:cluster:{/proto}']);
  await shout(here, { text: 'ours' });
  await shout(there, { text: 'theirs' });
  assert.deepEqual(await heard([here], here), [['ours']]);
  assert.deepEqual(await heard([there], there), [['theirs']]);
  for (const server of [a, b]) assert.equal((await server.metrics()).sum('carillon_cluster_messages_total', { result: 'received' }), 0);
  assert.deepEqual((await redis.cli('KEYS', 'carillon*')), '');
});

test('a node that loses Redis serves its own clients on, and finds the others again', async (t) => {
  const { redis, gap, a, b } = await pair(t);
  const [here, lost, too] = await Promise.all([member(a, []), member(b, []), member(b, [])]);
  await gap.cut();
  await told(b, { up: false, status: 'degraded' });
  await told(a, { up: true, status: 'ready' });
  await shout(lost, { text: 'on b' });
  await shout(here, { text: 'on a' });
  for (const [socket, text] of [[here, 'on a'], [lost, 'on b'], [too, 'on b']]) {
    await socket.next('shouted', { where: (said) => said.text === text });
  }
  // A moment's loss costs nothing: only now has b given up on telling the others.
  await b.metricsSettle((metrics) => assert.ok(metrics.sum('carillon_bus_published_locally_total') > 0, 'b does without Redis'));
  await gap.mend();
  await redis.subscribers(2, CLUSTER);
  await told(b, { up: true, status: 'ready' });
  await shout(here, { text: 'again' });
  assert.deepEqual(await heard([here, lost, too], here, lost), [['again', 'on a'], ['again', 'on b'], ['again', 'on b']]);
});

test('one of them collects; when it is killed the other takes over within two intervals', async (t) => {
  const interval = 1_000;
  const { a, b } = await pair(t, { config: `[plugins.monitoring]\ncollect = "on"\ninterval_ms = ${interval}\n` });
  const listeners = await Promise.all([a, b].map((server) => server.connect('/', { transports: ['websocket'] })));
  const rounds = (socket) => socket.seen.filter(({ event }) => event === 'redis_cluster_metrics');
  const published = async (server) => (await server.metrics()).sum('carillon_collections_total', { result: 'published' });

  await until(() => listeners.every((socket) => rounds(socket).length >= short(4, 60)), 'rounds are heard on both', short(10_000, 90_000));
  const counts = await Promise.all([a, b].map(published));
  const [collector, other] = counts[0] > 0 ? [a, b] : [b, a];
  assert.equal(Math.min(...counts), 0, `one collects: ${counts}`);
  // Two would be heard twice as often.
  for (const socket of listeners) {
    const times = rounds(socket).map(({ at }) => at);
    const apart = (times.at(-1) - times[0]) / (times.length - 1);
    assert.ok(apart > 0.8 * interval && apart < 1.5 * interval, `a round every ${apart} ms`);
  }

  const left = listeners[[a, b].indexOf(other)];
  await collector.closeClients();
  collector.child.kill('SIGKILL');
  await collector.exit;
  const killed = Date.now();
  const next = await until(() => rounds(left).find(({ at }) => at > killed), 'the other one collects');
  assert.ok(next.at - killed <= 2 * interval + 200, `a round came ${next.at - killed} ms after the collector was killed`);
  t.diagnostic(`taken over after ${next.at - killed} ms; the interval is ${interval} ms`);
  assert.ok(await published(other) > 0);
});
