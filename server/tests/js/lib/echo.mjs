//! Calls of `/echo` over a WebSocket spoken by hand.

import assert from 'node:assert/strict';
import { text } from './websocket.mjs';

/** A call, and what answers it. */
export const call = (id, what = 'x') => `42/echo,${id}["say",${JSON.stringify({ text: what })}]`;
const answer = (id, what = 'x') => `43/echo,${id}[{"ok":true,"data":${JSON.stringify({ text: what })}}]`;

/** A call is answered on this WebSocket. */
export async function peerServes(peer, id = 901) {
  peer.write(text(call(id)));
  assert.equal(await peer.text(`43/echo,${id}[`), answer(id));
}
