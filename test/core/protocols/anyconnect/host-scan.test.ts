import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { HttpResponse } from '../../../../src/core/http/message.ts';
import type { HostScan } from '../../../../src/core/protocols/anyconnect/gateway-document.ts';
import { awaitScan, type ScanContext, scanHost } from '../../../../src/core/protocols/anyconnect/host-scan.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { page, pause, type Step } from '../../../support/login-script.ts';
import { ScriptedLoginIo } from '../../../support/scripted-login-io.ts';
import { testCrypto } from '../../../support/test-crypto.ts';

const SCAN: HostScan = { token: new Secret('TOKEN'), ticket: 'TI"CK', startUri: '/start?a', waitUri: '/wait' };
const md5 = (text: string) => createHash('md5').update(text).digest('hex').toUpperCase();

/** Answers GETs with these responses in turn. */
function contextWith(steps: readonly Step[], responses: readonly HttpResponse[], place = { host: 'vpn.example', port: 4443, path: '/x' }) {
  const io = new ScriptedLoginIo(steps, { crypto: testCrypto(), facts: { clientCertificate: utf8('client certificate') } });
  const fetched: string[] = [];
  const context: ScanContext = {
    io,
    place,
    group: 'Group A',
    get: async (url) => {
      const response = responses[fetched.push(url) - 1];
      assert.ok(response !== undefined, `not expected: GET ${url}`);
      return response;
    },
  };
  return { io, context, fetched };
}

// That openconnect hands over the same, and the whole way with it, is in the log-in's scripts.
describe('host scan', () => {
  it('hands the user’s program quoted values, the certificates’ MD5, and secrets by the environment', async () => {
    const check: Step = {
      kind: 'host-check',
      request: {
        arguments: [
          ...['-ticket', '"TI"CK"', '-stub', '"0"', '-group', '"Group A"'],
          ...['-certhash', `"${md5('gateway certificate')}:${md5('client certificate')}"`],
          ...['-url', '"https://vpn.example:4443/start?a"', '-langselen'],
        ],
        environment: { CSD_SHA256: 'PIN=', CSD_TOKEN: 'TOKEN', CSD_HOSTNAME: 'vpn.example' },
        stub: utf8('#!stub'),
      },
    };
    const { io, context, fetched } = contextWith([check], [page('#!stub')]);
    await scanHost({ ...SCAN, stubUri: '/stub' }, context);
    io.assertFinished();
    assert.deepEqual(fetched, ['/stub']);
  });

  it('is over with an XML document, and asked for again after a second while the page refreshes', async () => {
    const pending = [
      '<meta http-equiv="refresh" content="1">',
      '<META HTTP-EQUIV="Refresh">',
      '<?xml version="1.0"?><html http-equiv="refresh"/>',
    ];
    const { io, context, fetched } = contextWith(
      pending.map(() => pause(1000)),
      [...pending.map((body) => page(body)), page('<?xml version="1.0"?><done/>')],
    );
    await awaitScan(SCAN, context);
    io.assertFinished();
    assert.deepEqual(fetched, Array<string>(4).fill('/wait'));
  });

  it('fails with any other answer', async () => {
    for (const body of ['', '<html/>', ' <?xml version="1.0"?>', '\u0000']) {
      const { context } = contextWith([], [page(body, { status: 404 })]);
      await assert.rejects(awaitScan(SCAN, context), { name: 'PeerMisbehavedError', message: /HTTP 404/ }, body);
    }
  });

  it('shows no token in its log', async () => {
    const { io, context } = contextWith([pause(1000)], [page('http-equiv="refresh"'), page('<?xml?>')]);
    await awaitScan(SCAN, context);
    assert.ok(!io.log.lines.join('\n').includes('TOKEN'));
  });
});
