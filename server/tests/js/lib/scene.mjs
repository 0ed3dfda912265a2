//! A server at work with a Redis, a way to it that can go bad, and all that must hold when a fault is over.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { footprint, leftClean } from './books.mjs';
import { calmLog, listen, OwnClients, THERE, told, Traffic } from './outage.mjs';
import { startRedis } from './redis.mjs';
import { start } from './server.mjs';
import { short } from './soak.mjs';
import { openProxy } from './tcp-proxy.mjs';

/** How long clients are served without a fault, for comparison. */
const QUIET_MS = short(500, 30_000);

class Scene {
  /** What happens between now and the end of `fault` is the fault's: it is over when `fault` resolves. */
  async during(fault) {
    await pause(QUIET_MS);
    this.metrics = await this.server.metrics();
    this.from = Date.now();
    const found = await fault();
    this.to = Date.now();
    return found;
  }

  /** Other programs publish from now on. */
  publishAt(port, password) {
    this.traffic = Traffic.start(this.t, port, password);
    return this.traffic;
  }

  /** How much a counter has grown since the fault began. */
  async grown(name, labels) {
    return (await this.server.metrics()).sum(name, labels) - this.metrics.sum(name, labels);
  }

  /**
   * Asserts what holds after every fault: own clients were served, other programs were heard in order, the log was calm, and
   * nothing is left. `gaps` is how many times Redis was found again, each of them counted, or the least and the most; `panics` is how many
   * there were on purpose, `spare` how many more connections to Redis there may be.
   */
  async unharmed({ gaps = 0, panics = 0, spare, secret } = {}) {
    const heard = await this.root?.inOrder();
    const { calls, shouts } = await this.clients.served();
    const [least, most] = Array.isArray(gaps) ? gaps : [gaps, gaps];
    const found = await this.grown('carillon_bus_reconnects_total');
    assert.ok(found >= least && found <= most, `Redis was found again ${found} times`);
    if (least > 0) assert.ok(await this.grown('carillon_bus_unsubscribed_seconds_total') > 0, 'the gap is counted');
    calmLog(this.server, secret);
    const lines = this.server.log.filter((line) => { const at = Date.parse(line.split(' ')[0]); return at >= this.from && at <= this.to; });
    const seconds = (this.to - this.from) / 1_000;
    assert.ok(lines.length <= 1 + seconds, `at most one line a second, for ${seconds} s:\n${lines.join('\n')}`);
    this.traffic?.stop();
    const left = await leftClean(this.server, this.before, { spare, panics });
    const [quiet, during] = [this.clients.p99(0, this.from), this.clients.p99(this.from, this.to)].map((both) => both.map((ms) => ms.toFixed(1)));
    this.t.diagnostic(`${calls} calls answered and ${shouts} publishes heard, p99 ${during.join(' and ')} ms in ${seconds.toFixed(1)} s of the fault (${quiet.join(' and ')} before); `
      + `${heard ?? 0} messages of other programs in order; ${lines.length} lines of log; then ${JSON.stringify(left)}`);
  }
}

/** Own clients go to work at a server that was started as `options` say, and connect as `trust` says. */
async function atWork(t, parts, options, trust = {}) {
  const server = await start(t, { program: 'fixture', ...options });
  server.trust = trust;
  if (parts.proxy) await told(server, THERE);
  const scene = Object.assign(new Scene(), { t, ...parts, server, before: await footprint(server) });
  scene.clients = await OwnClients.atWork(t, server);
  return scene;
}

/** Opens one with a Redis of its own, other programs at work on it; `redis` and `server` are what these are started with, `trust` how clients connect. */
export async function openScene(t, { redis: redisOptions, server: options, trust } = {}) {
  const redis = await startRedis(t, redisOptions);
  const proxy = await openProxy(t, redis.port);
  const scene = await atWork(t, { redis, proxy }, { args: ['--bus', proxy.url], ...options }, trust);
  scene.root = await listen(scene.server);
  await scene.root.hears(scene.publishAt(redis.port));
  return scene;
}

/** Opens one with a Redis at `url`, which may not be there yet. */
export async function openSceneAt(t, url, options) {
  const scene = await atWork(t, {}, { args: ['--bus', url], ...options });
  scene.root = await listen(scene.server);
  return scene;
}

/** Opens one without a Redis, whose own clients connect as `trust` says. */
export const openLonelyScene = (t, options, trust) => atWork(t, {}, options, trust);
