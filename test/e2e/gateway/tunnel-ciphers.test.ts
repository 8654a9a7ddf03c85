/** openconnect to our gateway by every way there is, and our client by those that differ most: `tunnel-ways.ts`. */
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { sized } from '../../support/size.ts';
import { skip } from '../tunnel-scene.ts';
import { carries, DEADLINE, VARIANTS, WAYS, type Way } from '../tunnel-ways.ts';
import { openGateway } from './gateway-scene.ts';

/** Of old clients whose TLS has nothing better. */
const CBC: Way = {
  name: 'DTLS-PSK with AES-256-CBC',
  args: ['--gnutls-priority', 'NORMAL:-CIPHER-ALL:+AES-256-CBC:-VERS-TLS1.3'],
  dtls: { ours: 'DTLSv1.2-PSK_WITH_AES_256_CBC_SHA', gnutls: '(DTLS1.2)-(PSK)-(AES-256-CBC)-(SHA1)' },
  tls: /^\(TLS1\.2\)-.*-\(AES-256-CBC\)/,
};

/** Each way, over each kind of address: twice as many tunnels as to ocserv, each with less. */
const BYTES = sized(4e6, 20e6);

const CLIENTS = [
  { name: 'openconnect', command: OPENCONNECT, ways: [...WAYS, CBC] },
  {
    name: 'our client',
    command: DROP_IN,
    ways: WAYS.filter(({ name }) => sized(/AES-256-GCM$|DTLS 0.9 with AES-256|TLS 1.3 alone/, /./).test(name)),
  },
];

describe('a tunnel to our gateway', { skip, concurrency: 2 }, () => {
  for (const { name: client, command, ways } of CLIENTS) {
    for (const [i, way] of ways.entries()) {
      // Everyday each way comes once, and each variant now and then.
      for (const variant of VARIANTS.filter((_, j) => sized(j === i % VARIANTS.length, true))) {
        const { compression, family } = variant;
        const how = compression === undefined ? 'uncompressed' : `compressed by ${compression}`;
        it(`carries every byte of ${client} by ${way.name}, ${how}, over IPv${family}`, { timeout: DEADLINE }, () =>
          carries(way, variant, (options) => openGateway({ command, ...options }), BYTES),
        );
      }
    }
  }
});
