//! The machine goes bad: no files left, no room for the log, a clock that jumps; and an issuer of keys that hangs.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { disconnected, refused } from './lib/client.mjs';
import { openClock } from './lib/faketime.mjs';
import { HANGS, issuerKey, startIssuer } from './lib/issuer.mjs';
import { THERE, told } from './lib/outage.mjs';
import { freePort } from './lib/redis.mjs';
import { openLonelyScene, openScene } from './lib/scene.mjs';
import { short, SOAK } from './lib/soak.mjs';
import { ahead, KEYS, REFUSED, token } from './lib/tokens.mjs';

const LASTS_MS = short(3_000, 60_000);
const HOUR_S = 3_600;

describe('faults of the machine', { concurrency: 4 }, () => {
  test('no more files can be opened: not for clients, and not for Redis', async (t) => {
    const scene = await openScene(t, { server: { openFiles: 256 } });
    const { server, proxy, root, traffic } = scene;
    // What is open stays open.
    const allow = (files) => execFileSync('prlimit', ['--pid', String(server.child.pid), `--nofile=${files}:`]);
    await scene.during(async () => {
      allow(3);
      const waiting = Array.from({ length: 4 }, () => server.client('/echo', { transports: ['websocket'], timeout: LASTS_MS + 20_000 }));
      await server.logged(/cannot accept connections.*files/);
      proxy.reset();
      await server.logged(/Redis is away: .*files/);
      await pause(LASTS_MS);
      allow(256);
      const usable = Date.now();
      await Promise.all(waiting.map((client) => client.opened()));
      await root.hearsAgain(usable, traffic);
      await told(server, THERE);
      for (const client of waiting) assert.equal((await client.call('say', { text: 'hi' }))[0].ok, true);
    });
    assert.ok(await scene.grown('carillon_accept_errors_total') > 0);
    await scene.unharmed({ gaps: 1 });
  });

  test('no room for the log, whatever is to be logged', async (t) => {
    const scene = await openLonelyScene(t, { listen: `127.0.0.1:${await freePort()}`, logTo: openSync('/dev/full', 'w'), env: { CARILLON_LOG__LEVEL: 'debug' } });
    const { server } = scene;
    await scene.during(async () => {
      const rough = await server.connect('/rough');
      assert.equal((await rough.call('panic', { text: 'on purpose' }))[0].error.code, 'internal');
      assert.equal((await rough.call('quick'))[0].ok, true);
      server.child.kill('SIGHUP');
      await pause(short(500, 60_000));
    });
    assert.ok(await scene.grown('carillon_log_lines_total') > 0);
    await scene.unharmed({ panics: 1 });
  });

  test('the clock jumps ahead and back: who is there stays, and tokens are judged by it', async (t) => {
    const clock = openClock(t);
    const env = { ...clock.env, CARILLON_AUTH__MODE: 'jwt', CARILLON_AUTH__KEY: KEYS.HS256.secret, CARILLON_AUTH__EXPIRY_GRACE_MS: '0' };
    const shows = (seconds) => ({ transports: ['websocket'], auth: { token: token({ sub: 'ann', exp: ahead(seconds) }) } });
    const scene = await openLonelyScene(t, { env }, shows(100 * HOUR_S));
    const { server } = scene;
    await scene.during(async () => {
      const soon = await server.connect('/echo', shows(HOUR_S / 2));
      clock.jump(HOUR_S);
      assert.equal((await refused(server.client('/echo', shows(HOUR_S / 2)))).message, REFUSED);
      await server.connect('/echo', shows(2 * HOUR_S));
      // It is looked at once a minute.
      if (SOAK) await disconnected(soon, 61_000);
      for (const seconds of [-HOUR_S, 20 * HOUR_S, -1_000 * HOUR_S, 0]) {
        clock.jump(seconds);
        assert.equal((await (await server.connect('/echo', shows(50 * HOUR_S))).call('say', { text: 'hi' }))[0].ok, true);
        assert.equal((await server.fetch('/readyz')).status, 200);
        await pause(short(200, 5_000));
      }
    });
    await scene.unharmed();
  });

  test('an issuer of keys hangs', async (t) => {
    const [known, next] = [issuerKey('known'), issuerKey('next')];
    const issuer = await startIssuer(t, [known]);
    const own = `keys = [{ kid = "own", algorithm = "HS256", key = "${KEYS.HS256.secret}" }]\n`;
    const config = `[auth]\nmode = "jwt"\njwks_url = "${issuer.url}"\njwks_refresh_ms = 1000\njwks_timeout_ms = 500\n${own}`;
    const good = () => ({ sub: 'ann', exp: ahead(600) });
    const shows = (shown) => ({ transports: ['websocket'], auth: { token: shown } });
    const scene = await openLonelyScene(t, { config }, shows(token(good(), { header: { kid: 'own' } })));
    const { server } = scene;
    const keys = (count) => server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_auth_jwks_keys'), count));
    await keys(1);
    await server.connect('/echo', shows(known.sign(good())));
    await scene.during(async () => {
      issuer.keys = [known, next];
      issuer.answer = HANGS;
      await server.logged(/stay as they were: no answer within 500 ms/);
      const over = Date.now() + LASTS_MS;
      while (Date.now() < over) {
        await Promise.all(Array.from({ length: 5 }, () => refused(server.client('/echo', shows(next.sign(good()))))));
        await server.connect('/echo', shows(known.sign(good())));
        await pause(100);
      }
      issuer.answer = null;
      await keys(2);
      await server.connect('/echo', shows(next.sign(good())));
    });
    assert.ok(await scene.grown('carillon_auth_jwks_fetches_total', { result: 'failed' }) > 0);
    await scene.unharmed();
  });
});
