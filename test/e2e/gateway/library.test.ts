import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Lab } from '../../support/lab.ts';
import { ALICE, Ocserv } from '../../support/ocserv.ts';
import { OpenConnect } from '../../support/openconnect.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const EXAMPLE = path.resolve(import.meta.dirname, '../../../examples/gateway/gateway.mjs');

const skip = missing('root', 'netns', 'tun', 'openconnect', 'openssl', 'ping');

describe('the gateway of the library', { skip, timeout: HANG_LIMIT }, () => {
  it('serves openconnect from a program of one’s own, as the example has it', async () => {
    await using lab = await Lab.open();
    // Started with ocserv's arguments, of which the configuration is the fifth and the example's only one.
    const shell = ['sh', '-c', `exec "$0" ${EXAMPLE} "$5"`, process.execPath] as const;
    const gateway = await Ocserv.start(lab, { program: { command: shell, ready: /"event":"listening"/ } });
    const client = await OpenConnect.start(lab.client, { gateway: gateway.gateway, pin: gateway.pin, user: ALICE });
    assert.equal((await client.up()).dtls, 'connected');
    await lab.client.run('ping', ['-c', '1', '-W', '2', '10.77.0.1']);
    await client.disconnect();
    await gateway.stop();
    assert.match(gateway.log, /^stopped$/m);
  });
});
