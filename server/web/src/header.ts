//! What all pages have in common: their language, the texts of the header, and the state of the connection in it.

import { Manager, type Socket } from 'socket.io-client';
import { Door } from './token';

export type Language = 'fr' | 'en';

/** What the header says, in each language. */
export const HEADER = {
  fr: {
    toDashboard: 'Tableau de bord',
    toPlugins: 'Plugins',
    toTest: 'Page de test',
    toDocs: 'Documentation',
    languages: 'Langue',
    connecting: 'Connexion en cours...',
    connected: 'Connecté',
    asked: "Ce serveur demande un jeton ou une clé d'API.",
    notAccepted: "Le jeton ou la clé n'est pas accepté.",
    tokenField: "Jeton ou clé d'API",
    showToken: 'Montrer',
    lost: (time: string) => `Connexion perdue à ${time} : les valeurs datent d'avant. Nouvelle tentative...`,
  },
  en: {
    toDashboard: 'Dashboard',
    toPlugins: 'Plugins',
    toTest: 'Test page',
    toDocs: 'Documentation',
    languages: 'Language',
    connecting: 'Connecting...',
    connected: 'Connected',
    asked: 'This server asks for a token or an API key.',
    notAccepted: 'The token or key is not accepted.',
    tokenField: 'Token or API key',
    showToken: 'Show it',
    lost: (time: string) => `Connection lost at ${time}: the values are from before. Trying again...`,
  },
};

/** The language asked for with `?lang=`, else the browser's: French where that is French, English everywhere else. */
export function language(query: string, browser: string): Language {
  const asked = new URLSearchParams(query).get('lang')?.toLowerCase();
  if (asked === 'fr' || asked === 'en') return asked;
  return /^fr\b/i.test(browser) ? 'fr' : 'en';
}

/** Puts the texts of a page in their places, and marks its language. */
export function place(say: Record<string, unknown>, language: Language): void {
  document.documentElement.lang = language;
  for (const part of document.querySelectorAll<HTMLElement>('[data-text]')) {
    const text = say[part.dataset.text ?? ''];
    if (typeof text === 'string') part.textContent = text;
  }
  document.title = String(say.title);
  document.getElementById('languages')?.setAttribute('aria-label', String(say.languages));
  document.querySelector(`nav a[hreflang="${language}"]`)?.setAttribute('aria-current', 'true');
}

/** Writes how the connection is into the header. */
export function status(style: 'disconnected' | 'connecting' | 'connected', text: string): void {
  const element = document.getElementById('status');
  if (!element) return;
  element.className = `status ${style}`;
  element.textContent = text;
}

/** One connection to this server for all sockets of a page; the header says how it is, and it comes back by itself. */
export function connect(language: Language): { manager: Manager; socket: (namespace: string) => Socket } {
  const say = HEADER[language];
  const manager = new Manager(location.origin, { transports: ['websocket', 'polling'] });
  manager.on('open', () => {
    document.body.dataset.connection = 'connected';
    status('connected', say.connected);
  });
  manager.on('close', () => {
    document.body.dataset.connection = 'lost';
    status('disconnected', say.lost(new Date().toLocaleTimeString(language)));
  });
  // Who is refused everywhere is disconnected first, and told why after that.
  const door = new Door(say, (text) => status('disconnected', text));
  return { manager, socket: (namespace) => door.socket(manager, namespace) };
}
