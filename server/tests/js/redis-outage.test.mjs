//! Redis goes away in every way there is: clients are served on, the operator is told, and nobody restarts anything.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { AWAY, calmLog, THERE, told } from './lib/outage.mjs';
import { prepareRedis, startRedis } from './lib/redis.mjs';
import { openSceneAt } from './lib/scene.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';

// The connections to publish and to subscribe may not have been there at first.
const SPARE = 4;

describe('Redis is away', { concurrency: 4 }, () => {
  test('killed three times under traffic, the last time for long', async (t) => {
    const redis = await startRedis(t);
    const scene = await openSceneAt(t, redis.url);
    const { server, root } = scene;
    const traffic = scene.publishAt(redis.port);
    await told(server, THERE);
    await scene.during(async () => {
      for (const [round, away] of [short(1_000, 30_000), short(1_000, 30_000), short(3_000, 300_000)].entries()) {
        await root.hears(traffic);
        await redis.kill();
        const known = await told(server, AWAY);
        await pause(away);
        const back = await root.hearsAgain(await redis.start());
        await told(server, THERE);
        t.diagnostic(`round ${round + 1}: told after ${known} ms, back after ${back} ms`);
      }
    });
    await scene.unharmed({ gaps: 3, spare: SPARE });
  });

  test('stopped in its tracks, and let go on', async (t) => {
    const redis = await startRedis(t);
    const scene = await openSceneAt(t, redis.url);
    const { server, root } = scene;
    const traffic = scene.publishAt(redis.port);
    await told(server, THERE);
    await root.hears(traffic);
    await scene.during(async () => {
      redis.child.kill('SIGSTOP');
      const away = await told(server, AWAY);
      await pause(short(0, 20_000 - away));
      const usable = Date.now();
      redis.child.kill('SIGCONT');
      const back = await root.hearsAgain(usable);
      await told(server, THERE);
      t.diagnostic(`told after ${away} ms, back after ${back} ms`);
    });
    await scene.unharmed({ gaps: 1, spare: SPARE });
  });

  test('stopped while nobody publishes: the server finds out by itself', async (t) => {
    const redis = await startRedis(t);
    const server = await start(t, { args: ['--bus', redis.url] });
    const echo = await server.connect('/echo');
    await told(server, THERE);
    redis.child.kill('SIGSTOP');
    const away = await told(server, AWAY);
    assert.equal((await echo.call('say', { text: 'x' }))[0].ok, true);
    redis.child.kill('SIGCONT');
    const back = await told(server, THERE);
    calmLog(server);
    t.diagnostic(`told after ${away} ms, back after ${back} ms`);
  });

  test('started only after Carillon', async (t) => {
    const redis = await prepareRedis(t);
    const scene = await openSceneAt(t, redis.url);
    const { server, root } = scene;
    await told(server, AWAY);
    const traffic = scene.publishAt(redis.port);
    await scene.during(async () => {
      await pause(short(1_000, 30_000));
      const back = await root.hearsAgain(await redis.start());
      await told(server, THERE);
      await root.hears(traffic);
      t.diagnostic(`back after ${back} ms`);
    });
    await scene.unharmed({ spare: SPARE });
  });

  test('with another password than Carillon was told, until it is set right', async (t) => {
    const redis = await startRedis(t, { args: ['--requirepass', 'first'] });
    const scene = await openSceneAt(t, `redis://:s3cret@127.0.0.1:${redis.port}/2`);
    const { server, root } = scene;
    const away = await told(server, AWAY);
    await scene.during(async () => {
      await pause(short(1_000, 30_000));
      const usable = Date.now();
      await redis.cli('-a', 'first', 'CONFIG', 'SET', 'requirepass', 's3cret');
      const traffic = scene.publishAt(redis.port, 's3cret');
      const back = await root.hearsAgain(usable);
      await told(server, THERE);
      await root.hears(traffic);
      t.diagnostic(`told after ${away} ms, back after ${back} ms`);
    });
    await scene.unharmed({ secret: 's3cret', spare: SPARE });
  });

  test('replaced by an empty one on the same port', async (t) => {
    const redis = await startRedis(t);
    const last = '{"timestamp":"t","nodes":{},"cluster_stats":{"total_nodes":8,"online_nodes":7}}';
    await redis.cli('SET', 'cluster:metrics', last);
    const scene = await openSceneAt(t, redis.url);
    const { server, root } = scene;
    const traffic = scene.publishAt(redis.port);
    await told(server, THERE);
    await root.hears(traffic);
    const before = await server.connect('/health');
    assert.equal((await before.next('health_update'))[0].nodes_total, 8);
    await scene.during(async () => {
      await redis.kill();
      const back = await root.hearsAgain(await redis.start());
      await told(server, THERE);
      t.diagnostic(`back after ${back} ms`);
    });
    assert.equal(await redis.cli('DBSIZE'), '0');
    // What the other one knew is not made up.
    const after = await server.connect('/health');
    await after.next('health_connected');
    assert.equal((await after.call('request_health'))[0].ok, true);
    assert.deepEqual(after.all('health_update').filter(([{ nodes_total: total }]) => total === 8), []);
    await scene.unharmed({ gaps: 1, spare: SPARE });
  });

  test('with bus.required = true a load balancer is told to go elsewhere', async (t) => {
    const redis = await prepareRedis(t);
    const scene = await openSceneAt(t, redis.url, { env: { CARILLON_BUS__REQUIRED: 'true' } });
    const { server, root } = scene;
    const traffic = scene.publishAt(redis.port);
    const refusing = { up: false, status: 'unready', code: 503 };
    await told(server, refusing);
    await scene.during(async () => {
      await root.hearsAgain(await redis.start());
      await told(server, THERE);
      await root.hears(traffic);
      await redis.kill();
      await told(server, refusing);
      await redis.start();
      await told(server, THERE);
    });
    await scene.unharmed({ gaps: 1, spare: SPARE });
  });
});
