//! What a stranger may try: each weakness that was ever found is a test, named with its number.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { call, peerServes } from './lib/echo.mjs';
import { p99 } from './lib/percentile.mjs';
import { openSession } from './lib/polling.mjs';
import { many, openDeaf, pour } from './lib/pour.mjs';
import { watchMemory } from './lib/proc.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { held } from './lib/table.mjs';
import { until } from './lib/wait.mjs';
import { frame, openPeer, OPCODE, Peer, text, upgradeRequest } from './lib/websocket.mjs';

// What an attack may cost in memory, and how long it is kept up.
const MOST_BYTES = 64 * 2 ** 20;
const ATTACK_MS = short(3_000, 30_000);
const ATTACKERS = short(4, 100);
// So much each of them sends at least, if somebody reads it.
const LEAST_BYTES = 2 ** 25;
const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/**
 * Calls in `/echo` one after the other, from another address, a hundred times and then until the attack that `begin`
 * begins is over; every one must be answered.
 */
async function bystander(server, begin) {
  const peer = await openPeer(server.port, { localAddress: '127.0.0.2' });
  const call = async (times) => {
    const before = performance.now();
    await peerServes(peer, 1_000 + times.length);
    times.push(performance.now() - before);
    // It leaves this process to the attackers meanwhile.
    await pause(10);
  };
  const [quiet, during] = [[], []];
  while (quiet.length < 100) await call(quiet);
  peer.frames.length = 0;
  let over = false;
  const attack = begin().finally(() => { over = true; });
  while (!over) await call(during);
  peer.destroy();
  return { result: await attack, calls: during.length, words: `${during.length} calls of another client, p99 ${p99(during).toFixed(1)} ms (${p99(quiet).toFixed(1)} before)` };
}

/** So many clients that do not read. */
const deafOnes = (t, server, count, namespace) => Promise.all(Array.from({ length: count }, () => openDeaf(t, server.port, { namespace })));

/** Runs an attack of many deaf sockets and proves that memory stays and that others are served. */
async function flood(t, server, sockets, octets, { expect = MOST_BYTES } = {}) {
  const memory = watchMemory(t, server.child.pid);
  // It goes on to the end although the server may have thrown the attackers out.
  const attack = () => Promise.all(sockets.map((socket) => pour(socket, octets, ATTACK_MS, LEAST_BYTES))).then((taken) => pause(ATTACK_MS / 3).then(() => taken));
  const { result, calls, words } = await bystander(server, attack);
  const taken = result.reduce((sum, one) => sum + one, 0);
  t.diagnostic(`${mib(taken)} poured in: memory grew by ${mib(memory())}; ${words}`);
  assert.ok(memory() <= expect, `memory grew by ${mib(memory())}`);
  assert.ok(calls > 10);
  for (const socket of sockets) socket.destroy();
}

// ---- A1: what is never read ----

const unread = {
  'pings of one who does not read are not kept': { octets: many(frame(OPCODE.ping, Buffer.alloc(125, 0x61))), namespace: null },
  'empty pings of one who does not read are not kept': { octets: many(frame(OPCODE.ping)), namespace: null },
  'pings of one who joined and does not read are not kept': { octets: many(frame(OPCODE.ping, 'p')), namespace: '/echo' },
  'refusals with long names that are not read are not kept': { octets: text(`40/${'n'.repeat(60_000)},`), namespace: '/echo' },
  'replies to joining and leaving that are not read are not kept': { octets: many(Buffer.concat([text('40/echo,'), text('41/echo,')])), namespace: null },
  'acks that are not read are not kept': { octets: many(text(call(1, 'x'.repeat(1_000)))), namespace: '/echo' },
  'A3: replies to fragmented CONNECTs that are not read are not kept': { octets: many(Buffer.concat([text('4', { fin: false }), frame(OPCODE.continuation, '0/echo,'), text('41/echo,')])), namespace: null },
  'A3: refusals with long names in fragments that are not read are not kept': {
    octets: Buffer.concat([text('4', { fin: false }), frame(OPCODE.continuation, `0/${'n'.repeat(60_000)},`)]), namespace: '/echo',
  },
  'answers to unknown events that are not read are not kept': { octets: many(text('42/echo,["nobody",{}]')), namespace: '/echo' },
};
for (const [what, { octets, namespace }] of Object.entries(unread)) {
  held(`${what.startsWith('A') ? '' : 'A1: '}${what}`, async (t) => {
    const server = await start(t);
    await flood(t, server, await deafOnes(t, server, ATTACKERS, namespace), octets);
  });
}

// ---- A2: control frames that look like packets ----

test('A2: a ping that looks like a packet is a ping, however many come', async (t) => {
  const server = await start(t);
  const peer = await openPeer(server.port);
  for (const like of ['42/echo,1["say",{"text":"x"}]', '40/health,', '41/echo,', '451-/echo,["x"]', '2probe', '3probe', '5', '1', '9']) {
    const payload = Buffer.from(like);
    for (let n = 0; n < 50; n += 1) peer.write(frame(OPCODE.pong, payload));
    const { length } = peer.pongs();
    peer.write(frame(OPCODE.ping, payload));
    await peer.until(() => peer.pongs().length > length, `a pong of ${like}`);
    assert.deepEqual(peer.pongs().at(-1), payload);
    await peerServes(peer, 500 + length);
  }
  assert.equal(peer.texts().filter((one) => one.startsWith('43/echo,1[') || one.startsWith('40/health,')).length, 0);
  assert.equal((await server.metrics()).sum('carillon_connected_clients', { namespace: '/health' }), 0);
  peer.destroy();
});

// ---- A3: messages that come in parts ----

test('A3: what comes behind the upgrade request in its segment is read as what comes later is', async (t) => {
  const server = await start(t);
  const peer = new Peer(server.port);
  t.after(() => peer.destroy());
  peer.write(Buffer.concat([upgradeRequest(server.port), text('40/echo,')]));
  await peer.text('40/echo,{');
  await peerServes(peer);
  // A name that is too long, or a packet too many, is no better there.
  const long = new Peer(server.port);
  t.after(() => long.destroy());
  long.write(Buffer.concat([upgradeRequest(server.port), text(`40/${'n'.repeat(999_000)},`)]));
  await long.until(() => long.ended || long.texts().some((said) => said.startsWith('44')), 'a refusal, or the end');
  assert.equal((await server.metrics()).sum('carillon_connected_clients', { namespace: '/echo' }), 1);
});

test('A3: an upgrade packet in fragments is an upgrade packet', async (t) => {
  const server = await start(t);
  const session = await openSession(server.port, { namespace: '/echo' });
  const peer = new Peer(server.port);
  t.after(() => peer.destroy());
  peer.write(upgradeRequest(server.port, { path: `/socket.io/?EIO=4&transport=websocket&sid=${session.sid}` }), text('2pro', { fin: false }), frame(OPCODE.continuation, 'be'));
  await peer.text('3probe');
  peer.write(text('', { fin: false }), frame(OPCODE.continuation, '5'));
  for (let id = 0; id < 50; id += 1) await peerServes(peer, id);
});

// ---- A4: handshakes without end ----

held('A4: handshakes pipelined from one address leave room for others', async (t, patience) => {
  const server = await start(t, { env: { CARILLON_SERVER__MAX_CONNECTIONS: '100' } });
  const request = Buffer.from(`GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n\r\n`);
  const attackers = Array.from({ length: 10 }, () => new Peer(server.port, { localAddress: '127.0.0.3' }));
  t.after(() => attackers.forEach((peer) => peer.destroy()));
  const answered = attackers.map((peer) => {
    let count = 0;
    peer.socket.on('data', (chunk) => { count += chunk.toString('latin1').split('HTTP/1.1 ').length - 1; });
    peer.write(many(request, request.length * 200));
    return () => count > 100 || peer.ended;
  });
  await until(() => answered.every((done) => done()), 'the attackers are answered');
  // From here on nothing of theirs has ended.
  const before = performance.now();
  const other = await openPeer(server.port, { localAddress: '127.0.0.2', patience });
  t.diagnostic(`another address is let in after ${(performance.now() - before).toFixed(1)} ms`);
  await peerServes(other);
  other.destroy();
});

// ---- A6: what is begun and not ended ----

/** So many connections begin something of nearly a megabyte each. */
const HALVES = 120;
const nearlyAll = Buffer.alloc(900_000, 0x61);
const halves = {
  'half a message over a WebSocket': async (peer) => {
    peer.write(text('42/echo,["say",', { fin: false }), frame(OPCODE.continuation, nearlyAll, { declared: 990_000 }));
  },
  'half an event with attachments': async (peer) => {
    peer.write(text('459-/echo,1["say",{"_placeholder":true,"num":0}]'), frame(OPCODE.binary, nearlyAll));
  },
};
for (const [what, begin] of Object.entries(halves)) {
  held(`A6: ${what}, of many connections, costs little memory`, async (t) => {
    // One address may hold half of it; what is counted is what they sent, and a process holds a little more.
    const server = await start(t, { env: { CARILLON_SERVER__MEMORY_BUDGET_BYTES: String(MOST_BYTES * 3 / 2) } });
    const memory = watchMemory(t, server.child.pid);
    const peers = [];
    t.after(() => peers.forEach((peer) => peer.destroy()));
    for (let n = 0; n < HALVES; n += 1) {
      const peer = await openPeer(server.port, { localAddress: '127.0.0.3' }).catch(() => undefined);
      if (peer === undefined) break;
      peers.push(peer);
      begin(peer);
      await Promise.race([new Promise((done) => { peer.socket.write('', done); }), new Promise((done) => { peer.socket.once('close', done); })]);
    }
    const { words } = await bystander(server, () => pause(ATTACK_MS / 3));
    t.diagnostic(`${peers.length} connections began, ${peers.filter(({ ended }) => ended).length} were ended: memory grew by ${mib(memory())}; ${words}`);
    assert.ok(memory() <= MOST_BYTES, `memory grew by ${mib(memory())}`);
  });
}

// ---- A7: mistakes that are repeated ----

test('A7: a mistake is told in a few words, however long it is', async (t) => {
  const server = await start(t);
  const peer = await openPeer(server.port);
  const long = '\u007f'.repeat(300_000);
  const wrong = [`{"text":[${JSON.stringify(long)}]}`, JSON.stringify(long), `{${JSON.stringify(long)}:1}`, `[[${JSON.stringify(long)}]]`];
  for (const [id, payload] of wrong.entries()) {
    peer.write(text(`42/echo,${id}["say",${payload}]`));
    const answer = await peer.text(`43/echo,${id}[`);
    assert.match(answer, /"code":"bad_payload"/);
    assert.ok(answer.length <= 600, `${answer.length} characters`);
  }
  const error = await openPeer(server.port);
  error.write(text(`42/echo,["${'n'.repeat(300_000)}",1]`));
  assert.ok((await error.text('42/echo,["error"')).length <= 600);
  peer.destroy();
  error.destroy();
});

// ---- A11: rooms and ids ----

held('A11: who joins a room named like a client gets nothing that is for the client, nor the client what is for the room', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const [victim, attacker] = await Promise.all([server.connect('/proto'), server.connect('/proto')]);
  assert.equal((await attacker.call('join', { room: victim.id }))[0].ok, true);
  assert.equal((await attacker.call('shout', { text: 'to the room', rooms: [victim.id] }))[0].ok, true);
  await attacker.next('shouted', { where: ({ text: said }) => said === 'to the room' });
  assert.equal((await victim.call('shout', { text: 'to all' }))[0].ok, true);
  for (const socket of [victim, attacker]) await socket.next('shouted', { where: ({ text: said }) => said === 'to all' });
  assert.deepEqual(victim.all('shouted'), [[{ text: 'to all' }]]);
});
