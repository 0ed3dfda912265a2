//! Who is let in: tokens and API keys, seen by stock clients in JavaScript and in Python, over each transport and engine.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { refused, TRANSPORTS, upgraded } from './lib/client.mjs';
import { python } from './lib/python.mjs';
import { answered, returning } from './lib/returning.mjs';
import { start } from './lib/server.mjs';
import { ahead, KEYS, keysSetting, REFUSED, sha256, token, unsigned } from './lib/tokens.mjs';
import { until } from './lib/wait.mjs';

const good = () => ({ sub: 'ann', iss: 'them', aud: 'us', exp: ahead(60) });
// A client in Python that is refused may forget to close its session: its last poll ends with the next ping then.
const jwt = (engine) => `[server]\nengine = "${engine}"\nping_interval_ms = 1000\n[auth]\nmode = "jwt"\nissuers = ["them"]\naudiences = ["us"]\nkeys = ${keysSetting()}\n[plugins.health]\naccess = "operator"\n`;

// Each makes a token when it is needed: it would be too old at the end of a long run.
const FORGED = {
  'none at all': () => undefined,
  'no token': () => 'token',
  'alg none': () => unsigned(good(), 'none'),
  'a stripped signature': () => unsigned(good(), 'HS256'),
  'HS256 with the public key of RS256': () => token(good(), { header: { kid: 'RS256' }, key: { secret: KEYS.RS256.pem } }),
  'HS256 under the name of an RSA key, with the right secret': () => token(good(), { header: { kid: 'RS256' } }),
  'RS256 under the name of a PS256 key': () => token(good(), { algorithm: 'RS256', header: { kid: 'PS256' } }),
  'an unknown kid': () => token(good(), { header: { kid: 'other' } }),
  'a kid like a path': () => token(good(), { header: { kid: '../../../../dev/null' }, key: { secret: '' } }),
  'no kid': () => token(good(), { header: { kid: undefined } }),
  'a jku': () => token(good(), { header: { jku: 'http://127.0.0.1:1/keys' } }),
  'an x5u': () => token(good(), { header: { x5u: 'http://127.0.0.1:1/keys' } }),
  'a jwk': () => token(good(), { header: { jwk: { kty: 'oct', k: 'AAAA' } } }),
  'altered claims': () => token(good()).split('.').with(1, Buffer.from(JSON.stringify({ ...good(), sub: 'root' })).toString('base64url')).join('.'),
  'an altered signature': () => token(good()).replace(/.{4}$/, 'AAAA'),
  'no exp': () => token({ ...good(), exp: undefined }),
  'exp past': () => token({ ...good(), exp: ahead(-12) }),
  'exp as text': () => token({ ...good(), exp: `${ahead(60)}` }),
  'exp huge': () => token(JSON.stringify(good()).replace(/"exp":\d+/, '"exp":1e300')),
  'nbf ahead': () => token({ ...good(), nbf: ahead(30) }),
  'no sub': () => token({ ...good(), sub: undefined }),
  'another aud': () => token({ ...good(), aud: 'others' }),
  'another iss': () => token({ ...good(), iss: 'others' }),
  '16 KiB': () => token({ ...good(), pad: 'x'.repeat(16 * 1024) }),
  'exp twice': () => token(JSON.stringify(good()).replace('{', `{"exp":${ahead(60)},`)),
  'an x5c': () => token(good(), { header: { x5c: ['AAAA'] } }),
  'an extension to understand': () => token(good(), { header: { crit: ['exp'] } }),
  'alg none in other letters': () => unsigned(good(), 'nOnE'),
  'nbf as text': () => token({ ...good(), nbf: 'now' }),
  'nobody in aud': () => token({ ...good(), aud: [] }),
  'sub twice': () => token(JSON.stringify(good()).replace('{', '{"sub":"root",')),
};

for (const engine of ['carillon', 'socketioxide']) {
  describe(`tokens, ${engine}`, { concurrency: 4 }, () => {
    let starting;
    const ends = [];
    after(async () => { for (const end of ends) await end(); });
    const running = () => (starting ??= start({ after: (end) => ends.unshift(end) }, { config: jwt(engine), env: { CARILLON_SERVER__ENGINE: engine } }));
    const data = engine === 'carillon' ? { code: 'unauthorized', retryable: false } : undefined;

    for (const transport of ['polling', 'websocket']) {
      for (const [what, forge] of Object.entries(FORGED)) {
        test(`${transport}: ${what} is refused, with the same words`, async () => {
          const error = await refused((await running()).client('/echo', { ...TRANSPORTS[transport], auth: { token: forge() } }));
          assert.deepEqual([error.message, error.data], [REFUSED, data]);
        });
      }

      for (const algorithm of Object.keys(KEYS)) {
        test(`${transport}: a valid token signed with ${algorithm} lets in`, async () => {
          const client = await (await running()).connect('/echo', { ...TRANSPORTS[transport], auth: { token: token(good(), { algorithm }) } });
          assert.deepEqual(await client.call('say', { text: 'hi' }), [{ ok: true, data: { text: 'hi' } }]);
        });
      }

      test(`${transport}: the header Authorization will do`, async () => {
        const extraHeaders = { Authorization: `Bearer ${token(good())}` };
        await (await running()).connect('/echo', { ...TRANSPORTS[transport], extraHeaders });
        const bad = { Authorization: `Bearer ${token({ ...good(), exp: ahead(-60) })}` };
        assert.equal((await refused((await running()).client('/echo', { ...TRANSPORTS[transport], extraHeaders: bad }))).message, REFUSED);
      });

      test(`${transport}: a client that comes back is asked again, and refused with the same words`, async () => {
        let shown = () => token(good());
        const client = await returning(await running(), transport, () => shown());
        for (const [what, forge] of [['a good one', shown], ...Object.entries(FORGED)]) {
          shown = forge;
          client.ended = null;
          const answer = answered(client);
          client.io.engine.close();
          assert.equal(await answer, what === 'a good one' ? 'connected' : REFUSED, what);
          if (what === 'a good one') continue;
          shown = () => token(good());
          const again = answered(client);
          client.connect();
          assert.equal(await again, 'connected', `after ${what}`);
        }
      });

      test(`${transport}: the lists and roles of a token are all it may use`, async () => {
        const server = await running();
        const open = (claims, namespace) => server.client(namespace, { ...TRANSPORTS[transport], auth: { token: token({ ...good(), ...claims }) } });
        const told = async (claims, namespace) => (await refused(open(claims, namespace))).message;
        assert.equal(await told({ namespaces: ['/health'] }, '/echo'), 'not allowed in this namespace');
        assert.equal(await told({}, '/health'), 'not allowed in this namespace');
        await server.logged(/WARN.*a client was refused: the list `namespaces` .* does not open this one.* namespace="\/echo" reason="namespace" subject="/);
        await server.logged(/WARN.*a client was refused: .* has no role "operator" \(plugins\.health\.access\).* namespace="\/health" reason="role"/);
        const metrics = await server.metrics();
        for (const [namespace, reason] of [['/echo', 'namespace'], ['/health', 'role']]) assert.ok(metrics.sum('carillon_access_refused_total', { namespace, reason }) > 0, reason);
        await open({ roles: ['operator'] }, '/health').opened();
        const client = open({ namespaces: ['/echo'], events: ['shout*'] }, '/echo');
        await client.opened();
        const [{ ok, error }] = await client.call('say', { text: 'hi' });
        assert.deepEqual([ok, error.code], [false, 'forbidden']);
        assert.equal((await client.call('shouts', {}))[0].error.code, 'unknown_event');
        // Nothing is suggested that it may not send.
        const slip = async (events) => {
          const client = open({ namespaces: ['/echo'], events }, '/echo');
          await client.opened();
          return (await client.call('sya', {}))[0].error.message;
        };
        assert.equal(await slip(['sya']), 'this namespace has no such event');
        assert.equal(await slip(['s*']), 'this namespace has no such event: did you mean "say"?');
      });
    }

    test('a client that upgrades stays', async () => {
      const client = await (await running()).connect('/echo', { ...TRANSPORTS.upgrade, auth: { token: token(good()) } });
      await upgraded(client);
      assert.deepEqual(await client.call('say', { text: 'hi' }), [{ ok: true, data: { text: 'hi' } }]);
    });

    for (const transport of ['polling', 'websocket']) {
      test(`a client in Python shows its token, ${transport}`, async (t) => {
        const server = await running();
        const valid = Object.keys(KEYS).map((algorithm) => token(good(), { algorithm }));
        const forged = [token({ ...good(), exp: ahead(-60) }), unsigned(good(), 'none'), FORGED['HS256 with the public key of RS256']()];
        const out = await python(t, 'client.py', 'tokens', server.url, transport, ...valid, ...forged);
        assert.deepEqual(out.trim().split('\n'), [...valid.map(() => 'let in'), ...forged.map(() => `refused ${REFUSED}`)]);
      });
    }

    test('routes of plugins ask as well; what is for the supervisor does not', async () => {
      const server = await running();
      const status = async (path, claims) => {
        const headers = claims ? { authorization: `Bearer ${token({ ...good(), ...claims })}` } : {};
        const answer = await server.fetch(path, { headers });
        return [answer.status, (await answer.json().catch(() => ({}))).code];
      };
      assert.deepEqual(await status('/api/cluster/nodes'), [401, 'unauthorized']);
      assert.equal((await status('/api/cluster/nodes', {}))[0], 200);
      assert.deepEqual(await status('/api/cluster/nodes', { namespaces: ['/echo'] }), [403, 'forbidden']);
      for (const path of ['/livez', '/metrics']) assert.equal((await status(path))[0], 200);
    });

    test('the reason is in the log and in a metric, and nothing else of a token is', async () => {
      const server = await running();
      await refused(server.client('/echo', { auth: { token: token({ ...good(), sub: 'ann-of-nowhere', exp: ahead(-60) }) } }));
      const metrics = await server.metrics();
      assert.ok(metrics.sum('carillon_auth_refused_total', { reason: 'expired' }) > 0);
      await server.logged(/a client was refused: .*reason="?\w+/);
      assert.deepEqual(server.log.filter((line) => line.includes('ann-of-nowhere') || line.includes('eyJ')), []);
    });
  });
}

for (const engine of ['carillon', 'socketioxide']) {
  test(`a token that ends takes its connection along, unless it is refreshed, ${engine}`, async (t) => {
    const config = `[server]\nengine = "${engine}"\n[auth]\nmode = "jwt"\nkeys = ${keysSetting()}\nexpiry_grace_ms = 500\n`;
    const server = await start(t, { config, env: { CARILLON_SERVER__ENGINE: engine } });
    await Promise.all(['polling', 'websocket'].map(async (transport) => {
      const exp = ahead(3);
      const open = () => server.connect('/echo', { ...TRANSPORTS[transport], auth: { token: token({ sub: 'ann', exp }) } });
      const [leaves, stays] = await Promise.all([open(), open()]);
      const later = ahead(300);
      assert.deepEqual(await stays.call('refresh_token', { token: token({ sub: 'ann', exp: later }) }), [{ ok: true, data: { exp: later } }]);
      await until(() => leaves.ended, 'the connection ends with its token');
      const late = Date.now() - exp * 1000;
      assert.ok(late >= 400 && late <= 1500, `${late} ms after its token`);
      assert.deepEqual(await stays.call('say', { text: 'hi' }), [{ ok: true, data: { text: 'hi' } }]);
    }));
    await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_disconnections_total', { reason: 'token_expired' }), 2));
  });
}

test('API keys: header, bearer or auth, and what they open', async (t) => {
  const hash = sha256('the key');
  const server = await start(t, { config: `[auth]\nmode = "api_key"\napi_keys = [{ name = "ann", sha256 = "${hash}", namespaces = ["/echo"] }]\n` });
  for (const transport of ['polling', 'websocket']) {
    for (const shown of [{ auth: { token: 'the key' } }, { extraHeaders: { 'X-Api-Key': 'the key' } }, { extraHeaders: { Authorization: 'Bearer the key' } }]) {
      await server.connect('/echo', { ...TRANSPORTS[transport], ...shown });
      assert.equal((await refused(server.client('/', { ...TRANSPORTS[transport], ...shown }))).message, 'not allowed in this namespace');
    }
    for (const key of [undefined, '', hash, 'the key ']) {
      assert.equal((await refused(server.client('/echo', { ...TRANSPORTS[transport], auth: { token: key } }))).message, REFUSED);
    }
  }
  await until(async () => (await server.metrics()).sum('carillon_auth_refused_total') === 8, 'eight refusals are counted');
});
