/** How often a client looks whether a report on its machine is wanted: by the user's word, the portal's, or once an hour. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { LoginRequest } from '../../../../src/core/auth/login-io.ts';
import type { HttpResponse } from '../../../../src/core/http/message.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { GpClient } from '../../../../src/core/protocols/gp/client.ts';
import { renderConfiguration } from '../../../../src/core/protocols/gp/configuration.ts';
import { newOffer } from '../../../../src/core/protocols/gp/ipsec.ts';
import { renderAdmission } from '../../../../src/core/protocols/gp/login-answer.ts';
import { renderPolicy } from '../../../../src/core/protocols/gp/portal-policy.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { PlayedIo, reply } from '../../../support/played-io.ts';
import { PAIR_TERMS } from '../../../support/ppp-tunnel-pair.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';

const HOUR = 3_600_000;

/** A portal and gateway that lets everybody in, whose keys last for a day. */
class LenientIo extends PlayedIo {
  readonly #reportInterval: number;
  readonly #wantsReports: boolean;

  constructor(reportInterval: number, wantsReports: boolean) {
    super([{ asked: ['user', 'passwd'], values: ['alice', 'secret'] }]);
    this.#reportInterval = reportInterval;
    this.#wantsReports = wantsReports;
  }

  override async http({ target: { path } }: LoginRequest): Promise<HttpResponse> {
    if (path.includes('prelogin')) return reply(200, '<prelogin-response><status>Success</status></prelogin-response>');
    if (path.startsWith('/global-protect/')) {
      const gateways = [{ address: 'vpn.example', label: 'Here', priority: 1, regions: [] }];
      return reply(
        200,
        renderPolicy({
          name: 'Corp',
          gateways,
          region: undefined,
          pass: undefined,
          leadsBack: false,
          reportInterval: this.#reportInterval,
        }),
      );
    }
    if (path.includes('login')) return reply(200, renderAdmission({ authcookie: new Secret('ab'), user: 'alice' }));
    if (path.includes('hipreportcheck')) {
      return reply(200, `<response><hip-report-needed>${this.#wantsReports ? 'yes' : 'no'}</hip-report-needed></response>`);
    }
    const esp = newOffer(new SeededCrypto(4), 4501, { cipher: 'aes-256-cbc', mac: 'sha256' });
    const asked = PAIR_TERMS.gatewayIpv4 ?? assert.fail();
    const { config } = PAIR_TERMS;
    return reply(200, renderConfiguration({ config, mtu: 1380, timeout: 24 * HOUR, user: 'alice', saysIpv6Routes: true, asked, esp }, 0));
  }
}

/** When the tunnel is to be opened anew, after its start. */
async function renewedAfter({ portal = 3 * HOUR, path = '/portal', wantsReports = true, chosen }: Wishes): Promise<number | undefined> {
  const client = new GpClient({
    ...{ crypto: new SeededCrypto(1), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [], compression: 'none' },
    ...{ wantsIpv6: true, usesDatagrams: true, datagramCiphers: { allowsLegacy: false } },
    ...(chosen !== undefined && { hostReportInterval: chosen }),
  });
  const io = new LenientIo(portal, wantsReports);
  const credential = await client.login(io, { host: 'vpn.example', port: 443, path });
  const machine = await client.open(io, credential, undefined);
  machine.handleTimeout(0, { on: () => assert.fail('there is no path yet'), event: () => undefined });
  return machine.status(0).datagram.rekeyAt;
}

interface Wishes {
  /** What the portal says. */
  readonly portal?: number;
  readonly path?: string;
  readonly wantsReports?: boolean;
  /** What the user says. */
  readonly chosen?: number;
}

it('asks a minute before the portal’s time, if the gateway wants reports', async () => {
  assert.equal(await renewedAfter({}), 3 * HOUR - 60_000);
  assert.equal(await renewedAfter({ portal: 1000 }), 60_000, 'not in circles');
  assert.equal(await renewedAfter({ wantsReports: false }), 24 * HOUR - 60_000, 'its keys are over');
});

it('asks each hour where nobody has said how often, and as often as the user says', async () => {
  assert.equal(await renewedAfter({ path: '/gateway' }), HOUR - 60_000);
  assert.equal(await renewedAfter({ chosen: 20_000 }), 20_000);
});
