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

/** Writes the entries of a list; those that are in their place already are left alone, so that nobody hears them twice. */
export function entries(box: HTMLElement, all: { key: string; kind: string; parts: string[] }[]): void {
  const there = new Map([...box.children].map((item) => [(item as HTMLElement).dataset.key, item as HTMLElement]));
  all.forEach(({ key, kind, parts }, at) => {
    const item = there.get(key) ?? document.createElement('li');
    if (item.textContent !== parts.join(' ')) {
      item.replaceChildren(...parts.flatMap((part, at) => {
        const span = kind !== '' && at === 0 ? made('strong', part, `badge ${kind}`) : made('span', part);
        return at === 0 ? [span] : [' ', span];
      }));
    }
    item.dataset.key = key;
    if (box.children[at] !== item) box.insertBefore(item, box.children[at] ?? null);
    there.delete(key);
  });
  for (const item of there.values()) item.remove();
}
