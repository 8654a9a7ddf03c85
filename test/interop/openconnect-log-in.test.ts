/**
 * The log-ins that ours is tested with, led by the real client: what the scripts expect is what openconnect 9.01 sends. And led by our drop-in as a
 * program, told the same: with its certificates, its second certificate and the user's host-check program.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DROP_IN } from '../support/drop-in.ts';
import { LOGIN_FLOWS } from '../support/login-flows/all.ts';
import type { LoginFlow } from '../support/login-flows/flow.ts';
import { HOST_SCAN_FLOWS } from '../support/login-flows/host-scans.ts';
import { documentOf, init, on, reply, success } from '../support/login-script.ts';
import { printed, runOpenconnect } from '../support/openconnect-run.ts';
import { missing } from '../support/requirements.ts';
import { startScriptedGateways } from '../support/scripted-gateway.ts';
import { SECOND_CERTIFICATE, verifySecondCertificate } from '../support/second-certificate.ts';
import { sized } from '../support/size.ts';
import { throwawayCertificate } from '../support/throwaway-certificate.ts';

/** `namesPort`: in the URL that it gives to the host-check program; openconnect forgets it, so that its program cannot reach a gateway elsewhere. */
const CLIENTS = [
  {
    name: 'openconnect 9.01',
    command: ['openconnect'],
    namesPort: false,
    skip: missing('openconnect', 'openssl'),
    flows: Object.values(LOGIN_FLOWS).flat(),
  },
  {
    name: 'our drop-in',
    command: DROP_IN,
    namesPort: true,
    skip: missing('openssl'),
    // In memory our log-in goes through all of them: what is told apart here is what the command makes of its options.
    flows: sized([...(LOGIN_FLOWS.certificates ?? []), ...(LOGIN_FLOWS['host scans'] ?? [])], Object.values(LOGIN_FLOWS).flat()),
  },
] as const;

for (const { name, command, namesPort, skip, flows } of CLIENTS)
  describe(`${name} logs in at the fake gateway as the scripts say`, { skip }, () => {
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
        command,
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

    for (const flow of flows) {
      const skip = flow.needsRoot === true && missing('root');
      if (flow.openconnect !== undefined) it(flow.name, { skip }, () => play(flow));
    }

    it('gives the host-check program its arguments and its environment', { skip: missing('root') }, async () => {
      const [flow] = HOST_SCAN_FLOWS;
      assert.ok(flow !== undefined);
      const [wrapper, report] = ['wrapper', 'report'].map((name) => path.join(folder, name));
      assert.ok(wrapper !== undefined && report !== undefined);
      writeFileSync(wrapper, `#!/bin/sh\nshift; printf '%s\\n' "$@" "$CSD_TOKEN" "$CSD_HOSTNAME" "$CSD_SHA256" > ${report}\n`, {
        mode: 0o700,
      });
      await using gateways = await startScriptedGateways(flow.steps);
      const args = ['--authenticate', '--user=alice', '--passwd-on-stdin', '--csd-user=root', `--csd-wrapper=${wrapper}`];
      const { stdin = '' } = flow.openconnect ?? {};
      const run = await runOpenconnect(gateways.vpn, { command, args, stdin, path: '/grp' });
      assert.equal(run.exitCode, 0, run.stderr);
      const { authority, certificate } = gateways.vpn;
      const md5 = createHash('md5').update(certificate.der).digest('hex').toUpperCase();
      assert.deepEqual(readFileSync(report, 'utf8').split('\n'), [
        ...['-ticket', '"TICKET"', '-stub', '"0"', '-group', '""', '-certhash', `"${md5}:"`],
        ...['-url', `"https://${namesPort ? authority : '127.0.0.1'}/CACHE/start"`, '-langselen'],
        ...['TOKEN', '127.0.0.1', certificate.pin.replace('pin-sha256:', ''), ''],
      ]);
    });

    it('proves a second certificate over the body of the request, as ours does', async () => {
      const request = documentOf(
        '<opaque is-for="sg">o</opaque><multiple-client-cert-request><hash-algorithm>sha256</hash-algorithm><hash-algorithm>sha512</hash-algorithm>' +
          '<random>0123456789</random></multiple-client-cert-request><cert-authenticated/>',
      );
      const steps = [on(init('/'), request), on(reply('/', SECOND_CERTIFICATE, { isFresh: true }), success())];
      await using gateways = await startScriptedGateways(steps, { asksForCertificate: () => true });
      const run = await runOpenconnect(gateways.vpn, { command, args: ['--authenticate', ...secondCertificateArgs] });
      gateways.assertFinished();
      assert.equal(run.exitCode, 0, run.stderr);
      const [first, second] = gateways.vpn.requests;
      assert.ok(first?.clientCertificate !== undefined && second !== undefined);
      assert.equal(verifySecondCertificate(second.body, request.body).hash, 'sha512');
    });
  });
