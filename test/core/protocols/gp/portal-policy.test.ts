/** What a portal says of its gateways, by the specification's elements and both ways. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeerRefusedError, UnsupportedError } from '../../../../src/core/errors.ts';
import { parseXml } from '../../../../src/core/markup/xml.ts';
import { readPolicy, renderPolicy } from '../../../../src/core/protocols/gp/portal-policy.ts';
import { Secret } from '../../../../src/core/secret.ts';

describe('a portal’s policy', () => {
  it('lists its gateways, the best for where we are first, and its cookies', () => {
    const entry = (name: string, label: string, rules: string) =>
      `<entry name="${name}"><priority>9</priority><priority-rule>${rules}</priority-rule><description>${label}</description></entry>`;
    const rule = (region: string, priority: number) => `<entry name="${region}"><priority>${priority}</priority></entry>`;
    const list = [
      entry('far.example', 'Far', rule('Any', 3)),
      entry('near.example:4443', 'Near', rule('XX', 1)),
      entry('user:secret@bad.example/path', 'Bad', rule('Any', 1)),
      entry('bad.example:99999', 'No port', rule('Any', 1)),
      entry('other.example:4443', 'Far', rule('Any', 4)),
    ].join('');
    const policy = `<policy><gateways><external><list>${list}</list></external></gateways><portal-userauthcookie>TOKEN</portal-userauthcookie>
      <portal-prelogonuserauthcookie>empty</portal-prelogonuserauthcookie></policy>`;
    const { gateways, cookies } = readPolicy(parseXml(policy), 'XX');
    assert.deepEqual(
      gateways.map(({ label, target }) => [label, target.host, target.port]),
      [
        ['Near', 'near.example', 4443],
        ['Far', 'far.example', 443],
        ['Far (other.example:4443)', 'other.example', 4443],
      ],
    );
    assert.deepEqual(
      cookies.map(([name, value]) => [name, value.reveal()]),
      [['portal-userauthcookie', 'TOKEN']],
    );
    assert.throws(() => readPolicy(parseXml('<policy><has-config>no</has-config></policy>'), undefined), PeerRefusedError);
    assert.throws(() => readPolicy(parseXml('<config-criteria/>'), undefined), UnsupportedError);
  });

  it('is read back as it was offered, with each region’s own order', () => {
    const gateways = [
      { address: 'a.example', label: 'A & <B>', priority: 1, regions: [] },
      { address: '[fd00::1]:4443', label: 'Berlin', priority: 5, regions: [['DE', 1] as const, ['AT', 9] as const] },
      { address: 'c.example', label: 'C', priority: 7, regions: [] },
    ];
    const read = (region: string | undefined, pass?: Secret) => {
      const text = renderPolicy({ name: 'Corp', gateways, region, reportInterval: 600_000, pass, leadsBack: true });
      return readPolicy(parseXml(text), region);
    };
    const order = (region: string | undefined) => read(region).gateways.map(({ label }) => label);
    assert.deepEqual(order(undefined), ['A & <B>', 'Berlin', 'C']);
    assert.deepEqual(order('AT'), ['A & <B>', 'C', 'Berlin']);
    assert.equal(read(undefined).leadsBack, true);
    assert.deepEqual(read('XX').cookies, []);
    const [cookie] = read('XX', new Secret('PASS')).cookies;
    assert.deepEqual([cookie?.[0], cookie?.[1].reveal()], ['portal-userauthcookie', 'PASS']);
    assert.deepEqual(read('DE').gateways[1]?.target, { host: 'fd00::1', port: 4443, path: '/' });
  });
});
