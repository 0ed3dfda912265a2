//! Text for the clipboard, also on pages that came over plain HTTP from another machine.

/** Puts a text there. */
export async function copy(text: string): Promise<void> {
  // Browsers have it for HTTPS and for this very machine only.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}
