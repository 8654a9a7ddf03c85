/**
 * What the gateway and its PAM child say to each other: a line of JSON each, on the child's standard input and output.
 *
 *   gateway ── task ──► child ── ask ──► gateway ── answer ──► child ── … ── done
 */
import { z } from 'zod';

/** As a name in /etc/pam.d. */
export const PAM_SERVICE = 'ocserv';

/** Of one line. */
export const MAX_PAM_LINE = 65_536;

export interface PamTask {
  readonly task: 'log-in' | 'open-session' | 'close-session';
  readonly service: string;
  readonly user: string;
  readonly remote: string;
  readonly minGid: number;
}

export interface PamAnswer {
  readonly answer: string;
}

export type PamReport =
  | { readonly type: 'ask'; readonly isSecret: boolean; readonly text: string }
  /** `code` is PAM's, 0 for success; `step`: the call that it came from. */
  | { readonly type: 'done'; readonly code: number; readonly step: string; readonly user: string; readonly groups: readonly string[] }
  | { readonly type: 'broken'; readonly message: string };

export const PAM_TASK: z.ZodType<PamTask> = z.object({
  task: z.enum(['log-in', 'open-session', 'close-session']),
  service: z.string(),
  user: z.string(),
  remote: z.string(),
  minGid: z.number(),
});

export const PAM_ANSWER: z.ZodType<PamAnswer> = z.object({ answer: z.string() });

export const PAM_REPORT: z.ZodType<PamReport> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ask'), isSecret: z.boolean(), text: z.string() }),
  z.object({ type: z.literal('done'), code: z.number(), step: z.string(), user: z.string(), groups: z.array(z.string()) }),
  z.object({ type: z.literal('broken'), message: z.string() }),
]);
