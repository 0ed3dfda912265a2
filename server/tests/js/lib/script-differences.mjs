//! What socketioxide does differently to a script, each with its reason: from such a step on scripts may come out differently.

const DIFFERENCES = [
  { reason: 'DISCONNECT from a namespace that the client is not in ends the session', steps: ['disconnect from a namespace that is not joined'] },
  { reason: 'auth that is neither an object nor a list is none', steps: ['connect with auth that is a number'] },
  { reason: 'auth that is no JSON is none', steps: ['connect with auth that is no json'] },
  { reason: 'a noop of the client ends the session', steps: ['a noop'] },
  { reason: 'over polling a packet that may not come is refused, and the session goes on', steps: ['a probe', 'an upgrade'] },
  { reason: 'a ping of the client is nothing', steps: ['a ping'] },
  { reason: 'a message without a packet is nothing', steps: ['nothing'] },
  { reason: 'an ack that nobody waits for is not looked at', steps: ['an ack that is an object', 'an ack that is no json'] },
  { reason: 'what follows the payload is not looked at before the event is taken apart', steps: ['an event with a bracket too many', 'an event with something behind it'] },
  { reason: 'an event name that Socket.IO keeps for itself does not end the session', steps: ['an event with a reserved name'] },
  { reason: 'an event name with an escape ends the session', steps: ['an event with an escape in its name'] },
  { reason: 'an id that is no number of 64 bits is none', steps: ['an event with an id too large'] },
];

/** What may end a session at such a step, and seldom does. */
const ENDS = [
  { reason: 'a poll in the moment of the upgrade ends the session', step: 'move to a websocket' },
];

/** What plugins see differently of the last step, which is the same without it. */
const SEEN = [
  { reason: 'a connection that is cut is a transport error', last: 'it hangs up', alike: (log) => log.map((line) => line.replace('is gone: transport_error', 'is gone: transport_close')) },
];

/** Why scripts with these steps may come out differently, or nothing. */
export function differenceOf(steps) {
  return DIFFERENCES.find((difference) => difference.steps.some((name) => steps.includes(name)));
}

/** Why socketioxide may have ended the session at this step, or nothing. */
export function endOf(step, outcome) {
  return ENDS.find((difference) => difference.step === step && outcome?.at(-1) === 'end');
}

/** Why two plugins may have seen this differently, or nothing. */
export function seenDifferently(last, one, two) {
  return SEEN.find((difference) => difference.last === last && JSON.stringify(difference.alike(one)) === JSON.stringify(difference.alike(two)));
}
