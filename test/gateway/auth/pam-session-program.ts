/** A session's begin and end by PAM, for a test in a namespace. Prints what was logged. */
import { PamAccounting } from '../../../src/gateway/auth/pam-accounting.ts';
import type { StoredSession } from '../../../src/gateway/auth/session-store.ts';
import { ip, START } from './auth-scene.ts';

const SESSION: StoredSession = {
  id: 'session-1',
  user: 'carol',
  createdAt: START,
  userAgent: 'test/1',
  cookieHash: '00',
  remote: ip('192.0.2.7'),
  local: ip('192.0.2.1'),
  hasCertificate: false,
  expiresAt: START,
  isOpen: true,
};

const accounting = new PamAccounting({ log: (_level, event, fields) => console.log(event, JSON.stringify(fields)) });
accounting.started(SESSION);
accounting.stopped(SESSION);
await accounting.close();
