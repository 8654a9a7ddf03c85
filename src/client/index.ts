/**
 * Sallyport as a library: connect to a VPN gateway, or only log in.
 *
 * @example
 * import { connect } from 'sallyport';
 *
 * await using vpn = await connect('https://vpn.example.com', {
 *   user: 'alice',
 *   onForm: async (form) => ({ type: 'submit', values: await askSomebody(form) }),
 * });
 * vpn.on('state', (state) => console.log(state));
 */
import type { Credential } from '../core/auth/login-io.ts';
import { checkOptions } from './check-options.ts';
import { clientSettings } from './client-settings.ts';
import type { ConnectOptions, LoginOptions } from './connect-options.ts';
import { createClient, Vpn } from './vpn.ts';

export type { AskedField, AuthField, AuthForm, Choice, ChoiceField, FormAnswer, FormValues, InputField } from '../core/auth/form.ts';
export type { Credential, Target } from '../core/auth/login-io.ts';
export * from '../core/errors.ts';
export { type LogFields, type Logger, type LogLevel, silentLogger } from '../core/log.ts';
export { Secret } from '../core/secret.ts';
export type { Outcome } from '../core/session/session-machine.ts';
export type { InterfaceAddress, TunnelConfig } from '../core/tunnel/config.ts';
export type { CloseReason } from '../core/tunnel/machine.ts';
export { type Packet, packetBytes, packetOf } from '../core/tunnel/packet.ts';
export { type Cidr, formatCidr, formatIp, type IpAddress, parseCidr, parseIp } from '../core/wire/ip-address.ts';
export { CredentialError, PasswordNeededError, type ProtectedFile, WrongPasswordError } from '../node/credentials/credential-error.ts';
export { MemoryDevice } from '../node/devices/memory-device.ts';
export type { DeviceTraffic, PacketDevice } from '../node/devices/packet-device.ts';
export type {
  ConnectionOptions,
  DatagramOptions,
  IpAddressInfo,
  IpDatagram,
  IpLookupAddress,
  IpNetwork,
  IpServer,
  IpSocket,
  ListenOptions,
  LookupOptions,
  PingAnswer,
  PingOptions,
  ServerOptions,
} from '../node/ip/ip-network.ts';
export type { UnderlayChange } from './configured-network.ts';
export type { CertificateOptions, ConnectOptions, FormEntry, LoginOptions, OpenedInterface, TokenOptions } from './connect-options.ts';
export { type Evidence, type Recognition, recognise } from './recognise.ts';
export { CertificateNotTrustedError, type TrustQuestion } from './server-trust.ts';
export { Vpn, type VpnEvents } from './vpn.ts';
export type { DispatcherOptions, FetchInit, FetchInput, FetchResponse } from './vpn-fetch.ts';
export type { TrafficStatus, Transport, VpnState, VpnStatus } from './vpn-status.ts';

/**
 * Connects to a gateway: logs in, sets up the device and the network, and resolves when packets flow. Rejects, with everything undone, with
 *
 *   PeerRefusedError   the gateway said no: a wrong password, a session that has ended
 *   NetworkError       it cannot be reached, or (CertificateNotTrustedError, with its pin) nobody vouches for it
 *   CancelledError     `signal`, or whoever answers, said stop
 *   MisuseError        options that cannot be, or questions that nobody answers
 *   SallyportError     this machine could not be set up: `ERR_PERMISSION`, `ERR_DEVICE`, `ERR_NETWORK_SETUP`
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Vpn> {
  const vpn = await Vpn.create(url, options);
  await vpn.start();
  return vpn;
}

/** Logs in and no more. What it yields is as good as a password; {@link ConnectOptions.credential} takes it. Rejects as {@link connect} does. */
export async function authenticate(url: string, options: LoginOptions = {}): Promise<Credential> {
  checkOptions(url, options);
  const { signal = new AbortController().signal } = options;
  const client = await createClient(await clientSettings(url, options), options, { onUser: () => undefined, signal });
  return client.logIn(signal);
}
