/** `sallyport recover`: puts back what sessions that were killed have left changed. */
import { printable } from '../../core/wire/text.ts';
import { recover } from '../../node/network/recover.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { explainError } from './explanation.ts';
import { EVENTS_VERSION } from './json-events.ts';

export async function runRecover({ json }: { readonly json?: true }): Promise<ExitCode> {
  try {
    const reports = await recover(json ? { scriptOutput: 'ignore' } : {});
    if (json) process.stdout.write(`${JSON.stringify({ v: EVENTS_VERSION, recovered: reports })}\n`);
    else for (const line of linesOf(reports.flatMap(({ lines }) => lines))) process.stdout.write(`${printable(line)}\n`);
    return reports.every(({ outcome }) => outcome === 'undone') ? EXIT.ok : EXIT.localSetup;
  } catch (error) {
    const why = explainError(error, 'connected');
    if (json) process.stdout.write(`${JSON.stringify({ v: EVENTS_VERSION, event: 'error', ...why })}\n`);
    else process.stderr.write(`${why.message}\n`);
    return why.exitCode;
  }
}

function linesOf(lines: readonly string[]): readonly string[] {
  if (lines.length > 0) return lines;
  return [
    process.geteuid?.() === 0
      ? 'Nothing was left behind.'
      : 'You have left nothing behind. What was started with sudo is recovered with sudo.',
  ];
}
