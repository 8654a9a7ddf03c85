/** Array as the client sees it: the log-in, a tunnel over TLS, and the log-out. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { PeerRefusedError } from '../../errors.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { TunnelMachine } from '../../tunnel/machine.ts';
import { printable } from '../../wire/text.ts';
import type { ClientProtocol, ProtocolSettings } from '../client-protocol.ts';
import { PageHttp } from '../page-http.ts';
import { renderClientId } from './client-id.ts';
import { ArrayClientTunnel } from './client-tunnel.ts';
import { login } from './login.ts';
import { PATHS } from './paths.ts';
import { parseSessionCookie } from './session-cookie.ts';
import { renderTunnelRequest } from './tunnel-request.ts';

const CLIENT_ID_BYTES = 16;

export class ArrayClient implements ClientProtocol {
  readonly id = 'array';
  readonly title = 'Array Networks';
  readonly startsOnStream = true;
  readonly #settings: ProtocolSettings;
  /** Of the session: the same for each of its tunnels, and another after each log-in (spec 3, 10). */
  #clientId: string | undefined;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
  }

  login(io: LoginIo, target: Target): Promise<Credential> {
    this.#clientId = undefined;
    return login(io, target, this.#userAgent);
  }

  async open(_io: LoginIo, { gateway, cookie }: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const { crypto, log, client, mtu, dpd } = this.#settings;
    this.#clientId ??= renderClientId(crypto.randomBytes(CLIENT_ID_BYTES));
    const cookies = parseSessionCookie(cookie).map(({ name, value }) => `${name}=${value}`);
    const wish = { userAgent: this.#userAgent, cookies: cookies.join('; '), clientId: this.#clientId, hostname: client.localHostname };
    return new ArrayClientTunnel({
      log,
      request: renderTunnelRequest(gateway, wish),
      ...(mtu !== undefined && { mtu }),
      ...(dpd !== undefined && { dpd }),
      ...(previous !== undefined && { previous }),
    });
  }

  /** On a connection of its own: the one before was the tunnel's (spec 7). */
  async logOut(io: LoginIo, { gateway, cookie }: Credential): Promise<void> {
    const http = new PageHttp(io, gateway, this.#userAgent);
    for (const { name, value } of parseSessionCookie(cookie)) http.jar.set(name, value);
    const { status, reason } = await http.get(PATHS.logOut, { fresh: true });
    if (status >= 400) throw new PeerRefusedError(`The gateway answered the log-out with ${status} ${printable(reason)}.`);
  }

  get #userAgent(): string {
    const { userAgent, chosenUserAgent = userAgent } = this.#settings.client;
    return chosenUserAgent;
  }
}
