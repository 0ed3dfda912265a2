//! Stock clients of two nodes, one of which is killed again and again: each comes back to the other and gets everything that was
//! its own, once and in order. When Redis dies, whoever may have missed something is told so.
//!
//! `make test` has few clients and rounds, `make soak` a thousand clients and thirty rounds; CARILLON_RECOVERY_CLIENTS, CARILLON_RECOVERY_ROUNDS and
//! CARILLON_RECOVERY_PAUSE_MS say otherwise.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENGINE } from './lib/engine-differences.mjs';
import { KeptStream } from './lib/kept-stream.mjs';
import { told } from './lib/outage.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { startCluster } from './lib/shards.mjs';
import { short } from './lib/soak.mjs';
import { until, within } from './lib/wait.mjs';

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const CLIENTS = number('CARILLON_RECOVERY_CLIENTS', short(50, 1_000));
const ROUNDS = number('CARILLON_RECOVERY_ROUNDS', short(3, 30));
const PAUSE_MS = number('CARILLON_RECOVERY_PAUSE_MS', short(1_500, 10_000));
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

/** A stock client in a room that comes back to whichever node is there, and what it was told each time. */
async function member(at, nodes, room) {
  const socket = nodes[at].server.client('/proto', { transports: ['websocket'], reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 300 });
  await socket.opened();
  assert.equal((await socket.call('join', { room }))[0].ok, true);
  socket.room = room;
  socket.returns = [];
  socket.on('connect', () => {
    socket.returns.push(socket.recovered);
    if (!socket.recovered) socket.newAt ??= socket.all('shouted').length;
  });
  // As a proxy would: the next attempt goes to a node that is there.
  socket.io.on('reconnect_attempt', () => { socket.io.uri = nodes.find(({ server }) => !server.ended).server.url; });
  return socket;
}

/** Publishes so many a second until it is told to stop, to everybody, to a room and to all but a room by turns. */
function publish(socket) {
  const said = [];
  const shout = (n) => {
    const room = `r${n % 5}`;
    const what = [{}, { rooms: [room] }, { except: [room] }][n % 3];
    said.push({ text: `${n}`, ...what });
    socket.emit('shout', said.at(-1));
  };
  const timer = setInterval(() => { for (let n = 0; n < PER_SECOND / 20; n += 1) shout(said.length); }, 50);
  return { said, stop: () => clearInterval(timer) };
}

const heard = (socket) => socket.all('shouted').map(([{ text }]) => text);
const meant = (said, room) => said.filter(({ rooms, except }) => (!rooms || rooms.includes(room)) && !except?.includes(room)).map(({ text }) => text);

async function hall(t) {
  const redis = await startRedis(t);
  const nodes = [await node(t, redis), await node(t, redis)];
  const other = await node(t, redis);
  for (const { server } of [...nodes, other]) await told(server, { up: true, status: 'ready' });
  const sockets = [];
  for (let at = 0; at < CLIENTS; at += 1) sockets.push(await member(at % 2, nodes, `r${at % 5}`));
  // It takes no offsets, and so it stays when others have to be told something.
  const speaker = await other.server.connect('/proto', { transports: ['websocket'], auth: { recovery: false } });
  return { redis, nodes, sockets, speaker };
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
    const { nodes, sockets, speaker } = await hall(t);
    const { said, stop } = publish(speaker);
    t.after(stop);
    for (let round = 0; round < ROUNDS; round += 1) {
      await pause(PAUSE_MS);
      const victim = nodes[round % 2];
      const moving = sockets.filter(({ io }) => io.uri.includes(`:${victim.server.port}`));
      const before = moving.map(({ returns }) => returns.length);
      assert.ok(moving.length > 0, 'somebody is on the node that is killed');
      await victim.kill();
      await until(() => moving.every(({ returns, connected }, at) => connected && returns.length > before[at]),
        () => `${moving.filter(({ connected }) => !connected).length} of ${moving.length} are not back`, PATIENCE_MS);
      await victim.again();
      await told(victim.server, { up: true, status: 'ready' });
    }
    await pause(PAUSE_MS / 2);
    stop();
    assert.deepEqual(await speaker.call('shout', { text: 'end' }), [{ ok: true, data: null }]);
    said.push({ text: 'end' });
    await until(() => sockets.every((socket) => heard(socket).includes('end')), 'everybody hears the end', PATIENCE_MS);
    for (const socket of sockets) {
      assert.deepEqual(heard(socket), meant(said, socket.room), `${socket.room}: everything, once and in order`);
      assert.ok(socket.returns.every((recovered) => recovered === true), `recovered each time: ${socket.returns}`);
      assert.ok(socket.all('shouted').every(([, offset]) => typeof offset === 'string'), 'every publish has an offset');
    }
    const returns = sockets.reduce((sum, socket) => sum + socket.returns.length, 0);
    assert.ok(returns >= ROUNDS * Math.floor(CLIENTS / 2), `${returns} came back`);
    t.diagnostic(`${said.length} publishes, ${returns} recoveries`);
  });

  test('Redis killed for some seconds: nothing comes twice, and whoever may have missed something is told so', async (t) => {
    const { redis, nodes, sockets, speaker } = await hall(t);
    const { said, stop } = publish(speaker);
    t.after(stop);
    await pause(PAUSE_MS);
    await redis.kill();
    await pause(PAUSE_MS);
    await redis.start();
    for (const { server } of nodes) await told(server, { up: true, status: 'ready' });
    // Whoever is connected now may have missed something, and comes back for that.
    await until(() => sockets.every(({ returns, connected }) => connected && returns.length > 0),
      () => `${sockets.filter(({ returns }) => returns.length === 0).length} were told nothing`, PATIENCE_MS);
    await pause(PAUSE_MS);
    stop();
    assert.deepEqual(await speaker.call('shout', { text: 'end' }), [{ ok: true, data: null }]);
    said.push({ text: 'end' });
    await until(() => sockets.every((socket) => heard(socket).includes('end')), 'everybody hears the end', PATIENCE_MS);
    for (const socket of sockets) {
      const texts = heard(socket);
      assert.equal(new Set(texts).size, texts.length, 'nothing twice');
      const all = meant(said, socket.room);
      const order = texts.map((text) => said.findIndex((one) => one.text === text));
      assert.ok(order.every((place, at) => at === 0 || place > order[at - 1]), `in order: ${texts}`);
      // Until it was told that it is new, and so in no room any more.
      assert.ok(texts.slice(0, socket.newAt).every((text) => all.includes(text)), 'nothing of others');
      assert.ok(texts.length === all.length || socket.returns.includes(false), `${all.length - texts.length} are missing, and it was told ${socket.returns}`);
    }
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
