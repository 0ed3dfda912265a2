//! What a stranger may try: each weakness that was ever found is a test, named with its number.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call, peerServes } from './lib/echo.mjs';
import { many, openDeaf, pour } from './lib/pour.mjs';
import { watchMemory } from './lib/proc.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { frame, openPeer, OPCODE, text } from './lib/websocket.mjs';

// What an attack may cost in memory, and how long it is kept up.
const MOST_BYTES = 64 * 2 ** 20;
const ATTACK_MS = short(3_000, 30_000);
const ATTACKERS = short(4, 100);
// So much each of them sends at least, if somebody reads it.
const LEAST_BYTES = 2 ** 25;
const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** The 99th percentile of what calls took, in words. */
const p99 = (times) => `${times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.99)].toFixed(1)} ms`;

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
  return { result: await attack, calls: during.length, words: `${during.length} calls of another client, p99 ${p99(during)} (${p99(quiet)} before)` };
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
  'answers to unknown events that are not read are not kept': { octets: many(text('42/echo,["nobody",{}]')), namespace: '/echo' },
};
for (const [what, { octets, namespace }] of Object.entries(unread)) {
  test(`A1: ${what}`, async (t) => {
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
