//! Numbered publishes, most of them for a part of the clients only, and which of them a client is to hear.

/** How many rooms there are; a client is in one of them, or in none (`null`). */
export const ROOMS = 5;

/** To whom number `n` goes: to everybody, to a room, and to all but a room by turns. */
export function addressed(n) {
  const room = `r${n % ROOMS}`;
  return [{}, { rooms: [room] }, { except: [room] }][n % 3];
}

/** After so many numbers it begins anew. */
const PERIOD = 3 * ROOMS;

/** Whether a client in `room` hears number `n`. */
export function hears(n, room) {
  const { rooms, except } = addressed(n);
  return (!rooms || rooms.includes(room)) && !except?.includes(room);
}

/** The first number from `n` on that goes to everybody. */
export function toEverybody(n) {
  return addressed(n).rooms || addressed(n).except ? toEverybody(n + 1) : n;
}

/** How far it is from each number to the next one for a client in `room`: `steps[n % steps.length]`. */
export function steps(room) {
  return Array.from({ length: PERIOD }, (_, n) => {
    let step = 1;
    while (!hears(n + step, room)) step += 1;
    return step;
  });
}
