/**
 * What a gateway says to a client, as lines that can be compared: every answer of a log-in with its page, and the answer to CONNECT.
 *
 * What differs from one session to the next by design (cookies, keys, jitter, seconds that have passed) is replaced by a word in angle brackets.
 */

/** The beginning of openconnect's output of an answer; the CONNECT answer has no body. */
const ANSWER = /^Got (?:HTTP|CONNECT) response: /;

/** A log-in and its tunnel are apart by less, on a busy machine too. */
const LOGIN_SECONDS = 60;

/** Cut from openconnect's `--dump-http-traffic -v`: one line for each line of an answer. */
export function answersIn(output: string): string[] {
  const lines: string[] = [];
  let isInAnswer = false;
  for (const line of output.split('\n')) {
    if (ANSWER.test(line)) {
      isInAnswer = true;
      lines.push(line.replace(ANSWER, ''));
    } else if (isInAnswer && (/^[A-Za-z][A-Za-z0-9-]*: /.test(line) || line.startsWith('< '))) {
      lines.push(withoutChance(line));
    } else {
      isInAnswer &&= line.startsWith('HTTP body length');
    }
  }
  return withoutSecondsOfLogin(lines);
}

/** The time that is left is less than the whole by as long as the log-in took. */
function withoutSecondsOfLogin(lines: readonly string[]): string[] {
  const whole = Number(lines.join('\n').match(/(?<=^X-CSTP-Session-Timeout: )\d+$/m)?.[0]);
  return lines.map((line) =>
    line.replace(/(?<=^X-CSTP-Session-Timeout-Remaining: )[1-9]\d*$/, (left) =>
      Number(left) <= whole && Number(left) > whole - LOGIN_SECONDS ? '<all but the log-in>' : left,
    ),
  );
}

/** Name of what is left to chance, and how it looks. */
const CHANCE: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['<cookie>', /(?<=^Set-Cookie: webvpncontext=)[A-Za-z0-9+/=]{44}/],
  ['<fingerprint>', /(?<=&sh:)[0-9A-F]{40}/],
  ['<32 bytes>', /(?<=^X-DTLS-(?:App-ID|Session-ID): )[0-9a-f]{64}/],
  ['<time with jitter>', /(?<=^X-(?:CSTP|DTLS)-Rekey-Time: )[1-9]\d*/],
];

function withoutChance(line: string): string {
  return CHANCE.reduce((text, [what, pattern]) => text.replace(pattern, what), line);
}

export interface HeaderDifference {
  /** Lines that only ocserv sends, and lines that only ours sends, in their order. */
  readonly ocserv: readonly string[];
  readonly ours: readonly string[];
}

/** Lines that only one of them has. A line that both have, in other places, counts as a difference in neither; {@link isSameOrder} looks at that. */
export function differenceOf(ocserv: readonly string[], ours: readonly string[]): HeaderDifference {
  return { ocserv: without(ocserv, ours), ours: without(ours, ocserv) };
}

/** Whether the lines that both have come in the same order. */
export function isSameOrder(ocserv: readonly string[], ours: readonly string[]): boolean {
  const { ocserv: onlyTheirs, ours: onlyOurs } = differenceOf(ocserv, ours);
  return without(ocserv, onlyTheirs).join('\n') === without(ours, onlyOurs).join('\n');
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return lines.filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}
