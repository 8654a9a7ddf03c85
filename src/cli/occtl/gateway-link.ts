/** The connection to the gateway: opened when a command first needs it, and again after it was closed. */
import { NetworkError } from '../../core/errors.ts';
import { GatewayControl } from '../../gateway/control/gateway-control.ts';
import { systemErrorText } from '../../node/system-error.ts';

export class GatewayLink {
  readonly #socket: string;
  #control: GatewayControl | undefined;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Rejects with {@link NetworkError} in occtl's words. */
  async connect(): Promise<GatewayControl> {
    if (this.#control !== undefined) return this.#control;
    const control = await this.#open();
    this.#control = control;
    void control.closed.then(() => {
      if (this.#control === control) this.#control = undefined;
    });
    return control;
  }

  close(): void {
    this.#control?.close();
    this.#control = undefined;
  }

  async #open(): Promise<GatewayControl> {
    try {
      return await GatewayControl.connect(this.#socket);
    } catch (error) {
      const reason = systemErrorText(error instanceof NetworkError ? error.cause : error);
      throw new NetworkError(`error connecting to ocserv socket '${this.#socket}': ${reason}`, { cause: error });
    }
  }
}
