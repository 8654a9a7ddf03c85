/** Client and gateway of one Fortinet tunnel in memory: see `ppp-tunnel-pair.ts`. */
import assert from 'node:assert/strict';
import type { Credential } from '../../../../src/core/auth/login-io.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { FortinetClient } from '../../../../src/core/protocols/fortinet/client.ts';
import { renderConfiguration } from '../../../../src/core/protocols/fortinet/configuration.ts';
import { datagramFront, streamTunnel } from '../../../../src/core/protocols/fortinet/gateway-tunnel.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { PlayedIo, reply } from '../../../support/played-io.ts';
import { PAIR_TERMS, type PairOptions as PppPairOptions, PppTunnelPair } from '../../../support/ppp-tunnel-pair.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';

const COOKIE = 'c'.repeat(43);

export const CLIENT_ADDRESS = '10.77.0.50';

export interface PairOptions extends PppPairOptions {
  /** The configuration offers UDP. Default: true. */
  readonly hasDatagrams?: boolean;
  /** What the client thinks of the gateway's certificate by DTLS. */
  readonly fault?: string;
}

export async function openPair(options: PairOptions): Promise<PppTunnelPair> {
  const { seed = 1, hasDatagrams = true, fault } = options;
  const client = new FortinetClient({
    ...{ crypto: new SeededCrypto(seed), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [], compression: 'none' },
    ...{ wantsIpv6: true, usesDatagrams: true, datagramCiphers: { allowsLegacy: false } },
    datagramCertificateFault: () => fault,
  });
  const document = renderConfiguration({ config: PAIR_TERMS.config, hasDatagrams, heartbeat: 10_000, reconnectsWithin: 240_000 }, 0);
  const io = new PlayedIo([{ sent: 'GET /remote/fortisslvpn_xml?dual_stack=1', answer: reply(200, document) }]);
  const gateway = { host: 'vpn.example', port: 443, path: '/' };
  const credential: Credential = { gateway, pin: '', cookie: new Secret(`SVPNCOOKIE=${COOKIE}`) };
  return new PppTunnelPair(
    {
      client: await client.open(io, credential, undefined),
      serve: (request) => {
        assert.deepEqual([request.target, request.headers.at(-1)], ['/remote/sslvpn-tunnel', ['Cookie', `SVPNCOOKIE=${COOKIE}`]]);
        return streamTunnel({ crypto: new SeededCrypto(7), log: silentLogger, terms: PAIR_TERMS });
      },
      front: datagramFront,
    },
    options,
  );
}
