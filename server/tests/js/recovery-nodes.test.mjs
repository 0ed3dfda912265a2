//! Stock clients of two nodes, one of which is killed again and again: each comes back to the other and gets everything that was
//! its own, once and in order. When Redis dies, whoever may have missed something is told so.
//!
//! There are two hundred publishes a second, a third of them for everybody, a third for one of five rooms, and a third for all but one of them: a client
//! is in one, and hears two of three.
//! `make test` has few clients and rounds, `make soak` a thousand clients and thirty rounds; CARILLON_RECOVERY_CLIENTS, CARILLON_RECOVERY_PROCESSES
//! (they share the clients), CARILLON_RECOVERY_ROUNDS and CARILLON_RECOVERY_PAUSE_MS say otherwise.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Crowd, Publisher } from './lib/crowd.mjs';
import { ENGINE } from './lib/engine-differences.mjs';
import { KeptStream } from './lib/kept-stream.mjs';
import { told } from './lib/outage.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { startCluster } from './lib/shards.mjs';
import { hears, ROOMS } from './lib/shares.mjs';
import { short } from './lib/soak.mjs';
import { until, within } from './lib/wait.mjs';

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const CLIENTS = number('CARILLON_RECOVERY_CLIENTS', short(50, 1_000));
const PROCESSES = number('CARILLON_RECOVERY_PROCESSES', 2);
const ROUNDS = number('CARILLON_RECOVERY_ROUNDS', short(3, 30));
const PAUSE_MS = number('CARILLON_RECOVERY_PAUSE_MS', short(1_500, 10_000));
/** For so long Redis is away. */
const AWAY_MS = Math.min(PAUSE_MS, 5_000);
const PER_SECOND = 200;
const PATIENCE_MS = 30_000 + 20 * CLIENTS;
const CONFIG = '[journal]\nnamespaces = ["/proto"]\nrecovery = ["/proto"]\n[server]\nmax_connections_per_ip = 5000\nmax_sessions_per_ip = 5000\n';

const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));

/** A node that can be killed, and started again where it was. */
async function node(t, redis) {
  const options = { program: 'fixture', args: ['--bus', redis.url], config: CONFIG };
  const one = { server: await start(t, options) };
  one.kill = async () => {
    one.server.child.kill('SIGKILL');
    await within(one.server.exit, 'a node is killed');
  };
  one.again = async () => {
    one.server = await start(t, { ...options, listen: `127.0.0.1:${one.server.port}` });
  };
  return one;
}

async function hall(t) {
  const redis = await startRedis(t);
  const nodes = [await node(t, redis), await node(t, redis)];
  const other = await node(t, redis);
  for (const { server } of [...nodes, other]) await told(server, { up: true, status: 'ready' });
  const crowd = await Crowd.gather(t, nodes.map(({ server }) => server.url), CLIENTS, PROCESSES, PATIENCE_MS);
  // It takes no offsets, and so it stays when others have to be told something.
  const speaker = await other.server.connect('/proto', { transports: ['websocket'], auth: { recovery: false } });
  return { redis, nodes, crowd, publisher: new Publisher(t, speaker, PER_SECOND) };
}

/** Ends the publishes; resolves when the crowd has heard them all, to what became of it. */
async function judged(t, crowd, publisher) {
  const last = await publisher.end();
  await until(async () => await crowd.count('waiting', last) === 0, 'everybody hears the end', PATIENCE_MS);
  const sums = await crowd.judged();
  const each = (count) => Math.round(count / publisher.seconds);
  t.diagnostic(`${publisher.sent} publishes, ${each(publisher.sent)} a second; ${sums.heard} deliveries, ${each(sums.heard)} a second; ${sums.returns} came back, ${sums.renewed} as new ones`);
  return sums;
}

const heard = (socket) => socket.all('shouted').map(([{ text }]) => text);

/** What became of those who came back, by the nodes that are there. */
async function recoveries(nodes) {
  const all = await Promise.all(nodes.map(({ server }) => server.metrics()));
  return JSON.stringify(all.map((metrics) => metrics.match('carillon_recoveries_total').map(({ labels, value }) => `${labels.result} ${value}`)));
}

/** How many deliveries so many publishes make. */
function due(sent) {
  let sum = 0;
  for (let n = 0; n < sent; n += 1) for (let client = 0; client < CLIENTS; client += 1) sum += Number(hears(n, `r${client % ROOMS}`));
  return sum;
}

/** One Redis, or a cluster of three: `[name, start]`, where what is started has a `url` and `all`, its servers. */
const STORES = [
  ['one Redis', async (t) => {
    const redis = await startRedis(t);
    return { url: redis.url, all: [redis] };
  }],
  ['a cluster', async (t) => {
    const { url, masters } = await startCluster(t);
    return { url, all: masters };
  }],
];

for (const [name, begin] of STORES) {
  test(`${name}: a row of the relay that is kept is kept once, however many nodes there are, and heard by the clients of all`, async (t) => {
    const { url, all } = await begin(t);
    const config = '[journal]\nnamespaces = ["/"]\nhistory = ["/"]\n[[plugins.relay.rows]]\nchannel = "wall"\nevent = "wall"\nnamespaces = ["/"]\njournal = true\n';
    const servers = await Promise.all([1, 2, 3].map(() => start(t, { args: ['--bus', url], config })));
    for (const server of servers) await told(server, { up: true, status: 'ready' });
    const answers = (...command) => Promise.all(all.map((one) => one.cli(...command).catch(() => '')));
    await until(async () => (await answers('PUBSUB', 'NUMSUB', 'wall')).reduce((sum, said) => sum + Number(said.split('\n')[1]), 0) === 3, 'all of them listen');
    const sockets = await Promise.all(servers.map((server) => server.connect('/', { transports: ['websocket'] })));
    // Whose turn it is is settled within a second; what comes before that is nobody's.
    await until(async () => {
      await all[0].cli('PUBLISH', 'wall', -1);
      return sockets.every((socket) => socket.all('wall').length > 0);
    }, 'one of them has its turn');
    const counted = (numbers) => numbers.filter((n) => n >= 0);
    for (let n = 0; n < 50; n += 1) await all[0].cli('PUBLISH', 'wall', n);
    const numbers = Array.from({ length: 50 }, (_, n) => n);
    for (const socket of sockets) {
      await until(() => socket.all('wall').some(([n]) => n === 49), () => `all of it is heard; ${socket.all('wall').length} were`);
      assert.deepEqual(counted(socket.all('wall').map(([n]) => n)), numbers);
    }
    for (const server of servers) {
      const { events, complete } = await (await server.fetch('/api/history?limit=1000')).json();
      assert.deepEqual([counted(events.map(({ args }) => args[0])), complete], [numbers, true]);
      assert.equal((await server.metrics()).sum('carillon_journal_publishes_total', { result: 'apart' }), 0);
    }
  });
}

if (ENGINE === 'carillon') {
  test(`${CLIENTS} clients, one of two nodes killed ${ROUNDS} times: each recovers on the other and gets all that was its own, once, in order`, async (t) => {
    const { nodes, crowd, publisher } = await hall(t);
    let moved = 0;
    const begin = performance.now();
    for (let round = 0; round < ROUNDS; round += 1) {
      // By the clock: what the last round took is part of it.
      await pause(Math.max(0, begin + (round + 1) * PAUSE_MS - performance.now()));
      const victim = nodes[round % 2];
      const moving = await crowd.count('leaving', victim.server.url);
      assert.ok(moving > 0, 'somebody is on the node that is killed');
      await victim.kill();
      let away;
      await until(async () => { away = await crowd.count('away'); return away === 0; }, () => `${away} of ${moving} are not back`, PATIENCE_MS);
      moved += moving;
      await victim.again();
      await told(victim.server, { up: true, status: 'ready' });
    }
    await pause(PAUSE_MS / 2);
    const { heard, unnumbered, returns, renewed } = await judged(t, crowd, publisher);
    assert.equal(renewed, 0, `recovered each time: ${await recoveries(nodes)}`);
    assert.equal(returns, moved, 'and left for no other reason');
    assert.equal(unnumbered, 0, 'every publish has an offset');
    assert.equal(heard, due(publisher.sent), 'everything is heard');
  });

  test(`Redis killed for some seconds under ${CLIENTS} clients: nothing comes twice, and whoever may have missed something is told so`, async (t) => {
    const { redis, nodes, crowd, publisher } = await hall(t);
    await pause(PAUSE_MS);
    await redis.kill();
    await pause(AWAY_MS);
    await redis.start();
    for (const { server } of nodes) await told(server, { up: true, status: 'ready' });
    // Whoever is connected now may have missed something, and comes back for that.
    let untold;
    await until(async () => { untold = await crowd.count('untold'); return untold === 0; }, () => `${untold} were told nothing`, PATIENCE_MS);
    await pause(PAUSE_MS);
    const { renewed } = await judged(t, crowd, publisher);
    assert.ok(renewed > 0, 'somebody was told');
  });

  test('a journal whose new keeper had not got as far: how much it has forgotten is counted, who may have missed it is told, and all hear what follows', async (t) => {
    const redis = await startRedis(t);
    const stream = await KeptStream.start(t, redis.url);
    // More than is read at once.
    await until(() => stream.sent > 600, 'much is kept');
    stream.stop();
    const [a, b] = stream.clients;
    await until(() => [a, b].every((socket) => Number(heard(socket).at(-1)) === stream.sent - 1), 'all of it is heard');
    const forget = "local s, n = KEYS[1], redis.call('HGET', KEYS[2], 'n') for i = n - 4, n do redis.call('XDEL', s, i .. '-0') end redis.call('XSETID', s, (n - 5) .. '-0') return redis.call('HSET', KEYS[2], 'n', n - 5)";
    await redis.cli('EVAL', forget, 2, 'carillon:journal:{/proto}', 'carillon:journal:{/proto}:state');
    assert.deepEqual(await stream.speaker.call('shout', { text: 'next' }), [{ ok: true, data: null }]);
    for (const socket of [stream.speaker, a, b]) {
      await until(() => socket === stream.speaker ? heard(socket).at(-1) === 'next' : socket.returns.length > 0, 'the next one is heard, or that something is missing');
    }
    assert.deepEqual([a, b].map(({ returns }) => returns.map(({ recovered }) => recovered)), [[false], [false]]);
    for (const node of stream.nodes) assert.equal((await node.metrics()).sum('carillon_journal_forgotten_total'), 5);
  });
}
