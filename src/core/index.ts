/**
 * The protocol core: for programs that bring their own sockets, timers and devices, and for those that build on parts of it. Nothing here opens a
 * file, reads a clock or knows Node.
 *
 *   log-in   {@link loadClientProtocol} → `login(io, target)` over a {@link LoginIo}; forms are answered by {@link formAnswerer}
 *   tunnel   `open(credential)` → a {@link TunnelMachine}: bytes and time in, bytes and events out
 *   session  {@link SessionMachine}: what to do when a tunnel comes, goes and is lost
 *
 * Programs that only want a connection use the package itself: `import { connect } from 'sallyport'`.
 */
export { type Answer, type Answerer, type FormAnswererOptions, formAnswerer, type Person } from './auth/answerers.ts';
export { type FormEntry, type LoginAnswers, loginAnswerers, parseFormEntry } from './auth/flag-answerers.ts';
export {
  type AskedField,
  type AuthField,
  type AuthForm,
  type Choice,
  type ChoiceField,
  type FormAnswer,
  type FormValues,
  type InputField,
  isShown,
} from './auth/form.ts';
export type {
  ConnectionFacts,
  Credential,
  HelperConnection,
  HelperRequest,
  HostCheckRequest,
  HostFacts,
  HostInterface,
  HostReport,
  HostReportRequest,
  LoginIo,
  LoginRequest,
  ProfileStore,
  Target,
  UserCertificate,
} from './auth/login-io.ts';
export { type TokenAnswererOptions, tokenAnswerer } from './auth/token-answerer.ts';
export { type ParsedTokenSecret, parseTokenSecret } from './auth/token-secret.ts';
export type { CryptoProvider } from './crypto/provider.ts';
export * from './errors.ts';
export type { HttpHeaders, HttpResponse } from './http/message.ts';
export { formatUrl, parseServer } from './http/url.ts';
export { type LogFields, type Logger, type LogLevel, silentLogger } from './log.ts';
export type { ClientIdentification, ClientProtocol, DatagramCiphers, ProtocolSettings } from './protocols/client-protocol.ts';
export { loadClientProtocol } from './protocols/registry.ts';
export { revealed, Secret } from './secret.ts';
export {
  type Outcome,
  type SessionEffect,
  type SessionInput,
  SessionMachine,
  type SessionOptions,
  type SessionState,
} from './session/session-machine.ts';
export type { InterfaceAddress, TunnelConfig } from './tunnel/config.ts';
export type { LayerSink } from './tunnel/layer.ts';
export type {
  CloseReason,
  Path,
  PathFacts,
  PathNotice,
  PathPlan,
  PathStatus,
  TlsFacts,
  TunnelEvent,
  TunnelMachine,
  TunnelSink,
  TunnelStatus,
} from './tunnel/machine.ts';
export { type Millis, type Packet, packetBytes, packetOf } from './tunnel/packet.ts';
export { type ScriptFacts, type ScriptReason, scriptEnvironment } from './tunnel/script-environment.ts';
export type { TrafficDescription } from './tunnel/traffic.ts';
export { type Cidr, type Endpoint, formatCidr, formatEndpoint, formatIp, type IpAddress, parseCidr, parseIp } from './wire/ip-address.ts';
