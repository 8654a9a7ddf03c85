/** The log-ins that ours is tested with, led by the real client: what the scripts expect is what openconnect 9.01 sends. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { LOGIN_FLOWS } from '../support/login-flows/all.ts';
import type { LoginFlow } from '../support/login-flows/flow.ts';
import { printed, runOpenconnect } from '../support/openconnect.ts';
import { missing } from '../support/requirements.ts';
import { startScriptedGateways } from '../support/scripted-gateway.ts';
import { throwawayCertificate } from '../support/throwaway-certificate.ts';

describe('openconnect 9.01 logs in at the fake gateway as the scripts say', { skip: missing('openconnect', 'openssl') }, () => {
  let folder = '';
  let certificateArgs: readonly string[] = [];

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'sallyport-'));
    const { certificatePem, keyPem } = throwawayCertificate('rsa');
    const file = path.join(folder, 'client.pem');
    writeFileSync(file, certificatePem + keyPem, { mode: 0o600 });
    certificateArgs = [`--certificate=${file}`];
  });

  after(() => rm(folder, { recursive: true, force: true }));

  async function play({ steps, openconnect = {}, session = 'SESSION', ...flow }: LoginFlow): Promise<void> {
    await using gateways = await startScriptedGateways(steps, { asksForCertificate: (connection) => connection > 1 });
    const run = await runOpenconnect(gateways.vpn, {
      args: [
        '--authenticate',
        '--passwd-on-stdin',
        ...(flow.hasClientCertificate === true ? certificateArgs : []),
        ...(openconnect.args ?? []),
      ],
      stdin: openconnect.stdin ?? '\n',
      path: flow.path ?? '/',
    });
    gateways.assertFinished();
    assert.equal(run.exitCode, flow.failure === undefined ? 0 : 1, run.stderr);
    if (flow.failure === undefined) assert.match(printed(run, 'COOKIE') ?? '', new RegExp(`(^|; )webvpn=${session}$`));
  }

  for (const flow of Object.values(LOGIN_FLOWS).flat()) {
    const skip = flow.needsRoot === true && missing('root');
    if (flow.openconnect !== undefined) it(flow.name, { skip }, () => play(flow));
  }
});
