//! Random scripts of a client, right and wrong, by a seed: the same seed is the same script.

/** A generator of random numbers: `below(n)`, and `pick(list)`. */
function random(seed) {
  let state = (seed * 0x9e3779b9 + 0x6d2b79f5) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  next();
  const below = (n) => next() % n;
  return { below, pick: (list) => list[below(list.length)] };
}

const NAMESPACES = ['/seen', '/tiny', '/proto'];
/** What stands in front of a packet's data. */
const prefix = (namespace) => `${namespace},`;

const TEXTS = ['x', '', 'sant\u00e9', '\u{1f514} \u2028', 'q"\\', '4', '2probe', ' '];
const NAMES = ['say', 'x', 'a b', '\u00e9', '42', 'got'];

/** One argument of an event. */
function argument({ below, pick }, depth = 0) {
  switch (below(depth > 2 ? 5 : 8)) {
    case 0: return below(1_000_000) - 500_000;
    case 1: return pick(TEXTS);
    case 2: return pick([true, false, null]);
    case 3: return 'y'.repeat(below(3_000));
    case 4: return below(100) / 8;
    case 5: return Array.from({ length: below(4) }, () => argument({ below, pick }, depth + 1));
    default: return Object.fromEntries(Array.from({ length: below(4) }, (_, at) => [`${pick(TEXTS)}${at}`, argument({ below, pick }, depth + 1)]));
  }
}

// What no client that follows the protocols sends, by the name of the step.
const WRONG = {
  'nothing': '', 'an unknown engine packet': '9', 'a second open': '0{}', 'a ping': '2', 'a probe': '2probe', 'an upgrade': '5', 'a noop': '6', 'a pong nobody asked for': '3',
  'no socket packet': '4', 'an unknown socket packet': '49', 'an event without a payload': '42/seen,', 'an event that is cut short': '42/seen,["x"',
  'an event that is an object': '42/seen,{"a":1}', 'an event without a name': '42/seen,[]', 'an event whose name is a number': '42/seen,[1]',
  'an event with something behind it': '42/seen,["x"] ', 'an event with a bracket too many': '42/seen,["x"]]', 'an event that is no json': '42/seen,["x",]', 'an event with a reserved name': '42/seen,["disconnect"]',
  'an event with an escape in its name': '42/seen,["sa\\u0079"]', 'an event with the largest id': '42/seen,9223372036854775807["x"]', 'an event with an id too large': '42/seen,9223372036854775808["x"]',
  'an event to a namespace that is not joined': '42/echo,["say",{}]', 'an event to a namespace that is not there': '42/nowhere,["x"]', 'an event with a query in its namespace': '42/seen?x=1,["x"]',
  'an ack nobody asked for': '43/seen,77["x"]', 'an ack without an id': '43/seen,["x"]', 'an ack that is no json': '43/seen,77["x"', 'an ack that is an object': '43/seen,77{}',
  'a binary event without a number': '45/seen,["x"]', 'a binary event with too many attachments': '4511-/seen,["x"]', 'a binary event with no attachment': '450-/seen,["x"]',
  'text where an attachment must come': '451-/seen,["x",{"_placeholder":true,"num":0}]', 'a connect error': '44/seen,{"message":"x"}', 'connect with auth that is no json': '40/seen,{',
  'connect with auth that is a number': '40/seen,1', 'connect with auth that is a list': '40/seen,[1,"x"]', 'disconnect from a namespace that is not there': '41/nowhere,', 'disconnect from a namespace that is not joined': '41/echo,', 'a multibyte character': '\u20ac', 'four and a multibyte character': '4\u20ac',
};

/** `{ transport, steps }`: each step `{ name, sends, wrong }` sends packets, a Buffer being an attachment, and some are wrong. */
export function script(seed) {
  const chance = random(seed);
  const { below, pick } = chance;
  const transport = pick(['websocket', 'polling']);
  const steps = [];
  const joined = new Set();
  let ids = 0;
  const add = (name, ...sends) => steps.push({ name, sends });
  const event = (namespace) => {
    const args = JSON.stringify([pick(NAMES), ...Array.from({ length: below(4) }, () => argument(chance))]);
    const attachments = below(4) === 0 ? Array.from({ length: 1 + below(3) }, () => Buffer.alloc(below(2_000), below(256))) : [];
    const places = attachments.map((_, num) => `,{"_placeholder":true,"num":${num}}`).join('');
    const kind = attachments.length === 0 ? '2' : `5${attachments.length}-`;
    const ack = below(3) > 0;
    ids += ack ? 1 : 0;
    add(`an event${ack ? ' with an ack' : ''}${attachments.length ? ', binary' : ''}`, `4${kind}${prefix(namespace)}${ack ? ids : ''}${args.slice(0, -1)}${places}]`, ...attachments);
  };
  const connects = (namespace) => {
    const auth = pick(['', '', '{}', '{"token":"x","deep":{"n":[1,2]}}', namespace === '/seen' ? '{"refuse":true}' : '']);
    if (!joined.has(namespace) && !auth.includes('refuse')) joined.add(namespace);
    add('connect', `40${prefix(namespace)}${auth}`);
  };
  if (below(8) > 0) connects('/seen');
  for (let left = 1 + below(9); left > 0; left -= 1) {
    const what = below(20);
    if (what < 9 && joined.has('/seen')) event('/seen');
    else if (what < 11) connects(pick(NAMESPACES));
    else if (what < 12) add('connect to a namespace that is not there', '40/none,');
    else if (what < 14 && joined.has('/seen')) {
      ids += 1;
      add('a question of the server', `42/seen,${ids}["ask","${below(100)}"]`);
    } else if (what < 15) {
      const namespace = pick([...joined]);
      if (namespace === undefined) continue;
      joined.delete(namespace);
      add('disconnect', `41${prefix(namespace)}`);
    } else if (what < 17 && transport === 'polling') add('move to a websocket');
    else if (what < 18) {
      const name = pick(Object.keys(WRONG));
      steps.push({ name, sends: [WRONG[name]], wrong: true });
    } else if (what < 19) steps.push({ name: 'an attachment nobody announced', sends: [Buffer.from('x')], wrong: true });
    else if (joined.has('/seen')) event('/seen');
  }
  add(pick(['it closes', 'it hangs up']));
  return { transport, steps };
}
