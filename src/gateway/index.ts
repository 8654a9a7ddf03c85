/**
 * The gateway as a library: for programs that run one themselves.
 *
 * @example
 * import { Gateway, loadGatewayToml } from 'sallyport/gateway';
 *
 * const log = { log: (level, event, fields) => console.error(level, event, fields) };
 * const gateway = await Gateway.start({ load: () => loadGatewayToml('gateway.toml'), serverName: 'sallyport', log });
 * process.once('SIGTERM', () => void gateway.stop());
 * await gateway.stopped;
 */
export { ConfigError, formatNotice } from './config/config-report.ts';
export type { ConfigNotice, GatewayConfig, HostConfig, SessionPolicy } from './config/gateway-config.ts';
export { loadGatewayToml } from './config/gateway-toml.ts';
export { type LoadedConfig, loadOcservConfig } from './config/ocserv-conf.ts';
export type {
  ControlSession,
  ControlTarget,
  EventPage,
  GatewayStatus,
  SessionEvent,
  UserStatus,
} from './control/control-target.ts';
export { FakeGateway, type FakeGatewayOptions } from './fake/fake-gateway.ts';
export type { FakeQuestion, FakeUser } from './fake/fake-visitor.ts';
export { Gateway, type GatewayOptions } from './gateway.ts';
