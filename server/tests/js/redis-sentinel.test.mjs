//! Redis under Sentinels: Carillon follows the master, and what was lost meanwhile is counted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { KeptStream } from './lib/kept-stream.mjs';
import { busDetail, told } from './lib/outage.mjs';
import { startSentinel } from './lib/sentinel.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { Stream } from './lib/stream.mjs';

test('a master killed under load: publishes flow again within 2 s of the promotion, and what is missing is counted exactly', async (t) => {
  const rounds = short(1, 5);
  const redis = await startSentinel(t, { replicas: rounds + 1 });
  const stream = await Stream.start(t, redis.url);
  for (let round = 1; round <= rounds; round += 1) {
    const master = await redis.master();
    const promoted = redis.promoted();
    const killed = Date.now();
    await master.kill();
    const at = await promoted;
    const back = await stream.flowsAgain(at);
    redis.servers.splice(redis.servers.indexOf(master), 1);
    t.diagnostic(`round ${round}: another master ${at - killed} ms after the kill, publishes ${back} ms later`);
    await pause(short(0, 10_000));
  }
  for (const node of stream.nodes) await told(node, { up: true, status: 'ready' });
  const { sent, missed } = await stream.judged();
  t.diagnostic(`${missed} of ${sent} publishes were missed by the other node, which has counted them`);
});

test('a master killed under load: of what is kept nothing is missing but what its successor had not got, which is counted and told', async (t) => {
  const rounds = short(1, 5);
  const redis = await startSentinel(t, { replicas: rounds + 1 });
  const stream = await KeptStream.start(t, redis.url);
  for (let round = 1; round <= rounds; round += 1) {
    await pause(short(500, 10_000));
    const master = await redis.master();
    const promoted = redis.promoted();
    await master.kill();
    await promoted;
    await stream.flows();
    redis.servers.splice(redis.servers.indexOf(master), 1);
  }
  t.diagnostic(await stream.judged());
});

test('a master and a Sentinel that hang are left for those that do not, and the master is no master when it is back', async (t) => {
  const redis = await startSentinel(t);
  const stream = await Stream.start(t, redis.url);
  const master = await redis.master();
  const promoted = redis.promoted();
  redis.sentinels[0].signal('SIGSTOP');
  master.signal('SIGSTOP');
  const back = await stream.flowsAgain(await promoted);
  const [, ...others] = redis.sentinels;
  redis.sentinels[0].signal('SIGCONT');
  redis.sentinels = others;
  master.signal('SIGCONT');
  await stream.flows();
  const { sent, missed } = await stream.judged();
  t.diagnostic(`publishes ${back} ms after the promotion; ${missed} of ${sent} were missed`);
});

test('/readyz names the master that is not there, and Sentinels that name none', async (t) => {
  const redis = await startSentinel(t, { replicas: 0 });
  const server = await start(t, { args: ['--bus', redis.url] });
  await told(server, { up: true, status: 'ready' });
  assert.equal(await busDetail(server), `redis: mymaster at ${redis.servers[0].address} delivers`);
  await redis.servers[0].kill();
  await told(server, { up: false, status: 'degraded' });
  assert.match(await busDetail(server), /^redis: mymaster at .* away for \d+ s: .*/);
  const other = await start(t, { args: ['--bus', redis.url.replace('mymaster', 'another')] });
  await told(other, { up: false, status: 'degraded' });
  await other.logged(/no Sentinel names a master "another"/);
});
