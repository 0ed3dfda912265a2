//! Certificates as openssl issues them, and servers that show them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { start, tempFolder } from './server.mjs';
import { within } from './wait.mjs';

/** Runs openssl, which must succeed. */
export function openssl(...args) {
  const { status, stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  assert.equal(status, 0, `openssl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Whoever issues certificates, and whom others trust: `ca` is its own, in PEM, `file` where that is. */
export class Authority {
  constructor(t) {
    this.folder = tempFolder(t);
    this.file = join(this.folder, 'ca.pem');
    this.issued = 0;
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=authority',
      '-keyout', join(this.folder, 'ca.key'), '-out', this.file);
    this.ca = readFileSync(this.file, 'utf8');
  }

  /** A certificate for localhost and its key, as the files `cert` and `key`, whose texts are `certificate` and `secret`. */
  issue(algorithm = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']) {
    this.issued += 1;
    const [cert, key, request] = ['pem', 'key', 'csr'].map((end) => join(this.folder, `${this.issued}.${end}`));
    openssl('req', '-newkey', ...algorithm, '-nodes', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', request);
    openssl('x509', '-req', '-in', request, '-CA', this.file, '-CAkey', join(this.folder, 'ca.key'), '-CAcreateserial', '-days', '2', '-copy_extensions', 'copy', '-out', cert);
    return { cert, key, certificate: readFileSync(cert, 'utf8'), secret: readFileSync(key, 'utf8') };
  }
}

/** Puts a text in the place of a file, all at once. */
export function replace(file, text) {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

/** The settings of a server that shows this pair, with its operators apart. */
const showing = ({ cert, key }, env = {}) => ({
  CARILLON_SERVER__TLS__CERT: cert, CARILLON_SERVER__TLS__KEY: key, CARILLON_ADMIN__LISTEN: '127.0.0.1:0', ...env,
});

/** A server with TLS, its `authority`, and the `pair` it shows; its clients trust it. */
export async function startSecure(t, { env, ...options } = {}) {
  const authority = new Authority(t);
  const pair = authority.issue();
  const server = await start(t, { ...options, env: showing(pair, env) });
  server.trust = { ca: authority.ca };
  return Object.assign(server, { authority, pair });
}

/** Shakes hands: resolves to the socket, or to the error. */
export function shake(server, options = {}) {
  return within(new Promise((done) => {
    const socket = connect({ host: '127.0.0.1', port: server.port, servername: 'localhost', ...server.trust, ...options });
    socket.on('secureConnect', () => done({ socket }));
    socket.on('error', (error) => done({ error }));
    socket.on('close', () => done({ error: new Error('closed') }));
    server.closers.push(() => socket.destroy());
  }), 'a handshake ends');
}

/** The fingerprint of the certificate that new connections are shown. */
export async function shown(server) {
  const { socket, error } = await shake(server);
  assert.ok(socket, String(error));
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}
