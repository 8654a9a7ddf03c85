/** The log-ins that ours is tested with, led by the real client: what the scripts expect is what openconnect 9.01 sends. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { LOGIN_FLOWS } from '../support/login-flows/all.ts';
import type { LoginFlow } from '../support/login-flows/flow.ts';
import { documentOf, init, on, reply, success } from '../support/login-script.ts';
import { printed, runOpenconnect } from '../support/openconnect-run.ts';
import { missing } from '../support/requirements.ts';
import { startScriptedGateways } from '../support/scripted-gateway.ts';
import { SECOND_CERTIFICATE, verifySecondCertificate } from '../support/second-certificate.ts';
import { throwawayCertificate } from '../support/throwaway-certificate.ts';

describe('openconnect 9.01 logs in at the fake gateway as the scripts say', { skip: missing('openconnect', 'openssl') }, () => {
  let folder = '';
  let certificateArgs: readonly string[] = [];
  let secondCertificateArgs: readonly string[] = [];

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'sallyport-'));
    const fileOf = (name: string) => {
      const { certificatePem, keyPem } = throwawayCertificate('rsa');
      const file = path.join(folder, name);
      writeFileSync(file, certificatePem + keyPem, { mode: 0o600 });
      return file;
    };
    certificateArgs = [`--certificate=${fileOf('client.pem')}`];
    const user = fileOf('user.pem');
    secondCertificateArgs = [...certificateArgs, `--mca-certificate=${user}`, `--mca-key=${user}`];
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

  it('proves a second certificate over the body of the request, as ours does', async () => {
    const request = documentOf(
      '<opaque is-for="sg">o</opaque><multiple-client-cert-request><hash-algorithm>sha256</hash-algorithm><hash-algorithm>sha512</hash-algorithm>' +
        '<random>0123456789</random></multiple-client-cert-request><cert-authenticated/>',
    );
    const steps = [on(init('/'), request), on(reply('/', SECOND_CERTIFICATE, { isFresh: true }), success())];
    await using gateways = await startScriptedGateways(steps, { asksForCertificate: () => true });
    const run = await runOpenconnect(gateways.vpn, { args: ['--authenticate', ...secondCertificateArgs] });
    gateways.assertFinished();
    assert.equal(run.exitCode, 0, run.stderr);
    const [first, second] = gateways.vpn.requests;
    assert.ok(first?.clientCertificate !== undefined && second !== undefined);
    assert.equal(verifySecondCertificate(second.body, request.body).hash, 'sha512');
  });
});
