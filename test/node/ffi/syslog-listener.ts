/** Listens at /dev/log, writes two lines to the system log and prints what arrived, as JSON. */
import { Syslog } from '../../../src/node/ffi/syslog.ts';
import { openLogSocket } from '../../support/log-socket.ts';

const socket = openLogSocket();
const log = new Syslog('openconnect');
log.write('info', '100%s done');
log.write('error', 'cut\0 here');

const lines = [0, 1].map(() => socket.receive());
process.stdout.write(JSON.stringify(lines));
