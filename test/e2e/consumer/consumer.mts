// A program in a project of somebody else's: compiled there against the types of the package, strictly and with those of its dependencies, and run.
import assert from 'node:assert/strict';
import { type ConnectOptions, connect, type IpSocket, MisuseError, type Vpn } from 'sallyport';
import { silentLogger } from 'sallyport/core';
import { Gateway, type GatewayOptions } from 'sallyport/gateway';

const options: ConnectOptions = { device: 'userspace', user: 'alice', log: silentLogger, pins: ['sha1:00'] };

export async function page(vpn: Vpn, url: string): Promise<string> {
  const socket: IpSocket = vpn.createConnection({ host: 'db', port: 5432, signal: AbortSignal.timeout(1_000) });
  socket.destroy();
  const response = await vpn.fetch(url);
  return `${response.status} ${vpn.status().transport ?? 'down'} ${(await vpn.lookup('db')).map(({ address }) => address).join()}`;
}

export const start: (options: GatewayOptions) => Promise<Gateway> = (given) => Gateway.start(given);

await assert.rejects(connect('https://vpn.example.com', options), MisuseError);
console.log('esm');
