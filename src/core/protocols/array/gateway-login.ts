/**
 * A gateway's side of a log-in: what a client posts becomes values for the dialogue, which must be content with them, as nothing can be asked back.
 *
 * Read first: spec "Array", sections 2.1 and 2.2.
 *
 *   uname, pwd, method, pwd2 ─► begin ─► next(uname) ─► next(pwd) ─► next(pwd2) ─► the cookie, or a page without it
 */
import type { FormValues } from '../../auth/form.ts';
import type { HttpRequest, HttpResponse } from '../../http/message.ts';
import type { GatewayConnection, Visitor } from '../gateway-protocol.ts';
import { answerInTurn, loginHints, logOutcome, nameAndPassword, parseLoginForm, replyOf } from '../page-login.ts';
import { admitted, loginRefused } from './gateway-answer.ts';

export async function answerLogin(request: HttpRequest, { facts }: GatewayConnection, visitor: Visitor): Promise<HttpResponse> {
  const fields = parseLoginForm(request, ['method', 'uname', 'pwd']);
  const { host, log } = visitor;
  if (host.needsCertificate === true && facts.certificateChain === undefined) return loginRefused();
  const { dialogue, step: first } = await visitor.begin(loginHints(facts, request.headers, fields.get('method')));
  // Browsers bring a second factor along (spec 2.1).
  const code = fields.get('pwd2') || fields.get('authCode') || '';
  const given: readonly FormValues[] = [
    ...nameAndPassword(fields.get('uname'), fields.get('pwd')),
    ...(code === '' ? [] : [replyOf(code)]),
  ];
  const step = await answerInTurn(dialogue, first, given);
  logOutcome(log, step);
  if (step.type === 'admitted') return admitted(step.cookie);
  if (step.type === 'ask') {
    log.log('info', 'log-in refused', { reason: step.form.error ?? 'more is asked for than this protocol can ask' });
  }
  return loginRefused();
}
