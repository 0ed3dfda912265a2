//! Every text of the test page in French, as it always was, and in English.

import { HEADER } from './header';

const fr = {
  ...HEADER.fr,
  title: 'Test WebSocket - DispyCluster',
  disconnected: 'Déconnecté',
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
  ...HEADER.en,
  title: 'WebSocket test - DispyCluster',
  disconnected: 'Disconnected',
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

/** The texts of a language. */
export function texts(language: 'fr' | 'en'): Texts {
  return { fr, en }[language];
}
