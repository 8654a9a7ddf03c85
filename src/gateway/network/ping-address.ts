/** Whether a machine answers at an address, for `ping-leases`: by ping(8), which may send ICMP where we may not. */
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp, type IpAddress } from '../../core/wire/ip-address.ts';
import { type CommandRunner, runProgram } from '../../node/processes/run-program.ts';

/** A machine of the same site answers within milliseconds; a log-in waits for one that is not there. */
const ANSWER_TIME_SECONDS = 1;
/** For ping itself, should it hang. */
const MAX_PING_TIME: Millis = 3_000;

/** Rejects where nobody could be asked: no ping(8), or no right to send. */
export async function isAnswering(address: IpAddress, run: CommandRunner = runProgram): Promise<boolean> {
  const args = ['-n', '-q', '-c', '1', '-W', String(ANSWER_TIME_SECONDS), formatIp(address)];
  const { status, stdout } = await run('ping', args, { timeout: MAX_PING_TIME });
  return status === 0 && /\b1 received/.test(stdout);
}
