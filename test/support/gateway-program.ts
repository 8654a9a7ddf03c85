/** Our drop-in for ocserv, as it was built, in the place of Debian's: `Ocserv.start(lab, { program: OUR_GATEWAY })`. */
import path from 'node:path';
import type { OcservProgram } from './ocserv.ts';

export const OUR_GATEWAY: OcservProgram = {
  command: [process.execPath, path.resolve(import.meta.dirname, '../../bin/sallyport-ocserv.js')],
  ready: /\blistening\b/,
};
