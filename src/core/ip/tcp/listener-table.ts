/** All TCP listeners of a host, by port and address. */
import { type IpAddress, sameIp } from '../../wire/ip-address.ts';
import { TcpListener } from './listener.ts';

export class ListenerTable {
  readonly #byPort = new Map<number, TcpListener[]>();

  /** Whose connection to this address it is: one of the address goes before one of all. */
  find(address: IpAddress, port: number): TcpListener | undefined {
    const listeners = this.#byPort.get(port);
    return (
      listeners?.find((listener) => listener.address !== undefined && sameIp(listener.address, address)) ??
      listeners?.find((listener) => listener.address === undefined)
    );
  }

  isFree(address: IpAddress | undefined, port: number): boolean {
    return !(this.#byPort.get(port) ?? []).some(
      (listener) => listener.address === undefined || address === undefined || sameIp(listener.address, address),
    );
  }

  /** The caller has seen that the place is free. */
  open(address: IpAddress | undefined, port: number, backlog: number): TcpListener {
    const listener = new TcpListener(address, port, Math.max(1, backlog), (closed) => this.#remove(closed));
    this.#byPort.set(port, [...(this.#byPort.get(port) ?? []), listener]);
    return listener;
  }

  #remove(listener: TcpListener): void {
    const rest = (this.#byPort.get(listener.port) ?? []).filter((other) => other !== listener);
    if (rest.length === 0) this.#byPort.delete(listener.port);
    else this.#byPort.set(listener.port, rest);
  }
}
