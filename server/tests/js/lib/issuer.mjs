//! An issuer that publishes its keys (JWKS), and can fail to in several ways.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { token } from './tokens.mjs';
import { until } from './wait.mjs';

/** A key pair of an issuer, under a name. */
export function issuerKey(kid, algorithm = 'ES256') {
  const { privateKey, publicKey } = algorithm === 'ES256'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' };
  return { kid, jwk, sign: (claims) => token(claims, { algorithm, header: { kid }, key: { privateKey } }) };
}

/** Starts one, with TLS where it has a pair; it publishes `keys` until `answer` is set to something else, and counts how often it was asked. */
export async function startIssuer(t, keys, pair) {
  const issuer = { keys, asked: 0, answer: null };
  const open = new Set();
  const reply = (request, response) => {
    issuer.asked += 1;
    if (issuer.answer) return issuer.answer(response);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }));
  };
  const server = pair ? createSecureServer({ cert: pair.certificate, key: pair.secret }, reply) : createServer(reply);
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => new Promise((done) => {
    server.close(done);
    for (const socket of open) socket.destroy();
  }));
  issuer.url = `${pair ? 'https' : 'http'}://127.0.0.1:${server.address().port}/keys`;
  issuer.askedAgain = (times) => until(() => issuer.asked >= times, () => `it is asked ${times} times; it was ${issuer.asked}`, 20_000);
  return issuer;
}

/** Answers of an issuer that is no use. */
export const HANGS = () => {};
export const FAILS = (response) => { response.statusCode = 500; response.end('{}'); };
export const BREAKS = (response) => response.socket.destroy();
export const LIES = (response) => response.end('<html>');
export const POURS = (response) => response.end(`{"keys":[],"pad":"${'x'.repeat(300 * 1024)}"}`);
export const EMPTY = (response) => response.end('{"keys":[]}');
export const MOVED = (response) => { response.writeHead(302, { location: '/elsewhere' }); response.end(); };
