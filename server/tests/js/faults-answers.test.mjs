//! Redis is there and says no: messages that get through go on, what it refuses is told, and nothing is lost when it is well again.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { AWAY, busDetail, THERE, told } from './lib/outage.mjs';
import { freePort } from './lib/redis.mjs';
import { openScene } from './lib/scene.mjs';
import { short } from './lib/soak.mjs';
import { ahead, KEYS, token } from './lib/tokens.mjs';
import { until } from './lib/wait.mjs';

/** A Carillon that measures this host every second, which takes keys. */
const COLLECTS = { config: '[plugins.monitoring]\ncollect = "on"\ninterval_ms = 1000\n' };
const LASTS_MS = short(3_000, 60_000);
/** Its rounds and its turns ask Redis for several things at once. */
const SPARE = 8;

/** Rounds of the collector with this result, since the fault began. */
const rounds = (scene, result) => scene.grown('carillon_collections_total', { result });

/** Redis refuses keys with `word` and takes publishes: rounds fail, `/readyz` says why, and others are heard on. */
async function refuses(scene, word) {
  const { server, root, traffic } = scene;
  let detail;
  await until(async () => { detail = await busDetail(server); return word.test(detail); }, () => `/readyz tells of ${word}; it says ${detail}`, 15_000);
  await until(async () => await rounds(scene, 'failed') > 0, 'a round fails');
  await pause(LASTS_MS);
  await root.hears(traffic);
  assert.equal((await server.fetch('/readyz')).status, 200);
}

/** It takes them again. */
async function takes(scene) {
  const before = await rounds(scene, 'published');
  await until(async () => await rounds(scene, 'published') > before, 'a round is published', 60_000);
  let detail;
  await until(async () => { detail = await busDetail(scene.server); return detail.endsWith('delivers'); }, () => `/readyz tells of nothing else; it says ${detail}`);
}

describe('a Redis that refuses', { concurrency: 4 }, () => {
  test('READONLY: it has become a replica', async (t) => {
    const scene = await openScene(t, { server: COLLECTS });
    await scene.during(async () => {
      await scene.redis.cli('REPLICAOF', '127.0.0.1', await freePort());
      await refuses(scene, /read only/);
      await scene.redis.cli('REPLICAOF', 'NO', 'ONE');
      await takes(scene);
    });
    await scene.unharmed({ spare: SPARE });
  });

  test('LOADING: it has a lot to read before it knows its keys', async (t) => {
    // One that asks who its clients are also reads who is revoked.
    const server = { ...COLLECTS, env: { CARILLON_AUTH__MODE: 'jwt', CARILLON_AUTH__KEY: KEYS.HS256.secret } };
    const trust = { auth: { token: token({ sub: 'ann', exp: ahead(3_600) }) } };
    const scene = await openScene(t, { trust, server, redis: { args: ['--loading-process-events-interval-bytes', '1024'] } });
    const { redis, traffic, root } = scene;
    await scene.during(async () => {
      await redis.cli('EVAL', `for n = 1, ${short(3_000, 30_000)} do redis.call("SET", "filler:" .. n, string.rep("x", 100)) end`, 0);
      await redis.cli('SAVE');
      await redis.kill();
      await told(scene.server, AWAY);
      // A millisecond for each key, so that it takes seconds.
      redis.args.push('--key-load-delay', '1000');
      const loaded = redis.start({ ms: 60_000 });
      await until(() => redis.cli('PING').catch(() => '').then((said) => said.includes('LOADING')), 'it loads');
      await root.hearsAgain(Date.now(), traffic);
      await told(scene.server, THERE);
      await until(async () => /loading/.test(await busDetail(scene.server)), '/readyz tells that it loads');
      await loaded;
      await takes(scene);
    });
    await scene.unharmed({ gaps: 1, spare: SPARE });
  });

  test('NOAUTH: it asks for a password from now on', async (t) => {
    const scene = await openScene(t);
    const { redis, server, root, traffic } = scene;
    const { away, back } = await scene.during(async () => {
      await redis.cli('CONFIG', 'SET', 'requirepass', 's3cret');
      for (const kind of ['normal', 'pubsub']) await redis.cli('-a', 's3cret', 'CLIENT', 'KILL', 'TYPE', kind);
      const away = await told(server, AWAY);
      await until(async () => /NOAUTH|Authentication required/.test(await busDetail(server)), '/readyz says why');
      await pause(LASTS_MS);
      const usable = Date.now();
      await redis.cli('-a', 's3cret', 'CONFIG', 'SET', 'requirepass', '');
      const back = await root.hearsAgain(usable, traffic);
      await told(server, THERE);
      return { away, back };
    });
    t.diagnostic(`told after ${away} ms, back after ${back} ms`);
    await scene.unharmed({ gaps: 1, secret: 's3cret' });
  });
});
