//! Tokens (JWT) as any issuer signs them, good and forged, with keys made for this run.

import { constants, createHash, createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const encoded = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const pair = (kind, options) => {
  const { publicKey, privateKey } = generateKeyPairSync(kind, options);
  return { privateKey, pem: publicKey.export({ type: 'spki', format: 'pem' }) };
};
const rsa = pair('rsa', { modulusLength: 2048 });
const secret = (bytes) => ({ secret: randomBytes(bytes).toString('hex').slice(0, bytes) });

/** One key of each algorithm, under its own name. */
export const KEYS = {
  HS256: secret(32), HS384: secret(48), HS512: secret(64),
  RS256: rsa, RS384: rsa, RS512: rsa, PS256: rsa, PS384: rsa, PS512: rsa,
  ES256: pair('ec', { namedCurve: 'P-256' }), ES384: pair('ec', { namedCurve: 'P-384' }), EdDSA: pair('ed25519'),
};

/** The same, as the setting `auth.keys`. */
export const keysSetting = () => `[${Object.entries(KEYS).map(([name, key]) => `{ kid = "${name}", algorithm = "${name}", key = '''${key.secret ?? key.pem}''' }`).join(', ')}]`;

/** What everybody is told who shows no valid token or key, whatever the reason. */
export const REFUSED = 'a valid token or key is needed';

/** An API key as the setting `auth.api_keys` has it. */
export const sha256 = (key) => createHash('sha256').update(key).digest('hex');

/** So many seconds from now, as tokens write times. */
export const ahead = (seconds) => Math.floor(Date.now() / 1000) + seconds;

function signature(algorithm, message, key) {
  const hash = `sha${algorithm.slice(2)}`;
  switch (algorithm.slice(0, 2)) {
    case 'HS': return createHmac(hash, key.secret).update(message).digest();
    case 'RS': return sign(hash, message, key.privateKey);
    case 'PS': return sign(hash, message, { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
    case 'ES': return sign(hash, message, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
    default: return sign(null, message, key.privateKey);
  }
}

/** A token of these claims, which may be text that is no JSON; its header says `alg` and `kid` unless told otherwise. */
export function token(claims, { algorithm = 'HS256', header = {}, key = KEYS[algorithm] } = {}) {
  const head = typeof header === 'string' ? header : { alg: algorithm, typ: 'JWT', kid: algorithm, ...header };
  const message = `${encoded(head)}.${encoded(claims)}`;
  return `${message}.${signature(algorithm, Buffer.from(message), key).toString('base64url')}`;
}

/** A token that names an algorithm and has no signature. */
export const unsigned = (claims, alg) => `${encoded({ alg, kid: 'HS256' })}.${encoded(claims)}.`;
