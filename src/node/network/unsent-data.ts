/**
 * Whether the kernel still has to deliver what programs of a namespace have sent by TCP: they may have ended, their sockets have not.
 *
 * Read first: proc_net_tcp(5), the kernel's Documentation/networking/proc_net_tcp.rst.
 *
 *     sl  local_address rem_address   st tx_queue rx_queue …
 *      0: 32004D0A:B0F6 01004D0A:0007 04 00004E21:00000000 …
 */
import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../../core/tunnel/packet.ts';

/** A look takes well below a millisecond. */
const LOOK_INTERVAL: Millis = 20;

/** The states, in the kernel's numbers (include/net/tcp_states.h), in which there may be something on its way: others send nothing, or a SYN. */
const ESTABLISHED = '01';
const FIN_WAIT_1 = '04';
const CLOSE_WAIT = '08';
const LAST_ACK = '09';
const CLOSING = '0B';
const SENDING: ReadonlySet<string> = new Set([ESTABLISHED, FIN_WAIT_1, CLOSE_WAIT, LAST_ACK, CLOSING]);

/** Whether a socket of a table, as /proc/net/tcp and tcp6 have it, holds bytes or an end that its peer has not acknowledged. */
export function hasUnsentData(table: string): boolean {
  for (const [, state = '', queue = ''] of table.matchAll(
    /^ *\d+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) ([0-9A-F]{8}):/gm,
  )) {
    if (SENDING.has(state) && queue !== '00000000') return true;
  }
  return false;
}

/** Resolves when nothing of the network namespace of a process is on its way any more, or the process has ended. Rejects when the signal aborts. */
export async function untilSent(pid: number, signal: AbortSignal): Promise<void> {
  const tables = ['tcp', 'tcp6'].map((name) => `/proc/${pid}/net/${name}`);
  for (;;) {
    const texts = await Promise.all(tables.map((file) => readFile(file, 'latin1').catch(() => ''))); // the process, and its namespace, are gone; no IPv6
    if (!texts.some(hasUnsentData)) return;
    await setTimeout(LOOK_INTERVAL, undefined, { signal });
  }
}
