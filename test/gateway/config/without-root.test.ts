/** A gateway without an interface, without root: what its configuration says, and what is said of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatEndpoint } from '../../../src/core/wire/ip-address.ts';
import type { GatewayConfig } from '../../../src/gateway/config/gateway-config.ts';
import { parseGatewayToml } from '../../../src/gateway/config/gateway-toml.ts';
import { parseNatService } from '../../../src/gateway/config/nat-config.ts';
import { usualPlaces } from '../../../src/gateway/config/usual-places.ts';
import { withoutRoot } from '../../../src/gateway/config/without-root.ts';
import { sampleConfig, sampleHost } from '../config-samples.ts';

const MINIMAL = `
[tls]
certificates = [{ certificate = "/c", key = "/k" }]
[auth]
required = [{ method = "plain", passwords = "/p" }]
[pool]
ipv4 = "10.11.0.0/22"
`;

function configOf(text: string): GatewayConfig {
  return parseGatewayToml(text + MINIMAL, 'g.toml').config;
}

function config(more: Partial<GatewayConfig> = {}, isUserspace = true): GatewayConfig {
  const sample = sampleConfig();
  return { ...sample, network: { ...sample.network, isUserspace }, ...more };
}

describe('gateway.toml without an interface', () => {
  it('says so by a word in place of the interface’s name', () => {
    assert.equal(configOf('').network.isUserspace, false);
    assert.equal(configOf('[network]\ndevice = "vpns"').network.isUserspace, false);
    assert.equal(configOf('[network]\ndevice = "userspace"').network.isUserspace, true);
  });

  it('has services and limits', () => {
    const { nat } = configOf('[nat]\nservices = ["80:127.0.0.1:8080"]\nflows = 5\nudp-idle = "2m"').network;
    assert.deepEqual(
      nat.services.map(({ protocol, port, target }) => [protocol, port, formatEndpoint(target)]),
      [['tcp', 80, '127.0.0.1:8080']],
    );
    assert.deepEqual([nat.limits.flows, nat.limits.flowsPerSession, nat.limits.udpIdle], [5, 4096, 120_000]);
    assert.throws(() => configOf('[nat]\nservices = ["80"]'), /a service like/);
    assert.throws(() => configOf('[nat]\nnew-flows-per-second = 0'), /new-flows-per-second/);
  });

  it('reads services as ssh writes forwarded ports', () => {
    const read = (text: string) => {
      const service = parseNatService(text);
      return service && `${service.protocol} ${service.port} ${formatEndpoint(service.target)}`;
    };
    assert.equal(read('80:127.0.0.1:8080'), 'tcp 80 127.0.0.1:8080');
    assert.equal(read('udp:5353:[2001:db8::1]:53'), 'udp 5353 [2001:db8::1]:53');
    for (const wrong of [
      '80',
      '80:127.0.0.1',
      '0:127.0.0.1:80',
      '80:127.0.0.1:65536',
      '80:localhost:80',
      '80:2001:db8::1:80',
      'sctp:1:127.0.0.1:1',
      '',
    ]) {
      assert.equal(read(wrong), undefined, wrong);
    }
  });
});

describe('what is said of a gateway without root', () => {
  it('is nothing for root with an interface', () => {
    assert.deepEqual(withoutRoot(config({}, false), true), []);
  });

  it('names what has no effect', () => {
    const pam = sampleHost({ auth: { required: [{ method: 'pam' }] } });
    const sample = config();
    const { network } = sample;
    const notices = withoutRoot(
      { ...sample, network: { ...network, pingLeases: true, routeAddCommand: 'x' }, scripts: { connect: '/c' }, hosts: [pam] },
      false,
    ).join('\n');
    for (const words of [/ping-leases, the commands for routes/, /scripts run as this user/, /nobody, nogroup/, /PAM/])
      assert.match(notices, words);
  });

  it('refuses to leave out what is there to protect', () => {
    const { processes, listen } = config();
    assert.throws(
      () => withoutRoot(config({ processes: { ...processes, chroot: '/var/empty' } }), false),
      /Only root can have this.*chroot/,
    );
    assert.throws(() => withoutRoot(config({ listen: { ...listen, networkNamespace: 'out' } }), false), /network-namespace/);
    withoutRoot(config({ processes: { ...processes, chroot: '/var/empty' } }), true);
  });

  it('points to the way without an interface', () => {
    assert.match(withoutRoot(config({}, false), false).join('\n'), /device = "userspace"/);
  });
});

describe('the usual places of a gateway', () => {
  it('are root’s, or an ordinary user’s own', () => {
    assert.deepEqual(usualPlaces(0, {}), { state: '/var/lib/sallyport/gateway', controlSocket: '/run/sallyport/control' });
    const environment = { XDG_STATE_HOME: '/home/u/state', XDG_RUNTIME_DIR: '/run/user/5' };
    assert.deepEqual(usualPlaces(5, environment), {
      state: '/home/u/state/sallyport/gateway',
      controlSocket: '/run/user/5/sallyport-gateway/control',
    });
    assert.match(usualPlaces(5, {}).state, /\/\.local\/state\/sallyport\/gateway$/);
  });
});
