//! Every text of the test page in French, as it always was, and in English.

/** The names of the pages, the same in every header. */
export const PAGES = {
  fr: { toDashboard: 'Tableau de bord', toTest: 'Page de test', toMetrics: 'Mesures', toDocs: 'Documentation' },
  en: { toDashboard: 'Dashboard', toTest: 'Test page', toMetrics: 'Metrics', toDocs: 'Documentation' },
};

const fr = {
  ...PAGES.fr,
  title: 'Test WebSocket - DispyCluster',
  disconnected: 'Déconnecté',
  connecting: 'Connexion en cours...',
  connected: 'Connecté',
  connectedAs: 'Connecté - Socket ID: ',
  failed: 'Erreur de connexion',
  connect: 'Se connecter',
  disconnect: 'Se déconnecter',
  requestHealth: 'Demander Health',
  requestNodes: 'Demander Nodes',
  requestCluster: 'Demander Cluster',
  clear: 'Vider',
  pause: 'Pause',
  resume: 'Reprendre',
  resumeAfter: (count: string) => `Reprendre (${count} en attente)`,
  filter: 'Filtrer les lignes',
  counts: 'Événements reçus',
  languages: 'Langue',
  console: 'Console',
  removed: (count: string, kept: string) => `Les ${kept} dernières lignes sont gardées ; ${count} plus anciennes ont été retirées.`,
  cut: (count: string) => ` … (encore ${count} caractères)`,
  attempt: (address: string) => `Tentative de connexion à ${address}`,
  established: 'Connexion établie !',
  joined: (namespace: string) => `Connecté au namespace ${namespace}`,
  absent: (namespace: string) => `Pas connecté au namespace ${namespace}`,
  confirmation: 'Confirmation',
  bus: (channel: string) => `Événement Redis (${channel})`,
  answer: (what: string) => `Réponse ${what} reçue`,
  ended: (reason: string) => `Déconnecté: ${reason}`,
  endedByHand: 'Déconnexion manuelle',
  connectError: (message: string) => `Erreur de connexion: ${message}`,
  refused: (namespace: string, message: string) => `Erreur de connexion à ${namespace}: ${message}`,
  error: (namespace: string) => `Erreur de ${namespace}`,
  gaveUp: (attempts: number) => `Reconnexion abandonnée après ${attempts} tentatives`,
  asking: (what: string) => `Envoi de la demande de ${what}...`,
};

/** What the page says in one language. */
export type Texts = typeof fr;

const en: Texts = {
  ...PAGES.en,
  title: 'WebSocket test - DispyCluster',
  disconnected: 'Disconnected',
  connecting: 'Connecting...',
  connected: 'Connected',
  connectedAs: 'Connected - Socket ID: ',
  failed: 'Connection error',
  connect: 'Connect',
  disconnect: 'Disconnect',
  requestHealth: 'Request health',
  requestNodes: 'Request nodes',
  requestCluster: 'Request cluster',
  clear: 'Clear',
  pause: 'Pause',
  resume: 'Resume',
  resumeAfter: (count) => `Resume (${count} waiting)`,
  filter: 'Filter the lines',
  counts: 'Events received',
  languages: 'Language',
  console: 'Console',
  removed: (count, kept) => `The last ${kept} lines are kept; ${count} older ones were removed.`,
  cut: (count) => ` … (${count} more characters)`,
  attempt: (address) => `Connecting to ${address}`,
  established: 'Connection established!',
  joined: (namespace) => `Connected to namespace ${namespace}`,
  absent: (namespace) => `Not connected to namespace ${namespace}`,
  confirmation: 'Confirmation',
  bus: (channel) => `Redis event (${channel})`,
  answer: (what) => `${what} response received`,
  ended: (reason) => `Disconnected: ${reason}`,
  endedByHand: 'Disconnected by hand',
  connectError: (message) => `Connection error: ${message}`,
  refused: (namespace, message) => `Connection error at ${namespace}: ${message}`,
  error: (namespace) => `Error from ${namespace}`,
  gaveUp: (attempts) => `Gave up reconnecting after ${attempts} attempts`,
  asking: (what) => `Sending the ${what} request...`,
};

/** The language asked for with `?lang=`, else the browser's: French where that is French, English everywhere else. */
export function language(query: string, browser: string): 'fr' | 'en' {
  const asked = new URLSearchParams(query).get('lang')?.toLowerCase();
  if (asked === 'fr' || asked === 'en') return asked;
  return /^fr\b/i.test(browser) ? 'fr' : 'en';
}

/** Puts the texts of a page in their places, and marks its language. */
export function place(say: Record<string, unknown>, language: 'fr' | 'en'): void {
  document.documentElement.lang = language;
  for (const part of document.querySelectorAll<HTMLElement>('[data-text]')) {
    const text = say[part.dataset.text ?? ''];
    if (typeof text === 'string') part.textContent = text;
  }
  document.title = String(say.title);
  document.getElementById('languages')?.setAttribute('aria-label', String(say.languages));
  document.querySelector(`nav a[hreflang="${language}"]`)?.setAttribute('aria-current', 'true');
}

/** The texts of a language. */
export function texts(language: 'fr' | 'en'): Texts {
  return { fr, en }[language];
}
