/**
 * Our gateway in the place of ocserv, and the client that it is made for: Debian's openconnect. What tests look at is the same: `tunnel-scene.ts`,
 * `login-lab.ts`.
 */
import { assertBuilt } from '../../support/drop-in.ts';
import { OUR_GATEWAY } from '../../support/gateway-program.ts';
import type { OcservOptions } from '../../support/ocserv.ts';
import type { OcservSettings } from '../../support/ocserv-config.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { LoginLab } from '../login-lab.ts';
import { type SceneOptions, TunnelScene } from '../tunnel-scene.ts';

/** Workers without rights, as administrators run them. */
const UNPRIVILEGED: OcservSettings = { 'run-as-user': 'nobody', 'run-as-group': 'nogroup' };

/** A lab with our running gateway. Clients are openconnect unless `command` says otherwise. */
export async function openGateway(options: SceneOptions = {}): Promise<TunnelScene> {
  assertBuilt(OUR_GATEWAY.command);
  const settings = { ...UNPRIVILEGED, ...options.settings };
  return TunnelScene.open({ program: OUR_GATEWAY, command: OPENCONNECT, ...options, settings });
}

/** The same for log-ins: `runPeer` is openconnect, `run` our client. */
export async function openLogin(options: OcservOptions = {}): Promise<LoginLab> {
  assertBuilt(OUR_GATEWAY.command);
  return LoginLab.open({ program: OUR_GATEWAY, ...options, settings: { ...UNPRIVILEGED, ...options.settings } });
}
