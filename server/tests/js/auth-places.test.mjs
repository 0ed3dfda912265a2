//! Tokens in a cookie or in the URL: they count where a setting names the place, and nowhere else.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused, TRANSPORTS } from './lib/client.mjs';
import { runToEnd, start } from './lib/server.mjs';
import { ahead, KEYS, REFUSED, token } from './lib/tokens.mjs';

const good = (sub = 'ann') => token({ sub, exp: ahead(60) });
const ended = () => token({ sub: 'ann', exp: ahead(-60) });
const config = (more) => `[auth]\nmode = "jwt"\nkey = "${KEYS.HS256.secret}"\n${more}`;
const cookie = (value) => ({ extraHeaders: { cookie: `other=1; session=${value}` } });
const query = (value) => ({ query: { access: value } });

for (const engine of ['carillon', 'socketioxide']) {
  describe(`places, ${engine}`, () => {
    const serve = (t, more) => start(t, { config: config(more), env: { CARILLON_SERVER__ENGINE: engine } });
    const told = async (server, transport, options) => {
      const client = server.client('/echo', { ...TRANSPORTS[transport], ...options });
      return refused(client).then((error) => error.message);
    };

    for (const transport of ['polling', 'websocket']) {
      test(`${transport}: a cookie and a parameter count once they are named`, async (t) => {
        const [closed, open] = await Promise.all([serve(t, ''), serve(t, 'cookie = "session"\nquery = "access"\n')]);
        for (const place of [cookie, query]) {
          assert.equal(await told(closed, transport, place(good())), REFUSED);
          await open.connect('/echo', { ...TRANSPORTS[transport], ...place(good()) });
          assert.equal(await told(open, transport, place(ended())), REFUSED);
        }
        for (const first of [{ auth: { token: ended() } }, { extraHeaders: { authorization: `Bearer ${ended()}` } }, cookie(ended())]) {
          assert.equal(await told(open, transport, { ...query(good()), ...first }), REFUSED, 'what goes first is what counts');
        }
        await open.connect('/echo', { ...TRANSPORTS[transport], ...query(ended()), ...cookie(ended()), auth: { token: good() } });
      });
    }

    test('routes of plugins look there as well', async (t) => {
      const [closed, open] = await Promise.all([serve(t, ''), serve(t, 'cookie = "session"\nquery = "access"\n')]);
      for (const [path, headers] of [[`/api/cluster/nodes?access=${good()}`, {}], ['/api/cluster/nodes', { cookie: `session=${good()}` }]]) {
        assert.equal((await closed.fetch(path, { headers })).status, 401, path);
        assert.equal((await open.fetch(path, { headers })).status, 200, path);
      }
      assert.equal((await open.fetch('/api/cluster/nodes', { headers: { cookie: `session=${ended()}` } })).status, 401);
    });
  });
}

test('a name that cannot be one is told', async () => {
  const { code, err } = await runToEnd('carillon', ['check'], { env: { CARILLON_AUTH__COOKIE: 'a b', CARILLON_AUTH__QUERY: 'sid' } });
  assert.equal(code, 78);
  assert.match(err, /auth\.cookie: is no name/);
  assert.match(err, /auth\.query: Engine\.IO has this parameter/);
});
