/** What our scripts are told beside what the real ocserv's are told of the same session, variable by variable. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { silentLogger } from '../../../src/core/log.ts';
import type { Restriction } from '../../../src/gateway/network/firewall-rules.ts';
import { sessionEnvironment } from '../../../src/gateway/network/session-environment.ts';
import { SessionScripts } from '../../../src/gateway/network/session-scripts.ts';
import { Lab } from '../../support/lab.ts';
import { Ocserv } from '../../support/ocserv.ts';
import type { OcservSettings } from '../../support/ocserv-config.ts';
import { OpenConnect } from '../../support/openconnect.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { ALICES_SESSION, variablesOf } from './session-facts.ts';

const USER = { name: 'alice', password: 'pw', groups: ['staff'] };
const { PATH } = process.env;
const { policy } = ALICES_SESSION;
const ports = [{ protocol: 'tcp', port: 443 }, { protocol: 'udp', port: 53 }, { protocol: 'icmp' }, { protocol: 'esp' }] as const;
const routed: OcservSettings = {
  dns: ['10.77.0.1', 'fd77::1', '9.9.9.9'],
  route: ['10.0.0.0/8', '192.168.1.0/255.255.255.0', 'fd99::/32'],
  'no-route': ['10.1.0.0/16', 'fd99:1::/48'],
};

const CASES: readonly {
  readonly name: string;
  readonly settings: OcservSettings;
  readonly policy: Restriction;
  readonly hasIpv6?: false;
}[] = [
  { name: 'routes, no-routes and name servers', settings: routed, policy },
  {
    name: 'a restriction to routes and ports',
    settings: { ...routed, 'restrict-user-to-routes': true, 'restrict-user-to-ports': 'tcp(443), udp(53), icmp(), esp()' },
    policy: { ...policy, restrictsToRoutes: true, restrictsToPorts: { isNegated: false, ports } },
  },
  {
    name: 'a restriction to other ports, no IPv6 and no routes',
    settings: {
      route: ['default'],
      'ipv6-network': undefined,
      'ipv6-subnet-prefix': undefined,
      'restrict-user-to-ports': '!(tcp(443), udp(53), icmp(), esp())',
    },
    policy: { dns: [], routes: [], noRoutes: [], restrictsToRoutes: false, restrictsToPorts: { isNegated: true, ports } },
    hasIpv6: false,
  },
];

describe('scripts beside ocserv’s', { skip: missing('root', 'netns', 'tun', 'ocserv', 'openconnect'), timeout: HANG_LIMIT }, () => {
  for (const { name, settings, policy, hasIpv6 } of CASES) {
    it(`are told the same: ${name}`, async () => {
      await using lab = await Lab.open();
      const dump = path.join(lab.folder, 'dump');
      const body = `env -0 > ${lab.folder}/$WHO-$REASON.new; mv ${lab.folder}/$WHO-$REASON.new ${lab.folder}/$WHO-$REASON; echo "dumped $REASON"`;
      writeFileSync(dump, `#!/bin/sh\n: "\${WHO:=theirs}"\n${body}\n`, { mode: 0o755 });
      // ocserv-fw, which comes before the script here, fails without these; the rules are compared elsewhere.
      for (const tool of ['iptables', 'ip6tables']) writeFileSync(path.join(lab.folder, tool), '#!/bin/sh\n', { mode: 0o755 });
      process.env.PATH = `${lab.folder}:${PATH}`;
      delete process.env.WHO;
      const scripts = { 'connect-script': dump, 'disconnect-script': dump, 'host-update-script': dump };
      const ocserv = await Ocserv.start(lab, { users: [USER], settings: { ...settings, ...scripts } });
      const client = await OpenConnect.start(lab.client, { gateway: ocserv.gateway, pin: ocserv.pin, user: USER, script: 'true' });
      await client.up();
      await ocserv.program.waitFor(/dumped host-update/);
      await client.disconnect();
      await ocserv.program.waitFor(/dumped disconnect/);

      process.env.WHO = 'ours';
      const ours = new SessionScripts({ scripts: { connect: dump, disconnect: dump, hostUpdate: dump }, log: silentLogger });
      const { ipv4 } = ALICES_SESSION.lease;
      const lease = hasIpv6 === false ? { ...(ipv4 && { ipv4 }) } : ALICES_SESSION.lease;
      const facts = { ...ALICES_SESSION, policy, lease, usage: { received: 0, sent: 0, duration: 0 } };
      for (const kind of ['connect', 'host-update', 'disconnect'] as const) {
        await ours.run(kind, facts);
        await ours.settled();
        const [own, theirs] = ['ours', 'theirs'].map((who) => comparable(readFileSync(path.join(lab.folder, `${who}-${kind}`), 'utf8')));
        assert.deepEqual(own, theirs, kind);
      }
    });
  }
});

/** All variables of the contract, without values that are different each time; only their form is compared. */
function comparable(text: string): Record<string, string> {
  const { unset } = sessionEnvironment('connect', ALICES_SESSION);
  const named = Object.entries(variablesOf(text)).filter(([name]) => unset.includes(name));
  return Object.fromEntries(
    named.map(([name, value]) => {
      if (name === 'ID' || name.startsWith('STATS_')) return [name, value.replace(/^\d+$/, 'a number')];
      return [name, name === 'IPV6_LOCAL' ? value.replace(/%\d+$/, '') : value]; // see session-environment.ts
    }),
  );
}
