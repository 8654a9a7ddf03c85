/**
 * Our client as it is where only the TUN is opened by system calls: UDP by node:dgram, TLS by node:tls, records by node:crypto. It stands in openconnect's
 * place as far as the bench needs it: the options that it gives, and the lines that it waits for.
 */
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { connect } from '../src/client/index.ts';
import type { LogFields, LogLevel } from '../src/core/log.ts';
import { TunDevice } from '../src/node/devices/tun-device.ts';
import { PacketEngine } from '../src/node/engine/packet-engine.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    interface: { type: 'string', default: 'tun0' },
    script: { type: 'string', default: '' },
    servercert: { type: 'string', default: '' },
    user: { type: 'string', default: '' },
    'no-dtls': { type: 'boolean', default: false },
    'passwd-on-stdin': { type: 'boolean', default: false },
    'non-inter': { type: 'boolean', default: false },
    verbose: { type: 'boolean', short: 'v', default: false },
  },
});

function log(_level: LogLevel, event: string, { cipherSuite }: LogFields = {}): void {
  if (event === 'datagram up') console.log(`Established DTLS connection by node:dgram. Ciphersuite ${cipherSuite}.`);
}

const [password = ''] = (await text(process.stdin)).split('\n');
const { user, servercert, script } = values;
const vpn = await connect(`https://${positionals[0]}`, {
  ...{ user, password, pins: [servercert], systemTrust: false, ipv6: false, udp: !values['no-dtls'] },
  device: await TunDevice.open(await PacketEngine.start(), { name: values.interface }),
  network: { script },
  log: { log },
});
const [address] = vpn.status().addresses[0]?.split('/') ?? [];
console.log(`Configured as ${address}, with SSL connected and DTLS ${values['no-dtls'] ? 'disabled' : 'connected'}`);
await Promise.race([once(process, 'SIGINT'), vpn.closed]);
await vpn.close();
process.exit(); // the engine's thread would keep this process alive
