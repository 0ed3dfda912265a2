//! The sentences that servers put into alerts and health, in the language of the page whatever the server's is.

import type { Language } from './header';

/** Each in French and in English; `*` is what differs. */
const PHRASES = [
  ['CPU moyenne élevée: *', 'High average CPU: *'],
  ['Mémoire moyenne élevée: *', 'High average memory: *'],
  ['*: Température élevée (*)', '*: High temperature (*)'],
  ['1 nœud hors ligne', '1 node offline'],
  ['* nœuds hors ligne', '* nodes offline'],
] as const;

const pattern = (phrase: string) =>
  new RegExp(`^${phrase.split('*').map((part) => part.replace(/[().]/g, '\\$&')).join('(.*?)')}$`, 's');

/** The French of old has no singular. */
const ONE = '1 nœuds hors ligne';
const ONE_AS_IT_IS = { fr: '1 nœud hors ligne', en: '1 node offline' };

const TABLES = {
  fr: PHRASES.map(([fr, en]) => ({ pattern: pattern(en), phrase: fr })),
  en: PHRASES.map(([fr, en]) => ({ pattern: pattern(fr), phrase: en })),
};

/** A sentence in the language asked for; one that is not known, or in that language already, as it is. */
export function translate(sentence: string, language: Language): string {
  if (sentence === ONE) return ONE_AS_IT_IS[language];
  for (const { pattern, phrase } of TABLES[language]) {
    const found = pattern.exec(sentence);
    if (found) return found.slice(1).reduce((text, part) => text.replace('*', () => part), phrase as string);
  }
  return sentence;
}
