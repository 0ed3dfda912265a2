//! `carillon token issue` and `check`: what operators make is what servers take, and every refusal says why.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { refused } from './lib/client.mjs';
import { runToEnd, start, tempFolder } from './lib/server.mjs';
import { ahead, KEYS, keysSetting, sha256, token, unsigned } from './lib/tokens.mjs';

/** A configuration with one key of each algorithm, and its private keys in files. */
function configured(t, more = '') {
  const folder = tempFolder(t);
  const config = `[auth]\nmode = "jwt"\nissuers = ["them"]\naudiences = ["us"]\nkeys = ${keysSetting()}\n${more}`;
  const file = join(folder, 'carillon.toml');
  writeFileSync(file, config);
  const keyFile = (name) => {
    const path = join(folder, `${name}.key`);
    writeFileSync(path, KEYS[name].secret ?? KEYS[name].privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return path;
  };
  const run = (words, options) => runToEnd('carillon', ['token', ...words, '--config', file], options);
  return { config, folder, keyFile, run };
}

const API_KEYS = { CARILLON_AUTH__MODE: 'api_key', CARILLON_AUTH__API_KEYS: `[{ name = "ann", sha256 = "${sha256('ann-key')}", roles = ["operator"] }]` };

const claimsOf = (text) => JSON.parse(Buffer.from(text.split('.')[1], 'base64url'));

test('a token of each algorithm is issued, accepted by the same configuration, and lets a stock client in', async (t) => {
  const { config, keyFile, run } = configured(t);
  const server = await start(t, { config });
  await Promise.all(Object.keys(KEYS).map(async (name) => {
    const { code, out, err } = await run(['issue', '--subject', 'ann', '--key-id', name, ...(KEYS[name].secret ? [] : ['--key-file', keyFile(name)])]);
    assert.deepEqual([code, err], [0, ''], name);
    const { exp, iat, jti, ...claims } = claimsOf(out);
    assert.deepEqual([claims, exp - iat], [{ sub: 'ann', iss: 'them', aud: 'us' }, 3600]);
    assert.match(jti, /^[0-9a-f]{32}$/);
    const checked = await run(['check'], { input: out });
    assert.equal(checked.code, 0, checked.err);
    assert.match(checked.out, new RegExp(`^accepted: ann\\n {2}until       \\S+Z\\n {2}id          ${jti}\\n {2}namespaces  all\\n`));
    await server.connect('/echo', { auth: { token: out.trim() } });
  }));
});

test('what a token is to open stands in it, and the server holds it', async (t) => {
  const { config, run } = configured(t, '[plugins.health]\naccess = "operator"\n');
  const opens = ['--namespace', '/echo', '--namespace', '/health', '--event', 'shout*', '--room', 'a', '--role', 'operator', '--info', 'team=blue=green', '--id', 'first', '--for', '2m'];
  const { out } = await run(['issue', '--subject', 'ann', '--key-id', 'HS256', ...opens]);
  const { exp, iat, ...claims } = claimsOf(out);
  assert.deepEqual([claims, exp - iat], [{
    sub: 'ann', iss: 'them', aud: 'us', jti: 'first', namespaces: ['/echo', '/health'], events: ['shout*'], rooms: ['a'], roles: ['operator'], info: { team: 'blue=green' },
  }, 120]);
  const server = await start(t, { config });
  const auth = { token: out.trim() };
  await server.connect('/health', { auth });
  assert.equal((await refused(server.client('/', { auth }))).message, 'not allowed in this namespace');
  const client = await server.connect('/echo', { auth });
  assert.equal((await client.call('say', { text: 'hi' }))[0].error.code, 'forbidden');
});

test('a check says why a token is refused, and nothing of the token', async (t) => {
  const { run } = configured(t);
  const good = { sub: 'hans', iss: 'them', aud: 'us', exp: ahead(60) };
  const cases = [
    ['it showed no token', ''],
    ['not three parts of base64url', 'x'],
    ['longer than 8 KiB', token({ ...good, pad: 'x'.repeat(16 * 1024) })],
    ['not signed with the algorithm of the key', unsigned(good, 'none')],
    ['is not in the configuration', token(good, { header: { kid: 'other' } })],
    ['its token brings a key', token(good, { header: { jku: 'http://127.0.0.1:1/' } })],
    ['the signature of its token does not fit', token(good).replace(/.{4}$/, 'AAAA')],
    ['its token has expired', token({ ...good, exp: ahead(-60) })],
    ['not valid yet', token({ ...good, nbf: ahead(60) })],
    ['not in auth.issuers', token({ ...good, iss: 'others' })],
    ['see auth.audiences', token({ ...good, aud: 'others' })],
    ['a claim of its token is missing', token({ ...good, sub: undefined })],
  ];
  await Promise.all(cases.map(async ([why, text]) => {
    const { code, out, err } = await run(['check'], { input: `${text}\n` });
    assert.deepEqual([code, out], [1, ''], why);
    assert.ok(err.startsWith('carillon: refused: ') && err.includes(why), `${why}: ${err}`);
    assert.ok(!err.includes('hans') && !err.includes('eyJ'), err);
  }));
  assert.equal((await run(['check', token(good)])).code, 0, 'as an argument');
  assert.match((await run(['check', '-'], { input: token(good) })).out, /^accepted: hans\n/);
});

test('what cannot be issued or checked says what is missing, and nothing of a key', async (t) => {
  const { folder, keyFile, run } = configured(t);
  const issue = (...words) => run(['issue', '--subject', 'ann', ...words]);
  const files = { wrong: join(folder, 'wrong.pem') };
  writeFileSync(files.wrong, KEYS.ES384.pem);
  for (const [code, says, answer] of [
    [1, '--key-id: which key is meant; auth.keys has HS256, ', issue()],
    [1, '--key-id: no such key; auth.keys has ', issue('--key-id', 'other')],
    [1, '--key-file is needed: the configuration has only the public key for ES256', issue('--key-id', 'ES256')],
    [1, 'the key is no private key for ES384 in PEM (PKCS #8', issue('--key-id', 'ES384', '--key-file', files.wrong)],
    [1, 'this configuration would refuse the token: the signature', issue('--key-id', 'HS256', '--key-file', keyFile('HS512'))],
    [1, 'the key is configured for PS256, and not for RS256', issue('--key-id', 'PS256', '--key-file', keyFile('RS256'), '--algorithm', 'RS256')],
    [1, '--algorithm is needed', issue('--key-id', 'new', '--key-file', keyFile('RS256'))],
    [1, '--key-file: cannot read ', issue('--key-id', 'ES256', '--key-file', join(folder, 'none'))],
    [1, 'would refuse the token: the issuer', issue('--key-id', 'HS256', '--issuer', 'others')],
    [1, '`sub` must be a text', run(['issue', '--subject', '', '--key-id', 'HS256'])],
    [2, 'write a time such as 90s', issue('--key-id', 'HS256', '--for', 'long')],
    [2, 'write NAME=TEXT', issue('--key-id', 'HS256', '--info', 'team')],
    [2, 'the name of a namespace begins with /; did you mean /chat?', issue('--key-id', 'HS256', '--namespace', 'chat')],
    [2, '--subject', run(['issue', '--key-id', 'HS256'])],
    [78, 'auth.mode is "open"', runToEnd('carillon', ['token', 'check', 'x'])],
    [78, 'auth.mode is "api_key", which has no tokens', runToEnd('carillon', ['token', 'issue', '--subject', 'ann'], { env: API_KEYS })],
    [1, 'no key is configured: set auth.key', runToEnd('carillon', ['token', 'issue', '--subject', 'ann'])],
  ]) {
    const { code: ended, out, err } = await answer;
    assert.deepEqual([ended, out], [code, ''], `${says}: ${err}`);
    assert.ok(err.includes(says), `${says}: ${err}`);
    assert.ok(!err.includes('PRIVATE') && !err.includes(KEYS.HS256.secret) && !err.includes(KEYS.HS512.secret), err);
  }
  const other = await issue('--key-id', 'new', '--key-file', keyFile('RS256'), '--algorithm', 'RS256');
  assert.equal(JSON.parse(Buffer.from(other.out.split('.')[0], 'base64url')).kid, 'new', 'a key that nobody has configured yet');
});

test('what a token is to open and nobody serves is told, when it is issued and when it is checked', async (t) => {
  const { run } = configured(t);
  const issued = await run(['issue', '--subject', 'ann', '--key-id', 'HS256', '--namespace', '/ehco', '--namespace', '/he*', '--namespace', '/x*']);
  assert.equal(issued.code, 0);
  const told = (what) => `carillon: ${what}: no plugin of this program serves "/ehco" (did you mean \`/echo\`?)\ncarillon: ${what}: no plugin of this program serves "/x*" (there are: \`/\`, \`/echo\`, \`/health\`, \`/monitoring\`, \`/router\`)\n`;
  const order = (text) => text.replace(/`\/.*`\)/, (list) => list.slice(0, -1).split(', ').sort().join(', ') + ')');
  assert.equal(order(issued.err), told('--namespace'));
  const checked = await run(['check'], { input: issued.out });
  assert.deepEqual([checked.code, order(checked.err)], [0, told('its namespaces')]);
});

test('API keys are checked as well', async () => {
  const env = API_KEYS;
  assert.match((await runToEnd('carillon', ['token', 'check'], { env, input: 'ann-key\n' })).out, /^accepted: ann\n {2}until {7}no end\n[^]* {2}roles {7}operator\n$/);
  assert.equal((await runToEnd('carillon', ['token', 'check'], { env, input: 'Ann-key' })).code, 1);
});

test('the name of a file in place of a token is told as such, with what to write instead', async (t) => {
  const { folder, run } = configured(t);
  const file = join(folder, 'token.txt');
  writeFileSync(file, `${token({ sub: 'ann', iss: 'them', aud: 'us', exp: ahead(60) })}\n`);
  const named = await run(['check', file]);
  assert.equal(named.code, 1);
  assert.match(named.err, /^carillon: refused: its token is not three parts .*\n.*is the name of a file: write `carillon token check < .*token\.txt`/);
  assert.doesNotMatch((await run(['check', join(folder, 'none.txt')])).err, /file/);
  assert.doesNotMatch((await run(['check', folder])).err, /file/, 'a folder holds no token');
  assert.match((await runToEnd('carillon', ['token', 'check', '--help'])).out, /The token or API key itself, not the name of a file; without it, or for -,/);
});
