//! The way to Redis goes bad, or Redis does things it never should: own clients notice nothing, the operator does.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { AWAY, THERE, told } from './lib/outage.mjs';
import { startRedis } from './lib/redis.mjs';
import { openScene } from './lib/scene.mjs';
import { short } from './lib/soak.mjs';
import { until } from './lib/wait.mjs';

describe('faults of Redis', { concurrency: 4 }, () => {
  test('half open: nothing gets through, and no end is told', async (t) => {
    const scene = await openScene(t);
    const { server, proxy, root, traffic } = scene;
    const { away, back } = await scene.during(async () => {
      proxy.blackhole();
      const away = await told(server, AWAY);
      await pause(short(0, 60_000));
      const usable = Date.now();
      proxy.pass();
      const back = await root.hearsAgain(usable, traffic);
      await told(server, THERE);
      return { away, back };
    });
    t.diagnostic(`told after ${away} ms, back after ${back} ms`);
    await scene.unharmed({ gaps: 1 });
  });

  test('its subscribers are killed every second', async (t) => {
    const scene = await openScene(t);
    const { server, redis, root, traffic } = scene;
    const kills = short(5, 60);
    const waits = await scene.during(async () => {
      const waits = [];
      for (let kill = 0; kill < kills; kill += 1) {
        const next = pause(1_000);
        await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
        waits.push(await root.hearsAgain(Date.now(), traffic));
        await next;
      }
      await told(server, THERE);
      await root.hears(traffic);
      return waits;
    });
    t.diagnostic(`back after ${waits.join(', ')} ms`);
    await scene.unharmed({ gaps: [1, kills] });
  });

  test('its subscribers do not take what is published, and are thrown out', async (t) => {
    const scene = await openScene(t, { redis: { args: ['--client-output-buffer-limit', 'pubsub 1mb 0 0'] } });
    const { server, redis, root, traffic } = scene;
    await scene.during(async () => {
      // More at once than it keeps for anybody.
      await redis.cli('EVAL', 'for n = 1, 40 do redis.call("PUBLISH", "cluster:metrics", string.rep("x", 50000)) end', 0);
      await until(() => redis.log.includes('overcoming of output buffer limits'), 'Redis throws the subscriber out');
      await root.hearsAgain(Date.now(), traffic);
      await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_bus_reconnects_total'), 1));
      await told(server, THERE);
    });
    await scene.unharmed({ gaps: 1 });
  });

  test('another takes what is published, and delivers none of it', async (t) => {
    const scene = await openScene(t);
    const { server, proxy } = scene;
    const other = await startRedis(t);
    const away = await scene.during(async () => {
      proxy.divert('PUBLISH', other.port);
      const away = await told(server, AWAY);
      await pause(short(0, 60_000));
      proxy.straight();
      await told(server, THERE);
      return away;
    });
    t.diagnostic(`told after ${away} ms`);
    // From the last message that came through, not from when that was noticed; there is one every two seconds.
    assert.ok(await scene.grown('carillon_bus_unsubscribed_seconds_total') > away / 1_000 - 2.5, 'the gap is counted from its beginning');
    await scene.unharmed({ gaps: 1 });
  });

  test('connections are reset, and half closed', async (t) => {
    const scene = await openScene(t);
    const { server, proxy, root, traffic } = scene;
    const rounds = short(2, 20);
    let gaps = 0;
    await scene.during(async () => {
      for (let round = 1; round <= rounds; round += 1) {
        for (const how of ['reset', 'halfClose']) {
          const [from, next] = [Date.now(), pause(1_000)];
          proxy[how]();
          gaps += 1;
          await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_bus_reconnects_total'), gaps));
          await root.hearsAgain(from, traffic);
          t.diagnostic(`${how}: back after ${Date.now() - from} ms`);
          await next;
          await told(server, THERE);
        }
      }
    });
    await scene.unharmed({ gaps });
  });

  test('it is far away, and the way narrow: later, and no fault', async (t) => {
    const scene = await openScene(t);
    const { server, proxy, root, traffic } = scene;
    await scene.during(async () => {
      proxy.latency(100);
      proxy.bandwidth(100_000);
      await pause(short(3_000, 60_000));
      await told(server, THERE);
      await root.hears(traffic);
    });
    await scene.unharmed();
  });
});
