import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { reportLines } from '../../../src/cli/sallyport/doctor-command.ts';
import { gatewayLines } from '../../../src/cli/sallyport/doctor-gateway.ts';
import type { Recognition } from '../../../src/client/recognise.ts';
import { ENGINE_FEATURES, FeatureSet, parseFeatures } from '../../../src/node/engine/features.ts';
import { missing } from '../../support/requirements.ts';

const run = promisify(execFile);
const PROGRAM = path.resolve(import.meta.dirname, '../../../bin/sallyport.js');

it('the doctor says what runs, and why the rest does not', () => {
  const features = new FeatureSet(['bursts']);
  features.turnOn('ack-thinning');
  features.turnOff('tun-offload', 'tun0 refused it (EINVAL)');
  features.turnOff('tun-offload', 'a second reason');
  const lines = reportLines({ crypto: 'openssl', problems: ['This user may not.'], features: features.states });
  assert.deepEqual(lines.slice(0, 2), ['The packet engine runs.', "  ciphers          OpenSSL's functions inside Node"]);
  const line = (name: string) => lines.find((each) => each.startsWith(`  ${name} `));
  assert.match(line('bursts') ?? '', / no .*\(switched off\)$/);
  assert.match(line('udp-gro') ?? '', / no .*\(needs bursts\)$/);
  assert.match(line('tun-offload') ?? '', / no .*\(tun0 refused it \(EINVAL\)\)$/);
  assert.match(line('tcp-join') ?? '', / no .*\(needs tun-offload\)$/);
  assert.match(line('ack-thinning') ?? '', / yes {2}needless acknowledgements left out$/);
  assert.match(line('moderation') ?? '', / - .*\(not tried\)$/);
  assert.equal(lines.at(-1), 'This user may not.');
});

it('names of features come with commas, and only known ones', () => {
  assert.deepEqual(parseFeatures(''), []);
  assert.deepEqual(parseFeatures(ENGINE_FEATURES.join(', ')), ENGINE_FEATURES);
  assert.throws(() => parseFeatures('bursts,warp'), /"warp" is no part of the packet engine/);
});

it('sallyport doctor engine examines this machine', { skip: missing('root', 'netns', 'tun', 'unshare') }, async () => {
  const words = ['--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, PROGRAM, 'doctor', 'engine', '--json'];
  const { stdout } = await run('unshare', words, { env: { ...process.env, SALLYPORT_ENGINE_WITHOUT: 'udp-join' } });
  const { engine } = JSON.parse(stdout) as { engine: { crypto: string; features: { name: string; isOn?: boolean; why?: string }[] } };
  assert.equal(engine.crypto, 'openssl');
  assert.deepEqual(
    engine.features.map(({ name }) => name),
    ENGINE_FEATURES,
  );
  assert.deepEqual(
    engine.features.find(({ name }) => name === 'udp-join'),
    { name: 'udp-join', isOn: false, why: 'switched off' },
  );
  assert.deepEqual(
    engine.features.find(({ name }) => name === 'tls'),
    { name: 'tls', isOn: true },
  );
  assert.notEqual(engine.features.find(({ name }) => name === 'multi-block')?.isOn, undefined, 'ESP was tried');
});

describe('sallyport doctor HOST', () => {
  const found: Recognition = {
    ...{ protocol: 'nc', certainty: 'certain' },
    evidence: [
      { protocol: 'anyconnect', request: 'GET /', status: 302, certainty: 'no', sign: '' },
      { protocol: 'nc', request: 'GET /', status: 302, certainty: 'certain', sign: 'it has a form frmLogin' },
    ],
  };

  it('says what is spoken there and how that is known, in columns', () => {
    assert.deepEqual(gatewayLines('vpn.example', found, undefined), [
      'vpn.example speaks Network Connect.',
      '  AnyConnect      GET / (302): nothing of it',
      '  Network Connect GET / (302): certain: it has a form frmLogin',
    ]);
  });

  it('says why a certificate is not trusted, and the pin that connect takes', () => {
    assert.equal(
      gatewayLines('vpn.example', found, { fault: 'signer not found', pin: 'pin-sha256:A' }).at(-1),
      'Its certificate is not trusted: no authority that this machine trusts has signed it. Its key is pin-sha256:A.',
    );
  });
});
