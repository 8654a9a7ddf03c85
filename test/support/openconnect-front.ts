/** One vendor's front of our gateway over real TLS on loopback, with people to log in, for Debian's openconnect. */
import type { GatewayProtocol } from '../../src/core/protocols/gateway-protocol.ts';
import { Secret } from '../../src/core/secret.ts';
import type { HostMaterial } from '../../src/gateway/worker/host-material.ts';
import { FrontServer } from './front-server.ts';
import { PlayedVisitor, type VisitorOptions } from './gateway-visitor.ts';
import { type OpenconnectOptions, type OpenconnectRun, runOpenconnect } from './openconnect-run.ts';
import type { ThrowawayCertificate } from './throwaway-certificate.ts';

/** With a password alone, with a code after it, and with a question that is no code. */
export const PEOPLE = {
  alice: { password: 'right&one+%' },
  bob: { password: 'right-one', code: '123456' },
  carol: { password: 'right-one', challenge: 'blue' },
};

/**
 * @param args what each run of openconnect has in front of its own
 * @param host how it asks for certificates of clients. Default: not at all
 */
export async function openFront(
  protocol: GatewayProtocol,
  certificate: ThrowawayCertificate,
  {
    visitor: options = { users: PEOPLE },
    args: common = [],
    host = {},
  }: {
    readonly visitor?: VisitorOptions;
    readonly args?: readonly string[];
    readonly host?: Pick<Partial<HostMaterial>, 'clientAuthority' | 'clientCertificates'>;
  } = {},
) {
  const visitor = new PlayedVisitor({ ...options, page: { certificate: certificate.der, ...options.page } });
  const material = { certificates: [{ certificate: certificate.certificatePem, key: new Secret(certificate.keyPem) }], ...host };
  const server = await FrontServer.start(visitor, [material], { protocol });
  const run = ({ args = [], ...more }: OpenconnectOptions): Promise<OpenconnectRun> =>
    runOpenconnect(
      { authority: server.authority, certificate },
      { ...more, args: [`--protocol=${protocol.id}`, '--passwd-on-stdin', ...common, ...args] },
    );
  return { visitor, server, run, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
