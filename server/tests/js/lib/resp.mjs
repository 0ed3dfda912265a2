//! How a program speaks to Redis.

/** One command, as it is sent. */
export function command(...words) {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}
