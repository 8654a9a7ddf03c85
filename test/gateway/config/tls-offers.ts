/**
 * What a TLS server takes: one handshake for each offer. As a program, for a namespace: `tls-offers.ts HOST PORT` prints the names of the offers that
 * were taken, as JSON.
 */
import tls from 'node:tls';

interface Offer {
  readonly name: string;
  readonly options: tls.ConnectionOptions;
}

const OLD_SUITES = [
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES256-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-RSA-AES256-SHA384',
  'ECDHE-RSA-AES128-SHA256',
  'DHE-RSA-AES256-GCM-SHA384',
  'DHE-RSA-AES128-SHA',
  'AES256-GCM-SHA384',
  'AES128-GCM-SHA256',
  'AES256-SHA',
  'AES128-SHA',
  'AES128-SHA256',
];

const OFFERS: readonly Offer[] = [
  ...OLD_SUITES.map((suite) => offer('TLSv1.2', suite)),
  ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'].map((suite) => offer('TLSv1.3', suite)),
  ...(['TLSv1', 'TLSv1.1'] as const).flatMap((version) => ['ECDHE-RSA-AES128-SHA', 'AES256-SHA'].map((suite) => offer(version, suite))),
  ...['X25519', 'P-256', 'P-384', 'P-521', 'X448', 'ffdhe2048'].map((group) => offer('TLSv1.3', 'TLS_AES_256_GCM_SHA384', group)),
];

function offer(version: tls.SecureVersion, suite: string, group?: string): Offer {
  return {
    name: [version, suite, ...(group === undefined ? [] : [group])].join(' '),
    options: {
      minVersion: version,
      maxVersion: version,
      ciphers: version === 'TLSv1.3' ? suite : `${suite}:@SECLEVEL=0`,
      ...(group !== undefined && { ecdhCurve: group }),
    },
  };
}

const HANDSHAKE_MS = 5000;

export async function takenOffers(host: string, port: number): Promise<readonly string[]> {
  const taken: string[] = [];
  for (const { name, options } of OFFERS) if (await isTaken(host, port, options)) taken.push(name);
  return taken;
}

function isTaken(host: string, port: number, options: tls.ConnectionOptions): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host, port, rejectUnauthorized: false, timeout: HANDSHAKE_MS, ...options });
    const end = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.on('secureConnect', () => end(true));
    socket.on('timeout', () => {
      socket.destroy();
      reject(new Error(`no answer from ${host}:${port}`));
    });
    // A server that is not there has refused nothing.
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? reject(error) : end(false)));
  });
}

if (import.meta.main) console.log(JSON.stringify(await takenOffers(process.argv[2] ?? '', Number(process.argv[3]))));
