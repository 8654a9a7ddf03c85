import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientSettings } from '../../src/client/client-settings.ts';
import { type ClientSkin, VpnClient } from '../../src/client/vpn-client.ts';
import { RecordedLog } from '../support/forms.ts';
import { Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';

describe('a client with a certificate', { skip: missing('openssl') }, () => {
  it('can be made of any key that TLS takes, also where DTLS has no use for it', async () => {
    using pki = new Pki();
    for (const keyType of ['rsa', 'ec', 'ed25519'] as const) {
      const { certificatePath: certificate, keyPath: key } = pki.issueClient({ keyType });
      const log = new RecordedLog();
      const skin: ClientSkin = { log, answerer: () => async () => assert.fail(), checkHost: () => assert.fail() };
      await VpnClient.create(
        await clientSettings('https://vpn.example', { protocol: 'anyconnect', certificate: { certificate, key } }),
        skin,
      );
      assert.equal(/no certificate for DTLS/.test(log.lines.join('\n')), keyType === 'ed25519', keyType);
    }
  });
});
