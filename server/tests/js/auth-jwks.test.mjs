//! Keys that an issuer publishes: read, read again, kept when that fails, and asked for when a token names one that is not known.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, TRANSPORTS } from './lib/client.mjs';
import { BREAKS, EMPTY, FAILS, HANGS, issuerKey, LIES, MOVED, POURS, startIssuer } from './lib/issuer.mjs';
import { answered } from './lib/returning.mjs';
import { freePort } from './lib/redis.mjs';
import { runToEnd, start } from './lib/server.mjs';
import { Authority } from './lib/tls.mjs';
import { ahead, KEYS, REFUSED, token } from './lib/tokens.mjs';
import { until } from './lib/wait.mjs';

const UNREAD = 'the keys are not known yet';
const good = () => ({ sub: 'ann', exp: ahead(60) });
const jwt = (url, more = '') => `[auth]\nmode = "jwt"\njwks_url = "${url}"\n${more}`;
const own = `keys = [{ kid = "own", algorithm = "HS256", key = "${KEYS.HS256.secret}" }]\n`;
const byOwn = () => token(good(), { header: { kid: 'own' } });

const shows = (server, shown, transport = 'websocket') => server.client('/echo', { ...TRANSPORTS[transport], auth: { token: shown } });
const turnedAway = async (server, shown, transport) => assert.equal((await refused(shows(server, shown, transport))).message, REFUSED);

test('published keys let in, each with its own algorithm, beside those of the configuration', async (t) => {
  const [es, rs] = [issuerKey('es'), issuerKey('rs', 'RS256')];
  const issuer = await startIssuer(t, [es, rs]);
  const server = await start(t, { config: jwt(issuer.url, own) });
  for (const transport of ['polling', 'websocket']) {
    for (const shown of [es.sign(good()), rs.sign(good()), byOwn()]) await shows(server, shown, transport).opened();
    await turnedAway(server, token(good(), { header: { kid: 'es' } }), transport);
    await turnedAway(server, token(good(), { header: { kid: 'es', alg: 'ES256' } }), transport);
    await turnedAway(server, es.sign({ ...good(), exp: ahead(-60) }), transport);
    await turnedAway(server, issuerKey('es').sign(good()), transport);
  }
  assert.equal(issuer.asked, 1, 'known keys are not asked for');
  const answer = await server.fetch('/api/cluster/nodes', { headers: { authorization: `Bearer ${es.sign(good())}` } });
  assert.equal(answer.status, 200);
  await server.metricsSettle((metrics) => assert.deepEqual(
    ['good', 'failed'].map((result) => metrics.sum('carillon_auth_jwks_fetches_total', { result })).concat(metrics.sum('carillon_auth_jwks_keys')), [1, 0, 2],
  ));
});

test('a key that is not known is asked for at once, and not twice in ten seconds, whoever asks', async (t) => {
  const [first, second, third] = ['first', 'second', 'third'].map((kid) => issuerKey(kid));
  const issuer = await startIssuer(t, [first]);
  const server = await start(t, { config: jwt(issuer.url) });
  await shows(server, first.sign(good())).opened();
  issuer.keys = [second];
  // Until the first fetch is ten seconds old nobody is waited for.
  const begun = Date.now();
  await turnedAway(server, second.sign(good()));
  await turnedAway(server, third.sign(good()), 'polling');
  assert.ok(Date.now() - begun < 2_500, 'refused at once');
  assert.equal(issuer.asked, 1);
  await shows(server, first.sign(good())).opened();
  const many = Array.from({ length: 20 }, (_, n) => turnedAway(server, issuerKey(`made up ${n}`).sign(good())));
  await Promise.all(many);
  assert.equal(issuer.asked, 1);
  // Then one fetch serves all, and the key that is gone refuses.
  const comesIn = (transport) => until(async () => {
    const client = shows(server, second.sign(good()), transport);
    return await answered(client) === 'connected';
  }, 'the second key lets in', 15_000);
  await Promise.all(['polling', 'websocket'].map(comesIn));
  assert.ok(Date.now() - begun > 8_000, `${Date.now() - begun} ms after the first`);
  assert.equal(issuer.asked, 2);
  await turnedAway(server, third.sign(good()));
  await turnedAway(server, first.sign(good()));
});

test('a newer token with a key that is not known has the keys read, and is taken when they are there', async (t) => {
  const [first, second] = ['first', 'second'].map((kid) => issuerKey(kid));
  const issuer = await startIssuer(t, [first]);
  const server = await start(t, { config: jwt(issuer.url) });
  const client = await shows(server, first.sign(good())).opened();
  issuer.keys = [first, second];
  const claims = good();
  const refresh = async () => (await client.call('refresh_token', { token: second.sign(claims) }))[0];
  assert.equal((await refresh()).error.code, 'unauthorized');
  assert.equal(issuer.asked, 1, 'the answer is less than ten seconds old');
  await until(async () => {
    const answer = await refresh();
    if (answer.ok) assert.deepEqual(answer.data, { exp: claims.exp });
    return answer.ok;
  }, 'the newer token is taken', 15_000);
  assert.equal(issuer.asked, 2);
});

test('an issuer that hangs delays neither the start nor anybody whose key is known', async (t) => {
  const key = issuerKey('first');
  const issuer = await startIssuer(t, [key]);
  issuer.answer = HANGS;
  const server = await start(t, { config: jwt(issuer.url, `jwks_timeout_ms = 60000\n${own}`) });
  await issuer.askedAgain(1);
  let waits = true;
  const waiting = shows(server, key.sign(good()));
  waiting.once('connect_error', () => { waits = false; });
  await shows(server, byOwn()).opened();
  await shows(server, byOwn(), 'polling').opened();
  assert.ok(waits, 'whoever needs the keys waits for them');
});

test('whoever waits for an issuer that hangs is told so in time, and keys that come later are taken', async (t) => {
  const key = issuerKey('first');
  const issuer = await startIssuer(t, [key]);
  issuer.answer = HANGS;
  const server = await start(t, { config: jwt(issuer.url, 'jwks_timeout_ms = 500\n') });
  const { message, data } = await refused(shows(server, key.sign(good())));
  assert.deepEqual([message, data], [UNREAD, { code: 'unavailable', retryable: true }]);
  await server.logged(/stay as they were: no answer within 500 ms/);
  issuer.answer = null;
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_auth_jwks_keys'), 1));
  await shows(server, key.sign(good())).opened();
});

test('keys are read as often as the settings say, also after somebody has waited for the first ones', async (t) => {
  const key = issuerKey('first');
  const issuer = await startIssuer(t, [key]);
  const held = [];
  issuer.answer = (response) => held.push(response);
  const server = await start(t, { config: jwt(issuer.url, 'jwks_refresh_ms = 1000\njwks_timeout_ms = 60000\n') });
  await issuer.askedAgain(1);
  const waiting = shows(server, key.sign(good()));
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_sessions_open'), 1));
  // Its CONNECT has come by the time a second client, which came after it, is turned away.
  await turnedAway(server, 'no token');
  issuer.answer = null;
  held[0].end(JSON.stringify({ keys: [key.jwk] }));
  await waiting.opened();
  await until(() => issuer.asked >= 2, () => `it is asked again within a second; it was asked ${issuer.asked} times`, 5_000);
});

test('the last good keys stay, whatever is at the address later', async (t) => {
  const key = issuerKey('first');
  const ways = { FAILS, BREAKS, LIES, POURS, EMPTY, MOVED, HANGS };
  await Promise.all(Object.entries(ways).map(async ([name, answer]) => {
    const issuer = await startIssuer(t, [key]);
    const server = await start(t, { config: jwt(issuer.url, 'jwks_refresh_ms = 1000\njwks_timeout_ms = 500\n') });
    await shows(server, key.sign(good())).opened();
    issuer.answer = answer;
    await server.logged(/kept=1|stay as they were/);
    await shows(server, key.sign(good())).opened();
    const metrics = await server.metrics();
    assert.ok(metrics.sum('carillon_auth_jwks_fetches_total', { result: 'failed' }) > 0, name);
    assert.equal(metrics.sum('carillon_auth_jwks_keys'), 1, name);
  }));
});

test('over TLS the certificate is checked; a check on the command line reads the keys as well', async (t) => {
  const key = issuerKey('tls');
  const authority = new Authority(t);
  const issuer = await startIssuer(t, [key], authority.issue());
  const trusting = await start(t, { config: jwt(issuer.url, `jwks_ca = "${authority.file}"\n`) });
  await shows(trusting, key.sign(good())).opened();
  const others = new Authority(t);
  const doubting = await start(t, { config: jwt(issuer.url, `jwks_ca = "${others.file}"\n`) });
  await doubting.logged(/stay as they were: no TLS with it: /);
  assert.equal((await refused(shows(doubting, key.sign(good())))).message, UNREAD);

  const env = { CARILLON_AUTH__MODE: 'jwt', CARILLON_AUTH__JWKS_URL: issuer.url, CARILLON_AUTH__JWKS_CA: authority.file };
  const check = (more) => runToEnd('carillon', ['token', 'check'], { env: { ...env, ...more }, input: key.sign(good()) });
  assert.match((await check()).out, /^accepted: ann\n/);
  const away = await check({ CARILLON_AUTH__JWKS_URL: `http://127.0.0.1:${await freePort()}/` });
  assert.equal(away.code, 1);
  assert.match(away.err, /the keys of auth.jwks_url are not known: it cannot be reached/);
});

test('an address that cannot be trusted does not start', async () => {
  const { code, err } = await runToEnd('carillon', ['check'], { env: { CARILLON_AUTH__MODE: 'jwt', CARILLON_AUTH__JWKS_URL: 'http://login.example.org/keys' } });
  assert.equal(code, 78);
  assert.match(err, /auth\.jwks_url: keys that come without TLS are anybody's/);
});
