//! What ends while a client is connected, and what a client finds that comes back: the same words, whatever the reason.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused, TRANSPORTS } from './lib/client.mjs';
import { answered, returning } from './lib/returning.mjs';
import { start } from './lib/server.mjs';
import { ahead, KEYS, REFUSED, token } from './lib/tokens.mjs';

for (const engine of ['carillon', 'socketioxide']) {
  describe(`ends, ${engine}`, () => {
    test('a key that ends takes its tokens along, and leaves those of the next key alone', async (t) => {
      const end = ahead(3);
      const key = (kid, more) => `{ kid = "${kid}", algorithm = "HS256", key = "${KEYS.HS256.secret}"${more} }`;
      const keys = [key('old', `, valid_until = "${new Date(end * 1000).toISOString()}"`), key('new', '')].join(', ');
      const config = `[server]\nengine = "${engine}"\n[auth]\nmode = "jwt"\nexpiry_grace_ms = 300\nkeys = [${keys}]\n`;
      const server = await start(t, { config, env: { CARILLON_SERVER__ENGINE: engine } });
      const by = (kid) => token({ sub: 'ann', exp: ahead(600) }, { header: { kid } });
      await Promise.all(['polling', 'websocket'].map(async (transport) => {
        const [leaves, refreshes, stays] = await Promise.all(['old', 'old', 'new'].map((kid) => returning(server, transport, () => by(kid))));
        assert.deepEqual(await leaves.call('refresh_token', { token: by('old') }), [{ ok: true, data: { exp: end } }], 'it ends with its key');
        assert.equal((await refreshes.call('refresh_token', { token: by('new') }))[0].ok, true);
        assert.equal(await answered(leaves), REFUSED);
        assert.ok(Date.now() >= end * 1000, 'not before its time');
        for (const client of [refreshes, stays]) assert.deepEqual(await client.call('say', { text: 'hi' }), [{ ok: true, data: { text: 'hi' } }]);
        assert.equal((await refused(server.client('/echo', { ...TRANSPORTS[transport], auth: { token: by('old') } }))).message, REFUSED);
        await server.connect('/echo', { ...TRANSPORTS[transport], auth: { token: by('new') } });
      }));
      await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_auth_refused_total', { reason: 'key_ended' }), 4));
    });
  });
}
