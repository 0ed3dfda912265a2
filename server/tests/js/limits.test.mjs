//! How much clients may send, seen from outside: what they are told, who is closed, and each way around the limits.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { disconnected, refused, TRANSPORTS, upgraded } from './lib/client.mjs';
import { openSession } from './lib/polling.mjs';
import { start } from './lib/server.mjs';
import { short } from './lib/soak.mjs';
import { ahead, KEYS, REFUSED, sha256, token } from './lib/tokens.mjs';
import { until } from './lib/wait.mjs';

const ENGINE = process.env.CARILLON_TEST_ENGINE ?? 'carillon';
const HI = { text: 'hi' };

/** A server with these limits, which knows the API keys `ann` and `bob`, or asks nobody. */
const limited = (t, limits, { keys = false, more = '' } = {}) => start(t, {
  config: [
    '[limits]', ...Object.entries(limits).map(([key, value]) => `${key} = ${value}`),
    ...(keys ? ['[auth]', 'mode = "api_key"', `api_keys = [${['ann', 'bob'].map((name) => `{ name = "${name}", sha256 = "${sha256(name)}" }`)}]`] : []),
    more,
  ].join('\n'),
});

const FEW = { connection_events_per_s: 1, connection_events_burst: 5 };

/** Counts the answers that are `ok`, and says that there are as many as `burst` and `perSecond` allow in this time. */
function few(answers, since, { burst, perSecond = 1 }) {
  const ok = answers.filter((answer) => answer.ok).length;
  const most = burst + Math.floor(((performance.now() - since) / 1000) * perSecond);
  assert.ok(ok >= burst && ok <= most, `${ok} of ${answers.length} got through, instead of ${burst} to ${most}`);
  for (const { error } of answers.filter((answer) => !answer.ok)) {
    assert.equal(error.code, 'rate_limited');
    assert.ok(error.retryable && error.retry_after_ms > 0 && error.retry_after_ms <= 1000, JSON.stringify(error));
  }
}

/** The acks in packets like `43/echo,7[{..}]`. */
const acks = (packets) => packets.filter((packet) => packet.startsWith('43')).map((packet) => JSON.parse(packet.slice(packet.indexOf('[')))[0]);
const calls = (count, namespace = '/echo') => Array.from({ length: count }, (_, n) => `42${namespace},${n}["say",{"text":"hi"}]`);

describe('limits', { concurrency: 4 }, () => {
  for (const [way, transport] of Object.entries(TRANSPORTS)) {
    test(`${way}: an ack says when to try again, and then it is served`, async (t) => {
      const server = await limited(t, FEW);
      const client = await server.connect('/echo', transport);
      if (way === 'upgrade') await upgraded(client);
      const since = performance.now();
      const answers = (await Promise.all(Array.from({ length: 20 }, () => client.call('say', HI)))).flat();
      few(answers, since, { burst: 5 });
      await pause(answers.at(-1).error.retry_after_ms);
      assert.deepEqual(await client.call('say', HI), [{ ok: true, data: HI }]);
      await server.metricsSettle((metrics) => {
        assert.equal(metrics.sum('carillon_rate_limited_total', { scope: 'connection_events' }), answers.filter(({ ok }) => !ok).length);
      });
    });

    test(`${way}: without an ack the event error names the event`, async (t) => {
      const server = await limited(t, FEW);
      const client = await server.connect('/echo', transport);
      for (let n = 0; n < 6; n += 1) client.emit('say', HI);
      const [error] = await client.next('error');
      assert.deepEqual([error.event, error.code], ['say', 'rate_limited']);
      assert.ok(error.retry_after_ms > 0 && error.retry_after_ms <= 1000, JSON.stringify(error));
    });

    test(`${way}: a client that goes on is closed`, async (t) => {
      const server = await limited(t, { ...FEW, refusals_per_s: 1, refusals_burst: 10 });
      const client = await server.connect('/echo', transport);
      const stays = await server.connect('/echo', transport);
      for (let n = 0; n < 100; n += 1) client.emit('say', HI);
      for (let n = 0; n < 10; n += 1) stays.emit('say', HI);
      await disconnected(client);
      await stays.next('error');
      assert.deepEqual(stays.ended, null);
      await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_disconnections_total', { reason: 'rate_limited' }), 1));
      await server.logged(/goes on sending more than it may/);
    });
  }

  // As much as can be sent, for so long; what waits is earned back, a second's worth at most: a longer pause of this process is left out.
  const [RATE, SECONDS] = [100, short(3, 60)];
  for (const way of ['polling', 'websocket']) {
    for (const [who, count, scope] of [['one connection', 1, 'connection'], ['ten connections of one subject', 10, 'subject']]) {
      test(`${way}: the rate of ${who} holds within 5 %`, async (t) => {
        const limits = { refusals_per_s: 0, [`${scope}_events_per_s`]: RATE, [`${scope}_events_burst`]: RATE };
        const server = await limited(t, limits, { keys: true });
        const clients = await Promise.all(Array.from({ length: count }, () => server.connect('/echo', { ...TRANSPORTS[way], auth: { token: 'ann' } })));
        const pending = [];
        const since = performance.now();
        let [last, idle] = [since, 0];
        while (performance.now() - since < SECONDS * 1000) {
          const now = performance.now();
          idle += Math.max(0, now - last - 1000) / 1000;
          last = now;
          for (const client of clients) for (let n = 0; n < 10 / count; n += 1) pending.push(client.call('say', HI));
          await pause(10);
        }
        const asked = (performance.now() - since) / 1000;
        const ok = (await Promise.all(pending)).filter(([answer]) => answer.ok).length;
        const answered = (performance.now() - since) / 1000;
        const [least, most] = [asked - idle, answered].map((seconds) => RATE + RATE * seconds);
        assert.ok(ok >= least * 0.95 && ok <= most * 1.05, `${ok} got through, instead of ${least} to ${most}`);
      });
    }
  }

  test('evasion: many packets in one POST are many', async (t) => {
    const server = await limited(t, FEW);
    const session = await openSession(server.port, { namespace: '/echo' });
    const since = performance.now();
    await session.send(...calls(100));
    while (acks(session.got).length < 100) await session.more();
    few(acks(session.got), since, { burst: 5 });
  });

  test('evasion: many frames in one segment are many, and one message is one event', async (t) => {
    const server = await limited(t, FEW);
    const raw = await server.raw({ namespace: '/echo' });
    const since = performance.now();
    raw._socket.cork();
    for (const packet of calls(100)) raw.send(packet);
    raw._socket.uncork();
    await until(() => acks(raw.frames).length === 100, 'all are answered');
    few(acks(raw.frames), since, { burst: 5 });
    const packed = await server.raw({ namespace: '/echo' });
    packed.send(calls(100).join('\x1e'));
    if (ENGINE === 'carillon') {
      await packed.ends();
      assert.deepEqual(acks(packed.frames), [], 'a message of many packets is none');
    } else {
      // The second engine takes the first packet for all of it.
      packed.send('42/echo,999["say",{"text":"hi"}]');
      await packed.frame('43/echo,999[');
      assert.equal(acks(packed.frames).length, 2);
    }
  });

  test('evasion: namespaces of one connection count together', async (t) => {
    const server = await limited(t, FEW);
    const raw = await server.raw({ namespace: '/echo' });
    raw.send('40/health,');
    await raw.frame('40/health,{');
    const since = performance.now();
    for (let n = 0; n < 20; n += 1) {
      raw.send(`42/echo,${n}["say",{"text":"hi"}]`);
      raw.send(`42/health,${n}["request_health",{}]`);
    }
    await until(() => acks(raw.frames).length === 40, 'all are answered');
    few(acks(raw.frames), since, { burst: 5 });
  });

  test('evasion: other spellings of the name are the same event', async (t) => {
    const server = await limited(t, { events: '[{ namespace = "/echo", event = "say", per_s = 1, burst = 2 }]' });
    const raw = await server.raw({ namespace: '/echo' });
    const since = performance.now();
    const spellings = ['"say"', ' "say" ', '"say"\t', ...(ENGINE === 'carillon' ? ['"\\u0073ay"', '"s\\u0061y"', '"sa\\u0079"'] : [])];
    spellings.flatMap((name) => [name, name]).forEach((name, n) => raw.send(`42/echo,${n}[${name},{"text":"hi"}]`));
    await until(() => acks(raw.frames).length === 2 * spellings.length, 'all are answered');
    few(acks(raw.frames), since, { burst: 2 });
    const metrics = await server.metrics();
    assert.equal(metrics.sum('carillon_messages_received_total', { namespace: '/echo', event: 'say' }), 2 * spellings.length);
    assert.ok(metrics.sum('carillon_rate_limited_total', { scope: 'event' }) > 0);
  });

  for (const way of ['polling', 'websocket']) {
    test(`${way}, evasion: a subject that reconnects is known, and others are not`, async (t) => {
      const server = await limited(t, { subject_events_per_s: 1, subject_events_burst: 3 }, { keys: true });
      const answers = [];
      const since = performance.now();
      for (let n = 0; n < 8; n += 1) {
        const client = await server.connect('/echo', { ...TRANSPORTS[way], auth: { token: 'ann' } });
        answers.push(...(await client.call('say', HI)));
        client.close();
      }
      few(answers, since, { burst: 3 });
      const bob = await server.connect('/echo', { ...TRANSPORTS[way], auth: { token: 'bob' } });
      assert.deepEqual(await bob.call('say', HI), [{ ok: true, data: HI }]);
    });

    test(`${way}, evasion: an address that has failed too often is refused, whatever it shows and from wherever in its /64`, async (t) => {
      const limits = { failed_connects_per_s: 1, failed_connects_burst: 3 };
      const server = await limited(t, limits, { keys: true, more: '[server]\ntrusted_proxies = ["127.0.0.1"]' });
      const open = (from, key) => server.client('/echo', { ...TRANSPORTS[way], auth: { token: key }, extraHeaders: { 'X-Forwarded-For': from } });
      let told;
      for (let n = 1; told !== 'too many clients of this address were refused'; n += 1) {
        assert.ok(n < 50, 'it is refused at last');
        told = (await refused(open(`2001:db8::${n}`, 'guess'))).message;
      }
      const { message, data } = await refused(open('2001:db8::ffff', 'ann'));
      assert.equal(message, told);
      if (ENGINE === 'carillon') {
        assert.deepEqual([data.code, data.retryable], ['rate_limited', true]);
        assert.ok(data.retry_after_ms > 0 && data.retry_after_ms <= 1000, JSON.stringify(data));
      }
      await open('2001:db8:0:1::1', 'ann').opened();
      const metrics = await server.metrics();
      assert.equal(metrics.match('carillon_rate_limited_total').length, 6, 'one series for each scope');
      assert.ok(metrics.sum('carillon_rate_limited_total', { scope: 'failed_connects' }) >= 2);
      assert.ok(metrics.sum('carillon_auth_refused_total') >= 3);
    });
  }

  test('a token may say how much its subject may send', async (t) => {
    const server = await limited(t, { subject_events_per_s: 1, subject_events_burst: 3 }, { more: `[auth]\nmode = "jwt"\nkey = "${KEYS.HS256.secret}"` });
    const claims = { sub: 'ann', exp: ahead(600), limits: { events_per_s: 1, events_burst: 6 } };
    const client = await server.connect('/echo', { auth: { token: token(claims) } });
    const since = performance.now();
    few((await Promise.all(Array.from({ length: 20 }, () => client.call('say', HI)))).flat(), since, { burst: 6 });
    const odd = server.client('/echo', { auth: { token: token({ ...claims, limits: 7 }) } });
    assert.equal((await refused(odd)).message, REFUSED);
  });

  test('this machine, which may be a proxy, is not refused for what others fail at', async (t) => {
    const server = await limited(t, { failed_connects_per_s: 1, failed_connects_burst: 1 }, { keys: true });
    for (let n = 0; n < 5; n += 1) {
      assert.equal((await refused(server.client('/echo', { auth: { token: 'guess' } }))).message, REFUSED);
    }
    await server.connect('/echo', { auth: { token: 'ann' } });
  });

  // 50 events of 10,000 bytes: 2 s more than come at once.
  for (const way of ['polling', 'websocket']) {
    test(`${way}: too many bytes are read more slowly, and refused where that cannot be`, async (t) => {
      const server = await limited(t, { connection_bytes_per_s: 200_000, connection_bytes_burst: 100_000 });
      const client = await server.connect('/echo', TRANSPORTS[way]);
      const since = performance.now();
      const text = 'x'.repeat(9_950);
      const answers = (await Promise.all(Array.from({ length: 50 }, () => client.call('say', { text })))).flat();
      const seconds = (performance.now() - since) / 1000;
      const bytes = answers.filter(({ ok }) => ok).length * 9_950;
      assert.ok(bytes <= 100_000 + 200_000 * seconds + 10_000, `${bytes} bytes in ${seconds} s`);
      const metrics = await server.metrics();
      if (ENGINE === 'carillon') {
        assert.ok(answers.every(({ ok }) => ok), 'nothing is refused');
        assert.ok(metrics.sum('carillon_read_pauses_total') > 0);
      } else {
        assert.ok(metrics.sum('carillon_rate_limited_total', { scope: 'connection_bytes' }) > 0);
      }
    });
  }
});
