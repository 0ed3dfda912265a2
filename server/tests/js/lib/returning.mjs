//! Clients that come back by themselves, and what they are told then.

import { TRANSPORTS } from './client.mjs';
import { within } from './wait.mjs';

/** A client of `/echo` over one transport that comes back by itself, with the token that `shown()` gives then. */
export async function returning(server, transport, shown) {
  const client = server.client('/echo', {
    ...TRANSPORTS[transport], reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 20, auth: (tell) => tell({ token: shown() }),
  });
  await client.opened();
  return client;
}

/** Resolves to what a client is told when it comes back: `connected`, or the words of its refusal. */
export const answered = (client, ms) => within(new Promise((done) => {
  client.once('connect', () => done('connected'));
  client.once('connect_error', (error) => done(error.message));
}), 'the client comes back', ms);
