//! What is live on /docs, which the server writes itself: the state of the connection.

import { connect, HEADER, place, type Language } from './header';

// The server has chosen already, and written the page in it.
const chosen: Language = document.documentElement.lang === 'fr' ? 'fr' : 'en';
place({ ...HEADER[chosen], title: 'Carillon' }, chosen);
// A connection that is in no namespace is not kept. This one seldom says anything.
connect(chosen).socket('/health');
