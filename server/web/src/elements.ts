//! Elements of a page: found, made, and written to only where something changes.

export const element = (id: string) => document.getElementById(id) as HTMLElement;

export function made<K extends keyof HTMLElementTagNameMap>(tag: K, text: string, style = ''): HTMLElementTagNameMap[K] {
  const one = document.createElement(tag);
  one.textContent = text;
  if (style) one.className = style;
  return one;
}

/** A sentence of the event table, with what stands between backquotes as code. */
export function prose(sentence: string): (Node | string)[] {
  return sentence.split('`').map((part, at) => (at % 2 === 1 ? made('code', part) : part));
}

/** Writes a text, where there is something to write it on. */
export function write(on: Element | undefined, text: string): void {
  if (on && on.textContent !== text) on.textContent = text;
}

export function badge(on: HTMLElement, kind: string, text: string): void {
  on.className = `badge ${kind}`;
  write(on, text);
}
