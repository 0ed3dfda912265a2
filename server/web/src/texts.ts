//! Every text of the page in French, as it always was, and in English.

const fr = {
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
  console: 'Console',
  removed: (count: string, kept: string) => `Les ${kept} dernières lignes sont gardées ; ${count} plus anciennes ont été retirées.`,
  cut: (count: string) => ` … (encore ${count} caractères)`,
  attempt: (address: string) => `Tentative de connexion à ${address}`,
  established: 'Connexion établie !',
  joined: (namespace: string) => `Connecté au namespace ${namespace}`,
  absent: (namespace: string) => `Pas connecté au namespace ${namespace}`,
  confirmation: (data: string) => `Confirmation: ${data}`,
  bus: (channel: string, data: string) => `Événement Redis (${channel}): ${data}`,
  answer: (what: string, data: string) => `Réponse ${what} reçue: ${data}`,
  ended: (reason: string) => `Déconnecté: ${reason}`,
  endedByHand: 'Déconnexion manuelle',
  connectError: (message: string) => `Erreur de connexion: ${message}`,
  refused: (namespace: string, message: string) => `Erreur de connexion à ${namespace}: ${message}`,
  error: (namespace: string, data: string) => `Erreur de ${namespace}: ${data}`,
  gaveUp: (attempts: number) => `Reconnexion abandonnée après ${attempts} tentatives`,
  asking: (what: string) => `Envoi de la demande de ${what}...`,
};

/** What the page says in one language. */
export type Texts = typeof fr;

const en: Texts = {
  title: 'WebSocket test - Carillon',
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
  console: 'Console',
  removed: (count, kept) => `The last ${kept} lines are kept; ${count} older ones were removed.`,
  cut: (count) => ` … (${count} more characters)`,
  attempt: (address) => `Connecting to ${address}`,
  established: 'Connection established!',
  joined: (namespace) => `Connected to namespace ${namespace}`,
  absent: (namespace) => `Not connected to namespace ${namespace}`,
  confirmation: (data) => `Confirmation: ${data}`,
  bus: (channel, data) => `Redis event (${channel}): ${data}`,
  answer: (what, data) => `${what} response received: ${data}`,
  ended: (reason) => `Disconnected: ${reason}`,
  endedByHand: 'Disconnected by hand',
  connectError: (message) => `Connection error: ${message}`,
  refused: (namespace, message) => `Connection error at ${namespace}: ${message}`,
  error: (namespace, data) => `Error from ${namespace}: ${data}`,
  gaveUp: (attempts) => `Gave up reconnecting after ${attempts} attempts`,
  asking: (what) => `Sending the ${what} request...`,
};

/** The language asked for with `?lang=`, else the browser's: French where that is French, English everywhere else. */
export function language(query: string, browser: string): 'fr' | 'en' {
  const asked = new URLSearchParams(query).get('lang')?.toLowerCase();
  if (asked === 'fr' || asked === 'en') return asked;
  return /^fr\b/i.test(browser) ? 'fr' : 'en';
}

/** The texts of a language. */
export function texts(language: 'fr' | 'en'): Texts {
  return { fr, en }[language];
}
