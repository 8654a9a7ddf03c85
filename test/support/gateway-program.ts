/** Our drop-in for ocserv, as it was built, in the place of Debian's: `Ocserv.start(lab, { program: OUR_GATEWAY })`. */
import path from 'node:path';
import type { OcservProgram } from './ocserv.ts';
import type { Command } from './openconnect.ts';

export const OUR_GATEWAY: OcservProgram = {
  command: commandOf('sallyport-ocserv'),
  ready: /\blistening\b/,
  control: commandOf('sallyport-occtl'),
};

function commandOf(name: string): Command {
  return [process.execPath, path.resolve(import.meta.dirname, `../../bin/${name}.js`)];
}
