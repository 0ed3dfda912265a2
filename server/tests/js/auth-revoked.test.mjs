//! `carillon token revoke`: who is revoked has to leave every node, cannot come back, and reads the same words as everybody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, TRANSPORTS } from './lib/client.mjs';
import { AWAY, THERE, told } from './lib/outage.mjs';
import { freePort, prepareRedis, startRedis } from './lib/redis.mjs';
import { answered, returning } from './lib/returning.mjs';
import { runToEnd, start } from './lib/server.mjs';
import { openProxy } from './lib/tcp-proxy.mjs';
import { ahead, KEYS, REFUSED, sha256, token } from './lib/tokens.mjs';
import { until } from './lib/wait.mjs';

const KEY = 'carillon:revocations';
const JWT = { CARILLON_AUTH__MODE: 'jwt', CARILLON_AUTH__KEY: KEYS.HS256.secret };
const BOTH = ['polling', 'websocket'];

const of = (sub, more) => token({ sub, exp: ahead(600), ...more });

/** A node: the first runs our engine, the second the other one. */
const node = (t, url, engine = 'carillon', env = JWT) => start(t, { args: ['--bus', url], env: { ...env, CARILLON_SERVER__ENGINE: engine } });
const revoke = (url, words, env = JWT) => runToEnd('carillon', ['token', 'revoke', ...words], { env: { ...env, CARILLON_BUS__URL: url } });

async function revoked(url, words, env) {
  const { code, out, err } = await revoke(url, words, env);
  assert.equal(code, 0, err);
  return out;
}

async function turnedAway(server, shown) {
  for (const transport of BOTH) {
    const error = await refused(server.client('/echo', { ...TRANSPORTS[transport], auth: { token: shown } }));
    assert.equal(error.message, REFUSED);
  }
}

const letIn = (server, shown) => Promise.all(BOTH.map((transport) => server.connect('/echo', { ...TRANSPORTS[transport], auth: { token: shown } })));

test('a subject leaves all nodes, and is refused by all of them, also by one that starts later', async (t) => {
  const redis = await startRedis(t);
  const nodes = await Promise.all(['carillon', 'socketioxide'].map((engine) => node(t, redis.url, engine)));
  for (const server of nodes) await told(server, THERE);
  const clients = (name) => Promise.all(nodes.flatMap((server) => BOTH.map((transport) => returning(server, transport, () => of(name)))));
  const [anns, bobs] = await Promise.all([clients('ann'), clients('bob')]);
  const answers = Promise.all(anns.map((ann) => answered(ann)));
  assert.match(await revoked(redis.url, ['--subject', 'ann', '--for', '1h']), /^revoked until \S+Z; 1 revocation is in force\n$/);
  assert.deepEqual(await answers, Array(4).fill(REFUSED));
  for (const bob of bobs) assert.deepEqual(await bob.call('say', { text: 'hi' }), [{ ok: true, data: { text: 'hi' } }]);
  const later = await node(t, redis.url);
  for (const server of [...nodes, later]) {
    await turnedAway(server, of('ann'));
    await letIn(server, of('anna'));
  }
  for (const server of nodes) {
    const metrics = await server.metrics();
    assert.equal(metrics.sum('carillon_disconnections_total', { reason: 'token_revoked' }), 2);
    assert.ok(metrics.sum('carillon_auth_refused_total', { reason: 'revoked' }) >= 4);
    assert.equal(metrics.sum('carillon_auth_revocations'), 1);
  }
});

test('one token, those issued before a time, and API keys are revoked; a token that is newer lets in', async (t) => {
  const redis = await startRedis(t);
  const server = await node(t, redis.url);
  await told(server, THERE);
  const [one, two] = [of('ann', { jti: 'one', iat: ahead(-60) }), of('ann', { jti: 'two', iat: ahead(-60) })];
  const clients = await Promise.all([one, two].map((shown) => returning(server, 'websocket', () => shown)));
  const first = answered(clients[0]);
  await revoked(redis.url, ['--id', 'one']);
  assert.equal(await first, REFUSED);
  await turnedAway(server, one);
  await letIn(server, two);
  const second = answered(clients[1]);
  assert.match(await revoked(redis.url, ['--subject', 'ann', '--issued-before', 'now']), /; 2 revocations are in force\n$/);
  assert.equal(await second, REFUSED);
  await turnedAway(server, of('ann'));
  await letIn(server, of('ann', { iat: ahead(1) }));
  await letIn(server, of('bob'));
  await revoked(redis.url, ['--issued-before', 'now']);
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_auth_revocations'), 3));
  await turnedAway(server, of('bob'));

  const keys = { CARILLON_AUTH__MODE: 'api_key', CARILLON_AUTH__API_KEYS: `[{ name = "board", sha256 = "${sha256('the key')}" }]` };
  const other = await startRedis(t);
  const board = await node(t, other.url, 'carillon', keys);
  await told(board, THERE);
  const client = await returning(board, 'websocket', () => 'the key');
  const answer = answered(client);
  await revoked(other.url, ['--subject', 'board'], keys);
  assert.equal(await answer, REFUSED);
});

test('a node that was cut off learns of it when it is back; a Redis that forgot is told again', async (t) => {
  const redis = await startRedis(t);
  const gap = await openProxy(t, redis.port);
  const server = await node(t, gap.url);
  await told(server, THERE);
  const client = await returning(server, 'websocket', () => of('ann'));
  await gap.cut();
  await told(server, AWAY);
  await revoked(redis.url, ['--subject', 'ann']);
  assert.deepEqual(await client.call('say', { text: 'still' }), [{ ok: true, data: { text: 'still' } }]);
  const answer = answered(client, 20_000);
  await gap.mend();
  assert.equal(await answer, REFUSED);
  await redis.cli('DEL', KEY);
  await until(async () => (await redis.cli('GET', KEY)).includes('"sub":"ann"'), 'the node writes it back', 15_000);
  assert.ok(Number(await redis.cli('PTTL', KEY)) > 29 * 24 * 3_600_000, 'for as long as it holds');
});

test('a node starts without its Redis, and learns what is revoked when that is there', async (t) => {
  const redis = await prepareRedis(t);
  const server = await node(t, redis.url);
  assert.ok(server.log.some((line) => line.includes('what is revoked is not known yet')), server.log.join('\n'));
  const client = await returning(server, 'websocket', () => of('ann'));
  await redis.start();
  const answer = answered(client, 20_000);
  await revoked(redis.url, ['--subject', 'ann']);
  assert.equal(await answer, REFUSED);
});

test('what is no revocation changes nothing, on the channel and under the key', async (t) => {
  const redis = await startRedis(t);
  const server = await node(t, redis.url);
  await told(server, THERE);
  const client = await returning(server, 'websocket', () => of('ann'));
  await redis.subscribers(1, ['carillon:revoked']);
  const says = () => client.call('say', { text: 'hi' });
  const stays = [{ ok: true, data: { text: 'hi' } }];
  // What is told there is only that there is something to read.
  for (const text of ['', 'x', '[{"sub":"ann","until":9999999999}]']) await redis.cli('PUBLISH', 'carillon:revoked', text);
  assert.deepEqual(await says(), stays);
  for (const text of ['something else', '{}', '[{"until":9999999999}]', '[{"sub":"ann"}]', '[{"sub":"ann","until":9999999999,"or":1}]']) {
    await redis.cli('SET', KEY, text);
    await redis.cli('PUBLISH', 'carillon:revoked', 'changed');
  }
  await server.logged(/revocations: the key carillon:revocations holds something else/);
  assert.deepEqual(await says(), stays);
  await redis.cli('SET', KEY, 'something else');
  const { code, out, err } = await revoke(redis.url, ['--subject', 'bob']);
  assert.deepEqual([code, out], [1, '']);
  assert.match(err, /not revoked: the key carillon:revocations holds something else/);
  assert.equal(await redis.cli('GET', KEY), 'something else');
});

test('where it cannot be told it says so', async () => {
  const nowhere = `redis://127.0.0.1:${await freePort()}`;
  for (const [code, says, answer] of [
    [78, 'bus.url: memory:// lives inside each server', revoke('memory://', ['--subject', 'ann'])],
    [78, 'auth.mode is "open"', revoke(nowhere, ['--subject', 'ann'], {})],
    [1, 'not revoked: the bus is not there: ', revoke(nowhere, ['--subject', 'ann'])],
    [2, 'required', revoke(nowhere, [])],
    [2, 'cannot be used with', revoke(nowhere, ['--id', 'x', '--subject', 'ann'])],
    [2, 'a name has 1 to 256 bytes', revoke(nowhere, ['--subject', 'x'.repeat(257)])],
    [2, 'write `now`, or a time', revoke(nowhere, ['--issued-before', 'yesterday'])],
    [2, 'a time is out of reach', revoke(nowhere, ['--subject', 'ann', '--for', '4000000d'])],
  ]) {
    const { code: ended, out, err } = await answer;
    assert.deepEqual([ended, out], [code, ''], `${says}: ${err}`);
    assert.ok(err.includes(says), `${says}: ${err}`);
  }
});

test('several who revoke at the same time lose nothing of each other', async (t) => {
  const redis = await startRedis(t);
  const names = Array.from({ length: 6 }, (_, n) => `user ${n}`);
  await Promise.all(names.map((name) => revoked(redis.url, ['--subject', name])));
  assert.deepEqual(JSON.parse(await redis.cli('GET', KEY)).map(({ sub }) => sub).sort(), names);
});
