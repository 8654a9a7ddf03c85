/** What one client's bad luck does to its worker: nothing. */
import assert from 'node:assert/strict';
import type { Socket as UdpSocket } from 'node:dgram';
import { describe, it } from 'node:test';
import type { MovedAssociation } from '../../../src/core/dtls/state.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { DeskNotices, DeskService, WorkerSetup } from '../../../src/gateway/processes/worker-contract.ts';
import type { DeviceSwitch } from '../../../src/gateway/worker/device-switch.ts';
import { Worker } from '../../../src/gateway/worker/worker.ts';
import { RecordedLog } from '../../support/forms.ts';
import { missing } from '../../support/requirements.ts';
import { throwawayCertificate } from '../../support/throwaway-certificate.ts';

const REMOTE = { address: { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) }, port: 4444 } as const;
const KEY = { id: 1, key: new Uint8Array(16), iv: new Uint8Array(4), nextSequence: 1 };
const BROKEN = { close: () => undefined, connect: () => assert.fail('a bug') } as unknown as UdpSocket;

/** A worker of a gateway with one host. */
async function scene() {
  const { certificatePem, keyPem } = throwawayCertificate();
  const policy = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', prefersServerOrder: true };
  const host = { certificates: [{ certificate: certificatePem, key: new Secret(keyPem) }], policy, clientCertificates: 'no' };
  const log = new RecordedLog();
  const gone: number[] = [];
  const worker = await Worker.start({
    ...{ log, engine: undefined, flows: undefined, hasPortableTls: true, device: {} as DeviceSwitch, desk: {} as DeskService },
    setup: { config: { hosts: [] }, material: { hosts: [host], profiles: [] }, serverName: 'x' } as unknown as WorkerSetup,
    notify: { disconnected: (connection: number) => gone.push(connection) } as unknown as DeskNotices,
  });
  return { worker, log, gone };
}

describe('a worker', { skip: missing('openssl') }, () => {
  it('goes on when serving a client by UDP fails as nobody has foreseen, and says so', async () => {
    const { worker, log, gone } = await scene();
    await worker.serveStranger({ connection: 7, remote: REMOTE, hasProxyHeader: false }, new Uint8Array(0), BROKEN);
    assert.deepEqual([log.lines.length, gone], [1, [7]]);
    assert.match(log.lines[0] ?? '', /^error connection failed/);
  });

  it('goes on when a flow cannot be had, or comes with an association that cannot be', async () => {
    const { worker, log } = await scene();
    await worker.flow(1, REMOTE, new Uint8Array(0), BROKEN);
    const session = { version: '1.2', suite: 0x1234, isResumed: false, hasExtendedMasterSecret: false, maxPlaintext: 1 } as const;
    const dtls: MovedAssociation = { session, seal: KEY, open: KEY };
    await worker.greeted(1, REMOTE, dtls, BROKEN);
    assert.equal(log.lines.length, 2);
    assert.match(log.lines[0] ?? '', /^error a UDP flow could not be opened/);
    assert.match(log.lines[1] ?? '', /^debug connection ended reason=Cipher suite 0x1234/);
  });
});
